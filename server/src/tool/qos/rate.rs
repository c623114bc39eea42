//! Rates as people write them.

/// Greater units first: the first that fits is the shortest.
const DECIMAL: [(&str, u64); 4] =
    [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000)];
const BINARY: [(&str, u64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

const BYTES_FORM: &str = "write bytes each second as 10MB/s, 1.5GB/s or 64MiB/s";
const OPERATIONS_FORM: &str = "write operations each second as 5000, 5k or 1.5M";

/// Bytes each second, written `10MB/s`, `64MiB/s` or `800B/s`; the `/s` may be missing, the unit may not.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let prefix = unit.strip_suffix('B').ok_or(BYTES_FORM)?;
    let factor = factor(prefix, &[&DECIMAL, &BINARY]).ok_or(BYTES_FORM)?;
    times(number, factor).ok_or_else(|| BYTES_FORM.to_owned())
}

/// Operations each second, written `5000`, `5k`, `5k ops` or `1.5M/s`.
pub fn operations(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let prefix = unit.strip_suffix("ops").unwrap_or(unit).trim_end();
    let factor = factor(prefix, &[&DECIMAL]).ok_or(OPERATIONS_FORM)?;
    times(number, factor).ok_or_else(|| OPERATIONS_FORM.to_owned())
}

/// Bytes each second, exactly.
pub fn bytes_text(bytes: u64) -> String {
    // What is whole in a binary unit was written in one, but for round numbers.
    let is_binary =
        |(_, of): &&(&str, u64)| bytes >= *of && bytes.is_multiple_of(*of) && !bytes.is_multiple_of(1000);
    if let Some((unit, of)) = BINARY.iter().find(is_binary) {
        return format!("{} {unit}B/s", bytes / of);
    }
    let decimal = DECIMAL.iter().find_map(|unit| thousandths(bytes, *unit));
    decimal.map_or_else(|| format!("{bytes} B/s"), |(text, unit)| format!("{text} {unit}B/s"))
}

/// Operations each second, exactly.
pub fn operations_text(operations: u64) -> String {
    let decimal = DECIMAL.iter().find_map(|unit| thousandths(operations, *unit));
    decimal.map_or_else(|| operations.to_string(), |(text, unit)| format!("{text}{unit}"))
}

/// Bytes each second in three digits.
pub fn about_bytes(bytes: u64) -> String {
    let (number, unit) = three_digits(bytes);
    format!("{number} {unit}B/s")
}

/// Operations each second in three digits.
pub fn about_operations(operations: u64) -> String {
    let (number, unit) = three_digits(operations);
    format!("{number}{unit}")
}

/// A number below a thousand, and the unit that it is in.
fn three_digits(value: u64) -> (String, &'static str) {
    // What would be rounded to a thousand is one of the next unit.
    let fits = |(_, of): &&(&str, u64)| value as f64 >= *of as f64 * 0.9995;
    let Some((unit, of)) = DECIMAL.iter().find(fits) else { return (value.to_string(), "") };
    let number = value as f64 / *of as f64;
    let places = if number >= 99.95 {
        0
    } else if number >= 9.995 {
        1
    } else {
        2
    };
    (format!("{number:.places$}"), unit)
}

/// The number, and the unit without `/s`.
fn split(text: &str) -> (&str, &str) {
    let digits = text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let (number, unit) = text.split_at(text.len() - digits.len());
    (number, unit.trim().trim_end_matches("/s").trim_end())
}

fn factor(prefix: &str, units: &[&[(&str, u64)]]) -> Option<u64> {
    let found =
        units.iter().flat_map(|units| units.iter()).find(|(unit, _)| unit.eq_ignore_ascii_case(prefix));
    found.map(|(_, factor)| *factor).or_else(|| prefix.is_empty().then_some(1))
}

/// A decimal number times a whole one, if it is whole.
fn times(number: &str, factor: u64) -> Option<u64> {
    let (before, after) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_u128.checked_pow(after.len().try_into().ok()?)?;
    let digits: u128 = format!("{before}{after}").parse().ok()?;
    let scaled = digits.checked_mul(factor.into())?;
    scaled.is_multiple_of(scale).then(|| u64::try_from(scaled / scale).ok())?
}

/// `value` in a unit, if it has at most three decimal places in it.
fn thousandths(value: u64, (unit, of): (&'static str, u64)) -> Option<(String, &'static str)> {
    let step = of / 1000;
    if value < of || !value.is_multiple_of(step) {
        return None;
    }
    let text = format!("{}.{:03}", value / of, value % of / step);
    Some((text.trim_end_matches('0').trim_end_matches('.').to_owned(), unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, rate) in [
            ("10MB/s", 10_000_000),
            ("10 MB/s", 10_000_000),
            ("10MB", 10_000_000),
            ("1.5GB/s", 1_500_000_000),
            ("64MiB/s", 64 << 20),
            ("0.5KiB/s", 512),
            ("800B/s", 800),
            ("1KB/s", 1000),
        ] {
            assert_eq!(bytes(text), Ok(rate), "{text}");
        }
        for text in ["10", "10M", "MB/s", "10Mbit/s", "0.5B/s", "-1MB/s", "1.2.3MB/s", "99999999999TB/s", ""]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
        for (text, rate) in
            [("5000", 5000), ("5k", 5000), ("5k ops", 5000), ("1.5Mops/s", 1_500_000), ("7/s", 7)]
        {
            assert_eq!(operations(text), Ok(rate), "{text}");
        }
        for text in ["5kB", "k", "5Ki", "1.0001k", ""] {
            assert!(operations(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_that_are_measured_have_three_digits() {
        for (rate, text) in [
            (0, "0 B/s"),
            (999, "999 B/s"),
            (1000, "1.00 kB/s"),
            (9_994, "9.99 kB/s"),
            (9_996, "10.0 kB/s"),
            (99_960, "100 kB/s"),
            (999_499, "999 kB/s"),
            (999_500, "1.00 MB/s"),
            (1_234_567_890, "1.23 GB/s"),
            (5_000_000_000_000_000, "5000 TB/s"),
        ] {
            assert_eq!(about_bytes(rate), text);
        }
        assert_eq!([about_operations(151), about_operations(12_345)], ["151", "12.3k"]);
    }

    #[test]
    fn rates_are_shown_shortly_and_exactly() {
        for (rate, text) in [
            (10_000_000, "10 MB/s"),
            (1_500_000_000, "1.5 GB/s"),
            (64 << 20, "64 MiB/s"),
            (1_000_000_000_000, "1 TB/s"),
            (1_234_567, "1234.567 kB/s"),
            (1_234_567_891, "1234567.891 kB/s"),
            (1_024, "1 KiB/s"),
            (1_500, "1.5 kB/s"),
            (1, "1 B/s"),
        ] {
            assert_eq!((bytes_text(rate).as_str(), bytes(&bytes_text(rate))), (text, Ok(rate)));
        }
        for (rate, text) in [(5000, "5k"), (1234, "1.234k"), (999, "999"), (1_234_567_891, "1234567.891k")] {
            assert_eq!(
                (operations_text(rate).as_str(), operations(&operations_text(rate))),
                (text, Ok(rate))
            );
        }
    }
}
