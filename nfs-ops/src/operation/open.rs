//! OPEN in all its claims and ways of creating (RFC 8881 §18.16).
//!
//! Shares are reserved in state before storage is touched, so that nobody who is to be kept out gets in between, and
//! nothing is truncated for an open that is then denied.

use qos::Kind;
use state::{Access, Deny, OpenClaim as StateClaim, OpenFiles, OpenRequest};
use vfs::{Authority, CreateHow as VfsCreateHow, OpenAccess, Opened, SetAttributes, Vfs};
use wire::nfs4::{
    Bitmap, ChangeInfo, CreateHow, NoDelegation, OpenArgs, OpenClaim, OpenDelegation, OpenHow, OpenResult,
    RawAttributes, Status, attribute, open_result_flags, share_access,
};
use wire::xdr::Encoder;

use super::lookup;
use super::namespace::change_info;
use crate::common::create::{self, File};
use crate::common::open_file;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::name;
use crate::object::{Object, Place};
use crate::settable::Wanted;

/// What may stand above the access bits of `share_access`.
const WANT_FLAGS: u32 = share_access::WANT_DELEG_MASK
    | share_access::WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL
    | share_access::WANT_PUSH_DELEG_WHEN_UNCONTENDED
    | share_access::WANT_DELEG_TIMESTAMPS
    | share_access::WANT_OPEN_XOR_DELEGATION;

/// The attributes that hold the verifier of an exclusive create, as they are answered (RFC 8881 §18.16.3): the client
/// sets them to what it wants afterwards.
const VERIFIER_HELD_IN: Bitmap = Bitmap::of(&[attribute::TIME_ACCESS, attribute::TIME_MODIFY]);

/// What an open asks of state.
#[derive(Clone, Copy)]
struct Shares<'a> {
    owner: &'a [u8],
    access: Access,
    deny: Deny,
    claim: StateClaim,
}

/// What became of it.
struct Done<V: Vfs> {
    place: Place<V>,
    stateid: wire::nfs4::Stateid,
    change: ChangeInfo,
    attributes_set: Bitmap,
}

/// What is to be created and how.
struct Creation {
    how: VfsCreateHow,
    wanted: Wanted,
}

/// OPEN. The file becomes current, and its stateid the current stateid.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: OpenArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    // What its client had before a restart of the server is nothing new.
    let _pass = match arguments.claim {
        OpenClaim::Previous(_) => None,
        _ => Some(compound.admit(Kind::Change, 0).await?),
    };
    let shares = shares(&arguments)?;
    refuse_pseudo(compound, &arguments)?;
    let creation = creation(compound, &arguments).await?;
    let done = match arguments.claim {
        OpenClaim::Null(name) => match creation {
            Some(creation) => create_by_name(compound, &name, &shares, creation).await?,
            None => open_by_name(compound, &name, &shares).await?,
        },
        _ if creation.is_some() => return Err(Status::Inval.into()),
        OpenClaim::Handle | OpenClaim::Previous(_) => {
            let place = compound.place(Status::Isdir)?.clone();
            open_node(compound, place, &shares, unchanged(0)).await?
        }
        // No delegation was ever given out.
        OpenClaim::DelegateCurrent(_) | OpenClaim::DelegateCurrentHandle(_) => {
            return Err(Status::BadStateid.into());
        }
        OpenClaim::DelegatePrevious(_) | OpenClaim::DelegatePreviousHandle => {
            return Err(Status::Notsupp.into());
        }
    };
    reply.put(&OpenResult {
        stateid: done.stateid,
        change_info: done.change,
        flags: open_result_flags::LOCKTYPE_POSIX | open_result_flags::MAY_NOTIFY_LOCK,
        attributes_set: done.attributes_set,
        delegation: no_delegation(arguments.share_access),
    })?;
    compound.set_current(Object::Node(done.place));
    compound.current_stateid = Some(done.stateid);
    Ok(())
}

/// The pseudo file system has no files and takes none.
fn refuse_pseudo<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    arguments: &OpenArgs<'_>,
) -> Result<(), Status> {
    let Object::Pseudo(id) = compound.object()? else { return Ok(()) };
    let OpenClaim::Null(name) = &arguments.claim else { return Err(Status::Isdir) };
    name::check(name)?;
    match (lookup::pseudo_child(compound, *id, name), &arguments.how) {
        (Ok(_), _) => Err(Status::Isdir),
        (Err(Status::Noent), OpenHow::Create(_)) => Err(Status::Rofs),
        (Err(status), _) => Err(status),
    }
}

fn shares<'a>(arguments: &'a OpenArgs<'_>) -> Result<Shares<'a>, Status> {
    let access = arguments.share_access;
    if access & !(share_access::BOTH | WANT_FLAGS) != 0 {
        return Err(Status::Inval);
    }
    let claim = match arguments.claim {
        OpenClaim::Previous(_) => StateClaim::Reclaim,
        _ => StateClaim::New,
    };
    Ok(Shares {
        owner: &arguments.owner.owner,
        access: Access::from_u32(access & share_access::BOTH).ok_or(Status::Inval)?,
        deny: Deny::from_u32(arguments.share_deny).ok_or(Status::Inval)?,
        claim,
    })
}

async fn creation<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    arguments: &OpenArgs<'_>,
) -> Result<Option<Creation>, Failure> {
    let read = async |raw: &RawAttributes<'_>| {
        let server = &compound.request.server;
        Wanted::read(&server.env, &server.shared.settings, compound.minor, raw).await
    };
    let OpenHow::Create(how) = &arguments.how else { return Ok(None) };
    let (how, wanted) = match how {
        CreateHow::Unchecked(raw) => (VfsCreateHow::Unchecked, read(raw).await?),
        CreateHow::Guarded(raw) => (VfsCreateHow::Guarded, read(raw).await?),
        CreateHow::Exclusive(verifier) => (VfsCreateHow::Exclusive(verifier.0), Wanted::default()),
        CreateHow::ExclusiveWithAttributes(both) => {
            let wanted = read(&both.attributes).await?.within_exclusive_create(compound.minor)?;
            (VfsCreateHow::Exclusive(both.verifier.0), wanted)
        }
    };
    Ok(Some(Creation { how, wanted }))
}

/// An existing file by name.
async fn open_by_name<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    name: &[u8],
    shares: &Shares<'_>,
) -> Result<Done<V>, Failure> {
    name::check(name)?;
    let directory = compound.place(Status::Isdir)?;
    let node = directory.storage().lookup(&directory.node, &directory.identity, name).await?;
    let change = directory.storage().attributes(&directory.node).await?.change;
    open_node(compound, directory.with(node), shares, unchanged(change)).await
}

/// An existing file: reserve, open what the owner has not open yet, commit.
async fn open_node<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: Place<V>,
    shares: &Shares<'_>,
    change: ChangeInfo,
) -> Result<Done<V>, Failure> {
    if shares.access.writes() {
        place.writable()?;
    }
    open_file::require_regular(place.storage().attributes(&place.node).await?.kind)?;
    let reservation = reserve(compound, &place, shares)?;
    let files = open_missing(&place, shares, reservation.existing()).await?;
    let stateid = reservation.commit(files)?;
    Ok(Done { place, stateid, change, attributes_set: Bitmap::EMPTY })
}

/// Creates, or opens what is there, as the ways of creating say.
async fn create_by_name<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    name: &[u8],
    shares: &Shares<'_>,
    creation: Creation,
) -> Result<Done<V>, Failure> {
    let client = compound.session()?.session.client().clone();
    compound.request.server.shared.state.check_new_open(&client)?;
    let directory = compound.place(Status::Isdir)?;
    let (access, attributes) = (open_access(shares.access), &creation.wanted.attributes);
    for _ in 0..create::RACES_MAX {
        match create::file(directory, name, creation.how, attributes, access).await? {
            File::Made(place, opened) => return made(compound, place, opened, shares, &creation),
            File::There(place) => {
                if let Some(done) = open_existing(compound, place, name, shares, &creation).await? {
                    return Ok(done);
                }
            }
        }
    }
    Err(Status::Delay.into())
}

/// An UNCHECKED create of a name that is taken: opens it, and empties it if a size of 0 is wanted. `None` when the name
/// came to stand for something else meanwhile.
async fn open_existing<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: Place<V>,
    name: &[u8],
    shares: &Shares<'_>,
    creation: &Creation,
) -> Result<Option<Done<V>>, Failure> {
    let directory = compound.place(Status::Isdir)?;
    let change = directory.storage().attributes(&directory.node).await?.change;
    if creation.wanted.attributes.size_bytes != Some(0) {
        return open_node(compound, place, shares, unchanged(change)).await.map(Some);
    }
    open_file::require_regular(place.storage().attributes(&place.node).await?.kind)?;
    let reservation = reserve(compound, &place, shares)?;
    let empty = SetAttributes { size_bytes: Some(0), ..SetAttributes::default() };
    let access = open_access(shares.access);
    let storage = place.storage();
    let opened = storage
        .open_create(&directory.node, &directory.identity, name, VfsCreateHow::Unchecked, &empty, access)
        .await?;
    if storage.handle(&opened.node) != storage.handle(&place.node) {
        reservation.abandon();
        return Ok(None);
    }
    let stateid = reservation.commit(files(shares.access, opened.file))?;
    let attributes_set = Bitmap::of(&[attribute::SIZE]);
    Ok(Some(Done { place, stateid, change: change_info(&opened.change), attributes_set }))
}

/// The open of a file that was just made.
fn made<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: Place<V>,
    opened: Opened<V::Node, V::File>,
    shares: &Shares<'_>,
    creation: &Creation,
) -> Result<Done<V>, Failure> {
    let reservation = reserve(compound, &place, shares)?;
    let stateid = reservation.commit(files(shares.access, opened.file))?;
    let held =
        if matches!(creation.how, VfsCreateHow::Exclusive(_)) { VERIFIER_HELD_IN } else { Bitmap::EMPTY };
    let attributes_set = creation.wanted.mask.union(&held);
    Ok(Done { place, stateid, change: change_info(&opened.change), attributes_set })
}

fn reserve<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: &Place<V>,
    shares: &Shares<'_>,
) -> Result<state::OpenReservation<V::File>, Status> {
    let client = compound.session()?.session.client();
    let request = OpenRequest {
        file: open_file::key(place),
        owner: shares.owner,
        access: shares.access,
        deny: shares.deny,
        claim: shares.claim,
    };
    compound.request.server.shared.state.open_reserve(client, &request, compound.request.server.env.now_ns())
}

/// Opens what the owner's earlier opens have not brought; permission is asked for all of it, as for every OPEN. A reclaim
/// asks nobody.
async fn open_missing<V: Vfs>(
    place: &Place<V>,
    shares: &Shares<'_>,
    existing: &OpenFiles<V::File>,
) -> Result<OpenFiles<V::File>, Failure> {
    let needs_read = shares.access.reads() && existing.read.is_none();
    let needs_write = shares.access.writes() && existing.write.is_none();
    if shares.claim == StateClaim::New {
        let (held_read, held_write) =
            (shares.access.reads() && !needs_read, shares.access.writes() && !needs_write);
        open_file::still_allowed(place, held_read, held_write).await?;
    }
    let access = match (needs_read, needs_write) {
        (false, false) => return Ok(OpenFiles { read: None, write: None }),
        (true, false) => Access::Read,
        (false, true) => Access::Write,
        (true, true) => Access::Both,
    };
    let authority = match shares.claim {
        StateClaim::New => Authority::Caller,
        StateClaim::Reclaim => Authority::Reclaim,
    };
    let file = open_file::open(place, open_access(access), authority).await?;
    Ok(files(access, file))
}

fn files<F: Clone>(access: Access, file: F) -> OpenFiles<F> {
    OpenFiles { read: access.reads().then(|| file.clone()), write: access.writes().then_some(file) }
}

fn open_access(access: Access) -> OpenAccess {
    match access {
        Access::Read => OpenAccess::Read,
        Access::Write => OpenAccess::Write,
        Access::Both => OpenAccess::Both,
    }
}

/// Nothing was made in the directory.
fn unchanged(change: u64) -> ChangeInfo {
    ChangeInfo { atomic: false, before: change, after: change }
}

/// RFC 8881 §18.16.3: a client that says what it wants is told why it does not get it.
fn no_delegation(access: u32) -> OpenDelegation<'static> {
    match access & share_access::WANT_DELEG_MASK {
        share_access::WANT_NO_PREFERENCE => OpenDelegation::None,
        share_access::WANT_NO_DELEG => OpenDelegation::NoneExt(NoDelegation::NotWanted),
        share_access::WANT_CANCEL => OpenDelegation::NoneExt(NoDelegation::Cancelled),
        _ => OpenDelegation::NoneExt(NoDelegation::Resource(false)),
    }
}
