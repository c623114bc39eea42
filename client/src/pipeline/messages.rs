//! Calls over a transport of messages, where each is one of its own, and tells how much its reply may have.

use std::rc::Rc;

use rpc::{Call, ConnectionId, Outcome, Service};
use transport::{CallError, Message};
use transport_rdma::{Connection, Room};

use super::{Run, Source, incoming::open};

/// Whoever answers calls back: nobody asks for any.
pub(super) struct Nobody;

impl Service for Nobody {
    async fn call(&self, _call: Call) -> Outcome {
        Outcome::Discard
    }

    fn disconnected(&self, _connection: ConnectionId) {}
}

/// A call that is to be made.
pub(super) struct Queued {
    pub(super) xid: u32,
    pub(super) message: Message,
    /// Bytes of data that its result may have; all the rest is short.
    pub(super) data: usize,
}

/// Makes what is queued until the connection closes.
pub(super) async fn call_all<S: Source>(run: Rc<Run<S>>, index: usize, connection: Rc<Connection>) {
    let link = &run.links[index];
    while link.is_open() {
        if link.outgoing.borrow().is_empty() {
            link.to_send.notified().await;
            continue;
        }
        // One waits for all of them.
        let turn = connection.turn().await;
        let next = link.outgoing.borrow_mut().take_call();
        let Some(Queued { xid, message, data }) = next else { continue };
        let (calling, asked) = (Rc::downgrade(&run), Rc::clone(&connection));
        connection.shard().start_detached(move || async move {
            let answered = asked.ask_in(turn, Some(xid), message, Room { data, text: 0 }).await;
            // Nobody waits for those that were lost together with one before.
            let Some(run) = calling.upgrade() else { return };
            run.source.borrow_mut().arriving();
            match answered {
                Ok(answered) => run.over(index, xid, open(&answered.text).and_then(|(_, results)| results)),
                Err(CallError::Refused | CallError::Unsendable) => run.over(index, xid, None),
                Err(CallError::Lost | CallError::TimedOut) => run.lost(index),
            }
            run.send();
        });
    }
}
