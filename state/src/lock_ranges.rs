//! The locked byte ranges of one file (RFC 8881 §9.2 and §9.3, POSIX semantics): pure arithmetic.

use wire::nfs4::Status;

/// Reading locks share, writing locks exclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// READ_LT or READW_LT.
    Read,
    /// WRITE_LT or WRITEW_LT.
    Write,
}

/// A range of bytes, both ends included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockRange {
    /// First byte.
    pub(crate) first: u64,
    /// Last byte; `u64::MAX` is the end of the file, wherever that is.
    pub(crate) last: u64,
}

impl LockRange {
    /// The range of these arguments (RFC 8881 §18.10.3).
    ///
    /// # Errors
    ///
    /// NFS4ERR_INVAL when the length is 0 or, other than "to the end", leads past the last possible byte.
    pub fn new(offset: u64, length: u64) -> Result<Self, Status> {
        if length == u64::MAX {
            return Ok(Self { first: offset, last: u64::MAX });
        }
        // RFC 8881 §18.10.3: the sum may be u64::MAX itself, whose last byte is one before.
        let end = offset.checked_add(length).ok_or(Status::Inval)?;
        if length == 0 {
            return Err(Status::Inval);
        }
        Ok(Self { first: offset, last: end - 1 })
    }

    /// First byte (`offset4`).
    pub fn offset(&self) -> u64 {
        self.first
    }

    /// Length as on the wire: `u64::MAX` for "to the end".
    pub fn length(&self) -> u64 {
        if self.last == u64::MAX { u64::MAX } else { self.last - self.first + 1 }
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether the union of both is one range.
    fn touches(&self, other: &Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }
}

/// A range somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held<O> {
    pub(crate) range: LockRange,
    pub(crate) kind: LockKind,
    pub(crate) owner: O,
}

/// All ranges held on one file. Of one owner no two overlap, and none touches another of the same kind.
#[derive(Debug)]
pub(crate) struct LockRanges<O> {
    held: Vec<Held<O>>,
}

impl<O> Default for LockRanges<O> {
    fn default() -> Self {
        Self { held: Vec::new() }
    }
}

impl<O: Clone + Eq> LockRanges<O> {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Ranges of others that stand in the way.
    pub(crate) fn conflicts<'a>(
        &'a self,
        owner: &'a O,
        kind: LockKind,
        range: LockRange,
    ) -> impl Iterator<Item = &'a Held<O>> {
        self.held.iter().filter(move |held| {
            held.range.overlaps(&range)
                && (kind == LockKind::Write || held.kind == LockKind::Write)
                && held.owner != *owner
        })
    }

    /// Whether the owner holds anything.
    pub(crate) fn holds(&self, owner: &O) -> bool {
        self.held.iter().any(|held| held.owner == *owner)
    }

    /// Gives `range` to `owner`, in place of what it held there. The caller has checked for conflicts.
    pub(crate) fn set(&mut self, owner: &O, kind: LockKind, range: LockRange) {
        self.clear(owner, range);
        let mut merged = range;
        self.held.retain(|held| {
            let joins = held.kind == kind && held.owner == *owner && held.range.touches(&merged);
            if joins {
                merged.first = merged.first.min(held.range.first);
                merged.last = merged.last.max(held.range.last);
            }
            !joins
        });
        self.held.push(Held { range: merged, kind, owner: owner.clone() });
    }

    /// Takes `range` away from `owner`, wherever it held a part of it. True when it held any.
    pub(crate) fn clear(&mut self, owner: &O, range: LockRange) -> bool {
        let mut rests = Vec::new();
        let before = self.held.len();
        self.held.retain(|held| {
            if held.owner != *owner || !held.range.overlaps(&range) {
                return true;
            }
            if held.range.first < range.first {
                rests.push(Held {
                    range: LockRange { first: held.range.first, last: range.first - 1 },
                    ..held.clone()
                });
            }
            if held.range.last > range.last {
                rests.push(Held {
                    range: LockRange { first: range.last + 1, last: held.range.last },
                    ..held.clone()
                });
            }
            false
        });
        let held_any = self.held.len() < before;
        self.held.append(&mut rests);
        held_any
    }

    /// Takes everything away from `owner`; the number of ranges it held.
    pub(crate) fn clear_all(&mut self, owner: &O) -> usize {
        let before = self.held.len();
        self.held.retain(|held| held.owner != *owner);
        before - self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the model: small, so that ranges meet often; the last stands for all bytes to the end.
    const MODEL_BYTES: usize = 24;
    const OWNERS: usize = 3;

    /// The naive model: for every owner and byte, what is held.
    type Model = [[Option<LockKind>; MODEL_BYTES]; OWNERS];

    fn bytes(range: LockRange) -> std::ops::Range<usize> {
        let last = usize::try_from(range.last).unwrap_or(usize::MAX).min(MODEL_BYTES - 1);
        range.first as usize..last + 1
    }

    fn model_conflicts(model: &Model, owner: usize, kind: LockKind, range: LockRange) -> bool {
        model.iter().enumerate().any(|(other, held)| {
            other != owner
                && held[bytes(range)].iter().flatten().any(|held| [kind, *held].contains(&LockKind::Write))
        })
    }

    fn check(ranges: &LockRanges<usize>, model: &Model, step: u32) {
        for (owner, held) in model.iter().enumerate() {
            for (byte, expected) in held.iter().enumerate() {
                let at = LockRange { first: byte as u64, last: byte as u64 };
                let found: Vec<_> = ranges
                    .held
                    .iter()
                    .filter(|held| held.owner == owner && held.range.overlaps(&at))
                    .collect();
                assert!(found.len() <= 1, "step {step}: own ranges overlap");
                assert_eq!(
                    found.first().map(|held| held.kind),
                    *expected,
                    "step {step}: owner {owner} byte {byte}"
                );
            }
        }
        for (index, held) in ranges.held.iter().enumerate() {
            let joins = |other: &Held<usize>| {
                other.owner == held.owner && other.kind == held.kind && other.range.touches(&held.range)
            };
            assert!(!ranges.held[index + 1..].iter().any(joins), "step {step}: ranges left unmerged");
        }
    }

    #[test]
    fn ranges_agree_with_a_byte_array() {
        for seed in 1..20 {
            let mut random = crate::tests::Random::new(seed);
            let mut ranges = LockRanges::default();
            let mut model: Model = [[None; MODEL_BYTES]; OWNERS];
            for step in 0..2000 {
                let owner = random.below(OWNERS as u64) as usize;
                let first = random.below(MODEL_BYTES as u64);
                let to_end = random.below(6) == 0;
                let length = if to_end { u64::MAX } else { 1 + random.below(MODEL_BYTES as u64 - first) };
                let range = LockRange::new(first, length).unwrap();
                let range = if range.last as usize == MODEL_BYTES - 1 {
                    LockRange { last: u64::MAX, ..range }
                } else {
                    range
                };
                match random.below(3) {
                    0 => {
                        let held = model[owner][bytes(range)].iter().any(Option::is_some);
                        assert_eq!(ranges.clear(&owner, range), held);
                        model[owner][bytes(range)].fill(None);
                    }
                    kind => {
                        let kind = if kind == 1 { LockKind::Read } else { LockKind::Write };
                        let conflict = model_conflicts(&model, owner, kind, range);
                        assert_eq!(ranges.conflicts(&owner, kind, range).next().is_some(), conflict);
                        if !conflict {
                            ranges.set(&owner, kind, range);
                            model[owner][bytes(range)].fill(Some(kind));
                        }
                    }
                }
                check(&ranges, &model, step);
            }
        }
    }

    #[test]
    fn range_arguments_are_checked() {
        let cases = [
            (0, 0, Err(Status::Inval)),
            (1, u64::MAX - 1, Ok((1, u64::MAX - 1))),
            (2, u64::MAX - 1, Err(Status::Inval)),
            (u64::MAX, u64::MAX, Ok((u64::MAX, u64::MAX))),
            (u64::MAX, 1, Err(Status::Inval)),
            (5, u64::MAX, Ok((5, u64::MAX))),
            (5, 10, Ok((5, 14))),
        ];
        for (offset, length, expected) in cases {
            let range = LockRange::new(offset, length).map(|range| (range.first, range.last));
            assert_eq!(range, expected, "{offset} + {length}");
        }
        assert_eq!(LockRange::new(5, 10).unwrap().length(), 10);
        assert_eq!(LockRange::new(5, u64::MAX).unwrap().length(), u64::MAX);
    }
}
