//! The exports of a server as one tree, in which a path leads from the root to any object, as in NFSv4.

use std::cell::{Cell, OnceCell, RefCell};

use wire::nfs3::FileHandle;

use super::Client;
use crate::{Error, Result};

/// A server's exports, mounted when a path leads into them.
pub struct Tree {
    client: Client,
    exports: OnceCell<Vec<String>>,
    /// Paths and handles.
    mounted: RefCell<Vec<(Vec<u8>, FileHandle)>>,
    read_max: Cell<u32>,
    write_max: Cell<u32>,
}

impl Tree {
    /// Nothing is mounted yet.
    pub fn new(client: Client) -> Self {
        let (exports, mounted) = (OnceCell::new(), RefCell::default());
        Self { client, exports, mounted, read_max: Cell::new(u32::MAX), write_max: Cell::new(u32::MAX) }
    }

    /// What the tree is reached with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Most bytes of a READ in all that was mounted so far (FSINFO).
    pub fn read_max(&self) -> u32 {
        self.read_max.get()
    }

    /// Most bytes of a WRITE.
    pub fn write_max(&self) -> u32 {
        self.write_max.get()
    }

    /// The handle of an object, by its path: the longest export on the way is mounted, and the rest looked up.
    ///
    /// # Errors
    /// [`Error::Mount`], which says what is exported, [`Error::Procedure`], and as [`Client::call`].
    pub async fn lookup(&self, path: impl AsRef<[u8]>) -> Result<FileHandle> {
        let names = names(path.as_ref());
        let (mut handle, mounted) = self.mount(&names).await?;
        for name in &names[mounted..] {
            handle = self.client.lookup(handle, name).await?;
        }
        Ok(handle)
    }

    /// Unmounts all that was mounted, and ends the connections.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn end(&self) -> Result<()> {
        let mounted = self.mounted.take();
        for (path, _) in mounted {
            self.client.unmount(&path).await?;
        }
        self.client.close();
        Ok(())
    }

    /// Mounts what a path leads into: a handle, and how many names lead to it. A server that does not tell which its exports
    /// are is asked for the whole path, then for what it is in, and so on.
    async fn mount(&self, path: &[&[u8]]) -> Result<(FileHandle, usize)> {
        let exports = self.exports().await;
        let leading =
            exports.iter().map(|export| names(export.as_bytes())).filter(|export| path.starts_with(export));
        let candidates = match leading.map(|export| export.len()).max() {
            Some(length) => length..=length,
            None => 0..=path.len(),
        };
        let mut refused = None;
        for length in candidates.rev() {
            match self.mount_at([b"/", &path[..length].join(&b'/')[..]].concat()).await {
                Ok(handle) => return Ok((handle, length)),
                Err(Error::Mount { path, status, .. }) => {
                    refused.get_or_insert(Error::Mount { path, status, exports: exports.clone() });
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.expect("one was tried"))
    }

    async fn mount_at(&self, path: Vec<u8>) -> Result<FileHandle> {
        let known = self.mounted.borrow().iter().find(|(known, _)| *known == path).map(|(_, handle)| *handle);
        if let Some(handle) = known {
            return Ok(handle);
        }
        let handle = self.client.mount(&path).await?;
        self.mounted.borrow_mut().push((path, handle));
        let info = self.client.file_system_info(handle).await?;
        self.read_max.update(|max| max.min(info.read_max));
        self.write_max.update(|max| max.min(info.write_max));
        Ok(handle)
    }

    /// What is exported, as far as the server tells.
    async fn exports(&self) -> &Vec<String> {
        if let Some(known) = self.exports.get() {
            return known;
        }
        let exports = self.client.exports().await.unwrap_or_default();
        self.exports.get_or_init(|| exports.into_iter().map(|export| export.directory).collect())
    }
}

fn names(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect()
}
