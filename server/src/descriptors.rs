//! The descriptors there are, shared out beforehand: connections, cached objects and opens are descriptors each, and
//! whoever took the last one would stop everybody.

use crate::config::Limits;

/// What the server itself needs, for files, for those who ask for metrics, and the descriptors of a helper's call, and a
/// shard for READs in pipes, which have two ends, and for files that NFSv3 keeps open.
const OF_PROCESS: u64 = 96;
const OF_SHARD: u64 = 32 + 2 * buf::PIPES_MAX as u64 + OF_OPEN * nfs_ops::KEPT_OPEN_MAX as u64;
const OF_HELPER: u64 = 4;

/// An open file and the object it was opened from.
const OF_OPEN: u64 = 2;

/// Least opens of one client in those of all, so that one cannot have them all. As the defaults have it at least.
const CLIENTS_MIN: u64 = 4;

/// The bounds within which so many descriptors are enough: `limits`, or less of connections, cached objects and opens.
pub fn fit(limits: &Limits, shards: usize, exports: usize, descriptors_max: u64) -> Limits {
    let (shards, exports) = (shards as u64, exports as u64);
    let caches = (shards * exports).max(1);
    let own = OF_PROCESS + shards * OF_SHARD + caches * limits.helper_threads_per_export * OF_HELPER;
    let left = descriptors_max.saturating_sub(own);
    let [connections, cached_objects, opens] = share_out(
        left,
        [(shards * limits.connections, 1), (caches * limits.cached_objects, 1), (limits.opens * OF_OPEN, 2)],
    );
    let opens = (opens / OF_OPEN).max(1);
    Limits {
        connections: (connections / shards).max(1),
        cached_objects: (cached_objects / caches).max(1),
        opens,
        opens_per_client: if opens < limits.opens {
            limits.opens_per_client.min((opens / CLIENTS_MIN).max(1))
        } else {
            limits.opens_per_client
        },
        ..limits.clone()
    }
}

/// Gives everybody what is wanted if there is enough; else those who want more than their share, which is by weight,
/// get what the others leave. Pairs of wanted and weight.
fn share_out<const N: usize>(all: u64, wishes: [(u64, u64); N]) -> [u64; N] {
    let mut given: [Option<u64>; N] = [None; N];
    loop {
        let open = (0..N).filter(|index| given[*index].is_none());
        let weights: u64 = open.map(|index| wishes[index].1).sum();
        let left = all - given.iter().flatten().sum::<u64>();
        let share = |weight: u64| left * weight / weights.max(1);
        let modest =
            (0..N).find(|index| given[*index].is_none() && wishes[*index].0 <= share(wishes[*index].1));
        match modest {
            Some(index) => given[index] = Some(wishes[index].0),
            None => {
                return std::array::from_fn(|index| given[index].unwrap_or_else(|| share(wishes[index].1)));
            }
        }
    }
}

/// Says so when the bounds in force are lower than those configured.
pub fn warn_of_few(configured: &Limits, in_force: &Limits, descriptors_max: u64) {
    if configured != in_force {
        tracing::warn!(
            allowed = descriptors_max,
            connections = in_force.connections,
            cached_objects = in_force.cached_objects,
            opens = in_force.opens,
            opens_per_client = in_force.opens_per_client,
            "too few descriptors for the bounds in [limits], lower ones are in force: raise LimitNOFILE"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(limits: &Limits, shards: u64, exports: u64) -> u64 {
        shards * limits.connections + shards * exports * limits.cached_objects + OF_OPEN * limits.opens
    }

    #[test]
    fn enough_descriptors_leave_the_bounds_as_they_are() {
        assert_eq!(fit(&Limits::default(), 64, 10, 1 << 30), Limits::default());
    }

    #[test]
    fn few_descriptors_are_enough_for_the_bounds_in_force() {
        for (shards, exports, descriptors) in
            [(1, 1, 1024), (2, 1, 20_000), (2, 1, 1 << 20), (64, 10, 1 << 20)]
        {
            let limits = fit(&Limits::default(), shards, exports, descriptors);
            let wanted = wanted(&limits, shards as u64, exports as u64);
            assert!(wanted < descriptors, "{wanted} of {descriptors}");
            assert!(limits.opens_per_client <= limits.opens / CLIENTS_MIN, "{limits:?}");
            assert!(
                limits.connections.min(limits.cached_objects).min(limits.opens_per_client) >= 32,
                "{limits:?}"
            );
        }
    }

    #[test]
    fn what_is_modest_gets_what_it_wants() {
        assert_eq!(share_out(100, [(10, 1), (1000, 1), (1000, 2)]), [10, 30, 60]);
        assert_eq!(share_out(100, [(10, 1), (20, 1), (70, 2)]), [10, 20, 70]);
        assert_eq!(share_out(0, [(10, 1), (0, 1)]), [0, 0]);
    }
}
