//! Grants kept on one core, so that READ and WRITE ask no table that cores share.
//!
//! A [`Grant`] that is no longer valid keeps nothing open, only its place here: it is dropped when it is met, when this
//! core closes or downgrades an open of the file, and by [`Grants::prune`] from time to time.

use std::cell::RefCell;

use foldhash::HashMap;
use state::{FileKey, Grant, InFlight, IoWant};
use wire::nfs4::{ClientId, Stateid};

/// Files of clients with grants on one core: enough for what is in use at one time, and few enough that looking at all
/// of them takes some ten microseconds. Past it all are dropped; those in use are asked for again.
const FILES_MAX: usize = 4096;

/// Grants of one client for one file: a client has few opens and lock-owners of a file at work at one time. Past it the
/// oldest goes.
const PER_FILE_MAX: usize = 16;

/// The grants of one core.
pub struct Grants<F> {
    files: RefCell<Files<F>>,
}

/// By client and file, each list oldest first.
type Files<F> = HashMap<(ClientId, FileKey), Vec<Kept<F>>>;

struct Kept<F> {
    stateid: Stateid,
    want: IoWant,
    grant: Grant<F>,
}

impl<F> Default for Grants<F> {
    fn default() -> Self {
        Self { files: RefCell::default() }
    }
}

impl<F: Clone> Grants<F> {
    /// Begins this I/O, if it was granted on this core and still is.
    pub fn begin(
        &self,
        client: ClientId,
        file: &FileKey,
        stateid: &Stateid,
        want: IoWant,
    ) -> Option<InFlight<F>> {
        let files = self.files.borrow();
        let kept = files.get(&(client, *file))?;
        let kept = kept.iter().find(|kept| kept.want == want && kept.stateid == *stateid)?;
        kept.grant.begin()
    }

    /// Keeps a grant that was just given.
    pub fn keep(&self, file: &FileKey, stateid: &Stateid, want: IoWant, grant: Grant<F>) {
        let key = (grant.client(), *file);
        // Closing a file may take long and come back here, so what goes is dropped when nothing is borrowed.
        let mut dropped = Vec::new();
        let mut files = self.files.borrow_mut();
        if files.len() >= FILES_MAX && !files.contains_key(&key) {
            dropped.extend(files.drain().flat_map(|(_, kept)| kept));
        }
        let kept = files.entry(key).or_default();
        dropped.extend(kept.extract_if(.., |kept| !kept.grant.is_valid()));
        if kept.len() >= PER_FILE_MAX {
            dropped.push(kept.remove(0));
        }
        kept.push(Kept { stateid: *stateid, want, grant });
        drop(files);
    }

    /// Drops what a client's file has no right to any more: to be called behind CLOSE and OPEN_DOWNGRADE.
    pub fn prune_file(&self, client: ClientId, file: &FileKey) {
        let mut files = self.files.borrow_mut();
        let Some(kept) = files.get_mut(&(client, *file)) else { return };
        let dropped: Vec<_> = kept.extract_if(.., |kept| !kept.grant.is_valid()).collect();
        if kept.is_empty() {
            files.remove(&(client, *file));
        }
        drop(files);
        drop(dropped);
    }

    /// Drops everything that is not valid any more.
    pub fn prune(&self) {
        let mut dropped = Vec::new();
        self.files.borrow_mut().retain(|_, kept| {
            dropped.extend(kept.extract_if(.., |kept| !kept.grant.is_valid()));
            !kept.is_empty()
        });
    }

    /// Grants kept now.
    pub fn count(&self) -> usize {
        self.files.borrow().values().map(Vec::len).sum()
    }
}
