//! What the kernel offers, asked once at start.

use std::fmt;
use std::io;

use crate::operation::receives;
use crate::ring::{Ring, kernel};

/// Oldest kernel that has all that is relied on: DEFER_TASKRUN and direct I/O alignment in `statx`.
pub const KERNEL_MIN: (u32, u32) = (6, 1);

/// Entries of the ring made only to ask.
const PROBE_ENTRIES: u32 = 8;

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel lacks what is relied on.
    #[error("Linux {found} is too old: {}.{} or newer is needed (Debian 12, Ubuntu 24.04)", KERNEL_MIN.0, KERNEL_MIN.1)]
    KernelTooOld {
        /// Release that runs.
        found: String,
    },
    /// The administrator or a container's policy forbids io_uring.
    #[error("io_uring is forbidden here ({source}): {remedy}")]
    RingForbidden {
        /// What to change.
        remedy: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The ring could not be made for another reason.
    #[error("an io_uring could not be made: {0}")]
    Ring(#[source] io::Error),
    /// The payload region could not be mapped.
    #[error("the memory for payloads ({bytes} bytes per shard) could not be mapped: {source}")]
    Memory {
        /// Bytes asked for.
        bytes: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread or its wake-up descriptor could not be made.
    #[error("a shard could not be started: {0}")]
    Thread(#[source] io::Error),
}

/// What is used of the kernel and what is missing. `Display` is one line for the log.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The kernel's release.
    pub kernel: String,
    /// Waiting for several completions with a bound on the delay (6.12).
    pub min_wait: bool,
    /// Submission without an index array (6.6).
    pub no_sqarray: bool,
    /// The ring's descriptor is registered with its thread.
    pub registered_ring: bool,
    /// The payload regions are registered on all shards.
    pub registered_buffers: bool,
    /// `cachestat(2)` (6.5).
    pub cachestat: bool,
    /// One request for many receives, ended at a limit of bytes (6.17).
    pub multishot: bool,
}

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = [
            ("registered ring", self.registered_ring),
            ("registered buffers", self.registered_buffers),
            ("NO_SQARRAY (6.6)", self.no_sqarray),
            ("min-wait (6.12)", self.min_wait),
            ("cachestat (6.5)", self.cachestat),
            ("bounded multishot receive (6.17)", self.multishot),
        ];
        let list = |wanted| {
            let names: Vec<_> =
                features.iter().filter(|(_, has)| *has == wanted).map(|(name, _)| *name).collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        write!(
            formatter,
            "Linux {}: io_uring with SINGLE_ISSUER, DEFER_TASKRUN, SUBMIT_ALL; also used: {}; missing: {}",
            self.kernel,
            list(true),
            list(false)
        )
    }
}

/// Asks the kernel what it offers; refuses with a remedy where the engine cannot run.
pub fn probe() -> Result<Probe, StartError> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = release.trim().to_owned();
    if version(&kernel).is_some_and(|found| found < KERNEL_MIN) {
        return Err(StartError::KernelTooOld { found: kernel });
    }
    let (mut ring, offered) = Ring::open(PROBE_ENTRIES, 1).map_err(refusal)?;
    let multishot = receives::has_limit(&mut ring).unwrap_or(false);
    drop(ring);
    Ok(Probe {
        kernel,
        min_wait: offered.min_wait,
        no_sqarray: offered.no_sqarray,
        registered_ring: offered.registered_ring,
        registered_buffers: true,
        cachestat: kernel::has_cachestat(),
        multishot,
    })
}

/// The error of making a ring, with what can be done about it.
pub(crate) fn refusal(source: io::Error) -> StartError {
    let sysctl = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    match source.raw_os_error() {
        Some(libc::EPERM | libc::ENOSYS | libc::EACCES) => {
            let remedy = match sysctl.trim() {
                value @ ("1" | "2") => {
                    format!("kernel.io_uring_disabled is {value}; run `sysctl -w kernel.io_uring_disabled=0`")
                }
                _ => "a security policy blocks it; in a container allow the io_uring_* system calls \
                      (docker: --security-opt seccomp=unconfined, or a profile that lists them)"
                    .to_owned(),
            };
            StartError::RingForbidden { remedy, source }
        }
        _ => StartError::Ring(source),
    }
}

/// Major and minor number of a kernel release such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert!(version("5.15.0").unwrap() < KERNEL_MIN && version("6.10.1+").unwrap() > KERNEL_MIN);
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn refusals_name_the_remedy() {
        let error = refusal(io::Error::from_raw_os_error(libc::EPERM));
        assert!(error.to_string().contains("io_uring"), "{error}");
        let old = StartError::KernelTooOld { found: "5.10.0".to_owned() };
        assert_eq!(
            old.to_string(),
            "Linux 5.10.0 is too old: 6.1 or newer is needed (Debian 12, Ubuntu 24.04)"
        );
    }

    #[test]
    fn this_kernel_is_described_in_one_line() {
        let line = probe().unwrap().to_string();
        assert!(line.starts_with("Linux ") && line.contains("missing: ") && !line.contains('\n'), "{line}");
    }
}
