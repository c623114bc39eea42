//! What one core has of all adapters.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rdma_sys::{
    ibv_context, rdma_create_event_channel, rdma_destroy_event_channel, rdma_event_channel,
    rdma_free_devices, rdma_get_devices,
};
use verbs::{Completion, DeviceId, Event, Options, PairId};

use crate::clerk::Clerk;
use crate::connection::Connection;
use crate::device::Device;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::notice::Mailbox;
use crate::owned::Owned;
use crate::pair::Pair;
use crate::post::Orders;
use crate::request;
use crate::wait::{Source, Wait};

/// Adapters that are used; the server tells of as many.
const DEVICES_MAX: usize = 32;

/// The contexts of the adapters, which stay open for as long as this value.
struct Contexts(Owned<*mut ibv_context>);

/// One core's adapters, connections and memory. The fields end in this order: what uses before what is used.
pub(crate) struct Core {
    pub(crate) pairs: HashMap<PairId, Pair>,
    pub(crate) listeners: Vec<Connection>,
    pub(crate) memories: Vec<Memory>,
    pub(crate) devices: Vec<Device>,
    pub(crate) channel: Owned<rdma_event_channel>,
    /// Works that one queue pair of any adapter can have outstanding.
    pub(crate) works_max: u32,
    /// Events that are to be told.
    pub(crate) ready: VecDeque<Event>,
    /// Pairs that were disconnected and have not ended.
    pub(crate) ending: Vec<PairId>,
    /// Completions that no adapter tells of.
    pub(crate) given_up: VecDeque<Completion>,
    /// Room for works on their way to an adapter.
    pub(crate) orders: Orders,
    /// Counts calls, so that each queue comes first in turn.
    pub(crate) turn: usize,
    pub(crate) wait: Wait,
    pub(crate) mailbox: Arc<Mailbox>,
    contexts: Contexts,
    pub(crate) clerk: Rc<Clerk>,
}

impl Core {
    /// Opens all adapters.
    ///
    /// # Errors
    /// `ENODEV` when there is none, otherwise as the call that failed.
    pub(crate) fn open(options: &Options) -> Result<Self, Failure> {
        // As long as this thread is still who opens all.
        let clerk = Rc::new(Clerk::start()?);
        let contexts = Contexts::new()?;
        // SAFETY: nobody else has the channel.
        let channel = unsafe {
            let channel = rdma_create_event_channel();
            Owned::new("rdma_create_event_channel", channel, destroy_event_channel)
        }?;
        let wait = Wait::new()?;
        // SAFETY: the channel is there.
        wait.add(unsafe { (*channel.get()).fd }, Source::Manager)?;
        let mailbox = Mailbox::open()?;
        let mut core = Self {
            pairs: HashMap::new(),
            listeners: Vec::new(),
            memories: Vec::new(),
            devices: Vec::new(),
            channel,
            works_max: options.works_max,
            ready: VecDeque::new(),
            ending: Vec::new(),
            given_up: VecDeque::new(),
            orders: Orders::default(),
            turn: 0,
            wait,
            mailbox,
            contexts,
            clerk,
        };
        core.wait.add(core.mailbox.descriptor(), Source::Mailbox)?;
        core.open_devices(options)?;
        Ok(core)
    }

    fn open_devices(&mut self, options: &Options) -> Result<(), Failure> {
        for (number, context) in (0..).zip(self.contexts.all()) {
            // SAFETY: the contexts are open for as long as the core.
            let device = unsafe { Device::new(DeviceId(number), context, options, self.mailbox.core) }?;
            // SAFETY: both are open.
            let (told, completions) = unsafe { ((*context).async_fd, (*device.channel.get()).fd) };
            self.works_max = self.works_max.min(device.limits.works);
            self.devices.push(device);
            self.wait.add(told, Source::Device(number))?;
            self.wait.add(completions, Source::Completions)?;
        }
        Ok(())
    }

    /// Has the descriptor tell of the next completion of any adapter.
    ///
    /// # Errors
    /// As `ibv_req_notify_cq`.
    pub(crate) fn arm(&mut self) -> Result<(), Failure> {
        self.devices.iter_mut().filter(|device| !device.gone).try_for_each(Device::arm)
    }

    /// The place of the adapter with this context among the core's, unless it is gone.
    pub(crate) fn device_of(&self, context: *mut ibv_context) -> Option<usize> {
        self.devices.iter().position(|device| device.context == context && !device.gone)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // While the channel is there, since that is where they are.
        request::reject_all(self.mailbox.core);
        self.mailbox.close();
    }
}

/// A number for a new pair, which no other of the process has.
pub(crate) fn new_pair() -> PairId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    PairId(LAST.fetch_add(1, Ordering::Relaxed) + 1)
}

impl Contexts {
    fn new() -> Result<Self, Failure> {
        let mut count = 0;
        // SAFETY: the place is valid for the call, and nobody else has the list.
        let list = unsafe {
            let list = rdma_get_devices(&raw mut count);
            Owned::new("rdma_get_devices", list, free_devices)
        };
        match list {
            Ok(list) if count > 0 => Ok(Self(list)),
            Ok(_) => Err(Failure::none()),
            // Without a device there may be no connection manager either.
            Err(failure) if [-libc::ENODEV, -libc::ENOENT].contains(&failure.negated()) => {
                Err(Failure::none())
            }
            Err(failure) => Err(failure),
        }
    }

    fn all(&self) -> Vec<*mut ibv_context> {
        let list = self.0.get();
        // SAFETY: the list ends with a null, and nothing is read behind that.
        let at = |place| unsafe { *list.add(place) };
        (0..DEVICES_MAX).map(at).take_while(|context| !context.is_null()).collect()
    }
}

/// `rdma_destroy_event_channel`, as other ends are.
unsafe extern "C" fn destroy_event_channel(channel: *mut rdma_event_channel) -> c_int {
    // SAFETY: whoever calls has it and ends it.
    unsafe { rdma_destroy_event_channel(channel) };
    0
}

/// `rdma_free_devices`, as other ends are.
unsafe extern "C" fn free_devices(list: *mut *mut ibv_context) -> c_int {
    // SAFETY: whoever calls has it and ends it.
    unsafe { rdma_free_devices(list) };
    0
}
