//! Objects and their data.

use bytes::Bytes;
use rpc::Bulk;
use wire::nfs3::{
    AccessArgs, CommitArgs, FileAttributes, FileHandle, FsinfoArgs, FsinfoResult, FsstatArgs, FsstatResult,
    GetAttrArgs, ReadArgs, ReadLinkArgs, SetAttrArgs, SetAttributes, StableHow, Verifier, WccData, WriteArgs,
    WriteHead, WriteResult,
};

use super::Client;
use crate::Result;

impl Client {
    /// GETATTR.
    ///
    /// # Errors
    /// [`Error::Procedure`](crate::Error::Procedure), and as [`Client::call`].
    pub async fn attributes(&self, object: FileHandle) -> Result<FileAttributes> {
        self.call(&GetAttrArgs { object }).await?.result()
    }

    /// SETATTR, without a guard.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn set_attributes(&self, object: FileHandle, attributes: SetAttributes) -> Result<WccData> {
        self.call(&SetAttrArgs { object, attributes, guard: None }).await?.result()
    }

    /// ACCESS: which of these bits of [`access`](wire::nfs3::access) are granted.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn access(&self, object: FileHandle, access: u32) -> Result<u32> {
        Ok(self.call(&AccessArgs { object, access }).await?.result()?.access)
    }

    /// READLINK.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn read_link(&self, link: FileHandle) -> Result<Vec<u8>> {
        let reply = self.call(&ReadLinkArgs { link }).await?;
        Ok(reply.result()?.link.bytes().to_vec())
    }

    /// READ of up to `count` bytes; true when they reach the end of the file.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn read(&self, file: FileHandle, offset: u64, count: u32) -> Result<(Bytes, bool)> {
        let reply = self.call(&ReadArgs { file, offset, count }).await?;
        let read = reply.result()?;
        Ok((reply.share(&read.data), read.eof))
    }

    /// WRITE of bytes, which are copied into the message.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn write(
        &self,
        file: FileHandle,
        offset: u64,
        bytes: &[u8],
        stable: StableHow,
    ) -> Result<WriteResult> {
        let head = WriteHead { file, offset, count: bytes.len() as u32, stable };
        self.exchange::<WriteArgs>(|encoder| head.encode_inline(encoder, bytes), None).await?.result()
    }

    /// WRITE of bulk data, which is sent from where it lies. A chain is not sent again when the connection breaks.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn write_bulk(
        &self,
        file: FileHandle,
        offset: u64,
        data: impl Into<Bulk>,
        stable: StableHow,
    ) -> Result<WriteResult> {
        let data = data.into();
        let head = WriteHead { file, offset, count: data.len() as u32, stable };
        self.exchange::<WriteArgs>(|encoder| head.encode_head(encoder), Some(data)).await?.result()
    }

    /// COMMIT of the whole file: the server's write verifier.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn commit(&self, file: FileHandle) -> Result<Verifier> {
        Ok(self.call(&CommitArgs { file, offset: 0, count: 0 }).await?.result()?.verifier)
    }

    /// FSINFO: what the file system and the server can do.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn file_system_info(&self, root: FileHandle) -> Result<FsinfoResult> {
        self.call(&FsinfoArgs { root }).await?.result()
    }

    /// FSSTAT: how full the file system is.
    ///
    /// # Errors
    /// As [`Client::attributes`].
    pub async fn file_system_status(&self, root: FileHandle) -> Result<FsstatResult> {
        self.call(&FsstatArgs { root }).await?.result()
    }
}
