//! What was asked and what was acknowledged, in a file of one JSON line each.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Regular,
    Directory,
    SymbolicLink,
    Fifo,
}

/// One operation by what it does. Paths are relative to the worker's directory; one that begins with a slash is
/// shared by the workers of a file system. Data is counted in cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// EXCHANGE_ID, CREATE_SESSION, RECLAIM_COMPLETE: the client may reclaim after a restart.
    Client,
    Create {
        path: String,
        kind: Kind,
        mode: u32,
    },
    /// An open of what somebody else has made.
    Open {
        path: String,
    },
    Write {
        path: String,
        first: u64,
        count: u64,
        generation: u32,
        stable: bool,
    },
    Commit {
        path: String,
    },
    SetMode {
        path: String,
        mode: u32,
    },
    SetSize {
        path: String,
        cells: u64,
    },
    SetTime {
        path: String,
        seconds: i64,
    },
    Rename {
        from: String,
        to: String,
    },
    Link {
        from: String,
        to: String,
    },
    Remove {
        path: String,
    },
}

/// What the server answered, as far as it matters after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The object's file handle, in hexadecimal digits.
    pub handle: Option<String>,
    /// Whether the object stays open, so that the client has something to reclaim.
    pub open: bool,
    /// The write verifier.
    pub verifier: Option<[u8; 8]>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The worker's name. A worker has one operation under way at most.
    pub worker: String,
    /// What happened.
    pub event: Event,
}

/// The two sides of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// It is about to be sent.
    Begun(Effect),
    /// The last one begun by the worker has been acknowledged.
    Done(Answer),
}

/// Writes a journal. Each line is with the kernel of this machine, whose power stays on, before anything else happens.
pub struct Journal(File);

impl Journal {
    /// A new one.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        OpenOptions::new().write(true).create_new(true).open(path).map(Self)
    }

    /// Appends a line.
    pub fn put(&mut self, worker: &str, event: Event) {
        let line = Line { worker: worker.to_owned(), event };
        let mut text = serde_json::to_string(&line).expect("plain data");
        text.push('\n');
        self.0.write_all(text.as_bytes()).expect("the journal can be written");
    }
}

/// Reads a journal.
pub fn read(path: &Path) -> std::io::Result<Vec<Line>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

/// A handle in hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits that [`hexadecimal`] wrote.
pub fn bytes(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits");
    (0..digits.len()).step_by(2).map(pair).collect()
}
