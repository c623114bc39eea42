//! What comes back, of which every byte is accounted for.

use std::marker::PhantomData;

use rpc::Outcome as ServiceOutcome;
use wire::mount3;
use wire::nfs3::*;
use wire::rpc::{Accepted, ReplyBody, ReplyHeader};
use wire::xdr::{Decode, Decoder, Error, Payload};

use super::super::client::message;
use super::super::executor::Running;

/// A call that was sent.
pub struct Pending<C> {
    xid: u32,
    outcome: Running<ServiceOutcome>,
    call: PhantomData<C>,
}

impl<C: Call> Pending<C> {
    pub(super) fn new(xid: u32, outcome: Running<ServiceOutcome>) -> Self {
        Self { xid, outcome, call: PhantomData }
    }

    pub fn is_done(&self) -> bool {
        self.outcome.is_done()
    }

    /// Waits for the reply.
    #[track_caller]
    pub fn finish(self) -> Answer<C> {
        Answer::read(self.outcome.finish(), self.xid).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits, and expects that no reply comes.
    #[track_caller]
    pub fn stays_unanswered(self) {
        let outcome = self.outcome.finish();
        assert!(matches!(outcome, ServiceOutcome::Discard), "{outcome:?}");
    }
}

/// The reply to a call.
pub struct Answer<C> {
    message: Vec<u8>,
    results: Vec<u8>,
    call: PhantomData<C>,
}

impl<C> std::fmt::Debug for Answer<C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.message.escape_ascii())
    }
}

/// The same to the byte.
impl<C> PartialEq for Answer<C> {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
    }
}

impl<C: Call> Answer<C> {
    /// Reads what the service made of a call.
    ///
    /// # Errors
    /// What of it is not as the protocol has it.
    pub fn read(outcome: ServiceOutcome, xid: u32) -> Result<Self, String> {
        let message = message(outcome)?;
        let (status, results) = accepted(&message, xid)?;
        if status != Accepted::Success {
            return Err(format!("{status:?}"));
        }
        check_results(C::PROCEDURE, &results)
            .map_err(|error| format!("{error} in {}", results.escape_ascii()))?;
        Ok(Self { message, results, call: PhantomData })
    }

    /// Success or failure.
    pub fn outcome(&self) -> Outcome<C::Result<'_>, C::Failure> {
        Decoder::new(&self.results).get().expect("the results were read before")
    }

    pub fn status(&self) -> Status {
        Decoder::new(&self.results).get().expect("the results were read before")
    }

    /// The whole reply.
    pub fn bytes(&self) -> &[u8] {
        &self.message
    }

    /// Expects success.
    #[track_caller]
    pub fn ok(&self) -> C::Result<'_> {
        assert_eq!(self.status(), Status::Ok);
        match self.outcome() {
            Ok(result) => result,
            Err(_) => unreachable!("the status says so"),
        }
    }

    /// Expects this failure; answers what it tells.
    #[track_caller]
    pub fn fails(&self, status: Status) -> C::Failure {
        assert_eq!(self.status(), status);
        match self.outcome() {
            Ok(_) => unreachable!("the status says so"),
            Err(failure) => failure.body,
        }
    }
}

impl Answer<ReadArgs> {
    /// The data of a READ that succeeded, and whether the file ends behind it.
    #[track_caller]
    pub fn data(&self) -> (Vec<u8>, bool) {
        let read = self.ok();
        let Payload::Inline(range) = read.data else { panic!("nothing was cut out of a reply") };
        assert_eq!(range.len(), read.count as usize);
        (self.results[range].to_vec(), read.eof)
    }
}

/// An entry of READDIR or READDIRPLUS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry3 {
    pub file_id: u64,
    pub name: String,
    pub cookie: u64,
    pub attributes: PostOpAttributes,
    pub handle: PostOpHandle,
}

impl From<Entry<'_>> for Entry3 {
    fn from(entry: Entry<'_>) -> Self {
        let Entry { file_id, name, cookie } = entry;
        Self { file_id, name: text(&name), cookie, attributes: None, handle: None }
    }
}

impl From<EntryPlus<'_>> for Entry3 {
    fn from(entry: EntryPlus<'_>) -> Self {
        let EntryPlus { file_id, name, cookie, attributes, handle } = entry;
        Self { file_id, name: text(&name), cookie, attributes, handle }
    }
}

/// A call that lists a directory.
pub trait Lists: Call {
    type Entry<'a>: Decode<'a> + Into<Entry3>;
}

impl Lists for ReadDirArgs {
    type Entry<'a> = Entry<'a>;
}

impl Lists for ReadDirPlusArgs {
    type Entry<'a> = EntryPlus<'a>;
}

impl<C: Lists> Answer<C> {
    /// The entries of a listing that succeeded, and whether the directory ends behind them.
    #[track_caller]
    pub fn entries(&self) -> (Vec<Entry3>, bool) {
        self.ok();
        let mut decoder = Decoder::new(&self.results);
        let _: Outcome<DirectoryHead, PostOpAttributes> = decoder.get().expect("read before");
        read_entries::<C::Entry<'_>>(&mut decoder).expect("read before")
    }

    /// Bytes of the result behind its status.
    pub fn result_bytes(&self) -> usize {
        self.results.len() - wire::xdr::UNIT
    }
}

fn read_entries<'a, E: Decode<'a> + Into<Entry3>>(
    decoder: &mut Decoder<'a>,
) -> Result<(Vec<Entry3>, bool), Error> {
    let mut entries = Vec::new();
    loop {
        match decoder.get()? {
            Listed::Entry::<E>(entry) => entries.push(entry.into()),
            Listed::End(end) => return Ok((entries, end)),
        }
    }
}

/// Reads all of a procedure's results; answers the status.
///
/// # Errors
/// When they are not as the published XDR has them.
pub fn check_results(procedure: Procedure, results: &[u8]) -> Result<Option<Status>, Error> {
    fn skip<'a, C: Call>(decoder: &mut Decoder<'a>) -> Result<Option<Status>, Error> {
        let status = decoder.clone().get()?;
        let _: Outcome<C::Result<'a>, C::Failure> = decoder.get()?;
        Ok(Some(status))
    }
    fn skip_list<'a, C: Lists>(decoder: &mut Decoder<'a>) -> Result<Option<Status>, Error> {
        let status = skip::<C>(decoder)?;
        if status == Some(Status::Ok) {
            read_entries::<C::Entry<'a>>(decoder)?;
        }
        Ok(status)
    }
    let mut decoder = Decoder::new(results);
    let status = match procedure {
        Procedure::Null => None,
        Procedure::Getattr => skip::<GetAttrArgs>(&mut decoder)?,
        Procedure::Setattr => skip::<SetAttrArgs>(&mut decoder)?,
        Procedure::Lookup => skip::<LookupArgs<'_>>(&mut decoder)?,
        Procedure::Access => skip::<AccessArgs>(&mut decoder)?,
        Procedure::Readlink => skip::<ReadLinkArgs>(&mut decoder)?,
        Procedure::Read => skip::<ReadArgs>(&mut decoder)?,
        Procedure::Write => skip::<WriteArgs>(&mut decoder)?,
        Procedure::Create => skip::<CreateArgs<'_>>(&mut decoder)?,
        Procedure::Mkdir => skip::<MkdirArgs<'_>>(&mut decoder)?,
        Procedure::Symlink => skip::<SymlinkArgs<'_>>(&mut decoder)?,
        Procedure::Mknod => skip::<MknodArgs<'_>>(&mut decoder)?,
        Procedure::Remove => skip::<RemoveArgs<'_>>(&mut decoder)?,
        Procedure::Rmdir => skip::<RmdirArgs<'_>>(&mut decoder)?,
        Procedure::Rename => skip::<RenameArgs<'_>>(&mut decoder)?,
        Procedure::Link => skip::<LinkArgs<'_>>(&mut decoder)?,
        Procedure::Readdir => skip_list::<ReadDirArgs>(&mut decoder)?,
        Procedure::Readdirplus => skip_list::<ReadDirPlusArgs>(&mut decoder)?,
        Procedure::Fsstat => skip::<FsstatArgs>(&mut decoder)?,
        Procedure::Fsinfo => skip::<FsinfoArgs>(&mut decoder)?,
        Procedure::Pathconf => skip::<PathconfArgs>(&mut decoder)?,
        Procedure::Commit => skip::<CommitArgs>(&mut decoder)?,
    };
    decoder.finish().map(|()| status)
}

/// Reads all of the results of a procedure of MOUNT.
///
/// # Errors
/// As [`check_results`].
pub fn check_mount_results(procedure: mount3::Procedure, results: &[u8]) -> Result<(), Error> {
    use mount3::{Export, Mount, MountOutcome, Procedure};
    match procedure {
        Procedure::Null | Procedure::Umnt | Procedure::Umntall => Decoder::new(results).finish(),
        Procedure::Mnt => whole::<MountOutcome>(results).map(drop),
        Procedure::Dump => items::<Mount<'_>>(results).map(drop),
        Procedure::Export => items::<Export<'_>>(results).map(drop),
    }
}

/// A value that is all there is.
///
/// # Errors
/// When it is not.
pub fn whole<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.get()?;
    decoder.finish().map(|()| value)
}

/// The items of a list that is all there is.
///
/// # Errors
/// When it is not.
pub fn items<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Result<Vec<T>, Error> {
    let mut decoder = Decoder::new(bytes);
    let mut items = Vec::new();
    while let Some(item) = decoder.get::<Option<T>>()? {
        items.push(item);
    }
    decoder.finish().map(|()| items)
}

/// What became of a call, and its results.
pub fn accepted(message: &[u8], xid: u32) -> Result<(Accepted, Vec<u8>), String> {
    let mut decoder = Decoder::new(message);
    let header: ReplyHeader<'_> = decoder.get().map_err(|error| format!("{error}"))?;
    match header.body {
        ReplyBody::Accepted { status, .. } if header.xid == xid => {
            Ok((status, message[decoder.head_index()..].to_vec()))
        }
        _ => Err(format!("{header:?} to call {xid}")),
    }
}

/// What tests compare: names that they made are text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
