//! Opening, reading, writing and what goes with it.

use crate::{Attributes, DirectoryChange};

/// What an open may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenAccess {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Both.
    Both,
}

impl OpenAccess {
    /// Whether reading is included.
    pub fn reads(self) -> bool {
        self != Self::Write
    }

    /// Whether writing is included.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// Whose permission counts when an existing object is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The caller's.
    Caller,
    /// Nobody asks: a reclaim by a recorded client, whatever the mode now says.
    Reclaim,
}

/// How a regular file is made while being opened (RFC 8881 §18.16.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateHow {
    /// Make it if it is not there; if it is, only a size of 0 among the attributes is applied.
    Unchecked,
    /// Fail if it is there.
    Guarded,
    /// Make it with a verifier that is durable with the file; the same verifier again finds the same file.
    Exclusive([u8; 8]),
}

/// A file opened by name.
#[derive(Clone, Debug)]
pub struct Opened<N, F> {
    /// The object.
    pub node: N,
    /// The open file.
    pub file: F,
    /// Attributes after the open.
    pub attributes: Attributes,
    /// Whether this call made it.
    pub created: bool,
    /// What that did to the directory (`before == after` when nothing was made).
    pub change: DirectoryChange,
}

/// Bytes of a read from which on pages that go through a pipe cost less than a copy: from 32 KiB on less than half, at
/// 16 KiB about the same.
pub const CROSSOVER_BYTES: usize = 16 * 1024;

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadDone {
    /// Bytes read into the front of the buffer.
    pub bytes: usize,
    /// Whether the end of the file was reached.
    pub end_of_file: bool,
}

/// How durable a write must be (RFC 8881 §18.32, stable_how4). Ordered from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stability {
    /// May be lost until a commit.
    Unstable,
    /// Data and what is needed to read it back are on stable storage.
    Data,
    /// Data and all attributes are on stable storage.
    File,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes written, from the front of the payload.
    pub bytes: usize,
    /// How durable they are: at least what was asked.
    pub stability: Stability,
}

/// What a seek looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTarget {
    /// Data.
    Data,
    /// A hole.
    Hole,
}

/// What a copy did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes copied from the front of the range; fewer than asked when the source ended or time was up.
    pub bytes: u64,
    /// How durable they are.
    pub stability: Stability,
}

/// How a range is going to be used (IO_ADVISE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// No special pattern.
    Normal,
    /// From front to back.
    Sequential,
    /// Here and there.
    Random,
    /// Soon.
    WillNeed,
    /// Not soon.
    DontNeed,
}

/// Whether an extended attribute may, must or must not exist when it is set (RFC 8276 §8.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrSet {
    /// Either.
    Either,
    /// It must not exist.
    Create,
    /// It must exist.
    Replace,
}
