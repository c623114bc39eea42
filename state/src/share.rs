//! Share reservations (RFC 8881 §9.7 to §9.9): which combinations of access and denial are in force.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::state::Shared;

/// What an open may do; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Access {
    /// OPEN4_SHARE_ACCESS_READ.
    Read = 1,
    /// OPEN4_SHARE_ACCESS_WRITE.
    Write = 2,
    /// OPEN4_SHARE_ACCESS_BOTH.
    Both = 3,
}

/// What an open denies to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Deny {
    /// OPEN4_SHARE_DENY_NONE.
    None = 0,
    /// OPEN4_SHARE_DENY_READ.
    Read = 1,
    /// OPEN4_SHARE_DENY_WRITE.
    Write = 2,
    /// OPEN4_SHARE_DENY_BOTH.
    Both = 3,
}

impl Access {
    /// The access with this number on the wire, the WANT bits being cut off by the caller.
    pub fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Read,
            2 => Self::Write,
            3 => Self::Both,
            _ => return None,
        })
    }

    /// Whether reading is included.
    pub fn reads(self) -> bool {
        self != Self::Write
    }

    /// Whether writing is included.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

impl Deny {
    /// The denial with this number on the wire.
    pub fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Read,
            2 => Self::Write,
            3 => Self::Both,
            _ => return None,
        })
    }
}

/// Whether a new open conflicts with one in force (the pseudo-code of RFC 8881 §9.7).
pub(crate) fn conflicts(new: (Access, Deny), held: (u8, u8)) -> bool {
    (new.0 as u8 & held.1) | (new.1 as u8 & held.0) != 0
}

/// The set of combinations that one open-owner has opened a file with and not downgraded away: one bit for
/// each of the 4 x 4 pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Combinations {
    bits: u16,
}

impl Combinations {
    pub(crate) fn add(&mut self, access: Access, deny: Deny) {
        self.bits |= 1 << (((access as u16) << 2) | deny as u16);
    }

    /// The union of all: what the open may do and what it denies.
    pub(crate) fn union(self) -> (u8, u8) {
        self.iter().fold((0, 0), |union, pair| (union.0 | pair.0, union.1 | pair.1))
    }

    /// What is left after OPEN_DOWNGRADE to exactly these, or `None` when no subset of what was opened comes
    /// to them (RFC 8881 §18.18.3).
    pub(crate) fn downgrade(self, access: Access, deny: Deny) -> Option<Self> {
        let mut kept = Self::default();
        for pair in self.iter().filter(|pair| pair.0 & !(access as u8) == 0 && pair.1 & !(deny as u8) == 0) {
            kept.bits |= 1 << ((u16::from(pair.0) << 2) | u16::from(pair.1));
        }
        (kept.union() == (access as u8, deny as u8)).then_some(kept)
    }

    fn iter(self) -> impl Iterator<Item = (u8, u8)> {
        (0..16u8).filter(move |bit| self.bits >> bit & 1 == 1).map(|bit| (bit >> 2, bit & 3))
    }
}

/// How many opens and reservations of a file read, write, deny reading and deny writing: answers "is there a
/// conflict at all" without looking at each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShareCounts {
    access: [u32; 2],
    deny: [u32; 2],
}

impl ShareCounts {
    pub(crate) fn add(&mut self, held: (u8, u8)) {
        for bit in 0..2 {
            self.access[bit] += u32::from(held.0 >> bit & 1);
            self.deny[bit] += u32::from(held.1 >> bit & 1);
        }
    }

    pub(crate) fn remove(&mut self, held: (u8, u8)) {
        for bit in 0..2 {
            self.access[bit] -= u32::from(held.0 >> bit & 1);
            self.deny[bit] -= u32::from(held.1 >> bit & 1);
        }
    }

    /// The union of what all do and deny.
    pub(crate) fn union(&self) -> (u8, u8) {
        let union = |counts: &[u32; 2]| u8::from(counts[0] > 0) | u8::from(counts[1] > 0) << 1;
        (union(&self.access), union(&self.deny))
    }
}

/// Counts what has a share of a file among those that deny something, as long as it lives.
pub(crate) struct Denial {
    shared: Arc<Shared>,
}

impl Denial {
    /// The count of who holds this, if it denies anything.
    pub(crate) fn of(held: (u8, u8), shared: &Arc<Shared>) -> Option<Self> {
        (held.1 != 0).then(|| {
            shared.denials.fetch_add(1, Ordering::AcqRel);
            Self { shared: Arc::clone(shared) }
        })
    }
}

impl Drop for Denial {
    fn drop(&mut self) {
        self.shared.denials.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downgrade_goes_to_unions_of_what_was_opened_only() {
        use Access as A;
        use Deny as D;
        type Pair = (Access, Deny);
        let cases: &[(&[Pair], Pair, bool)] = &[
            (&[(A::Both, D::None)], (A::Read, D::None), false),
            (&[(A::Both, D::None)], (A::Both, D::None), true),
            (&[(A::Both, D::None), (A::Read, D::None)], (A::Read, D::None), true),
            (&[(A::Read, D::None), (A::Write, D::None)], (A::Write, D::None), true),
            (&[(A::Read, D::None), (A::Write, D::None)], (A::Both, D::None), true),
            (&[(A::Read, D::Write), (A::Write, D::None)], (A::Read, D::None), false),
            (&[(A::Read, D::Write), (A::Write, D::None)], (A::Read, D::Write), true),
            (&[(A::Read, D::Read), (A::Write, D::Write)], (A::Both, D::Both), true),
            (&[(A::Read, D::None)], (A::Both, D::None), false),
        ];
        for (opened, to, expected) in cases {
            let mut combinations = Combinations::default();
            opened.iter().for_each(|(access, deny)| combinations.add(*access, *deny));
            let left = combinations.downgrade(to.0, to.1);
            assert_eq!(left.is_some(), *expected, "{opened:?} to {to:?}");
            if let Some(left) = left {
                assert_eq!(left.union(), (to.0 as u8, to.1 as u8));
            }
        }
    }
}
