//! Objects as text and as JSON.

use client::Details;
use serde::Serialize;
use wire::nfs4::{FileType, NfsTime};

use super::location::Location;

/// An object as JSON shows it.
#[derive(Serialize)]
pub struct Entry {
    /// For people: where a name is not UTF-8, only `url` says which it is.
    path: String,
    url: String,
    r#type: &'static str,
    size: u64,
    space: u64,
    file_id: u64,
    mode: String,
    links: u32,
    owner: String,
    group: String,
    accessed: String,
    modified: String,
    changed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Entry {
    /// What is known of the object at `url`.
    pub fn new(url: &Location, details: &Details, target: Option<&[u8]>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            path: text(&url.path_bytes()),
            url: url.to_string(),
            r#type: type_name(details.file_type),
            size: details.size,
            space: details.space,
            file_id: details.file_id,
            mode: format!("{:04o}", details.mode),
            links: details.links,
            owner: details.owner.clone(),
            group: details.group.clone(),
            accessed: time_text(details.accessed, true),
            modified: time_text(details.modified, true),
            changed: time_text(details.changed, true),
            target: target.map(text),
        }
    }
}

/// What an object is, in a word or two.
pub fn type_name(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Regular => "file",
        FileType::Directory => "directory",
        FileType::SymbolicLink => "link",
        FileType::BlockDevice => "block device",
        FileType::CharacterDevice => "character device",
        FileType::Socket => "socket",
        FileType::Fifo => "fifo",
        FileType::AttributeDirectory | FileType::NamedAttribute => "attribute",
    }
}

/// `drwxr-xr-x`.
pub fn mode_text(details: &Details) -> String {
    let letter = match details.file_type {
        FileType::Directory => 'd',
        FileType::SymbolicLink => 'l',
        FileType::BlockDevice => 'b',
        FileType::CharacterDevice => 'c',
        FileType::Socket => 's',
        FileType::Fifo => 'p',
        _ => '-',
    };
    let mut text = String::from(letter);
    for (shift, special, lower, upper) in
        [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
    {
        let bits = details.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (details.mode & special != 0, bits & 1 != 0) {
            (true, true) => lower,
            (true, false) => upper,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// `2026-01-31 12:34`, in UTC; `exact`: `2026-01-31T12:34:56.123456789Z`.
pub fn time_text(time: NfsTime, exact: bool) -> String {
    let (days, second) = (time.seconds.div_euclid(86_400), time.seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    if exact {
        let nanoseconds = time.nanoseconds;
        return format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z");
    }
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// Year, month and day of a day counted from 1970-01-01, by the rule that years begin in March: then the day that leap
/// years have more is the last one.
fn date(days: i64) -> (i64, i64, i64) {
    /// Days of 400 years, and from 0000-03-01 to 1970-01-01.
    const ERA: i64 = 146_097;
    const TO_1970: i64 = 719_468;
    let days = days + TO_1970;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// A name for the terminal: control characters, which could move its cursor, and bytes that are no UTF-8 are written `\xff`,
/// and so is a backslash.
pub fn printable(name: &[u8]) -> String {
    escaped(name, "\\x", |letter| letter == '\\')
}

/// Bytes as text in which those of control characters, of what is no UTF-8, and of `special` letters are written as two
/// hexadecimal digits behind `mark`.
pub fn escaped(bytes: &[u8], mark: &str, special: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let escape = |bytes: &[u8], text: &mut String| {
        bytes.iter().for_each(|byte| text.push_str(&format!("{mark}{byte:02x}")));
    };
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() || special(letter) {
                escape(letter.encode_utf8(&mut [0; 4]).as_bytes(), &mut text);
            } else {
                text.push(letter);
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> String {
        time_text(NfsTime { seconds, nanoseconds: 0 }, false)
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(at(0), "1970-01-01 00:00");
        assert_eq!(at(951_782_399), "2000-02-28 23:59");
        assert_eq!(at(951_782_400), "2000-02-29 00:00");
        assert_eq!(at(4_107_542_399), "2100-02-28 23:59");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00");
        assert_eq!(at(-1), "1969-12-31 23:59");
    }

    #[test]
    fn names_do_not_move_the_cursor() {
        assert_eq!(printable(b"a\x1b[2J\xffb \xc3\xa4\xc2\x9b"), "a\\x1b[2J\\xffb \u{e4}\\xc2\\x9b");
        assert_eq!(printable(b"\\xff"), "\\x5cxff", "not what the byte is written as");
    }
}
