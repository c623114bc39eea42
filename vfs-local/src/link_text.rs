//! The text of symbolic links.

use std::sync::Arc;

use rustix::fs::readlinkat;
use rustix::io::Errno;
use vfs::{Error, FileKind, Result};

use crate::local::{Local, Node};
use crate::sys::errno::error;

impl Local {
    /// The text of the symbolic link `node`. Links have no permissions of their own, so nobody is asked who he is.
    pub(crate) async fn link_text(&self, node: &Node) -> Result<Vec<u8>> {
        if node.0.kind() != FileKind::Symlink {
            return Err(Error::WrongType);
        }
        let object = Arc::clone(&node.0);
        // A long text may have to be read from the disk.
        self.on_helper(move |_| match readlinkat(&*object, "", Vec::new()) {
            Ok(text) => Ok(text.into_bytes()),
            Err(Errno::NOENT) => Err(Error::Stale),
            Err(errno) => Err(error(errno)),
        })
        .await
    }
}
