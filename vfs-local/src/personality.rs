//! Callers' credentials for operations in the ring.

use std::cell::RefCell;
use std::collections::HashMap;

use engine::{Personality, Shard};
use vfs::{Error, Identity, Result};

use crate::identity::as_identity;
use crate::sys::errno::from_io;

/// Identities registered with a shard's ring per export at most. A ring takes 65,533; registering one anew costs
/// some microseconds.
const PERSONALITIES_MAX: usize = 1024;

/// The identities registered so far, the least recently used going first.
#[derive(Debug, Default)]
pub struct Personalities {
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_identity: HashMap<Identity, (Personality, u64)>,
    uses: u64,
}

impl Personalities {
    /// The credentials of `identity`; `None` for the superuser, who the ring is anyway.
    pub fn of(&self, shard: &Shard, identity: &Identity) -> Result<Option<Personality>> {
        if identity.is_root() {
            return Ok(None);
        }
        let mut known = self.known.borrow_mut();
        known.uses += 1;
        let uses = known.uses;
        if let Some((personality, used)) = known.by_identity.get_mut(identity) {
            *used = uses;
            return Ok(Some(personality.clone()));
        }
        if known.by_identity.len() >= PERSONALITIES_MAX {
            known.make_room();
        }
        let personality =
            as_identity(identity, || shard.register_personality().map_err(|failure| from_io(&failure)))?;
        known.by_identity.insert(identity.clone(), (personality.clone(), uses));
        Ok(Some(personality))
    }
}

impl Known {
    /// Half of them go at once, so that the search for the oldest is rarely made.
    fn make_room(&mut self) {
        let mut uses: Vec<u64> = self.by_identity.values().map(|(_, used)| *used).collect();
        let middle = uses.len() / 2;
        let (_, median, _) = uses.select_nth_unstable(middle);
        let median = *median;
        self.by_identity.retain(|_, (_, used)| *used >= median);
    }
}

/// What registering says when the ring's own bound is reached.
pub fn exhausted(failure: Error) -> Error {
    match failure {
        Error::Busy | Error::NoSpace => Error::Exhausted,
        other => other,
    }
}
