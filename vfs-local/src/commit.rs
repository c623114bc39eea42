//! Bringing unstable writes to stable storage, many callers per sync, whatever core they come to.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use engine::SyncMode;
use rustix::fs::{OFlags, fdatasync};
use tracing::Instrument;
use vfs::{Error, Result};

use crate::inode::Inode;
use crate::local::{File, Local, Node};
use crate::places::Place;
use crate::sys::errno::{error, from_io};
use crate::{durable, process, procfs, trace};

/// The syncs of a file that run or are waited for.
///
/// At most one runs and one is waited for: whoever comes while one runs needs another, which serves all that have
/// come by the time it starts.
#[derive(Debug, Default)]
pub struct Commits(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    running: Option<Arc<Batch>>,
    next: Option<Arc<Batch>>,
}

/// One sync and those who wait for it.
#[derive(Debug, Default)]
struct Batch(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    outcome: Option<Result<()>>,
    /// As many as there are calls in progress, at most.
    wakers: Vec<Waker>,
}

impl Batch {
    async fn wait(&self) -> Result<()> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut waiting = self.waiting();
        if let Some(outcome) = waiting.outcome {
            return Poll::Ready(outcome);
        }
        if !waiting.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Tells all who wait how it ended; the first word counts.
    fn end(&self, outcome: Result<()>) {
        let mut waiting = self.waiting();
        waiting.outcome.get_or_insert(outcome);
        let wakers = std::mem::take(&mut waiting.wakers);
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    /// The batch to wait for, and whether the caller is its first and so has to see to it.
    fn join(&self) -> (Arc<Batch>, bool) {
        let mut queue = self.queue();
        match &queue.next {
            Some(batch) => (Arc::clone(batch), false),
            None => {
                let batch = Arc::new(Batch::default());
                queue.next = Some(Arc::clone(&batch));
                (batch, true)
            }
        }
    }

    /// Makes the batch that is waited for the running one, or answers the one that has to end before.
    fn start(&self) -> Option<Arc<Batch>> {
        let mut queue = self.queue();
        if queue.running.is_none() {
            queue.running = queue.next.take();
            return None;
        }
        queue.running.clone()
    }

    /// A batch that runs at once, if none runs or is waited for.
    fn start_alone(&self) -> Option<Arc<Batch>> {
        let mut queue = self.queue();
        if queue.running.is_some() || queue.next.is_some() {
            return None;
        }
        let batch = Arc::new(Batch::default());
        queue.running = Some(Arc::clone(&batch));
        Some(batch)
    }

    fn running(&self) -> Option<Arc<Batch>> {
        self.queue().running.clone()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The obligation to end a batch. If its holder goes away before that, those who wait fail and may try again.
struct Lead<'a> {
    inode: &'a Inode,
    batch: Arc<Batch>,
}

impl Lead<'_> {
    /// Makes the batch the running one, when none is and there is a place for it.
    async fn start(&self, local: &Local) -> Place {
        loop {
            while let Some(running) = self.inode.commits().running() {
                // How it ended is for those who waited for it.
                let _ = running.wait().await;
            }
            let place = local.sync_place().await;
            if self.inode.commits().start().is_none() {
                return place;
            }
        }
    }

    /// Makes room for the next.
    fn leave(&self) {
        let mut queue = self.inode.commits().queue();
        let is_ours = |batch: &mut Arc<Batch>| Arc::ptr_eq(batch, &self.batch);
        queue.running.take_if(is_ours);
        queue.next.take_if(is_ours);
    }

    /// Tells all who wait. Answers the descriptor that is needed no more.
    fn end(self, outcome: Result<()>) -> Option<Arc<OwnedFd>> {
        let unneeded = match outcome {
            Err(Error::TryLater) => {
                self.inode.unsynced().give_up();
                None
            }
            // After a failure too: who wrote learns from the verifier that it has to write again.
            _ => self.inode.unsynced().end(),
        };
        self.leave();
        self.batch.end(outcome);
        unneeded
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let is_ended = self.batch.waiting().outcome.is_some();
        if !is_ended {
            self.inode.unsynced().give_up();
            self.leave();
            self.batch.end(Err(Error::TryLater));
        }
    }
}

impl Inode {
    /// Syncs what is unsynced on the spot, unless a sync runs or is waited for.
    pub fn sync_now(&self) {
        let Some(batch) = self.commits().start_alone() else { return };
        let lead = Lead { inode: self, batch };
        let outcome = match self.unsynced().begin() {
            Some(fd) if !durable::is_skipped() => {
                fdatasync(&*fd).map_err(|errno| failed(error(errno), &errno))
            }
            _ => Ok(()),
        };
        drop(lead.end(outcome));
    }
}

impl Local {
    /// Brings everything written to `file` so far to stable storage.
    pub(crate) async fn commit_file(&self, file: &File) -> Result<()> {
        self.commit_inode(file.0.inode()).await
    }

    /// Brings everything written to `node` so far to stable storage, without a file open on it.
    pub(crate) async fn commit_node_data(&self, node: &Node) -> Result<()> {
        node.0.expect_regular()?;
        let held = self.closer().hold(&node.0);
        self.commit_inode(held.inode()).await
    }

    async fn commit_inode(&self, inode: &Inode) -> Result<()> {
        let (batch, first) = inode.commits().join();
        if !first {
            return batch.wait().await;
        }
        let lead = Lead { inode, batch };
        let _place = lead.start(self).await;
        let outcome = self.sync_data(inode).instrument(trace::submission("sync")).await;
        if let Some(fd) = lead.end(outcome) {
            self.closer().close_descriptor(fd);
        }
        outcome
    }

    async fn sync_data(&self, inode: &Inode) -> Result<()> {
        let known = inode.unsynced().begin();
        if durable::is_skipped() {
            return Ok(());
        }
        let fd = match known {
            Some(fd) => fd,
            // Nothing of ours is unsynced, but data of others may be, or of another export of the file system.
            None => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK;
                Arc::new(procfs::reopen(inode.object(), flags).map_err(error)?)
            }
        };
        let synced = self.shard().sync(fd, SyncMode::Data, None).await;
        synced.map_err(|failure| match failure.raw_os_error() {
            // The ring did not get to it.
            Some(libc::ENOBUFS | libc::ECANCELED) => Error::TryLater,
            _ => failed(from_io(&failure), &failure),
        })
    }
}

/// A failed sync may have lost what anybody wrote.
fn failed(failure: Error, reason: &dyn std::fmt::Display) -> Error {
    tracing::error!("a sync failed: {reason}");
    process::note_failed_sync();
    match failure {
        Error::NoSpace | Error::Quota => failure,
        _ => Error::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_before_a_sync_starts_shares_it_and_who_comes_later_shares_the_next() {
        let commits = Commits::default();
        let (first, leads) = commits.join();
        let (second, follows) =
            std::thread::scope(|scope| scope.spawn(|| commits.join()).join().expect("it does not panic"));
        assert!(leads && !follows && Arc::ptr_eq(&first, &second));
        assert!(commits.start().is_none(), "none runs");
        let (third, leads) = commits.join();
        let (fourth, follows) = commits.join();
        assert!(leads && !follows && Arc::ptr_eq(&third, &fourth) && !Arc::ptr_eq(&first, &third));
        assert!(commits.start().is_some_and(|running| Arc::ptr_eq(&running, &first)), "the first still runs");
        assert!(commits.start_alone().is_none());
        let mut context = Context::from_waker(Waker::noop());
        first.end(Err(Error::Io));
        assert_eq!(second.poll(&mut context), Poll::Ready(Err(Error::Io)));
        assert_eq!(third.poll(&mut context), Poll::Pending);
    }
}
