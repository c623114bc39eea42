//! Keys by which peers name memory.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Times that the halves are mixed.
const ROUNDS: u32 = 4;

/// Gives each number once until all have been given, in an order that follows from the seed: no key is ever another's
/// again, and none follows from those that a peer has seen.
pub(super) struct Keys {
    seed: u64,
    given: u32,
}

impl Keys {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, given: 0 }
    }

    /// One that has not been given yet, and not 0, which who forgot to set a key would name.
    pub(super) fn next(&mut self) -> u32 {
        loop {
            self.given = self.given.wrapping_add(1);
            let key = self.permuted(self.given);
            if key != 0 {
                return key;
            }
        }
    }

    /// A Feistel network, which takes different numbers to different ones whatever mixes the halves.
    fn permuted(&self, number: u32) -> u32 {
        let (mut high, mut low) = (number >> 16, number & 0xFFFF);
        for round in 0..ROUNDS {
            let mut hasher = DefaultHasher::new();
            (self.seed, round, low).hash(&mut hasher);
            let mixed = high ^ (hasher.finish() & 0xFFFF) as u32;
            (high, low) = (low, mixed);
        }
        high << 16 | low
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Keys;

    #[test]
    fn keys_differ_and_are_not_counted() {
        let mut keys = Keys::new(7);
        let given: Vec<u32> = (0..10_000).map(|_| keys.next()).collect();
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len());
        assert!(given.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 1 << 16).count() < 100);
        assert_ne!(given[0], Keys::new(8).next());
        assert_eq!(given[0], Keys::new(7).next());
    }
}
