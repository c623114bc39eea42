//! The memory the bounds allow, as a sum of named parts.

use std::fmt;

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
    /// What `limits` allow on this many shards with this many exports; `state_bytes` is what the tables of
    /// clients, opens and locks may come to.
    pub fn of(limits: &Limits, shards: usize, exports: usize, state_bytes: u64) -> Self {
        let shards = shards as u64;
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

    fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
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
        let text = Memory::of(&Limits::default(), 2, 1, 3 << 20).to_string();
        assert!(text.contains("256 MiB payload"), "{text}");
        assert!(text.contains(" + 3 MiB clients"), "{text}");
        assert!(text.starts_with("at most "), "{text}");
    }
}
