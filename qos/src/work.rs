//! What is at work, where others are paced by how long that takes.

use crate::Admission;
use crate::limits::{Charged, Cost, Worked};

/// A request at work by which others are paced: it is so until this is dropped.
#[derive(Debug)]
#[must_use = "a request is at work only while this exists"]
pub struct Work {
    /// Gone once it is done.
    admission: Option<Admission>,
    charged: Charged,
}

impl Work {
    /// Of a request that was charged. `None`: nobody is paced by it.
    pub(crate) fn of(admission: &Admission, charged: Charged) -> Option<Self> {
        charged.is_paced().then(|| Self { admission: Some(admission.clone()), charged })
    }

    /// Ends it at `now_ns`: as much was done as `cost` is charged for, in `taken_ns` without what was waited for.
    pub fn done(mut self, cost: Cost, taken_ns: u64, now_ns: u64) {
        if let Some(admission) = self.admission.take() {
            admission.done(self.charged, Some(Worked { cost, taken_ns }), Some(now_ns));
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            admission.done(self.charged, None, None);
        }
    }
}
