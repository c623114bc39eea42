//! OPEN_DOWNGRADE and CLOSE (RFC 8881 §18.18, §18.2).

use wire::nfs4::{Stateid, Status};

use crate::client::Client;
use crate::file_key::FileKey;
use crate::file_table::FileTable;
use crate::open::OpenFiles;
use crate::share::{Access, Deny};
use crate::state::State;
use crate::stateid::StateKind;

/// What CLOSE leaves.
#[derive(Debug)]
pub struct Closed<F> {
    /// The stateid to answer: the one that never names state, as RFC 8881 §18.2.4 recommends.
    pub stateid: Stateid,
    /// The storage's open files, for the caller to drop when no I/O uses them any more.
    pub files: OpenFiles<F>,
}

impl<F: Clone + Send + Sync> State<F> {
    /// OPEN_DOWNGRADE: exactly to what a subset of the owner's opens comes to.
    ///
    /// # Errors
    ///
    /// NFS4ERR_INVAL when there is no such subset; the errors of stateids.
    pub fn open_downgrade(
        &self,
        client: &Client,
        file: &FileKey,
        stateid: &Stateid,
        access: Access,
        deny: Deny,
    ) -> Result<Stateid, Status> {
        let mut dropped = OpenFiles { read: None, write: None };
        let mut table = self.inner.files.lock(self.inner.hash.stripe(file));
        let counter = find_open(&table, stateid, client, file)?;
        let open = table.opens.get_mut(&counter).expect("found just now");
        let combinations = open.combinations.downgrade(access, deny).ok_or(Status::Inval)?;
        if !access.reads() {
            dropped.read = open.change_files().read.take();
        }
        if !access.writes() {
            dropped.write = open.change_files().write.take();
        }
        let downgraded = table.set_combinations(counter, combinations);
        drop(table);
        self.inner.effects.add(Vec::new(), vec![dropped]);
        Ok(downgraded)
    }

    /// CLOSE: the open, its lock stateids and their owners' locks on the file are gone.
    ///
    /// # Errors
    ///
    /// The errors of stateids.
    pub fn close_file(
        &self,
        client: &Client,
        file: &FileKey,
        stateid: &Stateid,
        now: u64,
    ) -> Result<Closed<F>, Status> {
        let removed = {
            let mut table = self.inner.files.lock(self.inner.hash.stripe(file));
            let counter = find_open(&table, stateid, client, file)?;
            table.remove_open(counter, now, None)
        };
        self.inner.effects.add(removed.notices, Vec::new());
        Ok(Closed { stateid: Stateid::INVALID, files: removed.files })
    }
}

/// The open that a stateid names.
pub(crate) fn find_open<F>(
    table: &FileTable<F>,
    stateid: &Stateid,
    client: &Client,
    file: &FileKey,
) -> Result<u64, Status> {
    let name = table.find(stateid, client, Some(file))?;
    if name.kind == StateKind::Open { Ok(name.counter) } else { Err(Status::BadStateid) }
}
