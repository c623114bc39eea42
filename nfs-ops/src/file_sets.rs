//! File sets: directories with all below them that can have a limit of their own.
//!
//! An object belongs to the set in whose directory it is found. The sets of a server are shared by its cores; a core
//! remembers what set an object is in until a set comes or goes, or something is moved from one into another.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::handle::ExportId;

/// Bits of a file set's number.
pub const FILE_SET_BITS: u32 = 80;

/// A directory of an export that has a limit of its own, by a hash of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSet {
    /// The export it is in.
    pub export: ExportId,
    /// Of [`FILE_SET_BITS`].
    pub(crate) number: u128,
}

impl FileSet {
    /// The set of what is at and below `path`, from the root of the export. The hash has no secret, so that a set is the same after
    /// a restart: its path is the administrator's.
    pub fn at(export: ExportId, path: &[u8]) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(path);
        Self { export, number: hasher.finish128().as_u128() >> (128 - FILE_SET_BITS) }
    }
}

/// The file sets of a server. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct FileSets(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Counts what changes the set of any object; 0 where there never was a set.
    version: AtomicU64,
    sets: RwLock<BTreeMap<ExportId, BTreeMap<Vec<u8>, FileSet>>>,
}

impl FileSets {
    /// Changes whenever an object may be in another set than before. 0: there never was one.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// The exports that have sets.
    pub fn exports(&self) -> Vec<ExportId> {
        let sets = self.0.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.iter().filter(|(_, of_export)| !of_export.is_empty()).map(|(export, _)| *export).collect()
    }

    /// Whether the export has sets. Looks no further where there never was one.
    pub fn are_in(&self, export: ExportId) -> bool {
        let sets = || self.0.sets.read().unwrap_or_else(PoisonError::into_inner);
        self.version() > 0 && sets().get(&export).is_some_and(|of_export| !of_export.is_empty())
    }

    /// Adds the directory at `path`. Sets do not nest.
    ///
    /// # Errors
    /// The path of the set that this one would be in, or that would be in it.
    pub fn add(&self, set: FileSet, path: &[u8]) -> Result<(), Vec<u8>> {
        let mut sets = self.0.sets.write().unwrap_or_else(PoisonError::into_inner);
        let of_export = sets.entry(set.export).or_default();
        match akin(of_export, path) {
            Some(other) => Err(other.clone()),
            None => {
                of_export.insert(path.to_vec(), set);
                self.note_change();
                Ok(())
            }
        }
    }

    /// Forgets a set.
    pub fn remove(&self, set: FileSet) {
        let mut sets = self.0.sets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_export) = sets.get_mut(&set.export) {
            of_export.retain(|_, other| *other != set);
            self.note_change();
        }
    }

    /// The set of the object at `path`.
    pub fn find(&self, export: ExportId, path: &[u8]) -> Option<FileSet> {
        let sets = self.0.sets.read().unwrap_or_else(PoisonError::into_inner);
        let of_export = sets.get(&export)?;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        ends.chain([path.len()]).find_map(|end| of_export.get(&path[..end]).copied())
    }

    /// Notes that what was at `from` is at `to` now.
    pub fn moved(&self, export: ExportId, from: &[u8], to: &[u8]) {
        let holds_set = |path: &[u8]| {
            let sets = self.0.sets.read().unwrap_or_else(PoisonError::into_inner);
            sets.get(&export).is_some_and(|sets| sets.keys().any(|set| is_within(set, path)))
        };
        if self.find(export, from) != self.find(export, to) || holds_set(from) || holds_set(to) {
            self.note_change();
        }
    }

    /// Notes that any object may be in another set.
    pub fn note_change(&self) {
        self.0.version.fetch_add(1, Ordering::Release);
    }
}

/// The path of another set that a directory is in, or that is in it.
fn akin<'a>(sets: &'a BTreeMap<Vec<u8>, FileSet>, path: &[u8]) -> Option<&'a Vec<u8>> {
    sets.keys().find(|other| *other != path && (is_within(path, other) || is_within(other, path)))
}

/// Whether `path` is `directory` or below it.
pub fn is_within(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: ExportId = ExportId(1);

    fn sets(paths: &[&str]) -> FileSets {
        let sets = FileSets::default();
        for path in paths {
            sets.add(FileSet::at(EXPORT, path.as_bytes()), path.as_bytes()).unwrap();
        }
        sets
    }

    fn find(sets: &FileSets, path: &str) -> Option<FileSet> {
        sets.find(EXPORT, path.as_bytes())
    }

    #[test]
    fn an_object_is_in_the_set_of_a_directory_above_it() {
        let sets = sets(&["a", "b/c"]);
        let (a, c) = (FileSet::at(EXPORT, b"a"), FileSet::at(EXPORT, b"b/c"));
        for (path, set) in [
            ("", None),
            ("a", Some(a)),
            ("a/x", Some(a)),
            ("a/x/y", Some(a)),
            ("ab", None),
            ("b", None),
            ("b/c", Some(c)),
            ("b/c/x", Some(c)),
            ("b/cd", None),
            ("c", None),
        ] {
            assert_eq!(find(&sets, path), set, "{path:?}");
        }
        assert_eq!(sets.find(ExportId(2), b"a"), None);
        sets.remove(a);
        assert_eq!((find(&sets, "a/x"), find(&sets, "b/c")), (None, Some(c)));
    }

    #[test]
    fn sets_do_not_nest() {
        let sets = sets(&["a/b", "c"]);
        let add = |path: &str| sets.add(FileSet::at(EXPORT, path.as_bytes()), path.as_bytes());
        assert_eq!(add("a"), Err(b"a/b".to_vec()));
        assert_eq!(add("c/d"), Err(b"c".to_vec()));
        assert_eq!((add("a/bc"), add("a/b")), (Ok(()), Ok(())));
    }

    #[test]
    fn only_what_may_change_sets_is_a_change() {
        let sets = sets(&["a", "b/c"]);
        for (from, to, changes) in [
            ("x", "y", false),
            ("a/x", "a/y/z", false),
            ("a/x", "x", true),
            ("x", "b/c/x", true),
            ("a/x", "b/c/x", true),
            ("b", "e", true),
            ("e", "b", true),
            ("a", "z", true),
        ] {
            let before = sets.version();
            sets.moved(EXPORT, from.as_bytes(), to.as_bytes());
            assert_eq!(sets.version() != before, changes, "{from} to {to}");
        }
    }

    #[test]
    fn without_a_set_there_never_was_one() {
        let sets = FileSets::default();
        sets.remove(FileSet::at(EXPORT, b"a"));
        assert_eq!(sets.version(), 0);
    }
}
