//! The bounds of `[limits]` as the parts of the server take them.

use std::time::Duration;

use crate::config::Limits;

/// Bounds of the tables of clients, opens and locks.
pub fn of_state(limits: &Limits) -> state::Limits {
    state::Limits {
        clients_max: limits.clients as u32,
        sessions_per_client_max: limits.sessions_per_client as u32,
        fore_slots_max: limits.slots_per_session as u32,
        operations_max: limits.operations_per_compound as u32,
        reply_cache_bytes_max: limits.reply_cache_mib << 20,
        duplicates_max: limits.duplicate_requests,
        opens_max: limits.opens,
        opens_per_client_max: limits.opens_per_client as u32,
        locks_max: limits.locks,
        locks_per_client_max: limits.locks_per_client as u32,
        ..state::Limits::default()
    }
}

/// Bounds of each shard's transport.
pub fn of_transport(limits: &Limits) -> transport_tcp::Limits {
    transport_tcp::Limits {
        connections_max: limits.connections as usize,
        calls_max: limits.calls_per_connection as usize,
        collect_max: (limits.collect_memory_mib << 20) as usize,
        progress_timeout: Duration::from_secs(limits.record_seconds),
        ..transport_tcp::Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table's defaults are those that the parts were made and tested with.
    #[test]
    fn defaults_are_the_parts_own() {
        let limits = Limits::default();
        assert_eq!(format!("{:?}", of_state(&limits)), format!("{:?}", state::Limits::default()));
        assert_eq!(format!("{:?}", of_transport(&limits)), format!("{:?}", transport_tcp::Limits::default()));
        let storage = vfs_local::Options::new("/", 1);
        assert_eq!(limits.cached_objects as usize, storage.cached_objects_max);
        assert_eq!(limits.helper_threads_per_export as usize, storage.helper_jobs_max);
        assert_eq!(limits.kernel_workers_per_export as usize, storage.ring_workers_max);
    }
}
