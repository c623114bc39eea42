//! An identifier of the connection manager's, with its queue pair if it has one.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use rdma_sys::{
    ibv_context, ibv_modify_qp, ibv_qp, ibv_qp_attr, ibv_qp_attr_mask, ibv_qp_state, rdma_cm_id,
    rdma_create_id, rdma_destroy_id, rdma_destroy_qp, rdma_event_channel, rdma_port_space, rdma_reject,
};
use verbs::PairId;

use crate::failure::{Failure, check};

/// A connection, a request for one, or a listener. Ends with this value, and its queue pair before it.
///
/// Nothing is told of it that was not acknowledged before the next is asked for, so that ending it does not wait for long.
pub(crate) struct Connection {
    id: *mut rdma_cm_id,
}

// SAFETY: librdmacm is made for threads; this value alone has the right to end the identifier.
unsafe impl Send for Connection {}

impl Connection {
    /// A new one, of the reliable kind.
    ///
    /// # Errors
    /// As `rdma_create_id`.
    pub(crate) fn new(channel: *mut rdma_event_channel) -> Result<Self, Failure> {
        let mut id = std::ptr::null_mut();
        let space = rdma_port_space::RDMA_PS_TCP;
        // SAFETY: the channel is a core's, which outlives its connections; the place is valid for the call.
        let outcome = unsafe { rdma_create_id(channel, &raw mut id, std::ptr::null_mut(), space) };
        check("rdma_create_id", outcome)?;
        Ok(Self { id })
    }

    /// That of a request that has come.
    ///
    /// # Safety
    /// It came with a request, and no other value has it.
    pub(crate) unsafe fn of_request(id: *mut rdma_cm_id) -> Self {
        Self { id }
    }

    /// The identifier, valid for as long as this value.
    pub(crate) fn id(&self) -> *mut rdma_cm_id {
        self.id
    }

    /// Its adapter; null as long as it has none.
    pub(crate) fn context(&self) -> *mut ibv_context {
        // SAFETY: valid for as long as this value.
        unsafe { (*self.id).verbs }
    }

    /// The channel on which it is told of.
    pub(crate) fn channel(&self) -> *mut rdma_event_channel {
        // SAFETY: as above.
        unsafe { (*self.id).channel }
    }

    /// Its queue pair; null as long as it has none.
    pub(crate) fn queue_pair(&self) -> *mut ibv_qp {
        // SAFETY: as above.
        unsafe { (*self.id).qp }
    }

    /// Has its events name this pair.
    pub(crate) fn name(&self, pair: PairId) {
        // SAFETY: as above; the field is ours, and is never followed as a pointer.
        unsafe { (*self.id).context = pair.0 as *mut c_void };
    }

    /// Turns the peer away whose request it is.
    pub(crate) fn reject(self) {
        // SAFETY: as above. When it fails there is no peer left to be told.
        unsafe { rdma_reject(self.id, std::ptr::null(), 0) };
    }

    /// Has all that the queue pair was asked for end. Nothing is lost when that fails: it has ended, or will with its adapter.
    pub(crate) fn fail_queue_pair(&self) -> c_int {
        if self.queue_pair().is_null() {
            return 0;
        }
        // SAFETY: all fields are numbers, of which 0 is one.
        let mut attributes: ibv_qp_attr = unsafe { MaybeUninit::zeroed().assume_init() };
        attributes.qp_state = ibv_qp_state::IBV_QPS_ERR;
        let which = ibv_qp_attr_mask::IBV_QP_STATE.0 as c_int;
        // SAFETY: the queue pair is there for as long as this value.
        unsafe { ibv_modify_qp(self.queue_pair(), &raw mut attributes, which) }
    }

    /// Ends the queue pair before the rest: no adapter touches memory for it afterwards.
    pub(crate) fn end_queue_pair(&self) {
        if !self.queue_pair().is_null() {
            // SAFETY: it is there, and the call leaves none.
            unsafe { rdma_destroy_qp(self.id) };
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end_queue_pair();
        // SAFETY: nobody else ends it, and its queue pair is gone.
        unsafe { rdma_destroy_id(self.id) };
    }
}
