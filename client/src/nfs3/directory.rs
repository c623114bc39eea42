//! Directories: find, list, make, remove, rename.

use bytes::Bytes;
use wire::{
    nfs3::{
        CreateArgs, CreateHow, CreateResult, DirOpArgs, EntryPlus, FileAttributes, FileHandle, LinkArgs,
        LinkResult, Listed, LookupArgs, MkdirArgs, ReadDirPlusArgs, RemoveArgs, RenameArgs, RenameResult,
        RmdirArgs, SetAttributes, SymlinkArgs, SymlinkData, Verifier, WccData,
    },
    xdr::Opaque,
};

use super::Client;
use crate::Result;

/// Bytes of one READDIRPLUS reply.
const PAGE_BYTES: u32 = 128 * 1024;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Where a listing goes on after it.
    pub cookie: u64,
    /// Its name; a server may list `.` and `..` too.
    pub name: Bytes,
    /// The object's number in its file system.
    pub file_id: u64,
    /// What the server tells of it at once.
    pub attributes: Option<FileAttributes>,
    /// Its handle, where the server tells it at once.
    pub handle: Option<FileHandle>,
}

impl Client {
    /// LOOKUP.
    ///
    /// # Errors
    /// [`Error::Procedure`](crate::Error::Procedure), and as [`Client::call`].
    pub async fn lookup(&self, directory: FileHandle, name: impl AsRef<[u8]>) -> Result<FileHandle> {
        Ok(self.call(&LookupArgs { what: named(directory, &name) }).await?.result()?.object)
    }

    /// All entries of a directory (READDIRPLUS).
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn read_directory(&self, directory: FileHandle) -> Result<Vec<DirectoryEntry>> {
        let (mut entries, mut verifier) = (Vec::new(), Verifier::default());
        loop {
            let cookie = entries.last().map_or(0, |entry: &DirectoryEntry| entry.cookie);
            let (directory_count, count_max) = (PAGE_BYTES, PAGE_BYTES);
            let page = ReadDirPlusArgs { directory, cookie, verifier, directory_count, count_max };
            let reply = self.call(&page).await?;
            let (head, mut reader) = reply.result_and_rest()?;
            verifier = head.verifier;
            let known = entries.len();
            let is_end = loop {
                match reader.get()? {
                    Listed::End(is_end) => break is_end,
                    Listed::Entry(entry) => entries.push(listed(&entry)),
                }
            };
            if is_end || entries.len() == known {
                return Ok(entries);
            }
        }
    }

    /// CREATE, in any of its three ways: the new file's handle.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn create(
        &self,
        directory: FileHandle,
        name: impl AsRef<[u8]>,
        how: CreateHow,
    ) -> Result<FileHandle> {
        let reply = self.call(&CreateArgs { place: named(directory, &name), how }).await?;
        self.made(directory, &name, reply.result()?).await
    }

    /// MKDIR: the new directory's handle.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn create_directory(
        &self,
        parent: FileHandle,
        name: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<FileHandle> {
        let attributes = SetAttributes { mode: Some(mode), ..SetAttributes::default() };
        let reply = self.call(&MkdirArgs { place: named(parent, &name), attributes }).await?;
        self.made(parent, &name, reply.result()?).await
    }

    /// SYMLINK.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn create_link(
        &self,
        directory: FileHandle,
        name: impl AsRef<[u8]>,
        text: &[u8],
    ) -> Result<FileHandle> {
        let symlink = SymlinkData { attributes: SetAttributes::default(), link: Opaque(text) };
        let reply = self.call(&SymlinkArgs { place: named(directory, &name), symlink }).await?;
        self.made(directory, &name, reply.result()?).await
    }

    /// REMOVE, of anything but a directory.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn remove(&self, directory: FileHandle, name: impl AsRef<[u8]>) -> Result<WccData> {
        self.call(&RemoveArgs { object: named(directory, &name) }).await?.result()
    }

    /// RMDIR.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn remove_directory(&self, parent: FileHandle, name: impl AsRef<[u8]>) -> Result<WccData> {
        self.call(&RmdirArgs { object: named(parent, &name) }).await?.result()
    }

    /// RENAME.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn rename(
        &self,
        from: FileHandle,
        old_name: impl AsRef<[u8]>,
        to: FileHandle,
        new_name: impl AsRef<[u8]>,
    ) -> Result<RenameResult> {
        self.call(&RenameArgs { from: named(from, &old_name), to: named(to, &new_name) }).await?.result()
    }

    /// LINK.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn link(
        &self,
        file: FileHandle,
        directory: FileHandle,
        name: impl AsRef<[u8]>,
    ) -> Result<LinkResult> {
        self.call(&LinkArgs { file, link: named(directory, &name) }).await?.result()
    }

    /// The handle of what was made; a server need not tell it with the result.
    async fn made(
        &self,
        directory: FileHandle,
        name: &impl AsRef<[u8]>,
        result: CreateResult,
    ) -> Result<FileHandle> {
        match result.object {
            Some(handle) => Ok(handle),
            None => self.lookup(directory, name).await,
        }
    }
}

fn named(directory: FileHandle, name: &impl AsRef<[u8]>) -> DirOpArgs<'_> {
    DirOpArgs { directory, name: name.as_ref().into() }
}

fn listed(entry: &EntryPlus<'_>) -> DirectoryEntry {
    let EntryPlus { cookie, file_id, attributes, handle, name } = *entry;
    DirectoryEntry { cookie, name: Bytes::copy_from_slice(name.bytes()), file_id, attributes, handle }
}
