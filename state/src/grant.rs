//! Which I/O a stateid allows (RFC 8881 §8.2.3 to §8.2.5, §9.1.2).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use wire::nfs4::{ClientId, Stateid, Status};

use crate::client::Client;
use crate::file_key::FileKey;
use crate::file_table::FileTable;
use crate::open::OpenFiles;
use crate::revoke::Obstacle;
use crate::share::{Access, Deny};
use crate::state::State;
use crate::stateid::{StateKind, StateName};

/// What the I/O does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoWant {
    /// Reads.
    Read,
    /// Writes or changes the size.
    Write,
}

/// A core's copy of "this client may do this I/O with this stateid". It may be kept, under a key of client,
/// stateid (seqid included), file and want, and [begun](Grant::begin) with as long as [`is_valid`](Grant::is_valid).
#[derive(Clone, Debug)]
pub struct Grant<F> {
    /// Kept by the open alone: a grant that is forgotten somewhere keeps no file open, and no removed file's space.
    files: Weak<OpenFiles<F>>,
    want: IoWant,
    client: ClientId,
    generation: Arc<AtomicU64>,
    granted: u64,
}

/// I/O under a grant, from before it is handed to the storage until it has ended. What the open excluded stays
/// excluded as long, even if the open is revoked or closed meanwhile.
#[derive(Debug)]
#[must_use = "the I/O counts as ended when this is dropped"]
pub struct InFlight<F> {
    files: Arc<OpenFiles<F>>,
    want: IoWant,
}

impl<F> InFlight<F> {
    /// The open file to do it with.
    pub fn file(&self) -> &F {
        let file = match self.want {
            IoWant::Read => &self.files.read,
            IoWant::Write => &self.files.write,
        };
        file.as_ref()
            .expect("a grant is given for an open file that is there, and those do not change under it")
    }
}

impl<F> Grant<F> {
    /// Begins I/O, while the grant is valid.
    pub fn begin(&self) -> Option<InFlight<F>> {
        // Counted first and checked then: whoever takes the open away ends its grants first and counts then.
        let files = self.files.upgrade()?;
        self.is_valid().then_some(InFlight { files, want: self.want })
    }

    /// Whether the stateid still is what it was: one acquire load.
    pub fn is_valid(&self) -> bool {
        self.generation.load(Ordering::Acquire) == self.granted
    }

    /// Whose stateid it is.
    pub fn client(&self) -> ClientId {
        self.client
    }
}

/// The answer to "may this I/O be done".
#[derive(Clone, Debug)]
pub enum IoGrant<F> {
    /// Yes, with this open file.
    Open(Grant<F>),
    /// Yes, as if there were no open: the storage opens the file under the caller's identity. Holds for this
    /// one request.
    Special,
}

impl<F: Clone + Send + Sync> State<F> {
    /// Whether `client` may do this I/O. The current stateid is resolved by the caller.
    ///
    /// # Errors
    ///
    /// NFS4ERR_BAD_STATEID, NFS4ERR_OLD_STATEID, NFS4ERR_EXPIRED, NFS4ERR_ADMIN_REVOKED, NFS4ERR_OPENMODE. For
    /// special stateids NFS4ERR_LOCKED when an open denies it, and NFS4ERR_GRACE while an open that is yet to
    /// be reclaimed might.
    pub fn check_io(
        &self,
        client: &Client,
        file: &FileKey,
        stateid: &Stateid,
        want: IoWant,
        now: u64,
    ) -> Result<IoGrant<F>, Status> {
        if stateid.is_anonymous() || stateid.is_bypass() {
            return self.check_special(client, file, stateid, want, now);
        }
        let table = self.inner.files.lock(self.inner.hash.stripe(file));
        let name = table.find(stateid, client, Some(file))?;
        let open = open_of(&table, &name).and_then(|counter| table.opens.get(&counter));
        let open = open.ok_or(Status::BadStateid)?;
        let may_write = open.combinations.union().0 & Access::Write as u8 != 0;
        let opened = match want {
            IoWant::Read => open.files.read.as_ref(),
            IoWant::Write => open.files.write.as_ref().filter(|_| may_write),
        };
        opened.ok_or(Status::Openmode)?;
        Ok(IoGrant::Open(Grant {
            files: Arc::downgrade(&open.files),
            want,
            client: client.id(),
            generation: Arc::clone(&open.generation),
            granted: open.generation.load(Ordering::Acquire),
        }))
    }

    fn check_special(
        &self,
        client: &Client,
        file: &FileKey,
        stateid: &Stateid,
        want: IoWant,
        now: u64,
    ) -> Result<IoGrant<F>, Status> {
        // RFC 8881 §8.2.3: a READ with the bypass stateid is subject to nothing; a WRITE with it is as with
        // the anonymous one.
        if !stateid.is_bypass() || want != IoWant::Read {
            self.check_denials(Some(client.id()), file, want, now)?;
        }
        Ok(IoGrant::Special)
    }

    /// Whether somebody who is no client may do this I/O: as with the anonymous stateid, which is what NFSv3's READ, WRITE
    /// and changes of size come to (RFC 8881 §9.1.2). While nobody denies anything it takes no lock.
    ///
    /// To be asked when nothing stands any more between it and the I/O that is waited for. There is no telling an open from
    /// I/O without one that is still on its way to the storage, so an open that is granted between the two can see it take
    /// effect afterwards; what is asked for once the open is granted is refused.
    ///
    /// # Errors
    ///
    /// NFS4ERR_LOCKED when an open denies it, NFS4ERR_GRACE while an open that is yet to be reclaimed might, and
    /// NFS4ERR_DELAY while I/O of an open that did goes on or an expired client that stands in the way is being put aside.
    pub fn check_anonymous_io(&self, file: &FileKey, want: IoWant, now: u64) -> Result<(), Status> {
        self.check_denials(None, file, want, now)
    }

    fn check_denials(
        &self,
        client: Option<ClientId>,
        file: &FileKey,
        want: IoWant,
        now: u64,
    ) -> Result<(), Status> {
        if self.is_in_grace() {
            return Err(Status::Grace);
        }
        if self.inner.shared.denials.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let deny = match want {
            IoWant::Read => Deny::Read,
            IoWant::Write => Deny::Write,
        } as u8;
        self.displacing(now, || {
            let table = self.inner.files.lock(self.inner.hash.stripe(file));
            let Some(entry) = table.files.get(file).filter(|entry| entry.shares.union().1 & deny != 0) else {
                return Ok(table.check_ending(file, client, |held| held.1 & deny != 0)?);
            };
            let opens = entry.opens.iter().filter(|(_, counter)| {
                table.opens.get(counter).is_some_and(|open| open.combinations.union().1 & deny != 0)
            });
            let reserved = entry.reservations.iter().filter(|reservation| reservation.deny as u8 & deny != 0);
            let holders = opens.map(|(owner, _)| owner).chain(reserved.map(|reservation| &reservation.owner));
            let holders = holders.map(|owner| owner.client());
            Err::<(), Obstacle>(self.obstacle(client, holders, Status::Locked, now))
        })
    }
}

/// The open that a stateid found in the table belongs to.
pub(crate) fn open_of<F>(table: &FileTable<F>, name: &StateName) -> Option<u64> {
    match name.kind {
        StateKind::Open => Some(name.counter),
        StateKind::Lock => table.locks.get(&name.counter).map(|locks| locks.open),
    }
}
