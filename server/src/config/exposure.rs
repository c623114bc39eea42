//! Whether clients could read the secret of the file handles: the state directory within an export, and root not squashed.

use std::path::Path;

use nfs_ops::Squash;

use super::export::{ExportPlan, leads_below};

/// The first export through which a client that acts as root reaches the state directory.
pub fn exposing(exports: &[ExportPlan], state_directory: &Path) -> Option<usize> {
    // What is not made yet will be where its parent is.
    let state_directory = std::path::absolute(state_directory).ok()?;
    let there = state_directory.ancestors().find_map(|path| path.canonicalize().ok())?;
    let is_there = |export: &ExportPlan| export.path.canonicalize().is_ok_and(|path| path == there);
    exports.iter().position(|export| has_root(export) && (is_there(export) || leads_below(export, &there)))
}

/// What is wrong with that, and what to do.
pub fn problem(export: &ExportPlan, state_directory: &Path) -> (String, &'static str) {
    let reason = format!(
        "clients could read the secret of the file handles: the state directory {} is in {}, where root is not squashed",
        state_directory.display(),
        export.path.display()
    );
    (reason, "keep the state elsewhere (`state_directory`, --state-dir), or squash root")
}

fn has_root(export: &ExportPlan) -> bool {
    export.squash == Squash::Nobody || export.anonymous_uid == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn the_state_is_kept_from_clients_that_are_root() {
        let scratch = Scratch::new();
        let outside = Scratch::new();
        let mut export = ExportPlan::simple(scratch.path().to_owned());
        let exposed =
            |export: &ExportPlan, path: &Path| exposing(std::slice::from_ref(export), path).is_some();
        let inside = scratch.path().join("not/made/yet");
        assert!(!exposed(&export, &inside), "nobody passes a directory of mode 0700");
        export.squash = Squash::Nobody;
        assert!(exposed(&export, &inside));
        assert!(exposed(&export, scratch.path()));
        assert!(!exposed(&export, outside.path()));
        export.squash = Squash::All;
        assert!(!exposed(&export, &inside));
        export.anonymous_uid = 0;
        assert!(exposed(&export, &inside));
    }
}
