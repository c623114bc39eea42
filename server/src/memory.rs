//! The memory the bounds allow, as a sum of named parts.

use std::fmt;

use crate::bounds;
use crate::config::Limits;

/// What a connection costs while nothing happens on it, its tasks and what it keeps for heads included; rounded up.
const CONNECTION_BYTES: u64 = 12 * 1024;

/// What an object that is kept open costs in our tables; rounded up. The kernel's own is not counted.
const CACHED_OBJECT_BYTES: u64 = 512;

/// What the store of client records keeps in memory.
const RECORDS_BYTES: u64 = 2 << 20;

/// The parts, in bytes.
#[derive(Debug)]
pub struct Memory {
    parts: Vec<(&'static str, u64)>,
}

impl Memory {
    /// What `limits` allow on this many shards with this many exports.
    pub fn of(limits: &Limits, shards: usize, exports: usize) -> Self {
        let shards = shards as u64;
        let state_bytes = bounds::of_state(limits).memory_bytes_max();
        Self {
            parts: vec![
                ("payload, taken at start", shards * (limits.payload_memory_mib << 20)),
                ("receive buffers, taken at start", shards * engine::RECEIVE_POOL_BYTES as u64),
                ("collected records", shards * (limits.collect_memory_mib << 20)),
                ("connections", shards * limits.connections * CONNECTION_BYTES),
                ("cached objects", shards * exports as u64 * limits.cached_objects * CACHED_OBJECT_BYTES),
                ("clients, sessions, replies, opens, locks", state_bytes),
                ("client records", RECORDS_BYTES),
            ],
        }
    }

    /// The sum.
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// What is to be said where the machine has less.
    pub fn excess(&self) -> Option<String> {
        let machine = rustix::system::sysinfo();
        self.excess_over(machine.totalram as u64 * u64::from(machine.mem_unit))
    }

    fn excess_over(&self, machine_bytes: u64) -> Option<String> {
        (self.total() > machine_bytes).then(|| {
            let has = mib(machine_bytes);
            format!("this machine has {has} MiB of memory, less than the bounds allow: lower [limits] of the largest parts")
        })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at most {} MiB", mib(self.total()))?;
        for (number, (name, bytes)) in self.parts.iter().enumerate() {
            write!(formatter, "{}{} MiB {name}", if number == 0 { " = " } else { " + " }, mib(*bytes))?;
        }
        Ok(())
    }
}

/// Rounded up, so that no part looks free.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_names_its_parts() {
        let memory = Memory::of(&Limits::default(), 2, 1);
        let text = memory.to_string();
        assert!(text.contains("256 MiB payload"), "{text}");
        assert!(text.contains(" MiB clients"), "{text}");
        assert!(text.starts_with("at most "), "{text}");
        assert!(memory.total() < 2 << 30, "the defaults fit a small machine: {text}");
        assert_eq!(memory.excess_over(memory.total()), None);
        assert!(memory.excess_over(512 << 20).is_some_and(|said| said.contains("512 MiB")));
    }
}
