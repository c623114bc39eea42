//! The objects of open files: what may be named by a handle after its last name has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfs::NodeHandle;

use crate::object::Object;

/// The objects of an export's open files, with the number of files open on each. As many as there are opens,
/// which the state that holds them bounds. Touched when files are opened and closed, and by handles that no
/// cache knows.
#[derive(Debug, Default)]
pub struct OpenFiles {
    by_handle: Mutex<HashMap<NodeHandle, (Arc<Object>, usize)>>,
}

impl OpenFiles {
    /// Notes a file opened on `object`.
    pub fn add(&self, object: &Arc<Object>) {
        self.all().entry(*object.handle()).or_insert_with(|| (Arc::clone(object), 0)).1 += 1;
    }

    /// Notes that one was closed; answers what was kept for it, if it was the last.
    pub fn remove(&self, handle: &NodeHandle) -> Option<Arc<Object>> {
        let mut all = self.all();
        let (_, count) = all.get_mut(handle)?;
        *count -= 1;
        if *count > 0 {
            return None;
        }
        all.remove(handle).map(|(object, _)| object)
    }

    /// The object of this name, if a file is open on it.
    pub fn get(&self, handle: &NodeHandle) -> Option<Arc<Object>> {
        self.all().get(handle).map(|(object, _)| Arc::clone(object))
    }

    fn all(&self) -> MutexGuard<'_, HashMap<NodeHandle, (Arc<Object>, usize)>> {
        self.by_handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
