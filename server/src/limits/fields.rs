//! A limit as operators write and read it: fields of a JSON object.

use std::num::{NonZeroU32, NonZeroU64};

use qos::limits::{BURST_NS_DEFAULT, Limit, Tier};
use serde_json::{Map, Value};

use crate::config::{RATES, WEIGHTS};

/// Longest time in which what was not used is saved up. With more, a limit says little about the next seconds.
const BURST_MICROSECONDS_MAX: u64 = 10_000_000;

/// A field that is a number.
struct Number {
    name: &'static str,
    range: (u64, u64),
    get: fn(&Limit) -> Option<u64>,
    set: fn(&mut Limit, Option<u64>),
}

macro_rules! rate {
    ($name:literal, $($place:ident).+) => {
        Number {
            name: $name,
            range: RATES,
            get: |limit| limit.$($place).+.map(NonZeroU64::get),
            set: |limit, value| limit.$($place).+ = value.and_then(NonZeroU64::new),
        }
    };
}

const NUMBERS: [Number; 9] = [
    rate!("bytes_per_second", bytes.together),
    rate!("read_bytes_per_second", bytes.read),
    rate!("write_bytes_per_second", bytes.write),
    rate!("operations_per_second", operations.together),
    rate!("read_operations_per_second", operations.read),
    rate!("write_operations_per_second", operations.write),
    rate!("reserve_bytes_per_second", reserved),
    Number {
        name: "burst_microseconds",
        range: (0, BURST_MICROSECONDS_MAX),
        get: |limit| Some(limit.burst_ns / 1000),
        set: |limit, value| limit.burst_ns = value.map_or(BURST_NS_DEFAULT, |value| value * 1000),
    },
    Number {
        name: "weight",
        range: (WEIGHTS.0 as u64, WEIGHTS.1 as u64),
        get: |limit| limit.weight.map(|weight| weight.get().into()),
        set: |limit, value| limit.weight = value.and_then(|value| NonZeroU32::new(value as u32)),
    },
];

/// How many of the numbers are rates that bind, the first of them.
pub const RATES_LEN: usize = 6;

const TIER: &str = "tier";

const TIERS: [(&str, Tier); 3] =
    [("protected", Tier::Protected), ("normal", Tier::Normal), ("background", Tier::Background)];

/// The names of all fields.
#[cfg(test)]
pub fn names() -> impl Iterator<Item = &'static str> {
    NUMBERS.iter().map(|number| number.name).chain([TIER])
}

/// Changes what `field` says; `null` is what it is when nothing is said.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn change(limit: &mut Limit, field: &str, value: &Value) -> Result<(), String> {
    if field == TIER {
        limit.tier = tier(value)?;
        return Ok(());
    }
    let Some(number) = NUMBERS.iter().find(|number| number.name == field) else {
        return Err(format!("{field:?} is no field of a limit"));
    };
    (number.set)(limit, whole(field, value, number.range)?);
    Ok(())
}

/// A whole number within `range`, or nothing.
///
/// # Errors
/// When it is something else.
pub fn whole(field: &str, value: &Value, (least, greatest): (u64, u64)) -> Result<Option<u64>, String> {
    match value.as_u64() {
        Some(number) if (least..=greatest).contains(&number) => Ok(Some(number)),
        _ if value.is_null() => Ok(None),
        _ => Err(format!("{field} is {value}: give a whole number from {least} to {greatest}, or null")),
    }
}

fn tier(value: &Value) -> Result<Option<Tier>, String> {
    let found = TIERS.iter().find(|(word, _)| value == word).map(|(_, tier)| *tier);
    if found.is_none() && !value.is_null() {
        return Err(format!("{TIER} is {value}: give \"protected\", \"normal\", \"background\" or null"));
    }
    Ok(found)
}

/// The rates that bind.
pub fn rates(limit: &Limit) -> impl Iterator<Item = (&'static str, Option<u64>)> + use<> {
    let limit = *limit;
    NUMBERS[..RATES_LEN].iter().map(move |number| (number.name, (number.get)(&limit)))
}

/// All fields that say something.
pub fn show(limit: &Limit) -> Map<String, Value> {
    let mut fields = Map::new();
    for number in &NUMBERS {
        if let Some(value) = (number.get)(limit) {
            fields.insert(number.name.to_owned(), value.into());
        }
    }
    if let Some((word, _)) = TIERS.iter().find(|(_, tier)| limit.tier == Some(*tier)) {
        fields.insert(TIER.to_owned(), (*word).into());
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_is_read_as_it_is_shown() {
        let mut limit = Limit::default();
        for (number, field) in names().enumerate() {
            let value = if field == TIER { json!("background") } else { json!(number + 1) };
            change(&mut limit, field, &value).unwrap();
            assert_eq!(show(&limit)[field], value);
        }
        let mut again = Limit::default();
        show(&limit).iter().for_each(|(field, value)| change(&mut again, field, value).unwrap());
        assert_eq!(again, limit);
        assert_eq!((limit.bytes.read, limit.operations.write), (NonZeroU64::new(2), NonZeroU64::new(6)));
        names().for_each(|field| change(&mut limit, field, &Value::Null).unwrap());
        assert_eq!(limit, Limit::default());
    }

    #[test]
    fn what_is_wrong_is_named_and_changes_nothing() {
        for (field, value, words) in [
            ("bytes_per_second", json!(0), "from 1 to 1000000000000"),
            ("bytes_per_second", json!(1_000_000_000_001_u64), "bytes_per_second is 1000000000001"),
            ("read_operations_per_second", json!(-5), "is -5"),
            ("write_bytes_per_second", json!(1.5), "is 1.5"),
            ("burst_microseconds", json!(10_000_001), "from 0 to 10000000"),
            ("reserve_bytes_per_second", json!(0), "reserve_bytes_per_second is 0"),
            ("weight", json!("7"), "weight is \"7\""),
            ("weight", json!(10_001), "from 1 to 10000"),
            ("tier", json!("Protected"), "tier is \"Protected\""),
            ("tier", json!(1), "tier is 1"),
            ("rate", json!(1), "\"rate\" is no field"),
        ] {
            let mut limit = Limit::default();
            let message = change(&mut limit, field, &value).unwrap_err();
            assert!(message.contains(words), "{message}");
            assert_eq!(limit, Limit::default());
        }
    }
}
