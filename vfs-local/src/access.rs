//! What the caller may do, as the kernel says.

use std::sync::Arc;

use vfs::{Access, Identity, Result};

use crate::identity::as_identity;
use crate::local::{Local, Node};
use crate::object::Object;
use crate::sys::errno::error;
use crate::sys::permission;

impl Local {
    /// Which of `wanted` the caller has.
    pub(crate) async fn allowed(&self, node: &Node, identity: &Identity, wanted: Access) -> Result<Access> {
        if node.0.permissions_cached() {
            return check(&node.0, identity, wanted);
        }
        // The first time the kernel may have to read an ACL from the disk.
        let (object, identity) = (Arc::clone(&node.0), identity.clone());
        self.on_helper(move |_| {
            let granted = check(&object, &identity, wanted)?;
            object.note_permissions_cached();
            Ok(granted)
        })
        .await
    }
}

fn check(object: &Object, identity: &Identity, wanted: Access) -> Result<Access> {
    let bits = [(wanted.read, libc::R_OK), (wanted.write, libc::W_OK), (wanted.execute, libc::X_OK)];
    let all = bits.iter().filter(|(asked, _)| *asked).fold(0, |all, (_, bit)| all | bit);
    as_identity(identity, || {
        let allowed = |bit| permission::allowed(object, bit).map_err(error);
        // Mostly all is granted, and one question will do.
        if all == 0 || allowed(all)? {
            return Ok(wanted);
        }
        Ok(Access {
            read: wanted.read && allowed(libc::R_OK)?,
            write: wanted.write && allowed(libc::W_OK)?,
            execute: wanted.execute && allowed(libc::X_OK)?,
        })
    })
}
