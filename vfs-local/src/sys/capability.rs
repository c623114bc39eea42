//! Capabilities the service must not keep.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Gives up the right to exceed quotas and reserved blocks (CAP_SYS_RESOURCE), which switching the file system
/// user does not suspend. Capabilities belong to threads: call this before the first thread is started, and
/// after limits that need the right have been raised.
pub fn drop_quota_override() -> Result<(), Errno> {
    let mut sets = capabilities(None)?;
    if !(sets.effective | sets.permitted | sets.inheritable).contains(CapabilitySet::SYS_RESOURCE) {
        return Ok(());
    }
    sets.effective.remove(CapabilitySet::SYS_RESOURCE);
    sets.permitted.remove(CapabilitySet::SYS_RESOURCE);
    sets.inheritable.remove(CapabilitySet::SYS_RESOURCE);
    set_capabilities(None, sets)
}
