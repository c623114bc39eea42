//! The entries of one directory.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::inode::Number;

/// Below this no cookie is given: 0 asks for the start, and NFS reserves 1 and 2.
const FIRST_COOKIE: u64 = 3;

#[derive(Clone, Copy, Debug)]
struct Entry {
    cookie: u64,
    number: Number,
}

/// Entries have cookies in the order in which they came and keep them, so a reader that goes on behind a
/// cookie misses nothing that stayed and sees nothing twice, whatever else came and went.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) parent: Number,
    entries: BTreeMap<Vec<u8>, Entry>,
    names: BTreeMap<u64, Vec<u8>>,
    next_cookie: u64,
}

impl Directory {
    pub(super) fn new(parent: Number) -> Self {
        Self { parent, entries: BTreeMap::new(), names: BTreeMap::new(), next_cookie: FIRST_COOKIE }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Number> {
        self.entries.get(name).map(|entry| entry.number)
    }

    /// A name of the object.
    pub(super) fn name_of(&self, number: Number) -> Option<&[u8]> {
        let mut entries = self.entries.iter();
        entries.find(|(_, entry)| entry.number == number).map(|(name, _)| &name[..])
    }

    /// Adds a name that is not there.
    pub(super) fn add(&mut self, name: &[u8], number: Number) {
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        self.names.insert(cookie, name.to_vec());
        let replaced = self.entries.insert(name.to_vec(), Entry { cookie, number });
        assert!(replaced.is_none(), "a name stands for one object");
    }

    /// Removes a name that is there.
    pub(super) fn remove(&mut self, name: &[u8]) -> Number {
        let entry = self.entries.remove(name).expect("the name was looked up before");
        self.names.remove(&entry.cookie);
        entry.number
    }

    /// Cookie, name and object of the entries behind `cookie`.
    pub(super) fn behind(&self, cookie: u64) -> impl Iterator<Item = (u64, &[u8], Number)> {
        let range = (Bound::Excluded(cookie), Bound::Unbounded);
        self.names.range(range).map(|(cookie, name)| (*cookie, &name[..], self.entries[name].number))
    }
}
