//! READDIR and READDIRPLUS (RFC 1813 §3.3.16, §3.3.17).

use vfs::{Attributes, DirectoryEntry, Identity, NodeHandle, Vfs};
use wire::nfs3::{
    self, DirectoryHead, DirectoryWriter, Entry, EntryPlus, PostOpAttributes, ReadDirArgs, ReadDirPlusArgs,
    Verifier,
};
use wire::nfs4::Status;
use wire::xdr::{Encoder, NoRoom};

use super::place::{after, bare, handle_of, place_to_look, told, with};
use crate::common::read_directory::{ENTRIES_PER_OPERATION, Put, entries};
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::handle::HandleContent;
use crate::object::Place;
use crate::request::Request;

/// The most bytes of one listing, whatever the client has room for: it bounds what one call keeps a core busy with.
pub const REPLY_BYTES_MAX: u32 = 64 * 1024;

/// Cookies stay good for the life of the directory, so it never changes.
const VERIFIER: Verifier = Verifier([0; 8]);

/// The cookies of '.' and '..', which the storage leaves free; its own begin behind them.
const SELF_COOKIE: u64 = 1;
const PARENT_COOKIE: u64 = 2;

/// What is asked for.
#[derive(Clone, Copy)]
pub enum Listing {
    /// READDIR.
    Names(ReadDirArgs),
    /// READDIRPLUS.
    Plus(ReadDirPlusArgs),
}

impl Listing {
    fn position(&self) -> (nfs3::FileHandle, u64, Verifier) {
        match self {
            Self::Names(arguments) => (arguments.directory, arguments.cookie, arguments.verifier),
            Self::Plus(arguments) => (arguments.directory, arguments.cookie, arguments.verifier),
        }
    }

    fn count_max(&self) -> u32 {
        match self {
            Self::Names(arguments) => arguments.count_max.min(REPLY_BYTES_MAX),
            Self::Plus(arguments) => arguments.count_max.min(REPLY_BYTES_MAX),
        }
    }

    fn begin(&self, reply: &mut Encoder, attributes: PostOpAttributes) -> Result<DirectoryWriter, NoRoom> {
        let (head, count_max) = (DirectoryHead { attributes, verifier: VERIFIER }, self.count_max());
        match self {
            Self::Names(arguments) => {
                DirectoryWriter::begin(reply, &head, &ReadDirArgs { count_max, ..*arguments })
            }
            Self::Plus(arguments) => {
                DirectoryWriter::begin_plus(reply, &head, &ReadDirPlusArgs { count_max, ..*arguments })
            }
        }
    }
}

/// READDIR and READDIRPLUS, whose result is written here entry by entry.
///
/// # Errors
/// When not even a failure fits.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    listing: Listing,
    reply: &mut Encoder,
) -> Result<(), NoRoom> {
    let start = reply.position();
    let outcome = match place_to_look(request, &listing.position().0).await {
        Err(failure) => Err(bare(failure)),
        Ok((place, _pass)) => match list(request, &place, &listing, reply).await {
            Err(failure) => Err(with(failure, after(&place).await)),
            Ok(()) => Ok(()),
        },
    };
    let Err(failure) = outcome else { return Ok(()) };
    reply.truncate(start);
    reply.put::<nfs3::Failure<PostOpAttributes>>(&failure)
}

async fn list<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    listing: &Listing,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let (_, cookie, verifier) = listing.position();
    if cookie != 0 && verifier != VERIFIER {
        return Err(Status::BadCookie.into());
    }
    let plus = matches!(listing, Listing::Plus(_));
    let own = place.storage().attributes(&place.node).await?;
    reply.put(&nfs3::Status::Ok)?;
    let mut writer = listing.begin(reply, Some(told(&own))).map_err(|NoRoom| Status::Toosmall)?;
    let mut put = |name: &[u8], cookie, file_id, object: Option<(Attributes, NodeHandle)>| {
        put_entry(request, place, &mut writer, reply, plus, Found { name, cookie, file_id, object })
    };
    let mut full = false;
    if cookie < SELF_COOKIE {
        let object = (own, place.storage().handle(&place.node));
        full = put(b".", SELF_COOKIE, own.fileid, Some(object)) == Put::Full;
    }
    if cookie < PARENT_COOKIE && !full {
        let (above, node) = parent(place).await?;
        full = put(b"..", PARENT_COOKIE, above.fileid, Some((above, node))) == Put::Full;
    }
    let from = if cookie <= PARENT_COOKIE { 0 } else { cookie };
    let end = !full
        && entries(place, from, listing.count_max(), plus, |entry: &DirectoryEntry| {
            let object = match entry.object {
                // Gone since the page was read.
                Some(Err(vfs::Error::NotFound | vfs::Error::Stale)) => return Ok(Put::Done),
                // The client can still ask for it by name, and is then told what is wrong.
                Some(Err(_)) | None => None,
                Some(Ok(object)) => Some(object),
            };
            Ok(put(&entry.name, entry.cookie, entry.mounted_on_fileid, object))
        })
        .await?;
    if writer.entries() == 0 && !end {
        return Err(Status::Toosmall.into());
    }
    request.owe(place, writer.entries() as u64 / ENTRIES_PER_OPERATION);
    writer.finish(reply, end)?;
    Ok(())
}

/// What '..' stands for; above an export's root there is only itself. Looked up as the server itself, as all entries are
/// numbered for those too who may not search.
async fn parent<V: Vfs>(place: &Place<V>) -> Result<(Attributes, NodeHandle), Failure> {
    let storage = place.storage();
    let above = storage.parent(&place.node, &Identity::root()).await?;
    let above = above.as_ref().unwrap_or(&place.node);
    Ok((storage.attributes(above).await?, storage.handle(above)))
}

/// One entry.
struct Found<'a> {
    name: &'a [u8],
    cookie: u64,
    file_id: u64,
    object: Option<(Attributes, NodeHandle)>,
}

fn put_entry<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    writer: &mut DirectoryWriter,
    reply: &mut Encoder,
    plus: bool,
    found: Found<'_>,
) -> Put {
    let Found { name, cookie, file_id, object } = found;
    let name = name.into();
    if !plus {
        return writer.entry(reply, &Entry { file_id, name, cookie }).into();
    }
    let seal = |node: &NodeHandle| {
        let content = HandleContent::Node(place.export.settings.id, *node);
        handle_of(request, &content)
    };
    let handle = object.as_ref().map(|(_, node)| seal(node));
    let attributes = object.map(|(attributes, _)| told(&attributes));
    writer.entry_plus(reply, &EntryPlus { file_id, name, cookie, attributes, handle }).into()
}
