//! Open files of requests that have no open: NFSv3 knows none.
//!
//! Opening a file for each READ and WRITE would cost more than the I/O, so each core keeps those it opened lately. Permission is
//! asked when a file is opened, so a file is kept for a moment only ([`KEPT_NS`]), and never longer than until its owner or mode
//! is set through this server, or its last name goes. Deny modes of NFSv4's opens are asked for every request.

use std::cell::RefCell;

use foldhash::HashMap;
use state::{FileKey, IoWant};
use vfs::{Authority, Identity, OpenAccess, Vfs};

use crate::common::names::changeable;
use crate::common::open_file::{self, OpenFile, require_regular};
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Place;
use crate::request::Request;

/// How long a file is kept open, in nanoseconds: clients of NFSv3 trust what they know of an object for 3 s at least.
const KEPT_NS: u64 = 1_000_000_000;

/// Open files kept on one core: what busy clients work with at one time. Past it all are closed; those in use are opened again.
pub const FILES_MAX: usize = 96;

/// The files that one core keeps open.
pub struct AnonymousFiles<K> {
    files: RefCell<Files<K>>,
}

/// By file and purpose; of hardly any file by more than one user at a time.
type Files<K> = HashMap<(FileKey, IoWant), Vec<Kept<K>>>;

struct Kept<K> {
    identity: Identity,
    file: K,
    until_ns: u64,
    /// [`Rights`](crate::common::attributes::Rights) to it before it was opened.
    rights: u64,
}

impl<K> Default for AnonymousFiles<K> {
    fn default() -> Self {
        Self { files: RefCell::default() }
    }
}

impl<K> AnonymousFiles<K> {
    fn find<V: Vfs<Kept = K>>(
        &self,
        place: &Place<V>,
        file: &FileKey,
        want: IoWant,
        (now, rights): (u64, u64),
    ) -> Option<V::File> {
        let files = self.files.borrow();
        let kept = files.get(&(*file, want))?;
        let is_it = |kept: &&Kept<K>| kept.identity == place.identity && kept.rights == rights;
        let kept = kept.iter().find(|kept| is_it(kept) && now < kept.until_ns)?;
        place.storage().kept(&kept.file)
    }

    fn keep(&self, file: FileKey, want: IoWant, kept: Kept<K>) {
        // Closing a file may take long and come back here, so what goes is dropped when nothing is borrowed.
        let mut files = self.files.borrow_mut();
        let count: usize = files.values().map(Vec::len).sum();
        let dropped = if count >= FILES_MAX { std::mem::take(&mut *files) } else { Files::default() };
        let same = files.entry((file, want)).or_default();
        let old: Vec<_> = same.extract_if(.., |old| old.identity == kept.identity).collect();
        same.push(kept);
        drop(files);
        drop((dropped, old));
    }

    /// Closes what was kept long enough.
    pub fn prune(&self, now: u64) {
        let mut dropped = Vec::new();
        self.files.borrow_mut().retain(|_, kept| {
            dropped.extend(kept.extract_if(.., |kept| kept.until_ns <= now));
            !kept.is_empty()
        });
    }
}

/// The open file of `place` for this request.
///
/// # Errors
/// What opening it meets; `NFS4ERR_LOCKED` and `NFS4ERR_GRACE` where an NFSv4 open denies it, or might.
pub async fn open<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    want: IoWant,
) -> Result<OpenFile<V::File>, Failure> {
    if want == IoWant::Write {
        changeable(place)?;
    }
    let file = open_file::key(place);
    let server = &request.server;
    let (now, rights) = (server.env.now_ns(), server.shared.rights.now(&file));
    if let Some(kept) = server.anonymous_files.find(place, &file, want, (now, rights)) {
        server.shared.state.check_anonymous_io(&file, want, now)?;
        return Ok(OpenFile::Once(kept));
    }
    let opened = open_anew(place, want).await?;
    server.shared.state.check_anonymous_io(&file, want, now)?;
    let kept = place.storage().keep(&opened);
    let kept = Kept { identity: place.identity.clone(), file: kept, until_ns: now + KEPT_NS, rights };
    server.anonymous_files.keep(file, want, kept);
    Ok(OpenFile::Once(opened))
}

/// Opens the file as its caller. Its owner may always read and write it, whatever the mode says: it may have it open since
/// before the mode was set, which only the client knows (RFC 1813 §4.4).
async fn open_anew<V: Vfs>(place: &Place<V>, want: IoWant) -> Result<V::File, Failure> {
    let attributes = place.storage().attributes(&place.node).await?;
    require_regular(attributes.kind)?;
    let access = if want == IoWant::Write { OpenAccess::Write } else { OpenAccess::Read };
    match open_file::open(place, access, Authority::Caller).await {
        Err(vfs::Error::AccessDenied) if attributes.uid == place.identity.uid() => {
            Ok(open_file::open(place, access, Authority::Reclaim).await?)
        }
        opened => Ok(opened?),
    }
}
