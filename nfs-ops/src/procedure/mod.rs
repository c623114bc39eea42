//! The procedures of NFSv3 (RFC 1813): the second skin over [`crate::common`], one file for each subject.
//!
//! There is no state here: what an open file is to NFSv4 is asked anew with every call ([`anonymous`]). Calls that must not be
//! executed twice are remembered with their replies ([`remembered`]).

pub mod anonymous;
mod attributes;
mod create;
mod data;
mod file_system;
mod names;
pub mod place;
mod read_directory;
mod remembered;
pub mod status;

use std::rc::Rc;

use rpc::{Bulks, Call};
use tracing::Instrument;
use vfs::{Removed, Vfs};
use wire::nfs3::{Arguments, Procedure, ReadLinkResult, Status};
use wire::rpc::Items;
use wire::xdr::{self, Decoder, Encoder, NoRoom};

use crate::annotation;
use crate::env::{Backchannel, Env};
use crate::export::Protocol;
use crate::identity::Caller;
use crate::request::Request;
use crate::server::Server;
use crate::trace;
use read_directory::Listing;
use remembered::Begun;

/// What a call is answered with.
pub enum Answer {
    /// What was written, with this bulk data.
    Written(Bulks),
    /// The whole first reply to a call that came again.
    Again(Vec<u8>),
    /// Nothing: enough others wait for the reply to the same call.
    Nothing,
}

/// Room for a reply besides the payload of a READ.
const REPLY_BYTES_MAX: usize = read_directory::REPLY_BYTES_MAX as usize + 1024;

/// Runs the procedure whose arguments are in `decoder` and writes its result behind the RPC header in `reply`.
///
/// # Errors
/// When the arguments cannot be decoded.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    caller: Rc<Caller>,
    call: Call,
    (xid, procedure): (u32, Procedure),
    items: Option<Items<'_>>,
    decoder: &mut Decoder<'_>,
    reply: &mut Encoder,
) -> Result<Answer, xdr::Error> {
    let claim = match remembered::begin(server, &call.peer, &caller, xid, procedure, decoder).await {
        Begun::Execute(claim) => claim,
        Begun::Replay(first) => return Ok(Answer::Again(first)),
        Begun::Discard => return Ok(Answer::Nothing),
    };
    let arguments = Arguments::decode(procedure, decoder)?;
    let context = annotation::trace(server, items, None);
    let span = trace::of_call(&server.env, &call.peer, procedure.name(), context);
    let mut request = Request::new(server, caller, call, Protocol::V3);
    request.charged_to = charged_to(&request);
    request.areas = items.and_then(|items| annotation::areas(server, &items, request.call_bytes));
    if let Arguments::Write(arguments) = &arguments {
        annotation::seen(&mut request, decoder, &arguments.data);
    }
    reply.set_limit(server.shared.settings.payload_bytes_max as usize + REPLY_BYTES_MAX);
    let start = reply.position();
    let written = answer(&mut request, arguments, reply).instrument(span.clone()).await;
    annotation::finish(&mut request);
    if written.is_err() {
        // Nothing that is asked for is longer than the room there is, so this is a mistake of ours.
        reply.truncate(start);
        request.data = Bulks::new();
        tracing::error!("the result of {procedure:?} does not fit its reply");
        reply.put(&Status::Serverfault).expect("an empty reply has room for a status");
    }
    trace::answered(&span, reply.head_from(start));
    remembered::complete(server, claim, reply);
    Ok(Answer::Written(request.data))
}

/// Whom admission charges: NFSv3 knows no clients but by their addresses. The highest bit keeps them apart from client ids.
fn charged_to<V: Vfs, E>(request: &Request<V, E>) -> u64 {
    let address = match request.peer.address.ip().to_canonical() {
        std::net::IpAddr::V4(address) => address.to_bits().into(),
        std::net::IpAddr::V6(address) => address.to_bits(),
    };
    (address ^ (address >> 64)) as u64 | 1 << 63
}

/// Runs one procedure and writes its result.
async fn answer<V: Vfs, E: Env + Backchannel>(
    request: &mut Request<V, E>,
    arguments: Arguments<'_>,
    reply: &mut Encoder,
) -> Result<(), NoRoom> {
    match arguments {
        Arguments::Null => Ok(()),
        Arguments::Getattr(arguments) => reply.put(&attributes::get(request, arguments).await),
        Arguments::Setattr(arguments) => reply.put(&attributes::set(request, arguments).await),
        Arguments::Lookup(arguments) => reply.put(&names::lookup(request, arguments).await),
        Arguments::Access(arguments) => reply.put(&attributes::access(request, arguments).await),
        Arguments::Readlink(arguments) => {
            let link = names::read_link(request, arguments).await;
            let told = link.as_ref().map(|(attributes, text)| ReadLinkResult {
                attributes: *attributes,
                link: text.as_slice().into(),
            });
            reply.put(&told.map_err(|failure| *failure))
        }
        Arguments::Read(arguments) => data::read(request, arguments, reply).await,
        Arguments::Write(arguments) => reply.put(&data::write(request, arguments).await),
        Arguments::Create(arguments) => reply.put(&create::file(request, arguments).await),
        Arguments::Mkdir(arguments) => reply.put(&create::directory(request, arguments).await),
        Arguments::Symlink(arguments) => reply.put(&create::symlink(request, arguments).await),
        Arguments::Mknod(arguments) => reply.put(&create::node(request, arguments).await),
        Arguments::Remove(arguments) => {
            reply.put(&names::remove(request, arguments.object, Removed::NoDirectory).await)
        }
        Arguments::Rmdir(arguments) => {
            reply.put(&names::remove(request, arguments.object, Removed::Directory).await)
        }
        Arguments::Rename(arguments) => reply.put(&names::rename(request, arguments).await),
        Arguments::Link(arguments) => reply.put(&names::link(request, arguments).await),
        Arguments::Readdir(arguments) => read_directory::run(request, Listing::Names(arguments), reply).await,
        Arguments::Readdirplus(arguments) => {
            read_directory::run(request, Listing::Plus(arguments), reply).await
        }
        Arguments::Fsstat(arguments) => reply.put(&file_system::stat(request, arguments).await),
        Arguments::Fsinfo(arguments) => reply.put(&file_system::info(request, arguments).await),
        Arguments::Pathconf(arguments) => reply.put(&file_system::configuration(request, arguments).await),
        Arguments::Commit(arguments) => reply.put(&data::commit(request, arguments).await),
    }
}
