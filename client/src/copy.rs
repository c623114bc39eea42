//! Copies that the server makes by itself (RFC 7862).

use wire::{
    nfs4::{CloneArgs, CopyArgs, CopyResult, StableHow},
    xdr::List,
};

use crate::{Compound, OpenFile, Result, Session};

impl Session {
    /// Lets `to` share the storage of all that `from` holds (CLONE).
    ///
    /// # Errors
    /// [`Error::Status`](crate::Error::Status): `Notsupp` and others where the storage cannot share, and as
    /// [`Session::call`].
    pub async fn clone_file(&self, from: &OpenFile, to: &OpenFile) -> Result<()> {
        let arguments = CloneArgs {
            source_stateid: from.stateid,
            destination_stateid: to.stateid,
            source_offset: 0,
            destination_offset: 0,
            count: 0,
        };
        let compound = Compound::new().put_handle(from.handle).save_handle().put_handle(to.handle);
        let reply = self.call(compound.operation(arguments).cached()).await?;
        reply.skip(4)
    }

    /// Copies up to `count` bytes at `offset` of both files, and returns how many were copied (COPY, synchronous).
    /// Whether they need a COMMIT stands beside.
    ///
    /// # Errors
    /// [`Error::Status`](crate::Error::Status), and as [`Session::call`].
    pub async fn copy_range(
        &self,
        from: &OpenFile,
        to: &OpenFile,
        offset: u64,
        count: u64,
    ) -> Result<(u64, StableHow)> {
        let arguments = CopyArgs {
            source_stateid: from.stateid,
            destination_stateid: to.stateid,
            source_offset: offset,
            destination_offset: offset,
            count,
            consecutive: true,
            synchronous: true,
            source_servers: List::default(),
        };
        let compound = Compound::new().put_handle(from.handle).save_handle().put_handle(to.handle);
        let reply = self.call(compound.operation(arguments).cached()).await?;
        reply.skip(3)?;
        let copied: CopyResult = reply.next()?;
        Ok((copied.response.count, copied.response.committed))
    }
}
