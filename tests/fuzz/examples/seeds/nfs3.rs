//! Calls of NFSv3, their arguments, and the results.

use wire::nfs3::*;
use wire::rpc::Credential;

use crate::{calls, encoded, encoder};

const TIME: NfsTime = NfsTime { seconds: 1, nanoseconds: 2 };
const ATTRIBUTES: FileAttributes = FileAttributes {
    file_type: FileType::Regular,
    mode: 0o644,
    links: 1,
    uid: 1000,
    gid: 1000,
    size: 5,
    used: 4096,
    device: Specdata { major: 0, minor: 0 },
    fsid: 1,
    file_id: 7,
    time_access: TIME,
    time_modify: TIME,
    time_metadata: TIME,
};

fn handle() -> FileHandle {
    FileHandle::new(&[5; 32]).expect("a handle")
}

fn place() -> DirOpArgs<'static> {
    DirOpArgs { directory: handle(), name: "name".into() }
}

fn set() -> SetAttributes {
    let time_access = SetTime::Client(TIME);
    SetAttributes {
        mode: Some(0o644),
        size: Some(0),
        time_access,
        time_modify: SetTime::Server,
        ..Default::default()
    }
}

/// Whole calls, from the RPC header on: WRITEs with every kind of credential, and another.
pub fn calls() -> Vec<(&'static str, Vec<u8>)> {
    let write = |credential| calls::call(VERSION, Procedure::Write.number(), credential, &write());
    let access = encoded(&AccessArgs { object: handle(), access: access::READ });
    vec![
        ("nfs3_none_write", write(Credential::None)),
        ("nfs3_write", write(calls::sys())),
        ("nfs3_annotated_write", write(calls::credential(&calls::annotated()))),
        ("nfs3_access", calls::call(VERSION, Procedure::Access.number(), calls::sys(), &access)),
    ]
}

fn write() -> Vec<u8> {
    let mut encoder = encoder();
    let head = WriteHead { file: handle(), offset: 8192, count: 9, stable: StableHow::Unstable };
    head.encode_inline(&mut encoder, b"some data").expect("seeds are short");
    encoder.finish().head.to_vec()
}

/// Arguments of every procedure: name, number, bytes.
pub fn arguments() -> Vec<(&'static str, u8, Vec<u8>)> {
    let symlink = SymlinkData { attributes: set(), link: "to".into() };
    let device = DeviceData { attributes: set(), device: Specdata { major: 8, minor: 1 } };
    let verifier = Verifier::default();
    vec![
        call("getattr", &GetAttrArgs { object: handle() }),
        call("setattr", &SetAttrArgs { object: handle(), attributes: set(), guard: Some(TIME) }),
        call("lookup", &LookupArgs { what: place() }),
        call("access", &AccessArgs { object: handle(), access: access::READ }),
        call("readlink", &ReadLinkArgs { link: handle() }),
        call("read", &ReadArgs { file: handle(), offset: 0, count: 4096 }),
        ("write", Procedure::Write.number() as u8, write()),
        call("create", &CreateArgs { place: place(), how: CreateHow::Guarded(set()) }),
        call("create_exclusive", &CreateArgs { place: place(), how: CreateHow::Exclusive(Verifier([1; 8])) }),
        call("mkdir", &MkdirArgs { place: place(), attributes: set() }),
        call("symlink", &SymlinkArgs { place: place(), symlink }),
        call("mknod", &MknodArgs { place: place(), what: MknodData::BlockDevice(device) }),
        call("mknod_fifo", &MknodArgs { place: place(), what: MknodData::Fifo(set()) }),
        call("remove", &RemoveArgs { object: place() }),
        call("rmdir", &RmdirArgs { object: place() }),
        call("rename", &RenameArgs { from: place(), to: place() }),
        call("link", &LinkArgs { file: handle(), link: place() }),
        call("readdir", &ReadDirArgs { directory: handle(), cookie: 0, verifier, count_max: 4096 }),
        call("readdirplus", &list()),
        call("fsstat", &FsstatArgs { root: handle() }),
        call("fsinfo", &FsinfoArgs { root: handle() }),
        call("pathconf", &PathconfArgs { object: handle() }),
        call("commit", &CommitArgs { file: handle(), offset: 0, count: 0 }),
    ]
}

fn call<C: Call>(name: &'static str, arguments: &C) -> (&'static str, u8, Vec<u8>) {
    (name, C::PROCEDURE.number() as u8, encoded(arguments))
}

fn list() -> ReadDirPlusArgs {
    let verifier = Verifier::default();
    ReadDirPlusArgs { directory: handle(), cookie: 0, verifier, directory_count: 1024, count_max: 4096 }
}

/// Results of every shape: name, the procedure's number, bytes.
pub fn results() -> Vec<(&'static str, u8, Vec<u8>)> {
    let attributes = Some(ATTRIBUTES);
    let wcc = WccData { before: Some(WccAttributes::from(&ATTRIBUTES)), after: attributes };
    let verifier = Verifier([2; 8]);
    let made = CreateResult { object: Some(handle()), attributes, directory_wcc: wcc };
    let found = LookupResult { object: handle(), attributes, directory_attributes: None };
    let committed = StableHow::FileSync;
    let renamed = RenameResult { from_directory_wcc: wcc, to_directory_wcc: wcc };
    vec![
        done::<GetAttrArgs>("getattr", &ATTRIBUTES),
        done::<SetAttrArgs>("setattr", &wcc),
        done::<LookupArgs<'_>>("lookup", &found),
        failed::<LookupArgs<'_>>("lookup_failed", &attributes),
        done::<AccessArgs>("access", &AccessResult { attributes, access: 1 }),
        done::<ReadLinkArgs>("readlink", &ReadLinkResult { attributes, link: "to".into() }),
        result::<ReadArgs>("read", Status::Ok, &read()),
        done::<WriteArgs>("write", &WriteResult { file_wcc: wcc, count: 9, committed, verifier }),
        done::<CreateArgs<'_>>("create", &made),
        failed::<CreateArgs<'_>>("create_failed", &wcc),
        done::<RenameArgs<'_>>("rename", &renamed),
        failed::<RenameArgs<'_>>("rename_failed", &renamed),
        done::<LinkArgs<'_>>("link", &LinkResult { attributes, directory_wcc: wcc }),
        result::<ReadDirArgs>("readdir", Status::Ok, &directory(false)),
        result::<ReadDirPlusArgs>("readdirplus", Status::Ok, &directory(true)),
        done::<FsstatArgs>("fsstat", &space()),
        done::<FsinfoArgs>("fsinfo", &file_system()),
        done::<PathconfArgs>("pathconf", &names()),
        done::<CommitArgs>("commit", &CommitResult { file_wcc: wcc, verifier }),
    ]
}

fn done<'r, C: Call>(name: &'static str, body: &C::Result<'r>) -> (&'static str, u8, Vec<u8>) {
    result::<C>(name, Status::Ok, &encoded(body))
}

fn failed<C: Call>(name: &'static str, body: &C::Failure) -> (&'static str, u8, Vec<u8>) {
    result::<C>(name, Status::Acces, &encoded(body))
}

fn result<C: Call>(name: &'static str, status: Status, body: &[u8]) -> (&'static str, u8, Vec<u8>) {
    (name, C::PROCEDURE.number() as u8, [&encoded(&status)[..], body].concat())
}

fn read() -> Vec<u8> {
    let mut encoder = encoder();
    ReadResult::encode_inline(&mut encoder, &Some(ATTRIBUTES), true, b"some data").expect("seeds are short");
    encoder.finish().head.to_vec()
}

/// Three entries, with attributes and handles or without.
fn directory(plus: bool) -> Vec<u8> {
    let mut encoder = encoder();
    let head = DirectoryHead { attributes: Some(ATTRIBUTES), verifier: Verifier([7; 8]) };
    let mut writer = DirectoryWriter::begin_plus(&mut encoder, &head, &list()).expect("seeds are short");
    for cookie in 3..6 {
        let entry = Entry { file_id: cookie, name: "name".into(), cookie };
        let Entry { file_id, name, cookie } = entry;
        let more = EntryPlus { file_id, name, cookie, attributes: Some(ATTRIBUTES), handle: Some(handle()) };
        let written =
            if plus { writer.entry_plus(&mut encoder, &more) } else { writer.entry(&mut encoder, &entry) };
        written.expect("seeds are short");
    }
    writer.finish(&mut encoder, true).expect("seeds are short");
    encoder.finish().head.to_vec()
}

fn space() -> FsstatResult {
    FsstatResult {
        attributes: Some(ATTRIBUTES),
        bytes_total: 1 << 40,
        bytes_free: 1 << 39,
        bytes_available: 1 << 38,
        files_total: 1 << 20,
        files_free: 1 << 19,
        files_available: 1 << 19,
        unchanged_seconds: 0,
    }
}

fn file_system() -> FsinfoResult {
    FsinfoResult {
        attributes: None,
        read_max: 1 << 20,
        read_preferred: 1 << 20,
        read_multiple: 4096,
        write_max: 1 << 20,
        write_preferred: 1 << 20,
        write_multiple: 4096,
        directory_preferred: 1 << 16,
        file_size_max: i64::MAX as u64,
        time_delta: NfsTime { seconds: 0, nanoseconds: 1 },
        properties: file_system_property::LINK | file_system_property::SYMLINK,
    }
}

fn names() -> PathconfResult {
    PathconfResult {
        attributes: None,
        links_max: 32_000,
        name_max: 255,
        no_truncation: true,
        chown_restricted: true,
        case_insensitive: false,
        case_preserving: true,
    }
}
