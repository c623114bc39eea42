//! Bringing unstable writes to stable storage, many callers per sync.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use engine::SyncMode;
use engine::sync::Notify;
use vfs::{Error, Result};

use crate::change::FileKey;
use crate::local::{File, Local};
use crate::{durable, process};

/// The syncs that run or are waited for on a shard, by file.
#[derive(Default)]
pub struct Commits {
    by_file: RefCell<HashMap<FileKey, Queue>>,
}

/// At most one sync of a file runs and one is waited for: whoever comes while one runs needs another, which
/// serves all that have come by the time it starts.
#[derive(Default)]
struct Queue {
    running: Option<Rc<Batch>>,
    next: Option<Rc<Batch>>,
}

/// One sync and those who wait for it.
#[derive(Default)]
struct Batch {
    outcome: Cell<Option<Result<()>>>,
    ended: Notify,
}

impl Batch {
    async fn wait(&self) -> Result<()> {
        loop {
            if let Some(outcome) = self.outcome.get() {
                return outcome;
            }
            self.ended.notified().await;
        }
    }

    fn end(&self, outcome: Result<()>) {
        self.outcome.set(Some(outcome));
        self.ended.notify_all();
    }
}

/// The obligation to end a batch. If its holder goes away before that, those who wait fail and may try again.
struct Lead<'a> {
    commits: &'a Commits,
    key: FileKey,
    batch: Rc<Batch>,
}

impl Lead<'_> {
    /// Makes the batch the running one, when none is.
    async fn start(&self) {
        while let Some(running) = self.commits.running(self.key) {
            // How it ended is for those who waited for it.
            let _ = running.wait().await;
        }
        let mut by_file = self.commits.by_file.borrow_mut();
        let queue = by_file.entry(self.key).or_default();
        queue.running = queue.next.take();
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if self.batch.outcome.get().is_none() {
            self.batch.end(Err(Error::TryLater));
        }
        let mut by_file = self.commits.by_file.borrow_mut();
        if let Some(queue) = by_file.get_mut(&self.key) {
            let is_ours = |batch: &mut Rc<Batch>| Rc::ptr_eq(batch, &self.batch);
            queue.running.take_if(is_ours);
            queue.next.take_if(is_ours);
            if queue.running.is_none() && queue.next.is_none() {
                by_file.remove(&self.key);
            }
        }
    }
}

impl Commits {
    /// The batch to wait for, and whether the caller is its first and so has to see to it.
    fn join(&self, key: FileKey) -> (Rc<Batch>, bool) {
        let mut by_file = self.by_file.borrow_mut();
        let queue = by_file.entry(key).or_default();
        match &queue.next {
            Some(batch) => (Rc::clone(batch), false),
            None => {
                let batch = Rc::new(Batch::default());
                queue.next = Some(Rc::clone(&batch));
                (batch, true)
            }
        }
    }

    fn running(&self, key: FileKey) -> Option<Rc<Batch>> {
        self.by_file.borrow().get(&key).and_then(|queue| queue.running.clone())
    }
}

impl Local {
    /// Brings everything written to `file` so far to stable storage.
    pub(crate) async fn commit_file(&self, file: &File) -> Result<()> {
        let key = file.0.object().key();
        let commits = self.commits();
        let (batch, first) = commits.join(key);
        if !first {
            return batch.wait().await;
        }
        let lead = Lead { commits, key, batch };
        lead.start().await;
        let outcome = self.sync_data(file).await;
        lead.batch.end(outcome);
        outcome
    }

    async fn sync_data(&self, file: &File) -> Result<()> {
        if durable::is_skipped() {
            return Ok(());
        }
        let _place = self.sync_place().await;
        let synced = self.shard().sync(Arc::clone(file.0.fd()), SyncMode::Data, None).await;
        synced.map_err(|failure| {
            tracing::error!(%failure, "a sync failed");
            process::note_failed_sync();
            match failure.raw_os_error() {
                Some(libc::ENOSPC) => Error::NoSpace,
                Some(libc::EDQUOT) => Error::Quota,
                _ => Error::Io,
            }
        })
    }
}
