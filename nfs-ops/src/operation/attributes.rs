//! GETATTR, SETATTR, VERIFY, NVERIFY (RFC 8881 §18.7, §18.30, §18.31, §18.15).

use bytes::BytesMut;
use vfs::Vfs;
use wire::nfs4::{Bitmap, GetAttrArgs, RawAttributes, SetAttrArgs, Status, WRITE_ONLY, attribute};
use wire::xdr::Encoder;

use super::open_file;
use crate::attributes::{self, Facts};
use crate::common;
use crate::common::names::changeable;
use crate::common::open_file::OpenFile;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::settable::{Wanted, changes_size};

/// Room to write the attributes a client wants compared.
const COMPARED_BYTES_MAX: usize = 16 * 1024;

/// GETATTR.
pub async fn get<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: GetAttrArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let object = compound.object()?;
    let requested = arguments.requested;
    let facts = Facts::of(compound, object, &requested).await?;
    let told = requested.intersection(&attributes::supported(compound.minor));
    facts.tell().encode(&told, reply)?;
    Ok(())
}

/// SETATTR. The body, the set of attributes that were set, is answered also with an error.
pub async fn set<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: SetAttrArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let outcome = apply(compound, &arguments).await;
    reply.put(outcome.as_ref().unwrap_or(&Bitmap::EMPTY))?;
    outcome.map(|_| ()).map_err(|failure| Failure::WithBody(failure.status()))
}

async fn apply<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: &SetAttrArgs<'_>,
) -> Result<Bitmap, Failure> {
    let server = compound.request.server.clone();
    let wanted =
        Wanted::read(&server.env, &server.shared.settings, compound.minor, &arguments.attributes).await?;
    changeable(compound.place(Status::Rofs)?)?;
    let opened = if changes_size(&wanted.mask) {
        open_file::for_size_change(compound, arguments.stateid)?
    } else {
        None
    };
    let place = compound.place(Status::Rofs)?;
    let file = opened.as_ref().map(OpenFile::file);
    common::attributes::set(&compound.request, place, file, &wanted.attributes).await?;
    Ok(wanted.mask)
}

/// VERIFY and NVERIFY: compares what is with what the client thinks, as bytes on the wire.
pub async fn verify<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    sent: RawAttributes<'_>,
    same_wanted: bool,
) -> Result<(), Failure> {
    if !sent.mask.is_subset(&attributes::supported(compound.minor)) {
        return Err(Status::Attrnotsupp.into());
    }
    // RFC 8881 §18.31.3: attributes that can only be set, and rdattr_error, cannot be compared.
    if sent.mask.get(attribute::RDATTR_ERROR) || !sent.mask.intersection(&WRITE_ONLY).is_empty() {
        return Err(Status::Inval.into());
    }
    sent.decode_values().map_err(Status::from)?;
    let facts = Facts::of(compound, compound.object()?, &sent.mask).await?;
    let mut ours = Encoder::new(BytesMut::new(), COMPARED_BYTES_MAX);
    facts.tell().encode(&sent.mask, &mut ours)?;
    let mut theirs = Encoder::new(BytesMut::new(), COMPARED_BYTES_MAX);
    let same = theirs.put(&sent).is_ok() && ours.head_from(0) == theirs.head_from(0);
    match (same, same_wanted) {
        (true, true) | (false, false) => Ok(()),
        (false, true) => Err(Status::NotSame.into()),
        (true, false) => Err(Status::Same.into()),
    }
}
