//! One object and everything kept with it.

use std::collections::BTreeMap;

use super::MemNode;
use super::content::Content;
use super::directory::Directory;
use crate::{Attributes, FileKind, Fsid, Time};

/// Number of an object. Numbers are used again; with the generation they name one object for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Number(pub(super) u64);

/// The root directory's number.
pub(super) const ROOT: Number = Number(1);

#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) number: Number,
    pub(super) generation: u64,
    pub(super) body: Body,
    /// 12 bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    /// Open files of this object.
    pub(super) opens: usize,
    pub(super) accessed: Time,
    pub(super) modified: Time,
    pub(super) changed: Time,
    pub(super) created: Time,
    pub(super) change: u64,
    /// Of the exclusive create that made it.
    pub(super) verifier: Option<[u8; 8]>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Regular(Content),
    Directory(Directory),
    Symlink(Vec<u8>),
    /// Kind and device numbers of what has no contents here.
    Special(FileKind, (u32, u32)),
}

impl Inode {
    pub(super) fn node(&self) -> MemNode {
        MemNode { number: self.number, generation: self.generation }
    }

    pub(super) fn kind(&self) -> FileKind {
        match &self.body {
            Body::Regular(_) => FileKind::Regular,
            Body::Directory(_) => FileKind::Directory,
            Body::Symlink(_) => FileKind::Symlink,
            Body::Special(kind, _) => *kind,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    pub(super) fn content(&self) -> Option<&Content> {
        match &self.body {
            Body::Regular(content) => Some(content),
            _ => None,
        }
    }

    /// Bytes of storage the contents take.
    pub(super) fn used_bytes(&self) -> u64 {
        self.content().map_or(0, Content::used_bytes)
    }

    pub(super) fn attributes(&self, fsid: Fsid) -> Attributes {
        let size_bytes = match &self.body {
            Body::Regular(content) => content.size(),
            Body::Directory(directory) => directory.len() as u64,
            Body::Symlink(text) => text.len() as u64,
            Body::Special(..) => 0,
        };
        let device = if let Body::Special(_, device) = self.body { device } else { (0, 0) };
        Attributes {
            kind: self.kind(),
            mode: self.mode,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            device,
            size_bytes,
            used_bytes: self.used_bytes(),
            fsid,
            fileid: self.number.0,
            mounted_on_fileid: self.number.0,
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
            created: Some(self.created),
            change: self.change,
        }
    }
}
