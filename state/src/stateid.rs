//! How stateids and client ids are made, so that each names its table and foreign ones are recognised.

use wire::nfs4::{ClientId, Stateid, Status};

use crate::stripes::{STRIPE_BITS, STRIPES};

const EPOCH_BITS: u32 = 24;
const EPOCH_MASK: u32 = (1 << EPOCH_BITS) - 1;
const CLIENT_COUNTER_BITS: u32 = u64::BITS - EPOCH_BITS - STRIPE_BITS;

/// What kind of state a stateid names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateKind {
    Open,
    Lock,
}

/// The server's own reading of `stateid4.other` (RFC 8881 §8.2.4): epoch (24 bits), kind (2), stripe (6) and
/// a counter (64) that is never used twice in a stripe and epoch. The kind is never 0 nor 3, so the result is
/// never one of the special stateids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateName {
    pub(crate) kind: StateKind,
    pub(crate) stripe: usize,
    pub(crate) counter: u64,
}

impl StateName {
    pub(crate) fn to_other(self, epoch: u32) -> [u8; 12] {
        let kind: u8 = match self.kind {
            StateKind::Open => 1,
            StateKind::Lock => 2,
        };
        let mut other = [0; 12];
        other[..4].copy_from_slice(&((epoch & EPOCH_MASK) << 8).to_be_bytes());
        other[3] = (kind << STRIPE_BITS) | self.stripe as u8;
        other[4..].copy_from_slice(&self.counter.to_be_bytes());
        other
    }

    pub(crate) fn to_stateid(self, epoch: u32, seqid: u32) -> Stateid {
        Stateid { seqid, other: self.to_other(epoch) }
    }

    /// Reads a stateid of this epoch.
    ///
    /// # Errors
    ///
    /// NFS4ERR_BAD_STATEID for special stateids and those that this instance cannot have made; after a restart
    /// the session is gone too, so STALE_STATEID has no use in 4.1 (RFC 8881 §8.2.4).
    pub(crate) fn parse(stateid: &Stateid, epoch: u32) -> Result<Self, Status> {
        let other = &stateid.other;
        let kind = match other[3] >> STRIPE_BITS {
            1 => StateKind::Open,
            2 => StateKind::Lock,
            _ => return Err(Status::BadStateid),
        };
        let theirs = u32::from_be_bytes([0, other[0], other[1], other[2]]);
        if stateid.is_special() || theirs != epoch & EPOCH_MASK {
            return Err(Status::BadStateid);
        }
        let mut counter = [0; 8];
        counter.copy_from_slice(&other[4..]);
        let stripe = usize::from(other[3]) % STRIPES;
        Ok(Self { kind, stripe, counter: u64::from_be_bytes(counter) })
    }
}

/// Compares the seqid of a client's stateid with the current one.
///
/// # Errors
///
/// NFS4ERR_OLD_STATEID, or NFS4ERR_BAD_STATEID for one from the future (RFC 8881 §8.2.2 and §8.2.4: the seqid
/// wraps around and skips 0).
pub(crate) fn check_seqid(theirs: u32, current: u32) -> Result<(), Status> {
    if theirs == 0 || theirs == current {
        return Ok(());
    }
    // Less than half the circle behind is old, else from the future.
    if current.wrapping_sub(theirs) < 1 << 31 { Err(Status::OldStateid) } else { Err(Status::BadStateid) }
}

/// The seqid that follows; 0 is skipped, for it means "the newest".
pub(crate) fn next_seqid(seqid: u32) -> u32 {
    seqid.wrapping_add(1).max(1)
}

/// A client id: epoch (24 bits), counter (34), stripe (6).
pub(crate) fn client_id(epoch: u32, counter: u64, stripe: usize) -> ClientId {
    debug_assert!(counter >> CLIENT_COUNTER_BITS == 0, "34 bits outlast any process");
    let epoch = u64::from(epoch & EPOCH_MASK) << (u64::BITS - EPOCH_BITS);
    ClientId(epoch | (counter << STRIPE_BITS) | stripe as u64)
}

/// The stripe in which a client with this id would be.
pub(crate) fn client_stripe(client: ClientId) -> usize {
    client.0 as usize % STRIPES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stateids_round_trip_and_foreign_ones_are_bad() {
        for kind in [StateKind::Open, StateKind::Lock] {
            for (stripe, counter) in [(0, 0), (63, u64::MAX), (17, 5)] {
                let name = StateName { kind, stripe, counter };
                let stateid = name.to_stateid(0x0123_4567, 3);
                assert!(!stateid.is_special());
                assert_eq!(StateName::parse(&stateid, 0x0123_4567), Ok(name));
                assert_eq!(StateName::parse(&stateid, 0x0123_4568), Err(Status::BadStateid));
            }
        }
        for special in [Stateid::ANONYMOUS, Stateid::BYPASS, Stateid::CURRENT, Stateid::INVALID] {
            assert_eq!(StateName::parse(&special, 0), Err(Status::BadStateid));
        }
    }

    #[test]
    fn seqids_are_old_current_or_from_the_future() {
        let cases = [
            (0, 7, Ok(())),
            (7, 7, Ok(())),
            (6, 7, Err(Status::OldStateid)),
            (8, 7, Err(Status::BadStateid)),
            (u32::MAX, 1, Err(Status::OldStateid)),
            (1, u32::MAX, Err(Status::BadStateid)),
        ];
        for (theirs, current, expected) in cases {
            assert_eq!(check_seqid(theirs, current), expected, "{theirs} against {current}");
        }
        assert_eq!(next_seqid(u32::MAX), 1);
    }

    #[test]
    fn client_ids_name_their_stripe() {
        for stripe in [0, 1, 63] {
            assert_eq!(client_stripe(client_id(9, 12345, stripe)), stripe);
        }
    }
}
