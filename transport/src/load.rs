//! Which core gets the next connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than any core has.
const LEFT: usize = 1 << (usize::BITS - 1);

/// Connections of each core, those on their way to it included. Clones count the same ones.
#[derive(Clone, Debug)]
pub struct Loads(Arc<[AtomicUsize]>);

/// One connection in the count of its core.
#[derive(Debug)]
pub struct Load {
    loads: Loads,
    shard: usize,
}

impl Loads {
    /// Of so many cores, which have none yet.
    pub fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| AtomicUsize::new(0)).collect())
    }

    /// One more connection of the core with the fewest.
    ///
    /// # Panics
    /// When there is no core.
    pub fn add(&self) -> Load {
        let counts = self.0.iter().enumerate().map(|(shard, load)| (load.load(Ordering::Relaxed), shard));
        let (_, shard) = counts.min().expect("there is at least one core");
        self.0[shard].fetch_add(1, Ordering::Relaxed);
        Load { loads: self.clone(), shard }
    }

    /// A core takes no more.
    pub fn leave(&self, shard: usize) {
        self.0[shard].fetch_or(LEFT, Ordering::Relaxed);
    }
}

impl Load {
    /// Whose it is.
    pub fn shard(&self) -> usize {
        self.shard
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.loads.0[self.shard].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_go_where_the_fewest_are() {
        let loads = Loads::new(3);
        let mut taken: Vec<Load> = (0..6).map(|_| loads.add()).collect();
        assert_eq!(taken.iter().map(Load::shard).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
        drop(taken.remove(1));
        assert_eq!(loads.add().shard(), 1);
        loads.leave(1);
        assert!((0..9).map(|_| loads.add()).all(|load| load.shard() != 1));
    }
}
