//! What is used of a limit, as operators read it.

use std::time::Duration;

use qos::limits::{Limit, Usage};
use serde_json::{Map, Value, json};

use super::fields;

/// What requests have used and how they waited, between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// At the first look.
    pub before: Usage,
    /// At the second.
    pub after: Usage,
    /// The time between them.
    pub time: Duration,
}

impl Span {
    /// Rates under the names of the limits that they are held against, and how long requests waited.
    pub fn show(&self, limit: &Limit) -> Value {
        let mut shown: Map<String, Value> =
            self.rates().map(|(name, rate)| (name.to_owned(), (rate.round() as u64).into())).collect();
        if let Some((most, part)) = self.most_used(limit) {
            shown.insert("used".to_owned(), thousandths(part));
            shown.insert("used_most".to_owned(), most.into());
        }
        let waits = self.count(|usage| usage.waits);
        shown.insert("parked".to_owned(), self.after.parked.into());
        shown.insert("waits_per_second".to_owned(), (self.per_second(waits).round() as u64).into());
        // A wait is counted, with its time, when it ends.
        let waited_ns = self.count(|usage| usage.waited_ns);
        let wait_microseconds = waited_ns.checked_div(waits).map(|mean_ns| mean_ns / 1000);
        shown.insert("wait_microseconds".to_owned(), wait_microseconds.into());
        shown.insert("refused".to_owned(), self.count(|usage| usage.refused).into());
        shown.into()
    }

    /// How much of its limit is used, where it has one: of the rate that binds first.
    pub fn used(&self, limit: &Limit) -> f64 {
        self.most_used(limit).map_or(0.0, |(_, part)| part)
    }

    /// Bytes each second.
    pub fn bytes_per_second(&self) -> f64 {
        self.per_second(self.count(|usage| usage.read_bytes + usage.written_bytes))
    }

    fn most_used(&self, limit: &Limit) -> Option<(&'static str, f64)> {
        let bounds = fields::rates(limit);
        let parts = self
            .rates()
            .zip(bounds)
            .filter_map(|((name, rate), (_, bound))| Some((name, rate / bound? as f64)));
        parts.max_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// In the order of [`fields::rates`].
    fn rates(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let of: [fn(&Usage) -> u64; fields::RATES_LEN] = [
            |usage| usage.read_bytes + usage.written_bytes,
            |usage| usage.read_bytes,
            |usage| usage.written_bytes,
            |usage| usage.reads + usage.writes,
            |usage| usage.reads,
            |usage| usage.writes,
        ];
        let names = fields::rates(&Limit::default()).map(|(name, _)| name);
        names.zip(of).map(|(name, of)| (name, self.per_second(self.count(of))))
    }

    /// By how much a count has grown. What was given back meanwhile may have been used before.
    fn count(&self, of: impl Fn(&Usage) -> u64) -> u64 {
        of(&self.after).saturating_sub(of(&self.before))
    }

    fn per_second(&self, count: u64) -> f64 {
        if self.time.is_zero() { 0.0 } else { count as f64 / self.time.as_secs_f64() }
    }
}

fn thousandths(part: f64) -> Value {
    json!((part * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn what_is_nearest_to_its_limit_is_told() {
        let before = Usage { read_bytes: 1000, reads: 10, waits: 5, waited_ns: 7_000, ..Usage::default() };
        let after = Usage {
            read_bytes: 1900,
            reads: 19,
            written_bytes: 200,
            writes: 20,
            waits: 9,
            waited_ns: 15_000,
            refused: 1,
            parked: 3,
        };
        let span = Span { before, after, time: Duration::from_secs(2) };
        let mut limit = Limit::default();
        assert_eq!((span.used(&limit), span.show(&limit).get("used")), (0.0, None));
        limit.bytes.together = NonZeroU64::new(1000);
        limit.operations.write = NonZeroU64::new(15);
        let shown = json!({
            "bytes_per_second": 550, "read_bytes_per_second": 450, "write_bytes_per_second": 100,
            "operations_per_second": 15, "read_operations_per_second": 5, "write_operations_per_second": 10,
            "used": 0.667, "used_most": "write_operations_per_second",
            "parked": 3, "waits_per_second": 2, "wait_microseconds": 2, "refused": 1
        });
        assert_eq!(span.show(&limit), shown);
        let nothing = Span { before: after, after: before, time: Duration::ZERO };
        assert_eq!(
            (nothing.used(&limit), nothing.show(&limit)["wait_microseconds"].clone()),
            (0.0, Value::Null)
        );
    }
}
