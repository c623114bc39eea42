//! READDIR and READDIRPLUS (RFC 1813 §3.3.16, §3.3.17).

use vfs::{Attributes, DirectoryEntry, NodeHandle, Vfs};
use wire::nfs3::{
    self, DirectoryHead, DirectoryWriter, Entry, EntryPlus, Failure, Outcome, PostOpAttributes, ReadDirArgs,
    ReadDirPlusArgs, Verifier,
};
use wire::nfs4::Status;
use wire::xdr::{Encoder, NoRoom};

use super::place::{after, bare, handle_of, place, told, with};
use crate::common::read_directory::{Put, entries};
use crate::env::{Backchannel, Env};
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
    let outcome = match place(request, &listing.position().0).await {
        Err(failure) => Err(bare(failure)),
        Ok(place) => match list(request, &place, &listing, reply).await {
            Err(failure) => Err(with(failure, after(&place).await)),
            Ok(()) => Ok(()),
        },
    };
    let Err(failure) = outcome else { return Ok(()) };
    reply.truncate(start);
    reply.put::<Outcome<DirectoryHead, PostOpAttributes>>(&Err::<_, Failure<_>>(failure))
}

async fn list<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    listing: &Listing,
    reply: &mut Encoder,
) -> Result<(), crate::failure::Failure> {
    let (_, cookie, verifier) = listing.position();
    if cookie != 0 && verifier != VERIFIER {
        return Err(Status::BadCookie.into());
    }
    let plus = matches!(listing, Listing::Plus(_));
    let dots = dots(place).await?;
    reply.put(&nfs3::Status::Ok)?;
    let mut writer = listing.begin(reply, after(place).await).map_err(|NoRoom| Status::Toosmall)?;
    let mut put = |name: &[u8], cookie, file_id, object: Option<(Attributes, NodeHandle)>| {
        put_entry(request, place, &mut writer, reply, plus, Found { name, cookie, file_id, object })
    };
    let mut full = false;
    for (dot_cookie, name, attributes, node) in dots {
        if !full && cookie < dot_cookie {
            full = put(name, dot_cookie, attributes.fileid, Some((attributes, node))) == Put::Full;
        }
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
    writer.finish(reply, end)?;
    Ok(())
}

type Dot = (u64, &'static [u8], Attributes, NodeHandle);

/// '.' and '..'; above an export's root there is only itself.
async fn dots<V: Vfs>(place: &Place<V>) -> Result<[Dot; 2], crate::failure::Failure> {
    let storage = place.storage();
    let own = storage.attributes(&place.node).await?;
    let above = storage.parent(&place.node, &place.identity).await?;
    let above = above.as_ref().unwrap_or(&place.node);
    let above_attributes = storage.attributes(above).await?;
    Ok([
        (SELF_COOKIE, b".", own, storage.handle(&place.node)),
        (PARENT_COOKIE, b"..", above_attributes, storage.handle(above)),
    ])
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
