//! READDIR (RFC 8881 §18.23).

use vfs::{DirectoryEntry, Space, Vfs};
use wire::nfs4::{self, Bitmap, DirectoryWriter, ReadDirArgs, Status, Verifier, attribute};
use wire::xdr::Encoder;

use crate::attributes::{self, Facts};
use crate::common::read_directory::{COOKIE_FIRST, ENTRIES_PER_OPERATION, Put, entries};
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::export::Permission;
use crate::failure::{Failure, status_of};
use crate::handle::PseudoId;
use crate::object::{Object, Place};
use crate::pseudo::{self, Junction};

/// The cookie verifier: cookies stay good for the life of the directory, so it never changes.
const COOKIE_VERIFIER: Verifier = Verifier([0; 8]);

/// The least a caller must give room for: verifier, no entries, end flag.
const COUNT_MIN: u32 = 16;

/// READDIR.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: ReadDirArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    if arguments.cookie != 0 && arguments.verifier != COOKIE_VERIFIER {
        return Err(Status::NotSame.into());
    }
    if (1..COOKIE_FIRST).contains(&arguments.cookie) {
        return Err(Status::BadCookie.into());
    }
    if !arguments.attributes.intersection(&nfs4::WRITE_ONLY).is_empty() {
        return Err(Status::Inval.into());
    }
    if arguments.count_max < COUNT_MIN {
        return Err(Status::Toosmall.into());
    }
    match compound.object()?.clone() {
        Object::Pseudo(id) => list_pseudo(compound, id, &arguments, reply).await,
        Object::Node(place) => list(compound, &place, &arguments, reply).await,
    }
}

async fn list<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: &Place<V>,
    arguments: &ReadDirArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let requested = arguments.attributes.intersection(&attributes::supported(compound.minor));
    let space = if attributes::wants_space(&requested) {
        place.storage().space(&place.node, &place.identity).await.unwrap_or_default()
    } else {
        Space::default()
    };
    let mut writer = DirectoryWriter::begin(reply, COOKIE_VERIFIER, arguments)?;
    let put =
        |entry: &DirectoryEntry| put_entry(compound, place, &mut writer, entry, &requested, space, reply);
    let with_attributes = !requested.is_empty();
    let end = entries(place, arguments.cookie, arguments.count_max, with_attributes, put).await?;
    compound.request.owe(place, writer.entries() as u64 / ENTRIES_PER_OPERATION);
    finish(writer, reply, end)
}

fn put_entry<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: &Place<V>,
    writer: &mut DirectoryWriter,
    entry: &DirectoryEntry,
    requested: &Bitmap,
    space: Space,
    reply: &mut Encoder,
) -> Result<Put, Failure> {
    match entry.object {
        // Gone since the page was read.
        Some(Err(vfs::Error::NotFound | vfs::Error::Stale)) => Ok(Put::Done),
        // RFC 8881 §18.23.3: an entry's error is told in its place if the client asked for that.
        Some(Err(error)) if requested.get(attribute::RDATTR_ERROR) => {
            let told = nfs4::Attributes { rdattr_error: Some(status_of(error)), ..Default::default() };
            let only = Bitmap::of(&[attribute::RDATTR_ERROR]);
            Ok(writer.entry(reply, entry.cookie, &entry.name, &told, &only).into())
        }
        Some(Err(error)) => Err(error.into()),
        Some(Ok((attributes, node))) => {
            let facts = Facts::of_entry(compound, place, attributes, node, space, requested);
            let mut told = facts.tell();
            told.mounted_on_fileid = Some(entry.mounted_on_fileid);
            Ok(writer.entry(reply, entry.cookie, &entry.name, &told, requested).into())
        }
        None => {
            let told = nfs4::Attributes::default();
            Ok(writer.entry(reply, entry.cookie, &entry.name, &told, &Bitmap::EMPTY).into())
        }
    }
}

/// A pseudo directory: the cookie is the entry's number. Exports that are not for this client are left out.
async fn list_pseudo<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    id: PseudoId,
    arguments: &ReadDirArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let directory = compound.request.exports.pseudo.directory(id).ok_or(Status::Stale)?;
    let requested = arguments.attributes.intersection(&attributes::supported(compound.minor));
    let mut writer = DirectoryWriter::begin(reply, COOKIE_VERIFIER, arguments)?;
    for ((name, junction), cookie) in directory.entries.iter().zip(COOKIE_FIRST..) {
        if cookie <= arguments.cookie {
            continue;
        }
        let object = match junction {
            Junction::Directory(id) => Ok(Object::Pseudo(*id)),
            Junction::Export(export) => {
                let settings = compound.request.exports.find(*export).map(|export| &export.settings);
                if settings.is_none_or(|settings| compound.request.permission(settings) == Permission::None) {
                    continue;
                }
                compound.request.export_root(*export).await
            }
        };
        let facts = match object {
            Ok(object) => Facts::of(compound, &object, &requested).await,
            Err(failure) => Err(failure),
        };
        let (mut told, only) = match &facts {
            Ok(facts) => (facts.tell(), requested),
            // An export whose directory is gone or fails is no reason not to list the others.
            Err(failure) if requested.get(attribute::RDATTR_ERROR) => {
                let only = Bitmap::of(&[attribute::RDATTR_ERROR, attribute::MOUNTED_ON_FILEID]);
                let told = nfs4::Attributes { rdattr_error: Some(failure.status()), ..Default::default() };
                (told, requested.intersection(&only))
            }
            Err(failure) if failure.status() == Status::Stale => continue,
            Err(failure) => return Err(*failure),
        };
        if let Junction::Export(_) = junction {
            told.mounted_on_fileid = Some(pseudo::junction_fileid(id, name));
        }
        if writer.entry(reply, cookie, name.as_bytes(), &told, &only).is_err() {
            return finish(writer, reply, false);
        }
    }
    finish(writer, reply, true)
}

/// RFC 8881 §18.23.3: not even one entry fits.
fn finish(writer: DirectoryWriter, reply: &mut Encoder, end: bool) -> Result<(), Failure> {
    if writer.entries() == 0 && !end {
        return Err(Status::Toosmall.into());
    }
    writer.finish(reply, end)?;
    Ok(())
}
