//! Byte-range locks.

use wire::nfs4::{
    ExistingLockOwner, LockArgs, LockDenied, LockResult, LockTestArgs, LockType, Locker, OpenToLockOwner,
    StateOwner, Stateid, Status, UnlockArgs,
};

use crate::{Compound, CompoundReply, Error, OpenFile, Result, Session};

/// What became of a lock request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    /// It is held under this stateid.
    Granted(Stateid),
    /// Another lock is in the way.
    Denied {
        /// Its first byte.
        offset: u64,
        /// Its bytes.
        length: u64,
        /// Its kind.
        lock_type: LockType,
    },
}

impl Session {
    /// Locks a range for an owner that has no lock on the file yet.
    ///
    /// # Errors
    /// [`Error::Status`] other than the denial, and as [`Session::call`].
    pub async fn lock(
        &self,
        file: &OpenFile,
        owner: &str,
        lock_type: LockType,
        offset: u64,
        length: u64,
    ) -> Result<LockOutcome> {
        let locker = Locker::New(OpenToLockOwner {
            open_seqid: 0,
            open_stateid: file.stateid,
            lock_seqid: 0,
            lock_owner: StateOwner { client_id: self.client_id(), owner: owner.into() },
        });
        self.lock_as(file, locker, lock_type, offset, length).await
    }

    /// Locks a further range under a stateid that an earlier lock returned.
    ///
    /// # Errors
    /// As [`Session::lock`].
    pub async fn lock_more(
        &self,
        file: &OpenFile,
        lock_stateid: Stateid,
        lock_type: LockType,
        offset: u64,
        length: u64,
    ) -> Result<LockOutcome> {
        let locker = Locker::Existing(ExistingLockOwner { lock_stateid, lock_seqid: 0 });
        self.lock_as(file, locker, lock_type, offset, length).await
    }

    /// The lock that would be in the way, if any.
    ///
    /// # Errors
    /// As [`Session::lock`].
    pub async fn test_lock(
        &self,
        file: &OpenFile,
        owner: &str,
        lock_type: LockType,
        offset: u64,
        length: u64,
    ) -> Result<Option<LockOutcome>> {
        let owner = StateOwner { client_id: self.client_id(), owner: owner.into() };
        let arguments = LockTestArgs { lock_type, offset, length, owner };
        let reply = self.call(Compound::new().put_handle(file.handle).operation(arguments)).await?;
        reply.skip(1)?;
        let head = reply.next_head()?;
        match head.status {
            Status::Ok => Ok(None),
            Status::Denied => denied(&reply).map(Some),
            status => Err(Error::Status { operation: head.operation, status }),
        }
    }

    /// Gives a range up and returns the lock's new stateid.
    ///
    /// # Errors
    /// As [`Session::lock`].
    pub async fn unlock(
        &self,
        file: &OpenFile,
        stateid: Stateid,
        offset: u64,
        length: u64,
    ) -> Result<Stateid> {
        let arguments = UnlockArgs { lock_type: LockType::Write, seqid: 0, stateid, offset, length };
        let reply = self.call(Compound::new().put_handle(file.handle).operation(arguments).cached()).await?;
        reply.skip(1)?;
        reply.next()
    }

    async fn lock_as(
        &self,
        file: &OpenFile,
        locker: Locker<'_>,
        lock_type: LockType,
        offset: u64,
        length: u64,
    ) -> Result<LockOutcome> {
        let arguments = LockArgs { lock_type, reclaim: false, offset, length, locker };
        let reply = self.call(Compound::new().put_handle(file.handle).operation(arguments).cached()).await?;
        reply.skip(1)?;
        let head = reply.next_head()?;
        match head.status {
            Status::Ok => Ok(LockOutcome::Granted(reply.body::<LockResult>()?.stateid)),
            Status::Denied => denied(&reply),
            status => Err(Error::Status { operation: head.operation, status }),
        }
    }
}

fn denied(reply: &CompoundReply) -> Result<LockOutcome> {
    let LockDenied { offset, length, lock_type, .. } = reply.body()?;
    Ok(LockOutcome::Denied { offset, length, lock_type })
}
