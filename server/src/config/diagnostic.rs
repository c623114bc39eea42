//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, and line and column (from 1) where they are known. Nothing when no file is to blame but
    /// the command line.
    pub place: Option<(PathBuf, Option<(usize, usize)>)>,
    /// What is wrong; names the setting.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl Diagnostic {
    /// A mistake that is not in a file.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: None, reason: reason.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, position)) = &self.place {
            write!(formatter, "{}:", file.display())?;
            if let Some((line, column)) = position {
                write!(formatter, "{line}:{column}:")?;
            }
            formatter.write_str(" ")?;
        }
        write!(formatter, "{}\n  remedy: {}", self.reason, self.remedy)
    }
}

/// All mistakes found in one pass; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, diagnostic) in self.0.iter().enumerate() {
            if number > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

/// A file's text, and the mistakes found in it so far.
#[derive(Debug)]
pub struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Source<'a> {
    /// The text of `file`, with no mistake found yet.
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// Notes a mistake at `span` (bytes of the text).
    pub fn wrong(&mut self, span: Range<usize>, reason: impl Into<String>, remedy: impl Into<String>) {
        let place = Some((self.file.to_owned(), Some(position(self.text, span.start))));
        self.found.push(Diagnostic { place, reason: reason.into(), remedy: remedy.into() });
    }

    /// Goes on if there was no mistake so far.
    pub fn finish_or_continue(self) -> Result<Self, Diagnostics> {
        if self.found.is_empty() { Ok(self) } else { Err(Diagnostics(self.found)) }
    }

    /// `value` if there was no mistake, else all of them.
    pub fn finish<T>(self, value: T) -> Result<T, Diagnostics> {
        if self.found.is_empty() { Ok(value) } else { Err(Diagnostics(self.found)) }
    }
}

/// Line and column, both from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let text = "a = 1\nb = \"\u{e4}\" x";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, text.len() - 1), (2, 9));
        assert_eq!(position(text, 999), (2, 10));
    }
}
