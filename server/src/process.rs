//! What is set for the whole process before anything runs.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, geteuid, setrlimit, umask};

use crate::fatal::Fatal;

/// Refuses to go on without root.
///
/// # Errors
/// When the process is not root's.
pub fn require_root() -> Result<(), Fatal> {
    if geteuid().is_root() {
        return Ok(());
    }
    Err(Fatal::new(
        "penstock serve needs root: every operation runs with the identity of the user who asked for it, and only \
         root may take on the identities of users",
        "run it with sudo or as a systemd service; `penstock check` needs no root",
    ))
}

/// Makes modes and limits those of a file server; returns how many descriptors may be open.
///
/// # Errors
/// When the kernel refuses.
pub fn prepare() -> Result<u64, Fatal> {
    // Modes of new objects are the callers' business.
    umask(Mode::empty());
    // A write beyond the limit would end the process; how large files may be is for file systems and quotas.
    let unlimited = Rlimit { current: None, maximum: None };
    if let Err(errno) = setrlimit(Resource::Fsize, unlimited) {
        tracing::debug!("the limit on file sizes stays: {errno}");
    }
    // Adapters for RDMA have all payload memory locked. Later there is no right to this any more.
    if let Err(errno) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!("the limit on locked memory stays: {errno}");
    }
    raise_descriptor_ceiling();
    engine::raise_file_limit().map_err(|error| {
        Fatal::new(format!("the limit on open files cannot be raised: {error}"), "run as root")
    })
}

/// Raises the hard limit on descriptors to what the kernel allows at all, as far as this process may. In a container it may
/// not, and what it was given must do.
fn raise_descriptor_ceiling() {
    let ceiling =
        std::fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    if let Some(ceiling) = ceiling {
        let limit = Rlimit { current: Some(ceiling), maximum: Some(ceiling) };
        if let Err(errno) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!("the hard limit on open files stays: {errno}");
        }
    }
}

/// Gives up what would let a user's request pass a quota. Before any thread of the engine is there.
///
/// # Errors
/// When the kernel refuses.
pub fn drop_rights() -> Result<(), Fatal> {
    vfs_local::drop_quota_override().map_err(|errno| {
        Fatal::new(
            format!("the right to pass quotas cannot be given up: {errno}"),
            "allow the capset system call",
        )
    })
}

/// A broken promise of ours ends the process, whatever thread finds it: the clients come back and reclaim, and
/// nobody is served from tables that are wrong.
pub fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
