//! Checks of the tree itself, and tests that need more than one room of the house.
//!
//! The checks are in `tests/`: `dependencies` (who may use whom) and `tidy` (sizes, unsafe code, words). So are the tests of
//! the whole server: `robustness` (what happens to others when clients, storage or administrators are difficult).
//! This library is what they share.

#![forbid(unsafe_code)]

pub mod asking;
pub mod behaved;
pub mod judge;
pub mod mounted;
pub mod namespace;
pub mod raw;
pub mod server;

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the source tree.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("this package lies in the workspace").to_path_buf()
}

/// The text of a file of the tree, named from its root.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The manifest in directory `path` of the tree.
pub fn manifest(path: &str) -> toml::Table {
    let path = if path.is_empty() { "Cargo.toml".to_owned() } else { format!("{path}/Cargo.toml") };
    read(&path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The directories of the workspace's packages.
pub fn members() -> Vec<String> {
    let manifest = manifest("");
    let members = manifest["workspace"]["members"].as_array().expect("members is a list");
    members.iter().map(|member| member.as_str().expect("a member is a path").to_owned()).collect()
}

/// All files of the workspace's packages, the documents and the scripts, named from the root, in order.
pub fn files() -> Vec<String> {
    let mut files = Vec::new();
    let roots =
        members().into_iter().chain(["docs", "scripts", ".ci", "packaging", "verbs-rdma"].map(str::to_owned));
    for member in roots {
        collect(&root().join(member), &mut files);
    }
    files.sort();
    files
}

fn collect(directory: &Path, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.expect("the tree is readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            // Build products are not part of the tree.
            if name != "target" && !(name.starts_with('.') && name != ".ci") {
                collect(&path, files);
            }
        } else {
            let path = path.strip_prefix(root()).expect("below the root");
            files.push(path.to_str().expect("names are UTF-8").to_owned());
        }
    }
}

/// Fails with a list of everything that is wrong, so that one run shows it all.
pub fn expect_none(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}:\n  {}\n", findings.join("\n  "));
}
