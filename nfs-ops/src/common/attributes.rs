//! Setting attributes, and who has to hear of it.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;
use state::FileKey;
use vfs::{SetAttributes, Vfs};

use super::open_file;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Place;
use crate::request::Request;

/// Words for all objects: many more than change their owner or mode at one time.
const WORDS: usize = 1024;

/// Says whether somebody may have been given or refused a right to an object since one last looked, on whatever core.
/// Objects that share a word only seem to change oftener than they do.
#[derive(Debug)]
pub struct Rights(Box<[AtomicU64]>);

impl Default for Rights {
    fn default() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Rights {
    /// To be read before permission is asked; while it stays the same the answer does.
    pub fn now(&self, file: &FileKey) -> u64 {
        self.word(file).load(Ordering::SeqCst)
    }

    fn changed(&self, file: &FileKey) {
        self.word(file).fetch_add(1, Ordering::SeqCst);
    }

    fn word(&self, file: &FileKey) -> &AtomicU64 {
        &self.0[FixedState::default().hash_one(file) as usize % WORDS]
    }
}

/// Sets attributes, a size through `file` where there is one.
///
/// # Errors
/// The storage's. Part of it may have been done even so.
pub async fn set<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    file: Option<&V::File>,
    wanted: &SetAttributes,
) -> Result<(), Failure> {
    let done = place.storage().set_attributes(&place.node, file, &place.identity, wanted).await;
    if wanted.mode.is_some() || wanted.uid.is_some() || wanted.gid.is_some() {
        request.server.shared.rights.changed(&open_file::key(place));
    }
    Ok(done?)
}
