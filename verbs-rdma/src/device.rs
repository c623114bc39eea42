//! What a core has of one adapter.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;

use rdma_sys::{
    ___ibv_query_port, ibv_ack_cq_events, ibv_alloc_pd, ibv_comp_channel, ibv_context, ibv_cq,
    ibv_create_comp_channel, ibv_create_cq, ibv_create_srq, ibv_dealloc_pd, ibv_destroy_comp_channel,
    ibv_destroy_cq, ibv_destroy_srq, ibv_device_attr, ibv_get_cq_event, ibv_pd, ibv_port_attr,
    ibv_port_state, ibv_query_device, ibv_req_notify_cq, ibv_srq, ibv_srq_attr, ibv_srq_init_attr,
    ibv_transport_type,
};
use verbs::{DeviceId, NativeDevice, Options, PLACES_MAX, PairId};

use crate::failure::{Failure, check_returned};
use crate::owned::Owned;

/// `vendor_id` of adapters that are software: soft RoCE and soft iWARP.
const SOFTWARE: [u32; 2] = [0x00ff_ffff, 0x0062_6d74];

/// `link_layer` of a port that speaks Ethernet.
const LINK_ETHERNET: u8 = 2;

/// What one adapter lets one core have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Works that one queue pair may have outstanding, the drain not among them.
    pub(crate) works: u32,
    /// Receives that are shared.
    pub(crate) receives: u32,
    /// Queue pairs whose completions have room when all their works fail at once.
    pub(crate) pairs: usize,
    /// Reads of ours outstanding at one peer.
    pub(crate) reads_asked: u8,
    /// Reads of one peer's outstanding here.
    pub(crate) reads_borne: u8,
    /// Places of one read.
    pub(crate) read_places: u32,
    /// Works are asked for by way of the kernel.
    pub(crate) needs_clerk: bool,
}

/// One adapter, with the queues that all connections of the core share there.
///
/// Works and receives have a completion queue each: a completion that failed does not say which of the two it is of.
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    /// It went away: nothing new is asked of it.
    pub(crate) gone: bool,
    pub(crate) limits: Limits,
    /// Pairs by the number that the adapter has for them.
    pub(crate) pairs: HashMap<u32, PairId>,
    pub(crate) receives: Owned<ibv_srq>,
    pub(crate) of_works: Owned<ibv_cq>,
    pub(crate) of_receives: Owned<ibv_cq>,
    /// Whether each of the two will tell of the next completion.
    armed: [bool; 2],
    pub(crate) channel: Owned<ibv_comp_channel>,
    pub(crate) domain: Owned<ibv_pd>,
    pub(crate) context: *mut ibv_context,
}

impl Device {
    /// Makes the queues, which tell asynchronously under this number.
    ///
    /// # Errors
    /// When one is not to be had.
    ///
    /// # Safety
    /// The adapter's context stays open for as long as this value.
    pub(crate) unsafe fn new(
        id: DeviceId,
        context: *mut ibv_context,
        options: &Options,
        core: u64,
    ) -> Result<Self, Failure> {
        let attributes = attributes(context)?;
        let limits = limits(&attributes, options)?;
        // SAFETY: the context is open, and what is made here ends before what it is made of, here and below.
        let domain = unsafe { Owned::new("ibv_alloc_pd", ibv_alloc_pd(context), ibv_dealloc_pd) }?;
        // SAFETY: as above.
        let channel = unsafe {
            let channel = ibv_create_comp_channel(context);
            Owned::new("ibv_create_comp_channel", channel, ibv_destroy_comp_channel)
        }?;
        let works = limits.pairs.saturating_mul(limits.works as usize + 1);
        let of_works = completion_queue(context, &channel, works, core)?;
        let of_receives = completion_queue(context, &channel, limits.receives as usize, core)?;
        let receives = shared_receives(&domain, limits.receives, core)?;
        let (pairs, armed) = (HashMap::new(), [false; 2]);
        let gone = false;
        Ok(Self { id, gone, limits, pairs, receives, of_works, of_receives, armed, channel, domain, context })
    }

    /// Has completions of a queue pair belong to none, unless the adapter has its number for another by now.
    pub(crate) fn forget_number(&mut self, number: u32, of: PairId) {
        if self.pairs.get(&number) == Some(&of) {
            self.pairs.remove(&number);
        }
    }

    /// Whether peers' answers to our reads need memory that peers may write.
    pub(crate) fn reads_need_remote_write(&self) -> bool {
        // SAFETY: the context is open.
        unsafe { (*(*self.context).device).transport_type == ibv_transport_type::IBV_TRANSPORT_IWARP }
    }

    /// Takes what the completion channel has told, and has it tell of the next completion.
    ///
    /// # Errors
    /// As `ibv_req_notify_cq`.
    pub(crate) fn arm(&mut self) -> Result<(), Failure> {
        let (mut works, mut receives) = (0, 0);
        let (mut queue, mut context): (*mut ibv_cq, *mut c_void) =
            (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the channel is there and does not block; the places are valid for the call.
        while unsafe { ibv_get_cq_event(self.channel.get(), &raw mut queue, &raw mut context) } == 0 {
            if queue == self.of_works.get() {
                works += 1;
            } else {
                receives += 1;
            }
        }
        let queues = [(&self.of_works, works), (&self.of_receives, receives)];
        for ((queue, told), armed) in queues.into_iter().zip(&mut self.armed) {
            if told > 0 {
                // SAFETY: the queue is there, and so many were told of it.
                unsafe { ibv_ack_cq_events(queue.get(), told) };
                *armed = false;
            }
            // What has told nothing since still would.
            if !*armed {
                // SAFETY: the queue is there.
                check_returned("ibv_req_notify_cq", unsafe { ibv_req_notify_cq(queue.get(), 0) })?;
                *armed = true;
            }
        }
        Ok(())
    }

    /// What people are told of it.
    pub(crate) fn native(&self) -> NativeDevice {
        let port = self.port();
        let mut native = NativeDevice {
            id: self.id,
            name: [0; 64],
            link: [0; 16],
            state: [0; 24],
            mtu_bytes: if (1..=5).contains(&port.active_mtu) { 128 << port.active_mtu } else { 0 },
            reads_max: self.limits.reads_asked.into(),
            receives_max: self.limits.receives,
        };
        // SAFETY: the context is open, and the name is in its device.
        native.name = unsafe { (*(*self.context).device).name };
        write(
            &mut native.link,
            if self.reads_need_remote_write() {
                "iWARP"
            } else if port.link_layer == LINK_ETHERNET {
                "RoCE"
            } else {
                "InfiniBand"
            },
        );
        write(&mut native.state, if self.gone { "REMOVED" } else { state(port.state) });
        native
    }

    /// Its first port that works, otherwise its first.
    fn port(&self) -> ibv_port_attr {
        let ports = attributes(self.context).map_or(1, |attributes| attributes.phys_port_cnt);
        let mut found = None;
        for number in 1..=ports.max(1) {
            // SAFETY: all fields are numbers, of which 0 is one.
            let mut port: ibv_port_attr = unsafe { MaybeUninit::zeroed().assume_init() };
            // SAFETY: the context is open, and the place is valid for the call.
            let outcome = unsafe { ___ibv_query_port(self.context, number, &raw mut port) };
            let active = outcome == 0 && port.state == ibv_port_state::IBV_PORT_ACTIVE;
            if active || found.is_none() {
                found = Some(port);
            }
            if active {
                break;
            }
        }
        found.expect("the loop runs at least once")
    }
}

/// What libibverbs calls a port's state, without its `PORT_`.
fn state(number: ibv_port_state::Type) -> &'static str {
    match number {
        ibv_port_state::IBV_PORT_DOWN => "DOWN",
        ibv_port_state::IBV_PORT_INIT => "INIT",
        ibv_port_state::IBV_PORT_ARMED => "ARMED",
        ibv_port_state::IBV_PORT_ACTIVE => "ACTIVE",
        ibv_port_state::IBV_PORT_ACTIVE_DEFER => "ACTIVE_DEFER",
        _ => "NOP",
    }
}

/// Writes a short text that ends with 0.
fn write(into: &mut [c_char], text: &str) {
    for (place, byte) in into.iter_mut().zip(text.bytes().chain([0])) {
        *place = byte as c_char;
    }
}

/// What the adapter can.
fn attributes(context: *mut ibv_context) -> Result<ibv_device_attr, Failure> {
    // SAFETY: all fields are numbers, of which 0 is one.
    let mut attributes: ibv_device_attr = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the context is open, and the place is valid for the call.
    check_returned("ibv_query_device", unsafe { ibv_query_device(context, &raw mut attributes) })?;
    Ok(attributes)
}

/// What of the options the adapter can.
fn limits(attributes: &ibv_device_attr, options: &Options) -> Result<Limits, Failure> {
    let number = |limit: c_int| u32::try_from(limit).unwrap_or(0);
    if number(attributes.max_sge) < PLACES_MAX as u32 {
        return Err(Failure::of("max_sge of ibv_query_device is too small", libc::ENOTSUP));
    }
    let queue = number(attributes.max_cqe).max(1);
    let works = options.works_max.min(number(attributes.max_qp_wr).saturating_sub(1)).min(queue - 1).max(1);
    let pairs = options.connections_max.clamp(1, (queue / (works + 1)).max(1));
    Ok(Limits {
        works,
        receives: options.receives_max.min(number(attributes.max_srq_wr)).min(queue).max(1),
        pairs: pairs as usize,
        // As librdmacm does it, which refuses more than it has counted in a byte.
        reads_asked: attributes.max_qp_init_rd_atom as u8,
        reads_borne: attributes.max_qp_rd_atom as u8,
        read_places: number(attributes.max_sge_rd).clamp(1, PLACES_MAX as u32),
        needs_clerk: SOFTWARE.contains(&attributes.vendor_id),
    })
}

/// A queue of so many completions, at least.
fn completion_queue(
    context: *mut ibv_context,
    channel: &Owned<ibv_comp_channel>,
    entries: usize,
    core: u64,
) -> Result<Owned<ibv_cq>, Failure> {
    let entries = c_int::try_from(entries).unwrap_or(c_int::MAX);
    // SAFETY: context and channel are there; the number is never followed as a pointer; the queue ends before the channel.
    unsafe {
        let vectors = u64::try_from((*context).num_comp_vectors).unwrap_or(1).max(1);
        let vector = (core % vectors) as c_int;
        let queue = ibv_create_cq(context, entries, core as *mut c_void, channel.get(), vector);
        Owned::new("ibv_create_cq", queue, ibv_destroy_cq)
    }
}

/// A queue of so many receives, at least, that all connections share.
fn shared_receives(domain: &Owned<ibv_pd>, receives: u32, core: u64) -> Result<Owned<ibv_srq>, Failure> {
    let attr = ibv_srq_attr { max_wr: receives, max_sge: 1, srq_limit: 0 };
    let mut wanted = ibv_srq_init_attr { srq_context: core as *mut c_void, attr };
    // SAFETY: the domain is there, and the number is never followed as a pointer; the queue ends before the domain.
    unsafe {
        let queue = ibv_create_srq(domain.get(), &raw mut wanted);
        Owned::new("ibv_create_srq", queue, ibv_destroy_srq)
    }
}
