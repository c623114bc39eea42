//! NFSv3 and MOUNT: calls and results of every procedure, with likely values.

use wire::mount3::{self, Export, Mount, MountOutcome, Path};
use wire::nfs3::*;
use wire::rpc::{Accepted, CallHeader, Credential, OpaqueAuth, ReplyHeader};
use wire::xdr::{Decoder, Encode};

use crate::dissector::{Capture, End, dissect, expect_understood, record};
use crate::values::{Random, encode};

/// Calls of each procedure.
const ROUNDS: usize = 20;

/// All bytes of a value, its payload being zeros.
fn stream(value: &impl Encode) -> Vec<u8> {
    let (mut bytes, cuts) = encode(value);
    for cut in cuts {
        bytes.splice(cut.position..cut.position, vec![0; cut.length]);
    }
    bytes
}

/// Bytes of a value that `read` finds among likely ones.
fn likely(random: &mut Random, read: impl Fn(&mut Decoder<'_>) -> Option<Vec<u8>>) -> Vec<u8> {
    loop {
        let words = 1 + random.below(80);
        let bytes = random.likely(words);
        if let Some(value) = read(&mut Decoder::new(&bytes)) {
            return value;
        }
    }
}

/// Bytes of a value of this type.
macro_rules! likely {
    ($random:expr, $type:ty) => {
        likely($random, |decoder| decoder.get::<$type>().ok().map(|value| stream(&value)))
    };
}

/// Calls and replies, and what is expected of the dissector.
struct Traffic {
    program: u32,
    capture: Capture,
    /// What it says of each message: the procedure and, of a result that has one, the status.
    said: Vec<String>,
}

impl Traffic {
    fn new(program: u32) -> Self {
        Traffic { program, capture: Capture::new(), said: Vec::new() }
    }

    fn exchange(&mut self, procedure: u32, arguments: &[u8], result: &[u8], has_status: bool) {
        let xid = self.said.len() as u32;
        let (program, credential, verifier) = (self.program, Credential::None, OpaqueAuth::NONE);
        let header = CallHeader { xid, program, version: 3, procedure, credential, verifier };
        self.capture.send(End::Client, &record(&[&[&stream(&header), arguments].concat()]));
        let reply = ReplyHeader::accepted(xid, Accepted::Success);
        self.capture.send(End::Server, &record(&[&[&stream(&reply), result].concat()]));
        let status = if has_status { format!(" {}", status_of(result)) } else { String::new() };
        self.said.extend([format!("{procedure}"), format!("{procedure}{status}")]);
    }

    fn expect_understood(&self, protocol: &str) {
        let fields = ["procedure_v3", "status"].map(|field| format!("{protocol}.{field}"));
        let arguments = ["-Y", "rpc", "-T", "fields", "-e", &fields[0], "-e", &fields[1]];
        let Some(text) = dissect(&self.capture, &arguments) else { return };
        let said: Vec<_> = text.lines().map(|line| line.replace('\t', " ").trim().to_owned()).collect();
        assert_eq!(said, self.said);
        expect_understood(&self.capture);
    }
}

fn status_of(result: &[u8]) -> u32 {
    u32::from_be_bytes(*result.first_chunk().unwrap())
}

/// A procedure and a result of it, but for entries.
type Likely = fn(&mut Random) -> (Procedure, Vec<u8>);

fn result<C: Call>(random: &mut Random) -> (Procedure, Vec<u8>) {
    let body = if random.below(2) == 0 {
        [stream(&Status::Ok), likely!(random, C::Result<'_>)]
    } else {
        [stream(&Status::Jukebox), likely!(random, C::Failure)]
    };
    (C::PROCEDURE, body.concat())
}

const RESULTS: [Likely; 21] = [
    result::<GetAttrArgs>,
    result::<SetAttrArgs>,
    result::<LookupArgs<'_>>,
    result::<AccessArgs>,
    result::<ReadLinkArgs>,
    result::<ReadArgs>,
    result::<WriteArgs>,
    result::<CreateArgs<'_>>,
    result::<MkdirArgs<'_>>,
    result::<SymlinkArgs<'_>>,
    result::<MknodArgs<'_>>,
    result::<RemoveArgs<'_>>,
    result::<RmdirArgs<'_>>,
    result::<RenameArgs<'_>>,
    result::<LinkArgs<'_>>,
    result::<ReadDirArgs>,
    result::<ReadDirPlusArgs>,
    result::<FsstatArgs>,
    result::<FsinfoArgs>,
    result::<PathconfArgs>,
    result::<CommitArgs>,
];

/// Up to three items and the end of the list.
fn list(random: &mut Random, item: impl Fn(&mut Random) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(4) {
        bytes.extend(stream(&true));
        bytes.extend(item(random));
    }
    bytes.extend(stream(&false));
    bytes
}

/// What follows the body of a result.
fn rest(random: &mut Random, procedure: Procedure) -> Vec<u8> {
    let entries = match procedure {
        Procedure::Readdir => list(random, |random| likely!(random, Entry<'_>)),
        Procedure::Readdirplus => list(random, |random| likely!(random, EntryPlus<'_>)),
        _ => return Vec::new(),
    };
    [entries, stream(&true)].concat()
}

#[test]
fn every_procedure_of_nfs_is_understood() {
    let (mut random, mut traffic) = (Random(11), Traffic::new(PROGRAM));
    for likely_result in RESULTS.iter().cycle().take(ROUNDS * RESULTS.len()) {
        let (procedure, mut result) = likely_result(&mut random);
        let arguments = likely(&mut random, |decoder| {
            Arguments::decode(procedure, decoder).ok().map(|arguments| stream(&arguments))
        });
        if status_of(&result) == Status::Ok.number() {
            result.extend(rest(&mut random, procedure));
        }
        traffic.exchange(procedure.number(), &arguments, &result, true);
    }
    traffic.expect_understood("nfs");
}

#[test]
fn every_procedure_of_mount_is_understood() {
    use mount3::Procedure;
    let (mut random, mut traffic) = (Random(12), Traffic::new(mount3::PROGRAM));
    for _ in 0..ROUNDS {
        let path = likely!(&mut random, Path<'_>);
        let mounted = likely!(&mut random, MountOutcome);
        let mounts = list(&mut random, |random| likely!(random, Mount<'_>));
        let exports = list(&mut random, |random| likely!(random, Export<'_>));
        traffic.exchange(Procedure::Null.number(), &[], &[], false);
        traffic.exchange(Procedure::Mnt.number(), &path, &mounted, true);
        traffic.exchange(Procedure::Dump.number(), &[], &mounts, false);
        traffic.exchange(Procedure::Umnt.number(), &path, &[], false);
        traffic.exchange(Procedure::Umntall.number(), &[], &[], false);
        traffic.exchange(Procedure::Export.number(), &[], &exports, false);
    }
    traffic.expect_understood("mount");
}
