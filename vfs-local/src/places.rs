//! Places for operations that may stand still, so that those of one export take a bounded part of the ring.
//!
//! What waits for a place holds payload memory, which is everybody's. It waits as long as the export gets anything
//! done at all, however slowly; where nothing ends any more it is told to come again, and the memory is free for others.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use engine::Shard;
use engine::sync::{Permit, Semaphore};
use vfs::{Error, Result};

/// How long nothing may end for an export to count as standing still: longer than a disk that works takes for one
/// operation, shorter than people take to notice.
const STILL: Duration = Duration::from_secs(1);

/// The places of one export on one core.
pub struct Places {
    free: Semaphore,
    progress: Rc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    ended: Cell<u64>,
    stands_still: Cell<bool>,
}

/// One place, given back when dropped.
#[must_use = "a place that is dropped at once limits nothing"]
pub struct Place {
    _permit: Permit,
    progress: Rc<Progress>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.progress.ended.update(|ended| ended.wrapping_add(1));
        self.progress.stands_still.set(false);
    }
}

impl Places {
    /// So many places.
    pub fn new(count: usize) -> Self {
        Self { free: Semaphore::new(count), progress: Rc::default() }
    }

    /// Waits for a place as long as it takes.
    pub async fn enter(&self) -> Place {
        let permit = self.free.acquire().await;
        Place { _permit: permit, progress: Rc::clone(&self.progress) }
    }

    /// Waits for a place as long as the export moves.
    ///
    /// # Errors
    /// [`Error::TryLater`] when it stands still.
    pub async fn enter_while_moving(&self, shard: &Shard) -> Result<Place> {
        let mut entering = pin!(self.enter());
        let at_once = poll_fn(|context| Poll::Ready(entering.as_mut().poll(context))).await;
        if let Poll::Ready(place) = at_once {
            return Ok(place);
        }
        while !self.progress.stands_still.get() {
            let before = self.progress.ended.get();
            let mut timer = pin!(shard.sleep(STILL));
            let entered = poll_fn(|context| match entering.as_mut().poll(context) {
                Poll::Ready(place) => Poll::Ready(Some(place)),
                Poll::Pending => timer.as_mut().poll(context).map(|_| None),
            });
            if let Some(place) = entered.await {
                return Ok(place);
            }
            if self.progress.ended.get() == before && !self.progress.stands_still.replace(true) {
                tracing::warn!("an export stands still: its clients are told to come again");
            }
        }
        Err(Error::TryLater)
    }
}

#[cfg(test)]
mod tests {
    use engine::{EngineConfig, block_on};

    use super::*;

    #[test]
    fn who_waits_for_what_stands_still_is_sent_away_until_it_moves() {
        let test = |shard: Shard| async move {
            let places = Rc::new(Places::new(1));
            let held = places.enter().await;
            let refused = places.enter_while_moving(&shard).await;
            assert_eq!(refused.err(), Some(Error::TryLater));
            let begun = shard.now();
            assert!(places.enter_while_moving(&shard).await.is_err());
            assert!(shard.now() - begun < STILL, "it is known by now");
            drop(held);
            let held = places.enter_while_moving(&shard).await.expect("it moves");
            // One that waits goes in when the place is given back.
            let (inside, waiting) = (shard.clone(), Rc::clone(&places));
            let task = shard.spawn(async move { waiting.enter_while_moving(&inside).await.map(drop) });
            shard.sleep(STILL / 10).await;
            drop(held);
            task.await.expect("it is not aborted").expect("there is a place");
        };
        block_on(EngineConfig::small(), test).expect("a ring");
    }
}
