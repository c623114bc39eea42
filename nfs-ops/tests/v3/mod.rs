//! NFSv3 and MOUNT (RFC 1813): the second skin over the same work, and what the two protocols are to one another.

mod attributes;
mod both;
mod create;
mod data;
mod directories;
mod file_system;
mod handles;
mod mount;
mod names;
mod programs;
mod retransmission;

use wire::nfs3::{FileAttributes, FileHandle, WccAttributes, WccData};

use crate::support::World;
use crate::support::nfs3::Nfs3;

/// A world, and the superuser at the root of its export.
fn world() -> (World, Nfs3, FileHandle) {
    let world = World::new();
    let client = world.connection().nfs3();
    let root = client.root();
    (world, client, root)
}

impl Nfs3 {
    /// Attributes now.
    #[track_caller]
    fn attributes(&self, object: FileHandle) -> FileAttributes {
        self.getattr(object).ok()
    }

    /// Expects that the wcc_data tells how the directory was `before`, and how it is.
    #[track_caller]
    fn sees_all(&self, directory: FileHandle, before: FileAttributes, wcc: WccData) {
        assert_eq!(wcc.before, Some(WccAttributes::from(&before)));
        assert_eq!(wcc.after, Some(self.attributes(directory)));
    }

    /// Expects that the wcc_data tells how the object is, and nothing of how it was: who knows what else happened.
    #[track_caller]
    fn sees_after(&self, object: FileHandle, wcc: WccData) {
        assert_eq!(wcc, WccData { before: None, after: Some(self.attributes(object)) });
    }
}
