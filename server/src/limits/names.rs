//! What operators call those that can be limited.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nfs_ops::ExportId;
use nfs_ops::file_sets::FileSet;
use nfs_ops::limits::{Group, Limited, Rule};

use crate::config::ExportPlan;

/// Of exports and groups so many are named in a message.
const NAMED_MAX: usize = 8;

/// The names of this server: exports come and go, groups stay.
#[derive(Debug)]
pub struct Names {
    exports: Mutex<Vec<ExportName>>,
    groups: Vec<String>,
}

/// A file set, and where it is.
#[derive(Debug)]
pub struct Files {
    /// Itself.
    pub set: FileSet,
    /// Its directory, from the root of its export.
    pub path: String,
}

#[derive(Debug)]
struct ExportName {
    id: ExportId,
    place: String,
    path: String,
}

impl Names {
    /// The names of these.
    pub fn new(exports: &[ExportPlan], rules: &[Rule]) -> Self {
        let names =
            Self { exports: Mutex::default(), groups: rules.iter().map(|rule| rule.name.clone()).collect() };
        names.replace_exports(exports);
        names
    }

    /// The exports are these now.
    pub fn replace_exports(&self, exports: &[ExportPlan]) {
        let name = |export: &ExportPlan| ExportName {
            id: export.id,
            place: export.pseudo_path(),
            path: export.path.display().to_string(),
        };
        *self.exports.lock().unwrap_or_else(PoisonError::into_inner) = exports.iter().map(name).collect();
    }

    /// Who is called so: `server`, `export:PLACE`, `fileset:PLACE`, `client:ADDRESS`, `group:NAME`. An export is named by its
    /// place in the name space or by its directory, a file set by the place of its directory, which must be there.
    ///
    /// # Errors
    /// Why nobody is.
    pub fn find(&self, text: &str) -> Result<Limited, String> {
        match text.split_once(':') {
            None if text == "server" => Ok(Limited::Server),
            Some(("export", name)) => self.export(name),
            Some(("fileset", place)) => self.file_set(place),
            Some(("client", address)) => client(address),
            Some(("group", name)) => self.group(name),
            _ => Err(format!(
                "{text:?} is nothing that can have a limit: write server, export:PLACE, fileset:PLACE, \
                 client:ADDRESS or group:NAME"
            )),
        }
    }

    /// The export that holds the file at `path`, a place in the name space or on the server, and the way there from its root.
    ///
    /// # Errors
    /// None does.
    pub fn export_of(&self, path: &str) -> Result<(ExportId, String), String> {
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        let found = above(&exports, path, |export| &export.place);
        let found = found.or_else(|| above(&exports, path, |export| &export.path));
        found.map(|(export, path)| (export.id, path)).ok_or_else(|| {
            let there = list(exports.iter().map(|export| &export.place));
            format!("no export holds {path:?}; there are {there}")
        })
    }

    /// What it is called; `None` for an export or a group that is not there, and for file sets, see [`Names::show_files`].
    pub fn show(&self, limited: Limited) -> Option<String> {
        match limited {
            Limited::Server => Some("server".to_owned()),
            Limited::Client(address) => Some(format!("client:{address}")),
            Limited::Export(id) => {
                let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
                exports.iter().find(|export| export.id == id).map(|export| format!("export:{}", export.place))
            }
            Limited::Files(_) => None,
            Limited::Group(group) => {
                let name = self.groups.iter().find(|name| Group::named(name) == group)?;
                Some(format!("group:{name}"))
            }
        }
    }

    fn export(&self, name: &str) -> Result<Limited, String> {
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        let by_place = exports.iter().find(|export| export.place == name);
        let found = by_place.or_else(|| exports.iter().find(|export| export.path == name));
        found.map(|export| Limited::Export(export.id)).ok_or_else(|| {
            let there = list(exports.iter().map(|export| &export.place));
            format!("there is no export {name:?}; there are {there}")
        })
    }

    /// The file set that is called so, whether its directory is there or not; `None` where no export is above it.
    pub fn files(&self, name: &str) -> Option<Files> {
        let place = name.strip_prefix("fileset:")?;
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        let (export, path) = above(&exports, place, |export| &export.place)?;
        Some(Files { set: FileSet::at(export.id, path.as_bytes()), path })
    }

    /// What a file set is called; `None` if its export is not there.
    pub fn show_files(&self, files: &Files) -> Option<String> {
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        let export = exports.iter().find(|export| export.id == files.set.export)?;
        Some(format!("fileset:{}/{}", export.place.trim_end_matches('/'), files.path))
    }

    fn file_set(&self, place: &str) -> Result<Limited, String> {
        // The disk is not looked at while others wait for the names.
        let (id, root, path) = {
            let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((export, path)) = above(&exports, place, |export| &export.place) else {
                let there = list(exports.iter().map(|export| &export.place));
                return Err(format!("{place:?} is below no export; there are {there}"));
            };
            (export.id, export.path.clone(), path)
        };
        if path.is_empty() {
            return Err(format!("{place:?} is a whole export: write export:{place}"));
        }
        check_directory(Path::new(&root), &path)
            .map_err(|reason| format!("{place:?} is no directory that can have a limit: {reason}"))?;
        Ok(Limited::Files(FileSet::at(id, path.as_bytes())))
    }

    fn group(&self, name: &str) -> Result<Limited, String> {
        if self.groups.iter().any(|group| group == name) {
            return Ok(Limited::Group(Group::named(name)));
        }
        Err(match &self.groups[..] {
            [] => format!("there is no group {name:?}: the configuration has no [[qos.rule]]"),
            groups => {
                format!(
                    "there is no group {name:?}; [[qos.rule]] in the configuration makes {}",
                    list(groups.iter())
                )
            }
        })
    }
}

/// The export that `place` is in by what it is called, and the way there from its root.
fn above<'a>(
    exports: &'a [ExportName],
    place: &str,
    called: fn(&ExportName) -> &str,
) -> Option<(&'a ExportName, String)> {
    let below = |export: &'a ExportName| {
        let rest = place.strip_prefix(called(export).trim_end_matches('/'))?;
        let path = || rest.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        (rest.is_empty() || rest.starts_with('/')).then(|| (export, path()))
    };
    // No export is within another.
    exports.iter().find_map(below)
}

/// Whether `path` leads to a directory below `root` as it stands, without links or dots.
fn check_directory(root: &Path, path: &str) -> Result<(), String> {
    let full = root.join(path);
    let real = full.canonicalize().map_err(|error| error.to_string())?;
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    if !real.is_dir() {
        return Err("it is a file".to_owned());
    }
    let device =
        |path: &Path| path.metadata().map(|metadata| metadata.dev()).map_err(|error| error.to_string());
    if device(&real)? != device(&root)? {
        return Err(
            "it is on a file system that is mounted in its export: export that, and limit the export"
                .to_owned(),
        );
    }
    match real.strip_prefix(&root) {
        Ok(below) if below.as_os_str() == path => Ok(()),
        Ok(below) => Err(format!("in its export it is called {}", below.display())),
        Err(_) => Err("a symbolic link leads out of its export".to_owned()),
    }
}

fn client(text: &str) -> Result<Limited, String> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("{text:?} is no address: write client:192.0.2.7 or client:2001:db8::7"))?;
    Limited::client(address).ok_or_else(|| format!("no client has the address {address}"))
}

/// The first few of them, for a message.
fn list<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    let mut text = names.take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut data = ExportPlan::simple("/srv/data".into());
        (data.pseudo, data.id) = (vec!["data".into()], ExportId(1));
        let mut path = ExportPlan::simple("/data".into());
        (path.pseudo, path.id) = (vec!["other place".into()], ExportId(2));
        let rules = ["batch", "a:b"].map(|name| Rule { name: name.into(), ..Rule::default() });
        Names::new(&[data, path], &rules)
    }

    #[test]
    fn who_is_named_is_called_so() {
        let names = names();
        for name in [
            "server",
            "export:/data",
            "export:/other place",
            "client:192.0.2.7",
            "client:2001:db8::7",
            "group:batch",
            "group:a:b",
        ] {
            assert_eq!(names.show(names.find(name).unwrap()).as_deref(), Some(name));
        }
        let found = |name: &str| names.find(name).unwrap();
        assert_eq!(found("export:/srv/data"), found("export:/data"), "by its directory");
        assert_eq!(
            found("export:/data"),
            Limited::Export(ExportId(1)),
            "the place stands over the directory"
        );
        assert_eq!(found("client:::ffff:192.0.2.7"), found("client:192.0.2.7"));
    }

    #[test]
    fn who_is_unknown_is_told_apart() {
        let names = names();
        for (name, words) in [
            ("", "nothing that can have a limit"),
            ("Server", "nothing that can have a limit"),
            ("server:", "nothing that can have a limit"),
            ("fileset:/nowhere/a", "below no export; there are /data, /other place"),
            ("fileset:/data", "write export:/data"),
            ("fileset:/data/a", "No such file"),
            ("export:/nowhere", "there are /data, /other place"),
            ("client:filer", "no address"),
            ("client:10.0.0.0/8", "no address"),
            ("client:224.0.0.1", "no client"),
            ("group:other", "makes batch, a:b"),
        ] {
            let message = names.find(name).unwrap_err();
            assert!(message.contains(words), "{name}: {message}");
        }
    }

    #[test]
    fn files_are_of_the_export_that_holds_them() {
        let names = names();
        for (file, export, path) in [
            ("/data", "export:/data", ""),
            ("/data/a//b", "export:/data", "a/b"),
            ("/srv/data/a", "export:/data", "a"),
            ("/other place/", "export:/other place", ""),
        ] {
            let (id, found) = names.export_of(file).unwrap();
            assert_eq!((Ok(Limited::Export(id)), &found[..]), (names.find(export), path), "{file}");
        }
        for file in ["/", "/database", "data/a", ""] {
            assert!(names.export_of(file).unwrap_err().contains("there are /data"), "{file}");
        }
    }

    #[test]
    fn names_follow_the_exports() {
        let names = names();
        let data = names.find("export:/data").unwrap();
        names.replace_exports(&[]);
        assert_eq!(names.show(data), None);
        assert!(names.find("export:/data").is_err());
    }
}
