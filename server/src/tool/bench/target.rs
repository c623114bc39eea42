//! What the places of one group call: on the files that a session has opened, or in NFSv3 on files as they are. What comes
//! again is encoded once.

use client::nfs3::encoded_arguments;
use client::pipeline::Call;
use client::{Client, Compound, ObjectAttributes, OpenFile, OpenHow, OwnedAttributes};
use wire::nfs3;
use wire::nfs4::{
    Attributes, ClientId, CloseArgs, CommitResult, CreateHow, CreateType, FileHandle, OpenArgs, OpenClaim,
    OpenHow as WireHow, ResultHead, StateOwner, Stateid, WriteResult, share_access, share_deny,
};
use wire::xdr::{Decoder, Error, Payload};

use super::arguments::BenchArguments;
use super::plan::{Plan, Prepared};
use super::prepare::file_name;
use super::workload::Workload;

/// Where the offset of an encoded READ stands: before the count.
pub const READ_OFFSET_FROM_END: usize = 12;

/// Where the offset of an encoded WRITE stands: before how stable it is to be, and the length; in NFSv3, before a count too.
const WRITE_OFFSET_FROM_END: usize = 16;
const WRITE_OFFSET_FROM_END_3: usize = 20;

/// Permissions of what is made.
pub const FILE_MODE: u32 = 0o644;
pub const DIRECTORY_MODE: u32 = 0o755;

/// Who opens.
const OWNER: &str = "bench";

/// Files, and what they belong to.
pub struct Target {
    /// The calls on each file.
    pub files: Vec<FileCalls>,
    /// Who opens; nobody in NFSv3.
    client_id: Option<ClientId>,
}

/// The calls on one file.
pub struct FileCalls {
    /// GETATTR.
    pub attributes: Encoded,
    /// READ.
    pub read: Encoded,
    /// WRITE, up to its data.
    pub write: Encoded,
    /// COMMIT; in NFSv4 what follows a WRITE in the same compound.
    pub commit: Encoded,
    /// OPEN and CLOSE; nothing in NFSv3.
    pub open: Encoded,
}

/// What a call says behind its headers.
pub enum Encoded {
    /// So many operations.
    Operations(Vec<u8>, u32),
    /// A procedure and its arguments.
    Procedure(nfs3::Procedure, Vec<u8>),
}

impl Encoded {
    /// Appends it.
    pub fn write(&self, call: &mut Call<'_>) {
        match self {
            Self::Operations(operations, count) => call.operations(operations, *count),
            Self::Procedure(procedure, arguments) => call.procedure(*procedure, arguments),
        }
    }
}

impl Target {
    /// For NULL, which works on nothing.
    pub fn none() -> Self {
        Self { client_id: None, files: Vec::new() }
    }

    /// The files in NFSv3.
    pub fn unopened(plan: &Plan, prepared: &Prepared) -> Self {
        let calls = |handle: &FileHandle| procedures(&plan.arguments, *handle);
        Self { client_id: None, files: prepared.files.iter().map(calls).collect() }
    }

    /// Opens the files for a client; the second are those that are to be closed.
    ///
    /// # Errors
    /// As [`client::Session::open`].
    pub async fn open(
        client: &Client,
        plan: &Plan,
        prepared: &Prepared,
    ) -> client::Result<(Self, Vec<OpenFile>)> {
        let mut target = Self { client_id: Some(client.id()), files: Vec::new() };
        let mut opened = Vec::new();
        let mix = &plan.arguments.workload;
        let how = if mix.any(Workload::writes) { OpenHow::read_write() } else { OpenHow::read() };
        let how = how.owner("files");
        if let Some(base) = prepared.base.filter(|_| mix.any(Workload::needs_files)) {
            for (index, handle) in prepared.files.iter().enumerate() {
                let name = file_name(index);
                let mut stateid = Stateid::ANONYMOUS;
                if mix.any(Workload::has_data) {
                    let file = client.session().open(base, &name, &how).await?;
                    stateid = file.stateid;
                    opened.push(file);
                }
                let file = (*handle, stateid);
                target.files.push(compounds(client.id(), &plan.arguments, base, &name, file));
            }
        }
        Ok((target, opened))
    }

    /// Whether an operation takes two calls.
    pub fn takes_two(&self, workload: Workload) -> bool {
        match workload {
            Workload::CreateRemove => true,
            // NFSv4 has both in one compound.
            Workload::Commit => self.client_id.is_none(),
            _ => false,
        }
    }

    /// Where the offset stands in a WRITE.
    pub fn write_offset_from_end(&self) -> usize {
        if self.client_id.is_some() { WRITE_OFFSET_FROM_END } else { WRITE_OFFSET_FROM_END_3 }
    }

    /// Writes the call that makes a file.
    pub fn create(&self, directory: FileHandle, name: &str, call: &mut Call<'_>) {
        if let Some(client_id) = self.client_id {
            let attributes =
                OwnedAttributes::new(&Attributes { mode: Some(FILE_MODE), ..Attributes::default() });
            let how = WireHow::Create(CreateHow::Unchecked(attributes.as_raw()));
            let open = open_arguments(client_id, name, how);
            let compound = Compound::new().put_handle(directory).open(open).operation(close());
            write_compound(&compound, call);
        } else {
            let place = named(directory, name);
            let how = nfs3::CreateHow::Unchecked(mode(FILE_MODE));
            write_procedure(&nfs3::CreateArgs { place, how }, call);
        }
    }

    /// Writes the call that makes a directory.
    pub fn make_directory(&self, directory: FileHandle, name: &str, call: &mut Call<'_>) {
        if self.client_id.is_some() {
            let attributes = Attributes { mode: Some(DIRECTORY_MODE), ..Attributes::default() };
            let compound = Compound::new().put_handle(directory);
            write_compound(&compound.create(CreateType::Directory, name, &attributes), call);
        } else {
            let (place, attributes) = (named(directory, name), mode(DIRECTORY_MODE));
            write_procedure(&nfs3::MkdirArgs { place, attributes }, call);
        }
    }

    /// Writes the call that removes a file.
    pub fn remove(&self, directory: FileHandle, name: &str, call: &mut Call<'_>) {
        if self.client_id.is_some() {
            write_compound(&Compound::new().put_handle(directory).remove(name), call);
        } else {
            write_procedure(&nfs3::RemoveArgs { object: named(directory, name) }, call);
        }
    }

    /// Bytes that a call for data moved, the second of two if so said.
    ///
    /// # Errors
    /// When the results are not what the protocol says.
    pub fn moved(
        &self,
        workload: Workload,
        is_second: bool,
        block: u64,
        results: &mut Decoder<'_>,
    ) -> Result<u64, Error> {
        if self.client_id.is_none() {
            return moved_by_procedure(workload, is_second, block, results);
        }
        // PUTFH's result, then that of READ or WRITE.
        results.get::<ResultHead>()?;
        results.get::<ResultHead>()?;
        if !workload.writes() {
            let (_eof, length) = (results.bool()?, results.u32()?);
            return Ok(length.into());
        }
        let written: WriteResult = results.get()?;
        if workload == Workload::Commit {
            results.get::<ResultHead>()?;
            results.get::<CommitResult>()?;
        }
        Ok(written.count.into())
    }
}

/// The name with this number.
pub fn name(number: u64) -> String {
    format!("n{number}")
}

fn moved_by_procedure(
    workload: Workload,
    is_second: bool,
    block: u64,
    results: &mut Decoder<'_>,
) -> Result<u64, Error> {
    if is_second {
        // All of the block was written, else there were no second call.
        return results.get::<nfs3::CommitResult>().map(|_| block);
    }
    if workload.writes() {
        return results.get::<nfs3::WriteResult>().map(|written| written.count.into());
    }
    results.get::<nfs3::PostOpAttributes>()?;
    results.u32().map(u64::from)
}

fn compounds(
    client_id: ClientId,
    arguments: &BenchArguments,
    base: FileHandle,
    name: &str,
    (handle, stateid): (FileHandle, Stateid),
) -> FileCalls {
    let (count, stable) = (arguments.block_size.0 as u32, arguments.stable.how());
    let on_file = || Compound::new().put_handle(handle);
    let open = open_arguments(client_id, name, WireHow::NoCreate);
    let in_base = Compound::new().put_handle(base).open(open);
    FileCalls {
        attributes: operations(&on_file().get_attributes(ObjectAttributes::NUMBERS)),
        read: operations(&on_file().read(stateid, 0, count)),
        write: operations(&on_file().write_announced(stateid, 0, stable, count)),
        commit: operations(&Compound::new().commit(0, 0)),
        open: operations(&in_base.get_handle().operation(close())),
    }
}

fn procedures(arguments: &BenchArguments, handle: FileHandle) -> FileCalls {
    let file = short(handle);
    let (offset, count, stable) = (0, arguments.block_size.0 as u32, arguments.stable.how());
    // The data follows by other means.
    let data = Payload::Inline(0..count as usize);
    FileCalls {
        attributes: procedure(&nfs3::GetAttrArgs { object: file }),
        read: procedure(&nfs3::ReadArgs { file, offset, count }),
        write: procedure(&nfs3::WriteArgs { file, offset, count, stable, data }),
        commit: procedure(&nfs3::CommitArgs { file, offset: 0, count: 0 }),
        open: Encoded::Procedure(nfs3::Procedure::Null, Vec::new()),
    }
}

fn open_arguments<'a>(client_id: ClientId, name: &'a str, how: WireHow<'a>) -> OpenArgs<'a> {
    let access = match how {
        WireHow::NoCreate => share_access::READ,
        WireHow::Create(_) => share_access::BOTH,
    };
    OpenArgs {
        seqid: 0,
        share_access: access | share_access::WANT_NO_DELEG,
        share_deny: share_deny::NONE,
        owner: StateOwner { client_id, owner: OWNER.into() },
        how,
        claim: OpenClaim::Null(name.into()),
    }
}

fn close() -> CloseArgs {
    CloseArgs { seqid: 0, stateid: Stateid::CURRENT }
}

fn mode(mode: u32) -> nfs3::SetAttributes {
    nfs3::SetAttributes { mode: Some(mode), ..nfs3::SetAttributes::default() }
}

fn named(directory: FileHandle, name: &str) -> nfs3::DirOpArgs<'_> {
    nfs3::DirOpArgs { directory: short(directory), name: name.into() }
}

fn short(handle: FileHandle) -> nfs3::FileHandle {
    nfs3::FileHandle::new(handle.as_bytes()).expect("a handle from NFSv3")
}

fn operations(compound: &Compound) -> Encoded {
    let (operations, count) = compound.encoded_operations();
    Encoded::Operations(operations.to_vec(), count)
}

fn write_compound(compound: &Compound, call: &mut Call<'_>) {
    let (operations, count) = compound.encoded_operations();
    call.operations(operations, count);
}

fn procedure(arguments: &impl nfs3::Call) -> Encoded {
    let (procedure, arguments) = encoded_arguments(arguments);
    Encoded::Procedure(procedure, arguments)
}

fn write_procedure(arguments: &impl nfs3::Call, call: &mut Call<'_>) {
    procedure(arguments).write(call);
}
