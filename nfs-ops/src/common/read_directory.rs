//! READDIR, page by page.

use vfs::{DirectoryEntry, DirectoryRequest, Vfs};
use wire::nfs4::Status;
use wire::xdr::NoRoom;

use crate::failure::Failure;
use crate::object::Place;

/// The first cookie that storage gives out: 0 is the start, 1 and 2 are reserved (RFC 8881 §18.23.3), in NFSv3 for '.' and
/// '..'. Cookies stay good for the life of the directory, so that no verifier has to tell when they have changed.
pub const COOKIE_FIRST: u64 = 3;

/// Beside the operation that every request is, so many entries in its reply count as one.
pub const ENTRIES_PER_OPERATION: u64 = 64;

/// Entries looked up at a time: about what fits a reply of 64 KiB.
const PAGE_ENTRIES_MAX: usize = 256;

/// Names looked up at a time together.
const PAGE_NAME_BYTES_MAX: usize = 32 * 1024;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is in the reply, or need not be.
    Done,
    /// There was no room.
    Full,
}

impl From<Result<(), NoRoom>> for Put {
    fn from(written: Result<(), NoRoom>) -> Self {
        if written.is_ok() { Put::Done } else { Put::Full }
    }
}

/// Gives `put` the entries behind `cookie` until there is no room for one or the directory ends; answers whether it ended.
/// The caller has room for `bytes_max`.
///
/// # Errors
/// `NFS4ERR_NOTDIR`, the storage's, and `put`'s.
pub async fn entries<V: Vfs>(
    place: &Place<V>,
    mut cookie: u64,
    bytes_max: u32,
    with_attributes: bool,
    mut put: impl FnMut(&DirectoryEntry) -> Result<Put, Failure>,
) -> Result<bool, Failure> {
    loop {
        let request = DirectoryRequest {
            cookie,
            entries_max: PAGE_ENTRIES_MAX,
            name_bytes_max: PAGE_NAME_BYTES_MAX.min(bytes_max as usize),
            with_attributes,
        };
        let page = match place.storage().read_directory(&place.node, &place.identity, request).await {
            Err(vfs::Error::IsSymlink) => return Err(Status::Notdir.into()),
            page => page?,
        };
        // The next name alone is longer than what the caller has room for.
        if page.entries.is_empty() && !page.end {
            return Ok(false);
        }
        for entry in &page.entries {
            cookie = entry.cookie;
            if put(entry)? == Put::Full {
                return Ok(false);
            }
        }
        if page.end {
            return Ok(true);
        }
    }
}
