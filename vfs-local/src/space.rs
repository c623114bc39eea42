//! Space left.

use std::sync::Arc;

use rustix::fs::fstatvfs;
use vfs::{Result, Space};

use crate::local::{Local, Node};
use crate::sys::errno::error;

impl Local {
    /// Space on the file system of `node`, for anybody who has no share in what is reserved.
    pub(crate) async fn space_at(&self, node: &Node) -> Result<Space> {
        let object = Arc::clone(&node.0);
        self.on_helper(move |storage| {
            storage.closes().wait();
            let found = fstatvfs(&*object).map_err(error)?;
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            Ok(Space {
                total_bytes: bytes(found.f_blocks),
                free_bytes: bytes(found.f_bfree),
                available_bytes: bytes(found.f_bavail),
                total_files: found.f_files,
                free_files: found.f_ffree,
                available_files: found.f_favail,
            })
        })
        .await
    }
}
