//! Why the program cannot go on, and what to do about it.

use std::fmt;

/// An error that ends the program.
#[derive(Debug)]
pub struct Fatal {
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl Fatal {
    /// `reason` says what is wrong and names the setting or file; `remedy` says what to do.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n  remedy: {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Fatal {}
