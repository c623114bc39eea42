//! MOUNT, version 3 (RFC 1813 §5): how a client of NFSv3 comes to the root of an export, or to a directory below it.
//!
//! A path is the one that NFSv4 clients use. What MNT gives is only a file handle: whoever holds one is asked for permission
//! with every call that uses it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rpc::Call;
use vfs::{FileKind, Identity, Vfs};
use wire::mount3::{Export, ListWriter, Mount, MountResult, Name, Path, Procedure, Status};
use wire::nfs4::Status as Status4;
use wire::rpc::AUTH_SYS;
use wire::xdr::{self, Decoder, Encoder, NoRoom};

use crate::env::{Backchannel, Env};
use crate::export::{ExportSettings, Network, Protocol};
use crate::failure::Failure;
use crate::handle::ExportId;
use crate::identity::Caller;
use crate::name;
use crate::object::{Object, Place};
use crate::procedure::place::handle_of;
use crate::request::Request;
use crate::server::Server;

/// Mounts that are remembered, for DUMP alone: as many as clients a server has at most. Beyond it the oldest is forgotten.
const MOUNTS_MAX: usize = 4096;

/// Room for a list of mounts or exports.
const REPLY_BYTES_MAX: usize = 256 * 1024;

/// Who has mounted what, as far as clients have said (RFC 1813 §5.2.2): nothing follows from it.
#[derive(Debug, Default)]
pub struct Mounts {
    mounts: Mutex<VecDeque<(IpAddr, Vec<u8>)>>,
}

impl Mounts {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(IpAddr, Vec<u8>)>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, host: IpAddr, path: &[u8]) {
        let mut mounts = self.lock();
        if mounts.iter().any(|(other, known)| *other == host && known == path) {
            return;
        }
        if mounts.len() >= MOUNTS_MAX {
            mounts.pop_front();
        }
        mounts.push_back((host, path.to_vec()));
    }

    /// Forgets the mounts of `host`, or the one of this path.
    fn remove(&self, host: IpAddr, path: Option<&[u8]>) {
        self.lock().retain(|(other, known)| *other != host || path.is_some_and(|path| known != path));
    }
}

/// Runs the procedure whose arguments are in `decoder` and writes its result behind the RPC header in `reply`.
///
/// # Errors
/// When the arguments cannot be decoded.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    caller: Rc<Caller>,
    call: Call,
    procedure: Procedure,
    decoder: &mut Decoder<'_>,
    reply: &mut Encoder,
) -> Result<(), xdr::Error> {
    reply.set_limit(REPLY_BYTES_MAX);
    let request = Request::new(server, caller, call, Protocol::V3);
    let (host, mounts) = (request.peer.address.ip().to_canonical(), &server.shared.mounts);
    let written = match procedure {
        Procedure::Null => Ok(()),
        Procedure::Mnt => {
            let path: Path<'_> = decoder.get()?;
            let outcome = mount(&request, path.bytes()).await;
            if outcome.is_ok() {
                mounts.add(host, &spelled(path.bytes()));
            }
            reply.put(&outcome)
        }
        Procedure::Dump => list_mounts(mounts, reply),
        Procedure::Umnt => {
            mounts.remove(host, Some(&spelled(decoder.get::<Path<'_>>()?.bytes())));
            Ok(())
        }
        Procedure::Umntall => {
            mounts.remove(host, None);
            Ok(())
        }
        Procedure::Export => list_exports(&request, reply),
    };
    written.expect("lists end where the room does, and the rest is short");
    Ok(())
}

/// The names on a path.
fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

/// A path as it is remembered, however a client has written it.
fn spelled(path: &[u8]) -> Vec<u8> {
    let spelled: Vec<u8> = components(path).flat_map(|part| [b"/", part].concat()).collect();
    if spelled.is_empty() { b"/".to_vec() } else { spelled }
}

/// The handle of a directory by its path.
async fn mount<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    path: &[u8],
) -> Result<MountResult, Status> {
    let components: Vec<&[u8]> = components(path).collect();
    let leads_here = |settings: &ExportSettings| {
        let place = settings.pseudo_path.iter().map(|part| part.as_bytes());
        settings.pseudo_path.len() <= components.len()
            && place.zip(&components).all(|(one, other)| one == *other)
    };
    let export = request.exports.iter().find(|export| leads_here(&export.settings)).ok_or(Status::Noent)?;
    let below = &components[export.settings.pseudo_path.len()..];
    let found = walk(request, export.settings.id, below).await;
    let found = found.map_err(|failure| status_of(failure.status()))?;
    Ok(MountResult { handle: handle_of(request, &found.content()), flavors: vec![AUTH_SYS].into() })
}

/// A directory of the export. It is looked for as the server itself: handles may be made of any object of an export.
async fn walk<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    export: ExportId,
    components: &[&[u8]],
) -> Result<Place<V>, Failure> {
    let Object::Node(mut place) = request.export_root(export).await? else {
        unreachable!("the root of an export is in the export");
    };
    for component in components {
        name::check(component)?;
        let node = place.storage().lookup(&place.node, &Identity::root(), component).await?;
        place = place.with(node);
    }
    match place.storage().attributes(&place.node).await?.kind {
        FileKind::Directory => Ok(place),
        _ => Err(Status4::Notdir.into()),
    }
}

fn status_of(status: Status4) -> Status {
    match status {
        Status4::Perm => Status::Perm,
        Status4::Noent | Status4::Stale => Status::Noent,
        Status4::Access => Status::Acces,
        Status4::Notdir | Status4::Symlink => Status::Notdir,
        Status4::Inval | Status4::Badname | Status4::Badchar => Status::Inval,
        Status4::Nametoolong => Status::Nametoolong,
        Status4::Io => Status::Io,
        _ => Status::Serverfault,
    }
}

fn list_mounts(mounts: &Mounts, reply: &mut Encoder) -> Result<(), NoRoom> {
    let writer = ListWriter::begin(reply)?;
    for (host, path) in mounts.lock().iter() {
        let host = host.to_string();
        let item = Mount { host: Name::from(host.as_bytes()), directory: Path::from(path.as_slice()) };
        if writer.item(reply, &item).is_err() {
            break;
        }
    }
    writer.finish(reply)
}

fn list_exports<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    reply: &mut Encoder,
) -> Result<(), NoRoom> {
    let writer = ListWriter::begin(reply)?;
    for export in request.exports.iter().map(|export| &export.settings) {
        if !export.protocols.contains(Protocol::V3) {
            continue;
        }
        let path = format!("/{}", export.pseudo_path.join("/"));
        let groups: Vec<String> = groups(export).map(Network::to_string).collect();
        let item = Export {
            directory: Path::from(path.as_bytes()),
            groups: groups.iter().map(|group| Name::from(group.as_bytes())).collect::<Vec<_>>().into(),
        };
        if writer.item(reply, &item).is_err() {
            break;
        }
    }
    writer.finish(reply)
}

/// The networks that may use an export; none where everybody may.
fn groups(export: &ExportSettings) -> impl Iterator<Item = &Network> {
    let all = || export.clients.iter().chain(&export.read_only_clients);
    let everybody = Network::EVERYBODY.iter().any(|network| all().any(|other| other == network));
    all().take(if everybody { 0 } else { usize::MAX })
}
