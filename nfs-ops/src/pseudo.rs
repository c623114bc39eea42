//! The pseudo file system: read-only directories that lead from the root to the exports (RFC 8881 §7.3).

use std::collections::BTreeMap;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::export::PlaceConflict;
use crate::handle::{ExportId, PseudoId};

/// What a name in a pseudo directory leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junction {
    /// Another pseudo directory.
    Directory(PseudoId),
    /// The root of an export.
    Export(ExportId),
}

/// One directory of the pseudo file system.
#[derive(Clone, Debug)]
pub struct PseudoDirectory {
    /// Its own id, which is also its fileid.
    pub id: PseudoId,
    /// The directory above; the root has none.
    pub parent: Option<PseudoId>,
    /// Names and where they lead, in order.
    pub entries: BTreeMap<String, Junction>,
}

/// The whole tree. Made anew at every reload; ids come from the paths and so stay.
#[derive(Clone, Debug)]
pub struct PseudoTree {
    directories: BTreeMap<PseudoId, PseudoDirectory>,
    /// Where each export hangs: the directory above it and its name there.
    places: BTreeMap<ExportId, Option<(PseudoId, String)>>,
    root: Junction,
    /// Changes when the tree does.
    pub change: u64,
}

impl PseudoTree {
    /// The tree that leads to each export's path. An export at the root (an empty path) is the root.
    ///
    /// # Errors
    /// [`PlaceConflict`] when a path is at or below another.
    pub fn new<'a>(
        exports: impl Iterator<Item = (&'a [String], ExportId)> + Clone,
    ) -> Result<Self, PlaceConflict> {
        reject_conflicts(exports.clone())?;
        let root = directory_id(&[]);
        let mut tree = Self {
            directories: BTreeMap::from([(
                root,
                PseudoDirectory { id: root, parent: None, entries: BTreeMap::new() },
            )]),
            places: BTreeMap::new(),
            root: Junction::Directory(root),
            change: 0,
        };
        let mut change = SipHasher24::new();
        for (path, export) in exports {
            change.write(show(path).as_bytes());
            change.write_u32(export.0);
            tree.place(path, export);
        }
        tree.change = change.finish();
        Ok(tree)
    }

    /// Where PUTROOTFH leads.
    pub fn root(&self) -> Junction {
        self.root
    }

    /// The directory `id`, if the tree (still) has it.
    pub fn directory(&self, id: PseudoId) -> Option<&PseudoDirectory> {
        self.directories.get(&id)
    }

    /// The pseudo directory an export hangs in; `None` for an export at the root.
    pub fn parent_of(&self, export: ExportId) -> Option<PseudoId> {
        self.places.get(&export)?.as_ref().map(|(directory, _)| *directory)
    }

    /// The fileid of the name an export hangs at, for `mounted_on_fileid`.
    pub fn mounted_on_fileid(&self, export: ExportId) -> Option<u64> {
        let (directory, name) = self.places.get(&export)?.as_ref()?;
        Some(junction_fileid(*directory, name))
    }

    fn place(&mut self, path: &[String], export: ExportId) {
        let Some((name, above)) = path.split_last() else {
            self.root = Junction::Export(export);
            self.places.insert(export, None);
            return;
        };
        let directory = self.make_directories(above);
        let entries = &mut self.directories.get_mut(&directory).expect("just made").entries;
        entries.insert(name.clone(), Junction::Export(export));
        self.places.insert(export, Some((directory, name.clone())));
    }

    fn make_directories(&mut self, path: &[String]) -> PseudoId {
        let mut current = directory_id(&[]);
        for depth in 1..=path.len() {
            let id = directory_id(&path[..depth]);
            let above = self.directories.get_mut(&current).expect("made before");
            above.entries.insert(path[depth - 1].clone(), Junction::Directory(id));
            self.directories.entry(id).or_insert_with(|| PseudoDirectory {
                id,
                parent: Some(current),
                entries: BTreeMap::new(),
            });
            current = id;
        }
        current
    }
}

/// The fileid of the name `name` in a pseudo directory.
pub fn junction_fileid(directory: PseudoId, name: &str) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write_u64(directory.0);
    hasher.write(name.as_bytes());
    hasher.finish()
}

fn directory_id(path: &[String]) -> PseudoId {
    let mut hasher = SipHasher24::new();
    for component in path {
        hasher.write(component.as_bytes());
        hasher.write_u8(b'/');
    }
    PseudoId(hasher.finish())
}

fn reject_conflicts<'a>(
    exports: impl Iterator<Item = (&'a [String], ExportId)> + Clone,
) -> Result<(), PlaceConflict> {
    for (outer_index, (outer, _)) in exports.clone().enumerate() {
        for (inner_index, (inner, _)) in exports.clone().enumerate() {
            if outer_index != inner_index && inner.starts_with(outer) {
                return Err(PlaceConflict { outer: show(outer), inner: show(inner) });
            }
        }
    }
    Ok(())
}

fn show(path: &[String]) -> String {
    format!("/{}", path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('/').filter(|part| !part.is_empty()).map(String::from).collect()
    }

    fn tree(paths: &[&str]) -> Result<PseudoTree, PlaceConflict> {
        let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
        PseudoTree::new(paths.iter().enumerate().map(|(number, path)| (&path[..], ExportId(number as u32))))
    }

    #[test]
    fn directories_lead_to_exports_and_back() {
        let tree = tree(&["/a/b", "/a/c", "/d"]).unwrap();
        let Junction::Directory(root) = tree.root() else { panic!("an export stands at the root") };
        let root = tree.directory(root).unwrap();
        assert_eq!(root.entries["d"], Junction::Export(ExportId(2)));
        let Junction::Directory(a) = root.entries["a"] else { panic!("/a is no directory") };
        let names: Vec<_> = tree.directory(a).unwrap().entries.keys().cloned().collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(tree.directory(a).unwrap().parent, Some(root.id));
        assert_eq!(tree.parent_of(ExportId(1)), Some(a));
    }

    #[test]
    fn an_export_may_be_the_root_but_not_above_another() {
        assert_eq!(tree(&["/"]).unwrap().root(), Junction::Export(ExportId(0)));
        assert!(tree(&["/", "/a"]).is_err());
        assert!(tree(&["/a/b", "/a"]).is_err());
        assert!(tree(&["/a", "/a"]).is_err());
        assert!(tree(&["/a", "/ab"]).is_ok());
    }
}
