//! The sending task of a connection: everything that is ready leaves with one system call.

use std::{io, rc::Rc};

use buf::Slice;

use crate::{Connection, connection::Phase, limits::SEND_STEP, outbox::Batch, stats::add};

/// Sends what is queued until the connection has nothing more to say.
pub(crate) async fn send_all(connection: Rc<Connection>) {
    while wait_for_messages(&connection).await {
        // Calls that finish in this turn of the loop are to leave with the same system call.
        connection.shared.shard.yield_now().await;
        let batch = connection.outbox.take_batch();
        if batch.length == 0 {
            continue;
        }
        if let Err(error) = send_batch(&connection, batch).await {
            tracing::debug!(peer = %connection.peer.address, "sending ends: {error}");
            break;
        }
        connection.room.notify();
    }
    connection.close();
    connection.shared.forget(connection.id());
}

/// Waits until something is queued; false when nothing ever will be.
async fn wait_for_messages(connection: &Connection) -> bool {
    let finished = || match connection.phase.get() {
        Phase::Open => false,
        Phase::Draining => connection.calls.get() == 0 && connection.outbox.is_empty(),
        Phase::Closed => true,
    };
    connection.to_send.until(|| finished() || !connection.outbox.is_empty()).await;
    !finished()
}

async fn send_batch(connection: &Connection, batch: Batch) -> io::Result<()> {
    let Batch { mut pieces, length, holds_memory } = batch;
    let mut sent = 0;
    while sent < length {
        let end = length.min(sent + SEND_STEP);
        connection.sending.wait(holds_memory);
        let (result, slice) = connection.socket.send(Slice::new(pieces, sent..end)).await;
        result?;
        pieces = slice.into_inner();
        connection.sending.moved(end - sent);
        add(&connection.shared.stats.bytes_out, end - sent);
        add(&connection.shared.stats.sends, 1);
        sent = end;
    }
    connection.sending.done();
    Ok(())
}
