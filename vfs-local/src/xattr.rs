//! Extended attributes of users.

use std::ffi::CString;
use std::sync::Arc;

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;
use vfs::{DirectoryChange, Error, Identity, Result, XattrSet};

use crate::changing::Changing;
use crate::identity::as_identity;
use crate::local::{Local, Node};
use crate::object::Object;
use crate::procfs;
use crate::sys::errno::error;
use crate::sys::permission;

/// Linux keeps no larger value, and no longer list of names (xattr(7)).
const BYTES_MAX: usize = 64 * 1024;

/// The longest name with its prefix (XATTR_NAME_MAX).
const NAME_BYTES_MAX: usize = 255;

/// The attributes that users see are those of this name space (RFC 8276 §6).
const PREFIX: &[u8] = b"user.";

impl Local {
    /// The value of one.
    pub(crate) async fn xattr(&self, node: &Node, identity: &Identity, name: &[u8]) -> Result<Vec<u8>> {
        let (name, object, identity) = (full_name(name)?, Arc::clone(&node.0), identity.clone());
        self.on_helper(move |_| {
            as_identity(&identity, || {
                let mut value = vec![0; BYTES_MAX];
                let length = getxattr(&*procfs::path(&*object), &*name, &mut value[..]).map_err(error)?;
                value.truncate(length);
                Ok(value)
            })
        })
        .await
    }

    /// Their names, sorted.
    pub(crate) async fn xattr_names(&self, node: &Node, identity: &Identity) -> Result<Vec<Vec<u8>>> {
        let (object, identity) = (Arc::clone(&node.0), identity.clone());
        self.on_helper(move |_| {
            let mut list = vec![0u8; BYTES_MAX];
            let length = as_identity(&identity, || {
                // The kernel lets everybody list who has found the way to the object, which a handle is not.
                if !permission::allowed(&*object, libc::R_OK).map_err(error)? {
                    return Err(Error::AccessDenied);
                }
                listxattr(&*procfs::path(&*object), &mut list[..]).map_err(error)
            })?;
            let names = list[..length].split(|byte| *byte == 0);
            let mut names: Vec<_> =
                names.filter_map(|name| name.strip_prefix(PREFIX)).map(<[u8]>::to_vec).collect();
            names.sort_unstable();
            Ok(names)
        })
        .await
    }

    /// Sets one.
    pub(crate) async fn put_xattr(
        &self,
        node: &Node,
        identity: &Identity,
        name: &[u8],
        value: &[u8],
        how: XattrSet,
    ) -> Result<DirectoryChange> {
        if value.len() > BYTES_MAX {
            return Err(Error::XattrTooLarge);
        }
        let flags = match how {
            XattrSet::Either => XattrFlags::empty(),
            XattrSet::Create => XattrFlags::CREATE,
            XattrSet::Replace => XattrFlags::REPLACE,
        };
        let (name, value) = (full_name(name)?, value.to_vec());
        self.change_xattr(node, identity, move |object| {
            setxattr(&*procfs::path(object), &*name, &value, flags)
        })
        .await
    }

    /// Removes one.
    pub(crate) async fn drop_xattr(
        &self,
        node: &Node,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange> {
        let name = full_name(name)?;
        self.change_xattr(node, identity, move |object| removexattr(&*procfs::path(object), &*name)).await
    }

    async fn change_xattr(
        &self,
        node: &Node,
        identity: &Identity,
        work: impl FnOnce(&Object) -> std::result::Result<(), Errno> + Send + 'static,
    ) -> Result<DirectoryChange> {
        let (object, identity) = (Arc::clone(&node.0), identity.clone());
        self.on_helper(move |_| {
            let changing = Changing::begin(&object)?;
            as_identity(&identity, || work(&object).map_err(error))?;
            // Writes to a file take no note of themselves.
            Ok(DirectoryChange { atomic: false, ..changing.end_durably()? })
        })
        .await
    }
}

fn full_name(name: &[u8]) -> Result<CString> {
    if name.is_empty() {
        return Err(Error::Invalid);
    }
    if PREFIX.len() + name.len() > NAME_BYTES_MAX {
        return Err(Error::NameTooLong);
    }
    CString::new([PREFIX, name].concat()).map_err(|_| Error::Invalid)
}
