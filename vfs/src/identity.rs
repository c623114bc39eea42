//! Who asks.

use std::sync::Arc;

/// The identity an operation runs with, after squashing: user, group and supplementary groups.
///
/// Cheap to clone and `Send`, because a call that may sleep runs on a helper thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity(Arc<Inner>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Inner {
    uid: u32,
    gid: u32,
    groups: Box<[u32]>,
}

impl Identity {
    /// An identity of `uid`, `gid` and the supplementary `groups` (sorted and without repeats inside).
    pub fn new(uid: u32, gid: u32, groups: &[u32]) -> Self {
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        groups.dedup();
        Self(Arc::new(Inner { uid, gid, groups: groups.into_boxed_slice() }))
    }

    /// The superuser, for work that is the server's own (resolving handles, reclaiming opens).
    pub fn root() -> Self {
        Self::new(0, 0, &[])
    }

    /// Whether it is the superuser's, as [`root`](Self::root) gives it.
    pub fn is_root(&self) -> bool {
        self.0.uid == 0 && self.0.gid == 0 && self.0.groups.is_empty()
    }

    /// The user id.
    pub fn uid(&self) -> u32 {
        self.0.uid
    }

    /// The primary group id.
    pub fn gid(&self) -> u32 {
        self.0.gid
    }

    /// The supplementary groups, sorted.
    pub fn groups(&self) -> &[u32] {
        &self.0.groups
    }

    /// Whether `gid` is the primary or a supplementary group.
    pub fn in_group(&self, gid: u32) -> bool {
        self.0.gid == gid || self.0.groups.binary_search(&gid).is_ok()
    }
}
