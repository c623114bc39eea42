//! OPEN in two steps (RFC 8881 §18.16, §9.7): `reserve` is visible to others as an open, then the storage
//! opens the file, then `commit` makes it an open.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::{Stateid, Status};

use crate::client::Client;
use crate::file_key::FileKey;
use crate::file_table::{FileTable, OpenState, Reservation, check_standing};
use crate::host::{share_left, take_share};
use crate::owner::StateOwner;
use crate::revoke::Obstacle;
use crate::share::{Access, Denial, Deny, conflicts};
use crate::state::State;
use crate::stateid::StateKind;

/// The storage's open files behind an open. A handle that does both may stand in both places. A READ is
/// granted when there is a `read`, be the open for writing only or not (RFC 8881 §18.22.3 leaves that to the
/// server); a WRITE needs an open for writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFiles<F> {
    /// For READ.
    pub read: Option<F>,
    /// For WRITE.
    pub write: Option<F>,
}

/// With what right a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenClaim {
    /// A new open: CLAIM_NULL or CLAIM_FH.
    New,
    /// An open from before the restart: CLAIM_PREVIOUS.
    Reclaim,
}

/// What OPEN asks, as far as state is concerned.
#[derive(Clone, Copy, Debug)]
pub struct OpenRequest<'a> {
    /// The file.
    pub file: FileKey,
    /// Name of the open-owner within its client.
    pub owner: &'a [u8],
    /// `share_access` without the WANT bits.
    pub access: Access,
    /// `share_deny`.
    pub deny: Deny,
    /// The claim.
    pub claim: OpenClaim,
}

/// An open that conflicts with others' already but has no stateid yet. Dropping it abandons it.
#[must_use = "a reservation denies others the file until it is committed or abandoned"]
pub struct OpenReservation<F: Clone + Send + Sync> {
    state: State<F>,
    client: Arc<Client>,
    file: FileKey,
    counter: u64,
    existing: OpenFiles<F>,
    settled: bool,
}

impl<F: Clone + Send + Sync> State<F> {
    /// The first step of OPEN.
    ///
    /// # Errors
    ///
    /// NFS4ERR_SHARE_DENIED, for a reclaim NFS4ERR_RECLAIM_CONFLICT; NFS4ERR_GRACE, NFS4ERR_NO_GRACE,
    /// NFS4ERR_RECLAIM_BAD; NFS4ERR_DELAY at a bound, and while an expired client that stands in the way is
    /// being put aside; NFS4ERR_EXPIRED or NFS4ERR_ADMIN_REVOKED for a client whose state was revoked.
    pub fn open_reserve(
        &self,
        client: &Arc<Client>,
        asked: &OpenRequest<'_>,
        now: u64,
    ) -> Result<OpenReservation<F>, Status> {
        match asked.claim {
            OpenClaim::New => self.check_new_state(client)?,
            OpenClaim::Reclaim => self.check_reclaim(client)?,
        }
        self.displacing(now, || self.try_reserve(client, asked, now))
    }

    /// Whether the client could open a file that nobody has open: to be asked before a file is made for it, so that
    /// none is left behind by an OPEN that fails.
    ///
    /// # Errors
    ///
    /// As [`open_reserve`](State::open_reserve) for reasons that are not the file's.
    pub fn check_new_open(&self, client: &Client) -> Result<(), Status> {
        self.check_new_state(client)?;
        check_standing(client)?;
        let limits = &self.inner.config.limits;
        if client.opens.load(Ordering::Acquire) >= limits.opens_per_client_max {
            return Err(Status::Delay);
        }
        if share_left(&self.inner.shared.opens, &client.host().opens, limits.opens_max) == 0 {
            self.inner.shared.press();
            return Err(Status::Delay);
        }
        Ok(())
    }

    fn try_reserve(
        &self,
        client: &Arc<Client>,
        asked: &OpenRequest<'_>,
        now: u64,
    ) -> Result<OpenReservation<F>, Obstacle> {
        let limits = &self.inner.config.limits;
        let mut table = self.inner.files.lock(self.inner.hash.stripe(&asked.file));
        check_standing(client)?;
        self.check_shares(&table, client, asked, now)?;
        let in_file =
            table.files.get(&asked.file).map_or(0, |entry| entry.opens.len() + entry.reservations.len());
        let in_client = client.opens.load(Ordering::Acquire);
        if in_file >= limits.opens_per_file_max as usize || in_client >= limits.opens_per_client_max {
            return Err(Status::Delay.into());
        }
        if !take_share(&self.inner.shared.opens, &client.host().opens, 1, limits.opens_max) {
            self.inner.shared.press();
            return Err(Status::Delay.into());
        }
        client.opens.fetch_add(1, Ordering::AcqRel);
        let counter = table.next_counter();
        let owner = StateOwner::new(client, asked.owner);
        let (access, deny) = (asked.access, asked.deny);
        let _denial = Denial::of((access as u8, deny as u8), &table.shared);
        let entry = table.entry(&asked.file);
        entry.shares.add((access as u8, deny as u8));
        let held = entry.opens.get(&owner).copied();
        entry.reservations.push(Reservation { counter, owner, access, deny, _denial });
        let held = held.and_then(|counter| table.opens.get(&counter));
        Ok(OpenReservation {
            state: self.clone(),
            client: Arc::clone(client),
            file: asked.file,
            counter,
            existing: held
                .map_or(OpenFiles { read: None, write: None }, |open| OpenFiles::clone(&open.files)),
            settled: false,
        })
    }

    /// RFC 8881 §9.7: all opens count, the owner's own included.
    fn check_shares(
        &self,
        table: &FileTable<F>,
        client: &Client,
        asked: &OpenRequest<'_>,
        now: u64,
    ) -> Result<(), Obstacle> {
        let new = (asked.access, asked.deny);
        let Some(entry) = table.files.get(&asked.file).filter(|entry| conflicts(new, entry.shares.union()))
        else {
            return Ok(table.check_ending(&asked.file, Some(client.id()), |held| conflicts(new, held))?);
        };
        let opens = entry.opens.iter().map(|(owner, counter)| {
            (owner.client(), table.opens.get(counter).map_or((0, 0), |open| open.combinations.union()))
        });
        let reserved = entry.reservations.iter().map(|reservation| {
            (reservation.owner.client(), (reservation.access as u8, reservation.deny as u8))
        });
        let holders =
            opens.chain(reserved).filter(|(_, held)| conflicts(new, *held)).map(|(holder, _)| holder);
        let refusal = match asked.claim {
            OpenClaim::New => Status::ShareDenied,
            OpenClaim::Reclaim => Status::ReclaimConflict,
        };
        Err(self.obstacle(Some(client.id()), holders, refusal, now))
    }
}

impl<F: Clone + Send + Sync> OpenReservation<F> {
    /// Open files that the owner's earlier opens of this file brought: what is there need not be opened again.
    pub fn existing(&self) -> &OpenFiles<F> {
        &self.existing
    }

    /// The last step of OPEN: the stateid. An open that the owner has already is upgraded (RFC 8881 §9.9);
    /// of a handle that is there already the new one is dropped.
    ///
    /// # Errors
    ///
    /// NFS4ERR_EXPIRED, NFS4ERR_ADMIN_REVOKED or NFS4ERR_BAD_STATEID when the client lost its state between the
    /// two steps.
    pub fn commit(mut self, files: OpenFiles<F>) -> Result<Stateid, Status> {
        // Dropped after the lock: closing a file is I/O.
        let surplus;
        let stripe = self.state.inner.hash.stripe(&self.file);
        let mut table = self.state.inner.files.lock(stripe);
        check_standing(&self.client)?;
        self.settled = true;
        let reservation = take_reservation(&mut table, &self.file, self.counter);
        let entry = table.entry(&self.file);
        let counter = *entry.opens.entry(reservation.owner.clone()).or_insert(self.counter);
        if counter == self.counter {
            let open = OpenState::new(self.file, reservation.owner.clone(), files);
            table.opens.insert(counter, open);
            table.index_open(self.client.id(), counter);
            surplus = None;
        } else {
            // The upgraded open counts once.
            table.uncount(StateKind::Open, &self.client);
            let open = table.opens.get_mut(&counter).expect("the file's list names opens of the table");
            surplus = Some(merge(open.change_files(), files));
        }
        let mut combinations = table.opens.get(&counter).expect("inserted or found just now").combinations;
        combinations.add(reservation.access, reservation.deny);
        let stateid = table.set_combinations(counter, combinations);
        drop(table);
        drop(surplus);
        Ok(stateid)
    }

    /// Gives it up: the storage could not open the file.
    pub fn abandon(self) {
        drop(self);
    }
}

impl<F: Clone + Send + Sync> Drop for OpenReservation<F> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut table = self.state.inner.files.lock(self.state.inner.hash.stripe(&self.file));
        take_reservation(&mut table, &self.file, self.counter);
        table.uncount(StateKind::Open, &self.client);
        table.drop_if_idle(&self.file);
    }
}

impl<F: Clone + Send + Sync> std::fmt::Debug for OpenReservation<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "reservation of {:?} by {:?}", self.file, self.client)
    }
}

fn take_reservation<F>(table: &mut FileTable<F>, file: &FileKey, counter: u64) -> Reservation {
    let entry = table.entry(file);
    let index = entry.reservations.iter().position(|reservation| reservation.counter == counter);
    let reservation = entry.reservations.swap_remove(index.expect("a reservation ends once"));
    entry.shares.remove((reservation.access as u8, reservation.deny as u8));
    reservation
}

/// Adds what is missing; what is left over is returned.
fn merge<F>(held: &mut OpenFiles<F>, mut new: OpenFiles<F>) -> OpenFiles<F> {
    if held.read.is_none() {
        held.read = new.read.take();
    }
    if held.write.is_none() {
        held.write = new.write.take();
    }
    new
}
