//! Running a piece of work as the caller.

use std::cell::RefCell;

use vfs::{Error, Identity, Result};

use crate::sys::credentials;

thread_local! {
    /// The supplementary groups the thread has now, once this module has set them.
    static GROUPS: RefCell<Option<Identity>> = const { RefCell::new(None) };
}

/// Runs `work` with the file system identity of `identity` and returns the thread to the superuser.
///
/// A closure and not a guard, so that it cannot be held over an await. The supplementary groups stay as they
/// are afterwards: they mean nothing to the superuser, and setting them is the dearest of the three calls.
pub fn as_identity<T>(identity: &Identity, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if identity.is_root() {
        return work();
    }
    let _restore = Restore;
    enter(identity)?;
    work()
}

/// Returns the thread to the superuser, on panic too.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        let restored = credentials::set_file_system_user(0) && credentials::set_file_system_group(0);
        assert!(restored, "a thread that keeps a caller's identity must not go on");
    }
}

fn enter(identity: &Identity) -> Result<()> {
    let groups_are_set = GROUPS.with_borrow_mut(|current| {
        if current.as_ref().is_some_and(|current| current.groups() == identity.groups()) {
            return true;
        }
        *current = None;
        let set = credentials::set_groups(identity.groups());
        if set {
            *current = Some(identity.clone());
        }
        set
    });
    // The user comes last: with it the right to change the others goes.
    let entered = groups_are_set
        && credentials::set_file_system_group(identity.gid())
        && credentials::set_file_system_user(identity.uid());
    // An id the kernel does not take (the invalid id, an unmapped one) may do nothing at all.
    if entered { Ok(()) } else { Err(Error::AccessDenied) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_as_the_caller_and_the_thread_comes_back() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let directory = std::env::temp_dir().join(format!("vfs-local-identity-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a temporary directory");
        let secret = directory.join("secret");
        std::fs::write(&secret, b"x").expect("a file");
        let permissions = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        std::fs::set_permissions(&secret, permissions).expect("a mode");
        let read = || std::fs::read(&secret).map_err(|failure| crate::sys::errno::from_io(&failure));
        assert_eq!(as_identity(&Identity::new(1000, 1000, &[5, 6]), read), Err(Error::AccessDenied));
        assert_eq!(read(), Ok(b"x".to_vec()));
        assert_eq!(as_identity(&Identity::new(u32::MAX, 0, &[]), read), Err(Error::AccessDenied));
        std::fs::remove_dir_all(&directory).expect("removal");
    }
}
