//! What the connection manager tells.

use std::ffi::c_int;
use std::slice;

use rdma_sys::{
    rdma_ack_cm_event, rdma_cm_event, rdma_cm_event_type as kind, rdma_cm_id, rdma_get_cm_event,
    rdma_get_peer_addr,
};
use verbs::{DeviceId, Event, EventKind, PRIVATE_MAX, PairId};

use crate::address::from_socket;
use crate::connection::Connection;
use crate::core::Core;
use crate::failure::Failure;
use crate::pair::Stage;
use crate::request::{self, Request};

/// An event of the connection manager's, as it is after it was acknowledged.
struct Told {
    kind: kind::Type,
    status: c_int,
    /// Of a request only, whose identifier nobody else knows.
    id: *mut rdma_cm_id,
    pair: PairId,
    /// The place of its adapter among the core's.
    device: Option<usize>,
    /// Reads that the peer bears of us.
    bears: u8,
    /// Reads that the peer asks of us.
    asks: u8,
    private: [u8; PRIVATE_MAX],
    private_bytes: u8,
}

impl Core {
    /// Takes one event of the connection manager's; whether there was one.
    pub(crate) fn take_managed(&mut self) -> bool {
        let mut place: *mut rdma_cm_event = std::ptr::null_mut();
        // SAFETY: the channel is there and does not block, and the place is valid for the call.
        if unsafe { rdma_get_cm_event(self.channel.get(), &raw mut place) } != 0 {
            return false;
        }
        // SAFETY: the event is there until it is acknowledged.
        let told = unsafe { self.copy(&*place) };
        // SAFETY: as above. What is not acknowledged keeps its connection from ending.
        unsafe { rdma_ack_cm_event(place) };
        self.managed(told);
        true
    }

    /// # Safety
    /// It is not acknowledged, so that its connection is there.
    unsafe fn copy(&self, event: &rdma_cm_event) -> Told {
        // SAFETY: the caller's promise. The identifier's own pointer is a pair's number, or null.
        let (pair, context) = unsafe { ((*event.id).context as u64, (*event.id).verbs) };
        // SAFETY: all that connections of our kind are told has these parameters, or zeroes there.
        let parameters = unsafe { &event.param.conn };
        let mut private = [0; PRIVATE_MAX];
        let mut private_bytes = 0;
        if !parameters.private_data.is_null() {
            private_bytes = parameters.private_data_len;
            let bytes = usize::from(private_bytes);
            // SAFETY: so many bytes are in the event.
            let told = unsafe { slice::from_raw_parts(parameters.private_data.cast::<u8>(), bytes) };
            private[..bytes].copy_from_slice(told);
        }
        Told {
            kind: event.event,
            status: event.status,
            id: event.id,
            pair: PairId(pair),
            device: self.device_of(context),
            bears: parameters.initiator_depth,
            asks: parameters.responder_resources,
            private,
            private_bytes,
        }
    }

    fn managed(&mut self, told: Told) {
        match told.kind {
            kind::RDMA_CM_EVENT_CONNECT_REQUEST => self.requested(&told),
            kind::RDMA_CM_EVENT_ADDR_RESOLVED if self.is_asked(told.pair) => {
                let outcome = self.find_route(told.pair);
                self.refuse_if_failed(told.pair, outcome);
            }
            kind::RDMA_CM_EVENT_ROUTE_RESOLVED if self.is_asked(told.pair) => {
                let outcome = self.ask(told.pair);
                self.refuse_if_failed(told.pair, outcome);
            }
            kind::RDMA_CM_EVENT_ESTABLISHED => self.established(&told),
            kind::RDMA_CM_EVENT_ADDR_ERROR
            | kind::RDMA_CM_EVENT_ROUTE_ERROR
            | kind::RDMA_CM_EVENT_CONNECT_ERROR
            | kind::RDMA_CM_EVENT_UNREACHABLE
            | kind::RDMA_CM_EVENT_REJECTED => {
                let reason = if told.status == 0 { -libc::ECONNREFUSED } else { told.status };
                self.broken(told.pair, reason);
            }
            kind::RDMA_CM_EVENT_DISCONNECTED | kind::RDMA_CM_EVENT_TIMEWAIT_EXIT => {
                self.broken(told.pair, -libc::ECONNRESET);
            }
            kind::RDMA_CM_EVENT_DEVICE_REMOVAL => {
                if let Some(device) = told.device {
                    self.device_gone(device);
                }
            }
            _ => {}
        }
    }

    /// A peer wishes to connect.
    fn requested(&mut self, told: &Told) {
        // SAFETY: it came with a request, and is kept nowhere else.
        let connection = unsafe { Connection::of_request(told.id) };
        let Some(device) = told.device else { return connection.reject() };
        let mut event = of(EventKind::Request, told);
        event.device = DeviceId(device as u32);
        // SAFETY: the identifier is there, and has the address of the peer, of either family, in room for both.
        event.peer = unsafe { from_socket(rdma_get_peer_addr(&*told.id)) };
        event.reads_max = told.bears.into();
        let request = Request { connection, reads_max: told.bears, core: self.mailbox.core };
        if let Some(number) = request::keep(request) {
            event.request = number;
            self.ready.push_back(event);
        }
    }

    /// Both sides are ready.
    fn established(&mut self, told: &Told) {
        let mut event = of(EventKind::Established, told);
        let Some(pair) = self.pairs.get_mut(&told.pair) else { return };
        match pair.stage {
            Stage::Asked => pair.reads_max = pair.reads_max.min(told.asks),
            Stage::Accepted => event.private_bytes = 0,
            Stage::Established | Stage::Refused => return,
        }
        pair.stage = Stage::Established;
        event.reads_max = pair.reads_max.into();
        event.device = DeviceId(pair.device.unwrap_or(0) as u32);
        if pair.ending.is_none() && !pair.broken {
            self.ready.push_back(event);
        }
    }

    /// Whether it still looks for its way.
    fn is_asked(&self, pair: PairId) -> bool {
        self.pairs.get(&pair).is_some_and(|pair| pair.stage == Stage::Asked && pair.ending.is_none())
    }

    fn refuse_if_failed(&mut self, pair: PairId, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            self.broken(pair, failure.negated());
        }
    }

    /// The connection is no more, or is not to be had. It is told once, and not at all to who has disconnected it.
    pub(crate) fn broken(&mut self, id: PairId, reason: i32) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        if pair.broken || pair.ending.is_some() {
            return;
        }
        pair.broken = true;
        let mut event = Event::new(EventKind::Disconnected);
        if pair.stage == Stage::Asked {
            pair.stage = Stage::Refused;
            event.kind = EventKind::Refused;
        }
        event.pair = id;
        event.reason = reason;
        event.device = DeviceId(pair.device.unwrap_or(0) as u32);
        self.ready.push_back(event);
    }
}

/// With the pair, and what the peer told.
fn of(kind: EventKind, told: &Told) -> Event {
    let mut event = Event::new(kind);
    event.pair = told.pair;
    event.private = told.private;
    event.private_bytes = told.private_bytes;
    event
}
