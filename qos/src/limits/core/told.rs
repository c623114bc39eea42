//! What a core tells of those whose limits bind on it.

use std::collections::BTreeMap;

use super::Core;
use crate::limits::limit::Entity;
use crate::limits::path::Path;
use crate::limits::table::Seat;
use crate::limits::usage::Usage;

impl Core {
    /// What requests of this core have used of the entity at `seat`. It never falls but by what is given back.
    pub fn usage(&self, seat: Seat) -> Usage {
        let local = self.locals.get(seat.place as usize).and_then(Option::as_ref);
        // What was counted before belongs to who had the place then; who has it now has come later.
        let is_its = |since| since >= seat.born && self.limits.bucket(seat.place).born() == seat.born;
        local.filter(|local| is_its(local.since)).map_or(Usage::default(), |local| local.usage())
    }

    /// How many requests of this core that are charged to all of `leaves` wait, and how many of them at each of `seats`.
    pub fn parked_at(&self, leaves: &[Entity], seats: &[Seat]) -> (u64, Vec<u64>) {
        let meant: Vec<(&Entity, Option<Seat>)> =
            leaves.iter().map(|leaf| (leaf, self.limits.seat(*leaf))).collect();
        // What is no leaf may stand above one.
        let is_meant = |path: &Path| {
            let is_on_it = |seat: &Option<Seat>| seat.is_some_and(|seat| path.places().contains(&seat.place));
            meant.iter().all(|(leaf, seat)| path.leaves().contains(leaf) || is_on_it(seat))
        };
        let places: BTreeMap<u32, usize> =
            seats.iter().enumerate().map(|(at, seat)| (seat.place, at)).collect();
        let (mut all, mut counts) = (0, vec![0; seats.len()]);
        for waiter in self.waiters.iter().flatten().filter(|waiter| is_meant(&waiter.path)) {
            all += 1;
            if let Some(at) = places.get(&waiter.place) {
                counts[*at] += 1;
            }
        }
        (all, counts)
    }
}
