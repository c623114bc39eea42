//! A limit as it is stored.

use qos::limits::{Entity, Limit};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields;

/// The form of a record; a greater one was written by a later release.
const VERSION: u32 = 1;

/// A limit that somebody has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What whose limit it is was called.
    pub name: String,
    /// Of a file set: its directory, from the root of its export.
    pub path: Option<String>,
    /// Of the change that made it so.
    pub generation: u64,
    /// When it goes by itself, in milliseconds since 1970.
    pub expires_unix_ms: Option<u64>,
    /// What was set.
    pub limit: Limit,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    generation: u64,
    expires_unix_ms: Option<u64>,
    limit: Map<String, Value>,
}

impl Kept {
    /// Whether it has gone by itself at `now_unix_ms`.
    pub fn is_expired(&self, now_unix_ms: u64) -> bool {
        self.expires_unix_ms.is_some_and(|expires| expires <= now_unix_ms)
    }

    /// For the store.
    pub fn encode(&self) -> Vec<u8> {
        let record = Record {
            version: VERSION,
            name: self.name.clone(),
            path: self.path.clone(),
            generation: self.generation,
            expires_unix_ms: self.expires_unix_ms,
            limit: fields::show(&self.limit),
        };
        serde_json::to_vec(&record).expect("plain data")
    }

    /// From the store, for `entity`.
    ///
    /// # Errors
    /// When this release cannot have written it.
    pub fn decode(entity: Entity, bytes: &[u8]) -> Result<Self, String> {
        let wrong = |reason: String| format!("the limit of {:#x}: {reason}", entity.0);
        let record: Record = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if record.version != VERSION {
            return Err(wrong(format!("its form is {}, this release knows {VERSION}", record.version)));
        }
        let mut limit = Limit::default();
        for (field, value) in &record.limit {
            fields::change(&mut limit, field, value).map_err(wrong)?;
        }
        let Record { name, path, generation, expires_unix_ms, .. } = record;
        Ok(Self { name, path, generation, expires_unix_ms, limit })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn records_are_read_as_written() {
        let mut limit = Limit { burst_ns: 5_000_000, ..Limit::default() };
        limit.bytes.write = NonZeroU64::new(7);
        for (path, expires_unix_ms) in [(None, None), (Some("a/b".into()), Some(1))] {
            let kept = Kept { name: "server".into(), path, generation: 3, expires_unix_ms, limit };
            assert_eq!(Kept::decode(Entity(1), &kept.encode()), Ok(kept));
        }
    }

    #[test]
    fn what_another_release_wrote_is_refused() {
        let kept = Kept {
            name: "server".into(),
            path: None,
            generation: 3,
            expires_unix_ms: None,
            limit: Limit::default(),
        };
        let text = String::from_utf8(kept.encode()).unwrap();
        for (one, other) in
            [("\"version\":1", "\"version\":2"), ("\"limit\":{", "\"limit\":{\"more\":1,"), ("{", "")]
        {
            let changed = text.replacen(one, other, 1);
            assert!(Kept::decode(Entity(1), changed.as_bytes()).is_err(), "{changed}");
        }
    }
}
