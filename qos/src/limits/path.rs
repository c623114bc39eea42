//! The entities that a request is charged to, found once and kept where requests come from.

use std::num::NonZeroU32;

use super::limit::{Entity, Tier};

/// The most entities that one request is charged to.
pub const PATH_ENTITIES_MAX: usize = 8;

/// The most leaves that a path starts from: a client, its groups, and a set of files.
pub const PATH_LEAVES_MAX: usize = 4;

/// The weight of a path on which nothing has one.
pub const WEIGHT_DEFAULT: NonZeroU32 = NonZeroU32::new(100).expect("a hundred is not zero");

/// All entities that a request is charged to, leaves first, as places in the table.
///
/// Whoever has requests to charge keeps their path, so that none looks entities up. When entities come or go the path finds
/// its places again with the next request.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    leaves: [Entity; PATH_LEAVES_MAX],
    leaves_len: u8,
    places_len: u8,
    places: [u32; PATH_ENTITIES_MAX + 1],
    /// The state of the table that the places are from.
    pub(super) structure: u64,
    pub(super) weight: NonZeroU32,
    /// Whether something is reserved for the tenant.
    pub(super) is_reserved: bool,
    /// The place of the first leaf, where that has one.
    pub(super) own: Option<u32>,
    /// Whether it ends at what all compete for though it has no limit.
    pub(super) is_paced: bool,
    /// The place of the entity whose share it is, where there is one.
    pub(super) tenant: Option<u32>,
    pub(super) tier: Tier,
}

impl Path {
    /// A path from `leaves` (the most particular first) up, of which nothing is known yet. Leaves beyond
    /// [`PATH_LEAVES_MAX`] are not charged.
    pub fn new(leaves: &[Entity]) -> Self {
        let len = leaves.len().min(PATH_LEAVES_MAX);
        let mut path = Self::none();
        path.leaves[..len].copy_from_slice(&leaves[..len]);
        path.leaves_len = len as u8;
        path
    }

    /// The path of what is charged to nobody.
    pub const fn none() -> Self {
        Self {
            leaves: [Entity(0); PATH_LEAVES_MAX],
            leaves_len: 0,
            places_len: 0,
            places: [0; PATH_ENTITIES_MAX + 1],
            structure: 0,
            weight: WEIGHT_DEFAULT,
            is_reserved: false,
            own: None,
            is_paced: false,
            tenant: None,
            tier: Tier::Normal,
        }
    }

    /// What it starts from.
    pub fn leaves(&self) -> &[Entity] {
        &self.leaves[..usize::from(self.leaves_len)]
    }

    /// The places in the table, leaves first.
    pub(super) fn places(&self) -> &[u32] {
        &self.places[..usize::from(self.places_len)]
    }

    /// Adds a place, once. Answers whether there was room.
    pub(super) fn add(&mut self, place: u32) -> bool {
        let len = usize::from(self.places_len);
        if self.places().contains(&place) {
            return true;
        }
        if len == PATH_ENTITIES_MAX {
            return false;
        }
        self.places[len] = place;
        self.places_len += 1;
        true
    }

    /// Adds the place of what all compete for, for which there is always room.
    pub(super) fn end_at(&mut self, place: u32) {
        self.places[usize::from(self.places_len)] = place;
        self.places_len += 1;
        self.is_paced = true;
    }
}
