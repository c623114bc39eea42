//! Who answers the calls of a connection. Connections of one core may have different services, whose types nobody else knows.

use std::rc::Rc;
use std::time::Duration;

use rpc::{Call, ConnectionId, Service};
use wire::rdma::{Failure, VERSION};

use crate::call::{Asked, Assembled, BadChunk, assemble, assemble_here};
use crate::connection::Connection;

/// A [`Service`] whose type is forgotten.
pub(crate) trait Served {
    /// Runs a call as a task of its own, which ends only with its answer.
    fn start(&self, connection: &Rc<Connection>, asked: Asked, stream: &[u8], unread: Duration);

    /// As [`Service::unread`].
    fn unread(&self, connection: ConnectionId, is_unread: bool);

    /// As [`Service::disconnected`].
    fn disconnected(&self, connection: ConnectionId);
}

/// The service as it is.
pub(crate) struct By<S>(pub Rc<S>);

impl<S: Service> Served for By<S> {
    fn start(&self, connection: &Rc<Connection>, asked: Asked, stream: &[u8], unread: Duration) {
        let shard = &connection.shared.shard;
        let (connection, service) = (Rc::clone(connection), Rc::clone(&self.0));
        if !asked.is_here(stream) {
            let stream = bytes::Bytes::copy_from_slice(stream);
            shard.spawn_detached(async move {
                match assemble(&connection, &asked, stream).await {
                    Ok(assembled) => answer(&connection, &*service, &asked, assembled, unread).await,
                    Err(BadChunk) => connection.error(asked.xid, VERSION, Failure::Chunk).await,
                }
                connection.end();
            });
            return;
        }
        let Ok(assembled) = assemble_here(&connection, &asked, stream) else {
            unreachable!("what is here was just looked at");
        };
        shard.start_detached(move || async move {
            answer(&connection, &*service, &asked, assembled, unread).await;
            connection.end();
        });
    }

    fn unread(&self, connection: ConnectionId, is_unread: bool) {
        self.0.unread(connection, is_unread);
    }

    fn disconnected(&self, connection: ConnectionId) {
        self.0.disconnected(connection);
    }
}

async fn answer<S: Service>(
    connection: &Connection,
    service: &S,
    asked: &Asked,
    assembled: Assembled,
    unread: Duration,
) {
    let Assembled { head, payloads, turn: _turn } = assembled;
    // What the RPC header says must be the transport's: by that alone are replies found.
    if transport::prefix(&head) != Some((asked.xid, transport::CALL)) {
        return connection.error(asked.xid, VERSION, Failure::Chunk).await;
    }
    let (peer, reading) = (connection.peer, connection.reading());
    let unread_ns = unread.as_nanos() as u64;
    match service.call(Call { head, payloads, peer, unread_ns, reading }).await {
        rpc::Outcome::Reply(reply) => connection.reply(asked, reply).await,
        rpc::Outcome::Discard => {}
        rpc::Outcome::Disconnect => connection.fault(&"a call whose header cannot be read"),
    }
}
