//! What adapters tell asynchronously.
//!
//! All cores of the process share an adapter's context, and with it the descriptor on which it tells. Whichever core reads it hands
//! on what it reads to the mailbox of the core that it is about, which its queues name by the core's number.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdma_sys::{
    ibv_ack_async_event, ibv_async_event, ibv_context, ibv_cq, ibv_event_type, ibv_get_async_event, ibv_qp,
    ibv_srq,
};

use verbs::PairId;

use crate::failure::Failure;
use crate::wait::owned;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The adapter is gone, or a queue of the core's there.
    Gone,
    /// This queue pair has failed.
    Failed(u32),
    /// This queue pair takes no more receives.
    ReceivesEnded(u32),
    /// Of the works that were asked of this pair some were not taken: as many up to that with this number.
    NotTaken { pair: PairId, last: u64, count: usize },
    /// This queue pair has received before the peer's last word on the connection came, which may be lost.
    Arrived(u32),
}

/// What happened, and at which adapter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice {
    /// The address of the adapter's context.
    pub(crate) context: usize,
    pub(crate) what: What,
}

/// What one core has still to be told.
pub(crate) struct Mailbox {
    /// The core's number, never used again.
    pub(crate) core: u64,
    notices: Mutex<Vec<Notice>>,
    wake: OwnedFd,
}

static MAILBOXES: Mutex<BTreeMap<u64, Arc<Mailbox>>> = Mutex::new(BTreeMap::new());

fn mailboxes() -> MutexGuard<'static, BTreeMap<u64, Arc<Mailbox>>> {
    MAILBOXES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// One for a new core.
    ///
    /// # Errors
    /// As `eventfd`.
    pub(crate) fn open() -> Result<Arc<Self>, Failure> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // SAFETY: no memory is involved.
        let wake = owned("eventfd", unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        let core = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let mailbox = Arc::new(Self { core, notices: Mutex::default(), wake });
        mailboxes().insert(core, Arc::clone(&mailbox));
        Ok(mailbox)
    }

    /// Nothing more is put in.
    pub(crate) fn close(&self) {
        mailboxes().remove(&self.core);
    }

    /// Can be read from when there is something in it.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    /// Takes what is in it. The descriptor cannot be read from then until there is more.
    pub(crate) fn take(&self) -> Vec<Notice> {
        let mut count = 0_u64;
        // SAFETY: there is room for the eight bytes. Nothing there is as good as something there.
        unsafe { libc::read(self.descriptor(), (&raw mut count).cast(), size_of::<u64>()) };
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts something in.
    pub(crate) fn put(&self, notice: Notice) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
        let one = 1_u64;
        // SAFETY: the eight bytes are there. It fails when the descriptor can be read from anyway.
        unsafe { libc::write(self.descriptor(), (&raw const one).cast(), size_of::<u64>()) };
    }
}

/// `ibv_async_event` with its kind as a number: a library may know more kinds than its binding.
#[repr(C)]
struct Told {
    /// A queue, a queue pair or a port, by the kind.
    element: *mut std::ffi::c_void,
    kind: c_int,
}

/// Reads what an adapter tells, and hands it on.
///
/// # Errors
/// When nothing can be read any more: the adapter is gone.
pub(crate) fn read(context: *mut ibv_context) -> Result<(), Failure> {
    loop {
        let mut told = Told { element: std::ptr::null_mut(), kind: 0 };
        let place = (&raw mut told).cast::<ibv_async_event>();
        // SAFETY: the context is open, and the place has the type's size and layout.
        if unsafe { ibv_get_async_event(context, place) } != 0 {
            let failure = Failure::last("ibv_get_async_event");
            let over = [libc::EAGAIN, libc::EINTR].contains(&-failure.negated());
            return if over { Ok(()) } else { Err(failure) };
        }
        // SAFETY: it was just read, and what it names is there until it is acknowledged.
        unsafe { hand_on(context, &told) };
        // SAFETY: as above.
        unsafe { ibv_ack_async_event(place) };
    }
}

/// # Safety
/// What it names is there.
unsafe fn hand_on(context: *mut ibv_context, told: &Told) {
    const GONE: c_int = ibv_event_type::IBV_EVENT_DEVICE_FATAL as c_int;
    const WORKS_LOST: c_int = ibv_event_type::IBV_EVENT_CQ_ERR as c_int;
    const RECEIVES_LOST: c_int = ibv_event_type::IBV_EVENT_SRQ_ERR as c_int;
    const FATAL: c_int = ibv_event_type::IBV_EVENT_QP_FATAL as c_int;
    const REQUEST: c_int = ibv_event_type::IBV_EVENT_QP_REQ_ERR as c_int;
    const ACCESS: c_int = ibv_event_type::IBV_EVENT_QP_ACCESS_ERR as c_int;
    const LAST: c_int = ibv_event_type::IBV_EVENT_QP_LAST_WQE_REACHED as c_int;
    const ARRIVED: c_int = ibv_event_type::IBV_EVENT_COMM_EST as c_int;
    let of_pair = |what: fn(u32) -> What| {
        let pair = told.element.cast::<ibv_qp>();
        // SAFETY: the kind says that it is a queue pair, which is there.
        unsafe { ((*pair).qp_context as u64, what((*pair).qp_num)) }
    };
    let (core, what) = match told.kind {
        GONE => {
            let notice = Notice { context: context as usize, what: What::Gone };
            mailboxes().values().for_each(|mailbox| mailbox.put(notice));
            return;
        }
        // SAFETY: the kind says that it is a completion queue, which is there.
        WORKS_LOST => (unsafe { (*told.element.cast::<ibv_cq>()).cq_context } as u64, What::Gone),
        // SAFETY: the kind says that it is a queue of receives, which is there.
        RECEIVES_LOST => (unsafe { (*told.element.cast::<ibv_srq>()).srq_context } as u64, What::Gone),
        FATAL | REQUEST | ACCESS => of_pair(What::Failed),
        LAST => of_pair(What::ReceivesEnded),
        ARRIVED => of_pair(What::Arrived),
        _ => return,
    };
    if let Some(mailbox) = mailboxes().get(&core) {
        mailbox.put(Notice { context: context as usize, what });
    }
}
