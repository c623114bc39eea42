//! Regular files: open, read, write, close.

use bytes::Bytes;
use rpc::Bulk;
use wire::{
    nfs4::{
        Attributes, CloseArgs, CommitResult, CreateHow, FileHandle, GetFhResult, OpenArgs, OpenClaim,
        OpenHow as WireHow, OpenResult, RawAttributes, SetAttrArgs, StableHow, StateOwner, Stateid, Verifier,
        WriteResult, share_access, share_deny,
    },
    xdr::{Decode, Decoder, Opaque},
};

use crate::{Compound, Error, ObjectAttributes, OwnedAttributes, Result, Session};

/// Longest data accepted in one READ.
const READ_MAX: usize = 64 * 1024 * 1024;

/// An open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// The file.
    pub handle: FileHandle,
    /// The open.
    pub stateid: Stateid,
}

/// How a file is opened.
#[derive(Clone, Debug)]
pub struct OpenHow {
    /// Bits of [`share_access`].
    pub access: u32,
    /// Bits of [`share_deny`].
    pub deny: u32,
    /// Whether, and with what permissions, to create it.
    pub create: Option<u32>,
    /// Whether it must not have existed.
    pub exclusive: bool,
    /// Who opens: opens of one owner and file share a stateid.
    pub owner: Bytes,
}

impl OpenHow {
    /// To be read.
    pub fn read() -> Self {
        let owner = Bytes::from_static(b"open owner");
        Self { access: share_access::READ, deny: share_deny::NONE, create: None, exclusive: false, owner }
    }

    /// To be read and written.
    pub fn read_write() -> Self {
        Self { access: share_access::BOTH, ..Self::read() }
    }

    /// To be read and written, and created with these permissions if it is not there.
    pub fn create(mode: u32) -> Self {
        Self { create: Some(mode), ..Self::read_write() }
    }

    /// The same for another owner.
    #[must_use]
    pub fn owner(mut self, owner: &str) -> Self {
        self.owner = Bytes::copy_from_slice(owner.as_bytes());
        self
    }

    /// The same with a share reservation against others.
    #[must_use]
    pub fn deny(mut self, deny: u32) -> Self {
        self.deny = deny;
        self
    }

    /// The same, failing when the file exists.
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }
}

impl Session {
    /// The handle of an object, by its path from the root.
    ///
    /// # Errors
    /// [`Error::Status`] of the operation that failed, and as [`Session::call`].
    pub async fn lookup(&self, path: impl AsRef<[u8]>) -> Result<FileHandle> {
        let path = path.as_ref();
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count();
        let reply = self.call(Compound::new().put_root().lookup_path(path).get_handle()).await?;
        reply.skip(1 + names)?;
        Ok(reply.next::<GetFhResult>()?.object)
    }

    /// The handle of an object in a directory.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn lookup_in(&self, directory: FileHandle, name: impl AsRef<[u8]>) -> Result<FileHandle> {
        let reply = self.call(Compound::new().put_handle(directory).lookup(name).get_handle()).await?;
        reply.skip(2)?;
        Ok(reply.next::<GetFhResult>()?.object)
    }

    /// Opens a file in a directory, and creates it if so asked.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn open(
        &self,
        directory: FileHandle,
        name: impl AsRef<[u8]>,
        how: &OpenHow,
    ) -> Result<OpenFile> {
        let attributes = OwnedAttributes::new(&Attributes { mode: how.create, ..Attributes::default() });
        let create = match (how.create, how.exclusive) {
            (None, _) => WireHow::NoCreate,
            (Some(_), false) => WireHow::Create(CreateHow::Unchecked(attributes.as_raw())),
            (Some(_), true) => WireHow::Create(CreateHow::Guarded(attributes.as_raw())),
        };
        let arguments = OpenArgs {
            seqid: 0,
            share_access: how.access | share_access::WANT_NO_DELEG,
            share_deny: how.deny,
            owner: StateOwner { client_id: self.client_id(), owner: how.owner[..].into() },
            how: create,
            claim: OpenClaim::Null(name.as_ref().into()),
        };
        let compound = Compound::new().put_handle(directory).open(arguments).get_handle().cached();
        let reply = self.call(compound).await?;
        reply.skip(1)?;
        let opened: OpenResult<'_> = reply.next()?;
        Ok(OpenFile { stateid: opened.stateid, handle: reply.next::<GetFhResult>()?.object })
    }

    /// Opens a file by its handle (CLAIM_FH), with bits of [`share_access`].
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn open_handle(&self, handle: FileHandle, access: u32) -> Result<OpenFile> {
        let arguments = OpenArgs {
            seqid: 0,
            share_access: access | share_access::WANT_NO_DELEG,
            share_deny: share_deny::NONE,
            owner: StateOwner { client_id: self.client_id(), owner: "open owner".into() },
            how: WireHow::NoCreate,
            claim: OpenClaim::Handle,
        };
        let reply = self.call(Compound::new().put_handle(handle).open(arguments).cached()).await?;
        reply.skip(1)?;
        let opened: OpenResult<'_> = reply.next()?;
        Ok(OpenFile { stateid: opened.stateid, handle })
    }

    /// Ends an open.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn close(&self, file: &OpenFile) -> Result<()> {
        let arguments = CloseArgs { seqid: 0, stateid: file.stateid };
        let reply = self.call(Compound::new().put_handle(file.handle).operation(arguments)).await?;
        reply.skip(1)?;
        reply.next::<Stateid>().map(drop)
    }

    /// Reads up to `count` bytes; true when they reach the end of the file.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn read(&self, file: &OpenFile, offset: u64, count: u32) -> Result<(Bytes, bool)> {
        let compound = Compound::new().put_handle(file.handle).read(file.stateid, offset, count);
        let reply = self.call(compound).await?;
        reply.skip(1)?;
        let data: ReadData<'_> = reply.next()?;
        Ok((reply.share(data.bytes.bytes()), data.eof))
    }

    /// Writes bytes, which are copied into the message.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn write(
        &self,
        file: &OpenFile,
        offset: u64,
        bytes: &[u8],
        stable: StableHow,
    ) -> Result<WriteResult> {
        let compound = Compound::new().put_handle(file.handle).write(file.stateid, offset, stable, bytes);
        let reply = self.call(compound).await?;
        reply.skip(1)?;
        reply.next()
    }

    /// Writes bulk data, which is sent from where it lies. A chain is not sent again when the connection breaks.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn write_bulk(
        &self,
        file: &OpenFile,
        offset: u64,
        data: impl Into<Bulk>,
        stable: StableHow,
    ) -> Result<WriteResult> {
        let compound = Compound::new().put_handle(file.handle).write_bulk(file.stateid, offset, stable, data);
        let reply = self.call(compound).await?;
        reply.skip(1)?;
        reply.next()
    }

    /// Brings all that was written to stable storage, and returns the server's write verifier.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn commit(&self, handle: FileHandle) -> Result<Verifier> {
        let reply = self.call(Compound::new().put_handle(handle).commit(0, 0)).await?;
        reply.skip(1)?;
        Ok(reply.next::<CommitResult>()?.verifier)
    }

    /// The usual attributes of an object.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn attributes(&self, handle: FileHandle) -> Result<ObjectAttributes> {
        let compound = Compound::new().put_handle(handle).get_attributes(ObjectAttributes::NUMBERS);
        let reply = self.call(compound).await?;
        reply.skip(1)?;
        ObjectAttributes::from_raw(&reply.next::<RawAttributes<'_>>()?)
    }

    /// Sets attributes; for the size, `stateid` is that of an open for writing, or the anonymous one.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn set_attributes(
        &self,
        handle: FileHandle,
        stateid: Stateid,
        attributes: &Attributes<'_>,
    ) -> Result<()> {
        let owned = OwnedAttributes::new(attributes);
        let arguments = SetAttrArgs { stateid, attributes: owned.as_raw() };
        let compound = Compound::new().put_handle(handle).operation(arguments).cached();
        let reply = self.call(compound).await?;
        reply.skip(1)?;
        // Its result, a set of numbers, follows whatever the status.
        let head = reply.next_head()?;
        let (operation, status) = (head.operation, head.status);
        if status.is_ok() { Ok(()) } else { Err(Error::Status { operation, status }) }
    }
}

/// READ4resok, with its bytes.
struct ReadData<'a> {
    eof: bool,
    bytes: Opaque<'a, READ_MAX>,
}

impl<'a> Decode<'a> for ReadData<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> std::result::Result<Self, wire::xdr::Error> {
        Ok(Self { eof: decoder.bool()?, bytes: decoder.get()? })
    }
}
