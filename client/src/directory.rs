//! Directories: list, make, remove, rename.

use bytes::Bytes;
use wire::nfs4::{
    Attributes, CreateResult, CreateType, DirectoryReader, Entry, FileHandle, GetFhResult, LinkResult,
    Listed, RemoveResult, RenameResult, Verifier, attribute,
};
use wire::xdr::{Decode, Decoder};

use crate::{Compound, Error, Result, Session};

/// Bytes of one READDIR reply.
const PAGE_BYTES: u32 = 32 * 1024;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Where a listing goes on after it.
    pub cookie: u64,
    /// Its name.
    pub name: Bytes,
    /// The object's number in its file system.
    pub file_id: u64,
}

impl Session {
    /// All entries of a directory.
    ///
    /// # Errors
    /// [`Error::Status`](crate::Error::Status), and as [`Session::call`].
    pub async fn read_directory(&self, directory: FileHandle) -> Result<Vec<DirectoryEntry>> {
        let (mut entries, mut verifier) = (Vec::new(), Verifier::default());
        loop {
            let cookie = entries.last().map_or(0, |entry: &DirectoryEntry| entry.cookie);
            let numbers = [attribute::FILEID, attribute::RDATTR_ERROR];
            let compound = Compound::new().put_handle(directory);
            let reply = self.call(compound.read_directory(cookie, verifier, PAGE_BYTES, &numbers)).await?;
            reply.skip(1)?;
            let page: Page<'_> = reply.next()?;
            verifier = page.verifier;
            for entry in &page.entries {
                entries.push(listed(entry)?);
            }
            if page.end || page.entries.is_empty() {
                return Ok(entries);
            }
        }
    }

    /// Makes a directory and returns its handle.
    ///
    /// # Errors
    /// [`Error::Status`](crate::Error::Status), and as [`Session::call`].
    pub async fn create_directory(
        &self,
        parent: FileHandle,
        name: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<FileHandle> {
        self.create(parent, name, CreateType::Directory, mode).await
    }

    /// Makes any object but a regular file and returns its handle.
    ///
    /// # Errors
    /// [`Error::Status`](crate::Error::Status), and as [`Session::call`].
    pub async fn create(
        &self,
        parent: FileHandle,
        name: impl AsRef<[u8]>,
        object_type: CreateType<'_>,
        mode: u32,
    ) -> Result<FileHandle> {
        let attributes = Attributes { mode: Some(mode), ..Attributes::default() };
        let compound = Compound::new().put_handle(parent).create(object_type, name, &attributes);
        let reply = self.call(compound.get_handle().cached()).await?;
        reply.skip(1)?;
        reply.next::<CreateResult>()?;
        Ok(reply.next::<GetFhResult>()?.object)
    }

    /// Removes a name.
    ///
    /// # Errors
    /// [`Error::Status`](crate::Error::Status), and as [`Session::call`].
    pub async fn remove(&self, directory: FileHandle, name: impl AsRef<[u8]>) -> Result<RemoveResult> {
        let reply = self.call(Compound::new().put_handle(directory).remove(name).cached()).await?;
        reply.skip(1)?;
        reply.next()
    }

    /// Gives an object another name.
    ///
    /// # Errors
    /// [`Error::Status`](crate::Error::Status), and as [`Session::call`].
    pub async fn rename(
        &self,
        from: FileHandle,
        old_name: impl AsRef<[u8]>,
        to: FileHandle,
        new_name: impl AsRef<[u8]>,
    ) -> Result<RenameResult> {
        let compound = Compound::new().put_handle(from).save_handle().put_handle(to);
        let reply = self.call(compound.rename(old_name, new_name).cached()).await?;
        reply.skip(3)?;
        reply.next()
    }

    /// Gives an object a further name.
    ///
    /// # Errors
    /// [`Error::Status`](crate::Error::Status), and as [`Session::call`].
    pub async fn link(
        &self,
        object: FileHandle,
        directory: FileHandle,
        name: impl AsRef<[u8]>,
    ) -> Result<LinkResult> {
        let compound = Compound::new().put_handle(object).save_handle().put_handle(directory);
        let reply = self.call(compound.link(name).cached()).await?;
        reply.skip(3)?;
        reply.next()
    }
}

/// One READDIR reply.
pub(crate) struct Page<'a> {
    pub(crate) verifier: Verifier,
    pub(crate) entries: Vec<Entry<'a>>,
    pub(crate) end: bool,
}

impl<'a> Decode<'a> for Page<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> std::result::Result<Self, wire::xdr::Error> {
        let reader = DirectoryReader::begin(decoder)?;
        let mut entries = Vec::new();
        loop {
            match reader.next(decoder)? {
                Listed::End(end) => return Ok(Self { verifier: reader.verifier, entries, end }),
                Listed::Entry(entry) => entries.push(entry),
            }
        }
    }
}

/// An entry without its details.
fn listed(entry: &Entry<'_>) -> Result<DirectoryEntry> {
    let attributes =
        entry.attributes.decode_values().map_err(|_| Error::Malformed(wire::xdr::Error::Value))?;
    Ok(DirectoryEntry {
        cookie: entry.cookie,
        name: Bytes::copy_from_slice(entry.name.bytes()),
        file_id: attributes.fileid.unwrap_or(0),
    })
}
