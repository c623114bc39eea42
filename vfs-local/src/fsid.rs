//! What tells file systems apart, over restarts too.

use std::os::fd::AsFd;

use vfs::Fsid;

use crate::sys::uuid;

/// Kinds of file systems (statfs `f_type`) whose `f_fsid` comes from their UUID: ext2/3/4, btrfs.
const TYPES_WITH_STABLE_FSID: [u64; 2] = [0xef53, 0x9123_683e];

const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0000_0100_0000_01b3;

/// What a file system is by itself: its UUID where it tells, else what else is stable about it.
pub fn own_identity(root: impl AsFd, kind: u64, statfs_fsid: u64) -> Vec<u8> {
    if let Some(uuid) = uuid::of(&root) {
        return [&b"uuid"[..], &uuid].concat();
    }
    if statfs_fsid != 0 && TYPES_WITH_STABLE_FSID.contains(&kind) {
        return [&b"fsid"[..], &kind.to_be_bytes(), &statfs_fsid.to_be_bytes()].concat();
    }
    // Nothing stable: the place where it is mounted must do. tmpfs, and xfs before kernel 6.9.
    [&b"kind"[..], &kind.to_be_bytes()].concat()
}

/// The fsid of a file system mounted at `path` (relative to the export's root) in the export. The place counts
/// even where there is a UUID: copies of one file system may be mounted side by side.
pub fn fsid(export_id: u32, own_identity: &[u8], path: &[u8]) -> Fsid {
    let key = [&export_id.to_be_bytes()[..], own_identity, &[0], path].concat();
    Fsid { major: hash(HASH_START, &key), minor: hash(HASH_START.rotate_left(17), &key) }
}

/// The number of such a file system within handles. Never 0.
pub fn mount_number(own_identity: &[u8], path: &[u8]) -> u32 {
    let key = [own_identity, &[0], path].concat();
    (hash(HASH_START, &key) as u32).max(1)
}

/// FNV-1a, finished so that all bits depend on all bytes. Fixed for all times: handles contain it.
fn hash(start: u64, bytes: &[u8]) -> u64 {
    let mut state = start;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(HASH_PRIME);
    }
    state ^= state >> 33;
    state = state.wrapping_mul(0xff51_afd7_ed55_8ccd);
    state ^ (state >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_export_and_identity_all_count() {
        let base = fsid(1, b"a", b"");
        assert_eq!(base, fsid(1, b"a", b""));
        for other in [fsid(2, b"a", b""), fsid(1, b"b", b""), fsid(1, b"a", b"x")] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn numbers_in_handles_stay_what_they_were() {
        assert_eq!(mount_number(b"uuid0123456789abcdef", b""), mount_number(b"uuid0123456789abcdef", b""));
        assert_ne!(mount_number(b"uuid0123456789abcdef", b""), 0);
    }
}
