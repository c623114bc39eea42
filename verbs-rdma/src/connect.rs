//! How connections come about.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use libc::sockaddr;
use rdma_sys::{
    ibv_qp_cap, ibv_qp_init_attr, ibv_qp_type, rdma_accept, rdma_bind_addr, rdma_conn_param, rdma_connect,
    rdma_create_qp, rdma_get_src_port, rdma_listen, rdma_resolve_addr, rdma_resolve_route, rdma_set_option,
};
use verbs::{NativeAddress, PLACES_MAX, PRIVATE_MAX, PairId, RequestId};

use crate::address::{is_any, to_socket};
use crate::connection::Connection;
use crate::core::{Core, new_pair};
use crate::failure::{Failure, check};
use crate::pair::{Pair, Stage};
use crate::request;

/// Requests that wait in the kernel.
const BACKLOG: c_int = 128;

/// How long each half of the way to a peer is looked for, in milliseconds.
const RESOLVE_MS: c_int = 2000;

/// `RDMA_OPTION_ID`
const OPTIONS: c_int = 0;

/// `RDMA_OPTION_ID_REUSEADDR`
const REUSE_ADDRESS: c_int = 1;

/// `RDMA_OPTION_ID_AFONLY`
const ONE_FAMILY: c_int = 2;

/// As often as there is a number for: a peer without a receive is asked again for ever, others seven times.
const RETRIES: u8 = 7;

impl Core {
    /// Listens, and writes the port into the address.
    ///
    /// # Errors
    /// As `rdma_bind_addr` and `rdma_listen`.
    pub(crate) fn listen(&mut self, address: &mut NativeAddress) -> Result<(), Failure> {
        let listener = Connection::new(self.channel.get())?;
        set(&listener, REUSE_ADDRESS, 1)?;
        if is_any(address) {
            set(&listener, ONE_FAMILY, 0)?;
        }
        let mut socket = to_socket(address);
        // SAFETY: the identifier is there, and the address valid for the call.
        let outcome = unsafe { rdma_bind_addr(listener.id(), (&raw mut socket).cast::<sockaddr>()) };
        check("rdma_bind_addr", outcome)?;
        // SAFETY: the identifier is there, in both calls.
        check("rdma_listen", unsafe { rdma_listen(listener.id(), BACKLOG) })?;
        // SAFETY: as above.
        address.port = u16::from_be(unsafe { rdma_get_src_port(listener.id()) });
        self.listeners.push(listener);
        Ok(())
    }

    /// Accepts a peer that any core was told of.
    ///
    /// # Errors
    /// `ENOENT` when the request was answered already, otherwise when there is no queue pair to be had; it is rejected then.
    pub(crate) fn accept(
        &mut self,
        request: RequestId,
        reads_max: u32,
        private: &[u8],
    ) -> Result<PairId, Failure> {
        let request = request::take(request, self.channel.get())?;
        let reads = u8::try_from(reads_max).unwrap_or(u8::MAX).min(request.reads_max);
        let (id, mut pair) = (new_pair(), Pair::new(request.connection, Stage::Accepted, reads, &[]));
        pair.connection.name(id);
        if let Err(failure) = self.make_queue_pair(id, &mut pair) {
            pair.connection.reject();
            return Err(failure);
        }
        let device = &self.devices[pair.device.expect("it has a queue pair")];
        pair.reads_max = pair.reads_max.min(device.limits.reads_asked);
        let outcome = parameters(private, 0, pair.reads_max).and_then(|mut parameters| {
            // SAFETY: the identifier is there; the parameters and what they point to are valid for the call.
            check("rdma_accept", unsafe { rdma_accept(pair.connection.id(), &raw mut parameters) })
        });
        if let Err(failure) = outcome {
            self.forget_number(id, &pair);
            pair.connection.reject();
            return Err(failure);
        }
        self.pairs.insert(id, pair);
        Ok(id)
    }

    /// Asks a peer for a connection.
    ///
    /// # Errors
    /// When there is no way to the address.
    pub(crate) fn connect(
        &mut self,
        address: &NativeAddress,
        reads_max: u32,
        private: &[u8],
    ) -> Result<PairId, Failure> {
        parameters(private, 0, 0)?;
        let connection = Connection::new(self.channel.get())?;
        let id = new_pair();
        connection.name(id);
        let mut socket = to_socket(address);
        let (from, to) = (std::ptr::null_mut(), (&raw mut socket).cast::<sockaddr>());
        // SAFETY: the identifier is there, and the address valid for the call.
        let outcome = unsafe { rdma_resolve_addr(connection.id(), from, to, RESOLVE_MS) };
        check("rdma_resolve_addr", outcome)?;
        let reads = u8::try_from(reads_max).unwrap_or(u8::MAX);
        self.pairs.insert(id, Pair::new(connection, Stage::Asked, reads, private));
        Ok(id)
    }

    /// Goes on with a connection whose address was found.
    ///
    /// # Errors
    /// As `rdma_resolve_route`.
    pub(crate) fn find_route(&self, id: PairId) -> Result<(), Failure> {
        let Some(pair) = self.pairs.get(&id) else { return Ok(()) };
        // SAFETY: the identifier is there.
        check("rdma_resolve_route", unsafe { rdma_resolve_route(pair.connection.id(), RESOLVE_MS) })
    }

    /// Goes on with a connection whose way was found.
    ///
    /// # Errors
    /// When there is no queue pair to be had, or as `rdma_connect`.
    pub(crate) fn ask(&mut self, id: PairId) -> Result<(), Failure> {
        let Some(mut pair) = self.pairs.remove(&id) else { return Ok(()) };
        let outcome = self.ask_with(id, &mut pair);
        self.pairs.insert(id, pair);
        outcome
    }

    fn ask_with(&mut self, id: PairId, pair: &mut Pair) -> Result<(), Failure> {
        self.make_queue_pair(id, pair)?;
        let device = &self.devices[pair.device.expect("it has a queue pair")];
        pair.reads_max = pair.reads_max.min(device.limits.reads_borne);
        let mut parameters = parameters(&pair.private, pair.reads_max, 0)?;
        // SAFETY: the identifier is there; the parameters and what they point to are valid for the call.
        check("rdma_connect", unsafe { rdma_connect(pair.connection.id(), &raw mut parameters) })
    }

    /// Makes the queue pair, at the adapter that the way leads over.
    fn make_queue_pair(&mut self, id: PairId, pair: &mut Pair) -> Result<(), Failure> {
        let place = self.device_of(pair.connection.context());
        let place = place.ok_or(Failure::of("the adapter of the connection", libc::ENODEV))?;
        let device = &mut self.devices[place];
        if device.pairs.len() >= device.limits.pairs {
            return Err(Failure::of("room for completions", libc::ENOSPC));
        }
        let works = device.limits.works.min(self.works_max);
        let mut wanted = ibv_qp_init_attr {
            qp_context: self.mailbox.core as *mut c_void,
            send_cq: device.of_works.get(),
            recv_cq: device.of_receives.get(),
            srq: device.receives.get(),
            cap: ibv_qp_cap {
                // One more, for the last that tells that the others have ended.
                max_send_wr: works + 1,
                max_recv_wr: 0,
                max_send_sge: PLACES_MAX as u32,
                max_recv_sge: 0,
                max_inline_data: 0,
            },
            qp_type: ibv_qp_type::IBV_QPT_RC,
            sq_sig_all: 0,
        };
        // SAFETY: the identifier, the domain and the queues are there, and end after the queue pair.
        let outcome = unsafe { rdma_create_qp(pair.connection.id(), device.domain.get(), &raw mut wanted) };
        check("rdma_create_qp", outcome)?;
        // SAFETY: the call has made it.
        pair.number = unsafe { (*pair.connection.queue_pair()).qp_num };
        device.pairs.insert(pair.number, id);
        pair.device = Some(place);
        pair.outstanding.reserve_exact(works as usize);
        Ok(())
    }

    /// Has completions of the queue pair belong to none.
    pub(crate) fn forget_number(&mut self, id: PairId, pair: &Pair) {
        if let Some(device) = pair.device {
            self.devices[device].forget_number(pair.number, id);
        }
    }
}

/// What one side tells the other: bytes, the reads it bears, and those it asks.
fn parameters(private: &[u8], bears: u8, asks: u8) -> Result<rdma_conn_param, Failure> {
    if private.len() > PRIVATE_MAX {
        return Err(Failure::of("what the peer is told", libc::EINVAL));
    }
    // SAFETY: all fields are numbers, of which 0 is one, or a pointer, which may be null.
    let mut parameters: rdma_conn_param = unsafe { MaybeUninit::zeroed().assume_init() };
    if !private.is_empty() {
        parameters.private_data = private.as_ptr().cast();
        parameters.private_data_len = private.len() as u8;
    }
    parameters.responder_resources = bears;
    parameters.initiator_depth = asks;
    parameters.flow_control = 1;
    parameters.retry_count = RETRIES;
    parameters.rnr_retry_count = RETRIES;
    Ok(parameters)
}

/// Sets an option.
fn set(connection: &Connection, option: c_int, mut value: c_int) -> Result<(), Failure> {
    let place = (&raw mut value).cast();
    // SAFETY: the identifier is there, and the value valid for the call and of the size that is said.
    let outcome = unsafe { rdma_set_option(connection.id(), OPTIONS, option, place, size_of::<c_int>()) };
    check("rdma_set_option", outcome)
}
