//! Setting attributes: everything is checked before anything changes.

use super::MemNode;
use super::inode::{Inode, Number};
use super::permission::{
    self, MODE_BITS, WRITE, check, is_root, mode_after_chown, mode_after_write, mode_allowed, owns,
};
use super::storage::Storage;
use crate::{Error, FileKind, Identity, Result, SetAttributes, SetTime, Time};

/// Longest file in bytes, as on Linux.
pub(super) const FILE_BYTES_MAX: u64 = i64::MAX as u64;

impl Storage {
    /// `may_truncate`: the caller holds the object open for writing.
    pub(super) fn set_attributes(
        &mut self,
        node: MemNode,
        may_truncate: bool,
        identity: &Identity,
        set: &SetAttributes,
    ) -> Result<()> {
        let inode = self.get(node)?;
        if set.is_empty() {
            return Ok(());
        }
        let owner = owner_after(inode, identity, set)?;
        let mode = mode_after(inode, identity, set, owner)?;
        check_times(inode, identity, set)?;
        if let Some(size) = set.size_bytes {
            self.check_size(inode, may_truncate, identity, size)?;
        }
        if owner.0 != inode.uid {
            self.check_room(owner.0, inode.used_bytes())?;
        }
        self.apply(node.number, mode, owner, set);
        Ok(())
    }

    /// Sets what was checked.
    pub(super) fn apply(&mut self, number: Number, mode: u32, owner: (u32, u32), set: &SetAttributes) {
        match set.size_bytes {
            Some(size) => {
                self.touch_contents(number);
                // A new size is durable when it is answered, and what was cut off must not come back.
                self.edit(number, |content| {
                    content.set_size(size);
                    content.make_stable();
                });
            }
            None => self.touch(number),
        }
        let used = self.inode(number).used_bytes();
        self.usage.give_back(self.inode(number).uid, used);
        self.usage.take(owner.0, used);
        let now = self.time;
        let inode = self.inode_mut(number);
        (inode.mode, inode.uid, inode.gid) = (mode, owner.0, owner.1);
        inode.accessed = time_after(inode.accessed, set.accessed, now);
        inode.modified = time_after(inode.modified, set.modified, now);
    }

    fn check_size(&self, inode: &Inode, may_truncate: bool, identity: &Identity, size: u64) -> Result<()> {
        match inode.kind() {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Error::IsDirectory),
            _ => return Err(Error::Invalid),
        }
        if !may_truncate {
            check(inode, identity, WRITE)?;
        }
        if size > FILE_BYTES_MAX { Err(Error::TooLarge) } else { Ok(()) }
    }
}

/// Owner and group after the change. Only the superuser gives objects away; owners choose among their groups.
pub(super) fn owner_after(inode: &Inode, identity: &Identity, set: &SetAttributes) -> Result<(u32, u32)> {
    let (uid, gid) = (set.uid.unwrap_or(inode.uid), set.gid.unwrap_or(inode.gid));
    if (set.uid.is_none() && set.gid.is_none()) || is_root(identity) {
        return Ok((uid, gid));
    }
    let group_is_mine = gid == inode.gid || identity.in_group(gid);
    if owns(inode, identity) && uid == inode.uid && group_is_mine {
        return Ok((uid, gid));
    }
    Err(Error::NotPermitted)
}

/// The mode after the change: what is asked for, else what a new owner or size leaves of it.
fn mode_after(inode: &Inode, identity: &Identity, set: &SetAttributes, owner: (u32, u32)) -> Result<u32> {
    if let Some(mode) = set.mode {
        if !owns(inode, identity) {
            return Err(Error::NotPermitted);
        }
        if inode.kind() == FileKind::Symlink {
            return Err(Error::NotSupported);
        }
        return Ok(mode_allowed(mode, owner.1, identity));
    }
    let mut mode = inode.mode;
    if set.uid.is_some() || set.gid.is_some() {
        mode &= mode_after_chown(inode, identity);
    }
    if set.size_bytes.is_some() {
        mode &= mode_after_write(inode, identity);
    }
    Ok(mode)
}

/// Owners set any time; whoever may write sets the server's.
fn check_times(inode: &Inode, identity: &Identity, set: &SetAttributes) -> Result<()> {
    let times = [set.accessed, set.modified];
    if owns(inode, identity) || times == [None, None] {
        return Ok(());
    }
    if times.iter().any(|time| matches!(time, Some(SetTime::To(_)))) {
        return Err(Error::NotPermitted);
    }
    check(inode, identity, WRITE)
}

fn time_after(current: Time, set: Option<SetTime>, now: Time) -> Time {
    match set {
        None => current,
        Some(SetTime::Now) => now,
        Some(SetTime::To(time)) => time,
    }
}

/// Mode, owner and group of a new object in `directory`.
pub(super) fn initial(
    directory: &Inode,
    identity: &Identity,
    is_directory: bool,
    default_mode: u32,
    set: &SetAttributes,
) -> Result<(u32, (u32, u32))> {
    let inherits_group = directory.mode & permission::SETGID != 0;
    let own_gid = if inherits_group { directory.gid } else { identity.gid() };
    let (uid, gid) = (set.uid.unwrap_or(identity.uid()), set.gid.unwrap_or(own_gid));
    let may_give = is_root(identity) || (uid == identity.uid() && (gid == own_gid || identity.in_group(gid)));
    if !may_give {
        return Err(Error::NotPermitted);
    }
    let asked = set.mode.unwrap_or(default_mode) & MODE_BITS & !set.umask.unwrap_or(0);
    let mut mode = mode_allowed(asked, gid, identity);
    if inherits_group && is_directory {
        mode |= permission::SETGID;
    }
    Ok((mode, (uid, gid)))
}
