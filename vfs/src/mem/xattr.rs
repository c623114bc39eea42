//! Extended attributes of users.

use super::MemNode;
use super::inode::Inode;
use super::permission::{READ, STICKY, WRITE, check, owns};
use super::storage::Storage;
use crate::{DirectoryChange, Error, FileKind, Identity, Result, XattrSet};

/// Longest name in bytes: Linux's 255 less the prefix "user.".
const XATTR_NAME_BYTES_MAX: usize = 250;

/// Longest value in bytes, as on Linux.
const XATTR_VALUE_BYTES_MAX: usize = 65_536;

/// All names and values of one object together, in bytes: room for one of the longest values and some more.
const XATTR_TOTAL_BYTES_MAX: usize = 128 * 1024;

impl Storage {
    pub(super) fn get_xattr(&self, node: MemNode, identity: &Identity, name: &[u8]) -> Result<Vec<u8>> {
        let inode = self.get(node)?;
        check_xattr_name(name)?;
        check(inode, identity, READ)?;
        inode.xattrs.get(name).cloned().ok_or(Error::NoXattr)
    }

    pub(super) fn set_xattr(
        &mut self,
        node: MemNode,
        identity: &Identity,
        name: &[u8],
        value: &[u8],
        how: XattrSet,
    ) -> Result<DirectoryChange> {
        let inode = self.get(node)?;
        check_xattr_name(name)?;
        check_change(inode, identity)?;
        if value.len() > XATTR_VALUE_BYTES_MAX {
            return Err(Error::XattrTooLarge);
        }
        match (how, inode.xattrs.contains_key(name)) {
            (XattrSet::Create, true) => return Err(Error::Exists),
            (XattrSet::Replace, false) => return Err(Error::NoXattr),
            _ => {}
        }
        let others = inode.xattrs.iter().filter(|(other, _)| other.as_slice() != name);
        let used: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if used + name.len() + value.len() > XATTR_TOTAL_BYTES_MAX {
            return Err(Error::NoSpace);
        }
        let before = self.attributes(node.number);
        self.inode_mut(node.number).xattrs.insert(name.to_vec(), value.to_vec());
        self.touch(node.number);
        Ok(self.change_since(node.number, before))
    }

    pub(super) fn list_xattrs(&self, node: MemNode, identity: &Identity) -> Result<Vec<Vec<u8>>> {
        let inode = self.get(node)?;
        check(inode, identity, READ)?;
        Ok(inode.xattrs.keys().cloned().collect())
    }

    pub(super) fn remove_xattr(
        &mut self,
        node: MemNode,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange> {
        check_xattr_name(name)?;
        check_change(self.get(node)?, identity)?;
        let before = self.attributes(node.number);
        self.inode_mut(node.number).xattrs.remove(name).ok_or(Error::NoXattr)?;
        self.touch(node.number);
        Ok(self.change_since(node.number, before))
    }
}

fn check_xattr_name(name: &[u8]) -> Result<()> {
    if name.len() > XATTR_NAME_BYTES_MAX {
        return Err(Error::NameTooLong);
    }
    if name.is_empty() || name.contains(&0) { Err(Error::BadName) } else { Ok(()) }
}

/// Linux keeps these for files and directories only, and in sticky directories for owners only.
fn check_change(inode: &Inode, identity: &Identity) -> Result<()> {
    match inode.kind() {
        FileKind::Regular => {}
        FileKind::Directory if inode.mode & STICKY == 0 || owns(inode, identity) => {}
        _ => return Err(Error::NotPermitted),
    }
    check(inode, identity, WRITE)
}
