//! What one session calls: its files opened, and the calls on them encoded once.

use client::{Client, Compound, ObjectAttributes, OpenHow, OwnedAttributes, Session};
use wire::nfs4::{
    Attributes, ClientId, CloseArgs, CreateHow, CreateType, FileHandle, OpenArgs, OpenClaim,
    OpenHow as WireHow, StateOwner, Stateid, share_access, share_deny,
};

use super::plan::{Plan, Prepared};
use super::prepare::file_name;
use super::workload::Workload;

/// Where the offset of an encoded READ stands: before the count.
pub const READ_OFFSET_FROM_END: usize = 12;

/// Where the offset of an encoded WRITE stands: before how stable it is to be, and the length.
pub const WRITE_OFFSET_FROM_END: usize = 16;

/// Permissions of what is made.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// Who opens.
const OWNER: &str = "bench";

/// Operations as they stand in a call, and how many they are.
pub type Operations = (Vec<u8>, u32);

/// A session and what it calls.
pub struct Target {
    client_id: ClientId,
    /// The calls on each file.
    pub files: Vec<FileCalls>,
}

/// The calls on one file.
#[derive(Clone, Debug, Default)]
pub struct FileCalls {
    /// PUTFH GETATTR.
    pub attributes: Operations,
    /// PUTFH READ.
    pub read: Operations,
    /// PUTFH WRITE, up to its data.
    pub write: Operations,
    /// COMMIT.
    pub commit: Operations,
    /// PUTFH OPEN GETFH CLOSE.
    pub open: Operations,
}

impl Target {
    /// For NULL, which has no session.
    pub fn none() -> Self {
        Self { client_id: ClientId(0), files: Vec::new() }
    }

    /// Opens the files for a client and encodes the calls that the run makes.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn open(client: &Client, plan: &Plan, prepared: &Prepared) -> client::Result<Self> {
        let mut target = Self { client_id: client.id(), files: Vec::new() };
        let mix = &plan.arguments.workload;
        if let Some(base) = prepared.base.filter(|_| mix.any(Workload::needs_files)) {
            for (index, handle) in prepared.files.iter().enumerate() {
                let calls = target.file_calls(client.session(), plan, base, index, *handle).await?;
                target.files.push(calls);
            }
        }
        Ok(target)
    }

    async fn file_calls(
        &self,
        session: &Session,
        plan: &Plan,
        base: FileHandle,
        index: usize,
        handle: FileHandle,
    ) -> client::Result<FileCalls> {
        let arguments = &plan.arguments;
        let mix = &arguments.workload;
        let name = file_name(index);
        let how = if mix.any(Workload::writes) { OpenHow::read_write() } else { OpenHow::read() };
        let stateid = match mix.any(Workload::has_data) {
            true => session.open(base, &name, &how.owner("files")).await?.stateid,
            false => Stateid::ANONYMOUS,
        };
        let count = arguments.block_size.0 as u32;
        let stable = arguments.stable.how();
        let on_file = || Compound::new().put_handle(handle);
        let close = CloseArgs { seqid: 0, stateid: Stateid::CURRENT };
        let in_base = Compound::new().put_handle(base).open(self.open_arguments(&name, WireHow::NoCreate));
        Ok(FileCalls {
            attributes: encoded(&on_file().get_attributes(ObjectAttributes::NUMBERS)),
            read: encoded(&on_file().read(stateid, 0, count)),
            write: encoded(&on_file().write_announced(stateid, 0, stable, count)),
            commit: encoded(&Compound::new().commit(0, 0)),
            open: encoded(&in_base.get_handle().operation(close)),
        })
    }

    /// OPEN of a new file, and CLOSE.
    pub fn create(&self, compound: Compound, name: &str) -> Compound {
        let attributes = OwnedAttributes::new(&Attributes { mode: Some(FILE_MODE), ..Attributes::default() });
        let how = WireHow::Create(CreateHow::Unchecked(attributes.as_raw()));
        let close = CloseArgs { seqid: 0, stateid: Stateid::CURRENT };
        compound.open(self.open_arguments(name, how)).operation(close)
    }

    /// CREATE of a directory.
    pub fn make_directory(&self, compound: Compound, name: &str) -> Compound {
        let attributes = Attributes { mode: Some(DIRECTORY_MODE), ..Attributes::default() };
        compound.create(CreateType::Directory, name, &attributes)
    }

    fn open_arguments<'a>(&self, name: &'a str, how: WireHow<'a>) -> OpenArgs<'a> {
        let access = match how {
            WireHow::NoCreate => share_access::READ,
            WireHow::Create(_) => share_access::BOTH,
        };
        OpenArgs {
            seqid: 0,
            share_access: access | share_access::WANT_NO_DELEG,
            share_deny: share_deny::NONE,
            owner: StateOwner { client_id: self.client_id, owner: OWNER.into() },
            how,
            claim: OpenClaim::Null(name.into()),
        }
    }
}

/// The name with this number.
pub fn name(number: u64) -> String {
    format!("n{number}")
}

fn encoded(compound: &Compound) -> Operations {
    let (operations, count) = compound.encoded_operations();
    (operations.to_vec(), count)
}
