//! Who may do what, by mode bits, as POSIX and Linux have it.

use super::inode::Inode;
use crate::{Access, Error, FileKind, Identity, Result};

/// Set user id on execution.
pub(super) const SETUID: u32 = 0o4000;
/// Set group id on execution; on a directory: new objects get its group.
pub(super) const SETGID: u32 = 0o2000;
/// On a directory: only owners remove names.
pub(super) const STICKY: u32 = 0o1000;
/// All bits of a mode.
pub(super) const MODE_BITS: u32 = 0o7777;

const GROUP_EXECUTE: u32 = 0o010;
const ANY_EXECUTE: u32 = 0o111;

/// Ask for reading.
pub(super) const READ: Access = Access { read: true, write: false, execute: false };
/// Ask for writing.
pub(super) const WRITE: Access = Access { read: false, write: true, execute: false };
/// Ask for looking up names.
pub(super) const SEARCH: Access = Access { read: false, write: false, execute: true };

pub(super) fn is_root(identity: &Identity) -> bool {
    identity.uid() == 0
}

/// What `identity` may do with `inode`. The superuser may everything but execute what nobody may.
pub(super) fn granted(inode: &Inode, identity: &Identity) -> Access {
    if is_root(identity) {
        let execute = inode.is_directory() || inode.mode & ANY_EXECUTE != 0;
        return Access { read: true, write: true, execute };
    }
    // The first class that fits decides, even where a later one would grant more.
    let bits = if identity.uid() == inode.uid {
        inode.mode >> 6
    } else if identity.in_group(inode.gid) {
        inode.mode >> 3
    } else {
        inode.mode
    };
    Access { read: bits & 4 != 0, write: bits & 2 != 0, execute: bits & 1 != 0 }
}

pub(super) fn check(inode: &Inode, identity: &Identity, wanted: Access) -> Result<()> {
    let granted = granted(inode, identity);
    let lacks = (wanted.read && !granted.read)
        || (wanted.write && !granted.write)
        || (wanted.execute && !granted.execute);
    if lacks { Err(Error::AccessDenied) } else { Ok(()) }
}

/// Whether `identity` counts as the owner of `inode`.
pub(super) fn owns(inode: &Inode, identity: &Identity) -> bool {
    is_root(identity) || identity.uid() == inode.uid
}

/// Checks the sticky bit of `directory` for the removal of its entry `inode`.
pub(super) fn check_sticky(directory: &Inode, inode: &Inode, identity: &Identity) -> Result<()> {
    let protects = directory.mode & STICKY != 0;
    if protects && !owns(directory, identity) && !owns(inode, identity) {
        return Err(Error::NotPermitted);
    }
    Ok(())
}

/// The mode after somebody changed the contents: a program that anybody rewrote must not run as its owner.
/// Setgid without group execution is no danger and stays, but for those outside the group.
pub(super) fn mode_after_write(inode: &Inode, identity: &Identity) -> u32 {
    if is_root(identity) || inode.kind() != FileKind::Regular {
        return inode.mode;
    }
    without_set_bits(inode.mode, identity.in_group(inode.gid))
}

/// The mode after the owner or group changed: even by the superuser.
pub(super) fn mode_after_chown(inode: &Inode, identity: &Identity) -> u32 {
    if inode.is_directory() {
        return inode.mode;
    }
    without_set_bits(inode.mode, is_root(identity) || identity.in_group(inode.gid))
}

/// The mode that `identity` gets when asking for `mode` on an object of group `gid`: setgid is for members.
pub(super) fn mode_allowed(mode: u32, gid: u32, identity: &Identity) -> u32 {
    let member = is_root(identity) || identity.in_group(gid);
    mode & MODE_BITS & if member { MODE_BITS } else { !SETGID }
}

fn without_set_bits(mode: u32, in_group: bool) -> u32 {
    let keeps_setgid = mode & GROUP_EXECUTE == 0 && in_group;
    mode & !SETUID & if keeps_setgid { MODE_BITS } else { !SETGID }
}
