//! The sending task of a connection: everything that is ready leaves with one system call, except what lies in a pipe,
//! which has one of its own.

use std::{io, rc::Rc};

use buf::{IoBuffer, Piped};

use crate::{
    Connection,
    connection::Phase,
    limits::{SEND_STEP, SPLICE_STEP},
    outbox::Batch,
    pieces::Pieces,
    stats::add,
};

/// Sends what is queued until the connection has nothing more to say. As a task that runs late: replies to calls that
/// finish in one turn of the loop leave with one system call.
pub(crate) async fn send_all(connection: Rc<Connection>) {
    let mut spliced = 0;
    while wait_for_messages(&connection).await {
        if spliced >= SPLICE_STEP {
            connection.shared.shard.yield_now().await;
            spliced = 0;
        }
        let batch = connection.outbox.take_batch();
        if batch.length == 0 && batch.piped.is_none() {
            continue;
        }
        spliced += batch.piped.as_ref().map_or(0, Piped::len);
        if let Err(error) = send_batch(&connection, batch).await {
            // What is left of a message cannot follow on another.
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
    let Batch { mut pieces, length, memory, piped, goes_on, more } = batch;
    let stats = &connection.shared.stats;
    let mut sent = 0;
    // Little text before or behind a pipe is not worth a turn of the ring.
    if memory == 0 && (goes_on || piped.is_some()) {
        sent = send_now(connection, &pieces, length, piped.is_some())?;
    }
    let mut spares_copy = connection.spares_copy(memory, &mut pieces);
    while sent < length {
        let end = length.min(sent + SEND_STEP);
        connection
            .sending
            .wait(connection.shared.shard.now(), memory > 0 || connection.outbox.holds_memory());
        let more = end < length || piped.is_some();
        let mut moved = end - sent;
        if spares_copy {
            moved = connection.send_sparing_copy(&pieces, sent..end, more).await;
            spares_copy = moved == end - sent;
        } else {
            connection.socket.send(pieces.part(sent..end), more).await.0?;
        }
        connection.sending.moved(moved);
        add(&stats.sent_bytes, moved);
        add(&stats.sends, 1);
        sent += moved;
    }
    add(&stats.payload_from_memory_bytes, memory);
    drop(pieces);
    if let Some(piped) = piped {
        send_piped(connection, piped, more).await?;
    }
    connection.sending.done();
    Ok(())
}

/// Sends text without waiting; answers how much of it was taken.
fn send_now(connection: &Connection, pieces: &Pieces, length: usize, piped: bool) -> io::Result<usize> {
    let stats = &connection.shared.stats;
    let (mut position, mut sent) = (0, Ok(0));
    pieces.pieces(&mut |piece| {
        let before = position;
        position += piece.len();
        // What follows a piece that was not taken whole must not overtake the rest of it.
        if !matches!(sent, Ok(bytes) if bytes == before) {
            return;
        }
        sent = connection.socket.send_now(piece, piped || position < length).map(|bytes| before + bytes);
        add(&stats.sends, 1);
    });
    add(&stats.sent_bytes, *sent.as_ref().unwrap_or(&0));
    sent
}

async fn send_piped(connection: &Connection, mut piped: Piped, more: bool) -> io::Result<()> {
    let stats = &connection.shared.stats;
    let moved = |bytes: Option<usize>| match bytes {
        None => connection.sending.wait(connection.shared.shard.now(), connection.outbox.holds_memory()),
        Some(bytes) => {
            connection.sending.moved(bytes);
            add(&stats.sent_bytes, bytes);
            add(&stats.payload_spliced_bytes, bytes);
            add(&stats.sends, 1);
        }
    };
    connection.socket.send_piped(&mut piped, more, moved).await
}
