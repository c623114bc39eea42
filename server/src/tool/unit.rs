//! Sizes and times as people write them.

use std::str::FromStr;
use std::time::Duration;

/// A number of bytes, written `4096`, `4K`, `4KiB`, `1M` or `1G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" | "B" => 0,
            "K" | "k" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            _ => return Err("sizes are written 4096, 4KiB, 1MiB or 1GiB".to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| "sizes begin with a whole number".to_owned())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| "larger than any file".to_owned())
    }
}

/// A time, written `10`, `10s`, `500ms`, `2m` or `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// Longest time: what is longer is a mistake.
const SECONDS_MAX: f64 = 30.0 * 24.0 * 3600.0;

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len()
            - text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.').len();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "" | "s" => 1.0,
            "ms" => 0.001,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err("times are written 10, 10s, 500ms, 2m or 2h".to_owned()),
        };
        let number: f64 = number.parse().map_err(|_| "times begin with a number".to_owned())?;
        let seconds = number * factor;
        if seconds > SECONDS_MAX {
            return Err("longer than a month".to_owned());
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

/// Bytes, for people: three digits and a binary unit.
pub fn bytes_text(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let places = if unit == 0 || value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.places$} {}", units[unit])
}

/// A count, for people: digits in groups of three.
pub fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Microseconds, for people.
pub fn microseconds_text(microseconds: u64) -> String {
    match microseconds {
        0..10_000 => format!("{microseconds} us"),
        10_000..10_000_000 => format!("{:.1} ms", microseconds as f64 / 1e3),
        _ => format!("{:.1} s", microseconds as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_as_written() {
        assert_eq!("4096".parse(), Ok(Size(4096)));
        assert_eq!("4KiB".parse(), Ok(Size(4096)));
        assert_eq!("1M".parse(), Ok(Size(1 << 20)));
        assert!("4KB".parse::<Size>().is_err(), "powers of 1000 are nobody's block size");
        assert!("".parse::<Size>().is_err() && "99999999999G".parse::<Size>().is_err());
        assert_eq!("500ms".parse(), Ok(Time(Duration::from_millis(500))));
        assert_eq!("1.5".parse(), Ok(Time(Duration::from_millis(1500))));
        assert!("1y".parse::<Time>().is_err() && "9999h".parse::<Time>().is_err());
    }

    #[test]
    fn people_read_three_digits() {
        assert_eq!(bytes_text(1_048_576.0), "1.00 MiB");
        assert_eq!(bytes_text(1_000.0), "0.98 KiB");
        assert_eq!(bytes_text(12.0), "12 B");
        assert_eq!(count_text(1_234_567), "1 234 567");
        assert_eq!(microseconds_text(12_345), "12.3 ms");
    }
}
