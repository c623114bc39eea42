//! What queue pairs and adapters are asked to do.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::Arc;

use rdma_sys::{
    ibv_post_send, ibv_post_srq_recv, ibv_qp, ibv_recv_wr, ibv_send_flags, ibv_send_wr, ibv_sge,
    ibv_wr_opcode, imm_data_invalidated_rkey_union_t, rdma_t,
};
use verbs::{DeviceId, PLACES_MAX, PairId, Place, Work, WorkKind};

use crate::core::Core;
use crate::ending::LAST_WORK;
use crate::failure::{Failure, check_returned};
use crate::notice::{Notice, What};

const CALL: &str = "ibv_post_send";

/// What is asked of a queue pair at a time: so many works, and the number of the last.
struct Asked {
    pair: PairId,
    last: u64,
    count: usize,
}

/// Works as an adapter takes them.
#[derive(Default)]
pub(crate) struct Orders {
    works: Vec<ibv_send_wr>,
    places: Vec<ibv_sge>,
}

impl Orders {
    /// Asks for all of them. When that fails: how many were taken, and the `errno`.
    ///
    /// # Safety
    /// The queue pair is there, and what `Core::fill` has written was not moved. The places of the works are left alone, or only
    /// read, until they have ended.
    unsafe fn post(&mut self, queue_pair: *mut ibv_qp) -> Result<(), (usize, c_int)> {
        if self.works.is_empty() {
            return Ok(());
        }
        let mut failed = std::ptr::null_mut();
        // SAFETY: each work leads to the next and to its places, which are valid for the call; else the caller's promise.
        let outcome = unsafe { ibv_post_send(queue_pair, self.works.as_mut_ptr(), &raw mut failed) };
        if outcome == 0 {
            return Ok(());
        }
        let taken = self.works.iter().position(|work| std::ptr::eq(work, failed.cast_const()));
        Err((taken.unwrap_or(0), outcome))
    }
}

impl Core {
    /// Has a message received into a place.
    ///
    /// # Errors
    /// `ENOMEM` or the like when the adapter has as many as it can, `ENODEV` when there is none, `EINVAL` when it does not know the memory.
    ///
    /// # Safety
    /// The place is left alone until the completion, or until the core has ended.
    pub(crate) unsafe fn receive(&mut self, device: DeviceId, id: u64, place: &Place) -> Result<(), Failure> {
        const CALL: &str = "ibv_post_srq_recv";
        let index = device.0 as usize;
        let device = self.devices.get(index).filter(|device| !device.gone);
        let device = device.ok_or(Failure::of(CALL, libc::ENODEV))?;
        let mut place = self.local(index, place).ok_or(Failure::of(CALL, libc::EINVAL))?;
        let sg_list = &raw mut place;
        let mut receive = ibv_recv_wr { wr_id: id, next: std::ptr::null_mut(), sg_list, num_sge: 1 };
        let mut failed = std::ptr::null_mut();
        // SAFETY: the queue is there, and all else valid for the call; the memory is the caller's promise.
        let outcome = unsafe { ibv_post_srq_recv(device.receives.get(), &raw mut receive, &raw mut failed) };
        check_returned(CALL, outcome)
    }

    /// Asks a queue pair for these, all or none.
    ///
    /// # Errors
    /// `ENOTCONN` when it is not connected, `ENOMEM` when there is no room, `EINVAL` when one of them cannot be: of too many
    /// places, of memory that is not known, or of the number that the last work has.
    ///
    /// # Safety
    /// The places are left alone, or only read, until a completion tells that the work has ended, or until the core has.
    pub(crate) unsafe fn post(&mut self, id: PairId, works: &[Work]) -> Result<(), Failure> {
        let Some(pair) = self.pairs.get(&id).filter(|pair| pair.is_open()) else {
            return Err(Failure::of(CALL, libc::ENOTCONN));
        };
        let device = pair.device.expect("who is open has a queue pair");
        if self.devices[device].gone {
            return Err(Failure::of(CALL, libc::ENODEV));
        }
        if pair.outstanding.len() + works.len() > self.works_max as usize {
            return Err(Failure::of(CALL, libc::ENOMEM));
        }
        let Some(last) = works.last() else { return Ok(()) };
        let asked = Asked { pair: id, last: last.id, count: works.len() };
        if self.devices[device].limits.needs_clerk {
            self.post_by_clerk(asked, device, works)
        } else {
            self.post_here(asked, device, works)
        }
    }

    fn post_here(&mut self, asked: Asked, device: usize, works: &[Work]) -> Result<(), Failure> {
        let mut orders = std::mem::take(&mut self.orders);
        self.fill(&mut orders, device, works).ok_or(Failure::of(CALL, libc::EINVAL))?;
        let pair = self.pairs.get_mut(&asked.pair).expect("it was looked at");
        // SAFETY: the queue pair is there; the memory is the promise of who posts.
        let outcome = unsafe { orders.post(pair.connection.queue_pair()) };
        self.orders = orders;
        if let Err((0, errno)) = outcome {
            return Err(Failure::of(CALL, errno));
        }
        pair.outstanding.extend(works.iter().map(|work| (work.id, work.signaled)));
        if let Err((taken, _)) = outcome {
            self.not_taken(asked.pair, asked.last, asked.count - taken);
        }
        Ok(())
    }

    /// Does not wait for the clerk: what the adapter does not take is told later.
    fn post_by_clerk(&mut self, asked: Asked, device: usize, works: &[Work]) -> Result<(), Failure> {
        let mut orders = Orders::default();
        self.fill(&mut orders, device, works).ok_or(Failure::of(CALL, libc::EINVAL))?;
        let pair = self.pairs.get_mut(&asked.pair).expect("it was looked at");
        // The first completion may come before this returns.
        pair.outstanding.extend(works.iter().map(|work| (work.id, work.signaled)));
        let queue_pair = pair.connection.queue_pair();
        let (mailbox, context) = (Arc::clone(&self.mailbox), self.devices[device].context as usize);
        let Asked { pair, last, count } = asked;
        let order = move || {
            // SAFETY: the queue pair ends by a later question to the clerk; the memory is the promise of who posts.
            if let Err((taken, _)) = unsafe { orders.post(queue_pair) } {
                mailbox.put(Notice { context, what: What::NotTaken { pair, last, count: count - taken } });
            }
        };
        // SAFETY: as above; the works are its own.
        unsafe { self.clerk.order(order) };
        Ok(())
    }

    /// Of the works that were asked of a pair some were not taken: as many up to that with this number. The connection ends, and so
    /// do all of them.
    pub(crate) fn not_taken(&mut self, id: PairId, last: u64, count: usize) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        pair.untake(last, count);
        pair.connection.fail_queue_pair();
        self.broken(id, -libc::EIO);
        self.set_alarm();
    }

    /// Writes the works as the adapter takes them, one leading to the next; none when one of them cannot be.
    fn fill(&self, orders: &mut Orders, device: usize, works: &[Work]) -> Option<()> {
        orders.works.clear();
        orders.places.clear();
        // Both are as large as they get before anything points into them.
        orders.works.reserve(works.len());
        orders.places.reserve(works.len() * PLACES_MAX);
        for work in works {
            let count = work.place_count as usize;
            let most = match work.kind {
                WorkKind::Read => self.devices[device].limits.read_places as usize,
                _ => PLACES_MAX,
            };
            if count > most || work.id == LAST_WORK {
                return None;
            }
            let first = orders.places.len();
            for place in &work.places[..count] {
                orders.places.push(self.local(device, place)?);
            }
            let mut order = order(work);
            order.sg_list = orders.places[first..].as_mut_ptr();
            orders.works.push(order);
        }
        let works = orders.works.as_mut_ptr();
        for place in 1..orders.works.len() {
            // SAFETY: both are among the works.
            unsafe { (*works.add(place - 1)).next = works.add(place) };
        }
        Some(())
    }
}

/// The work without its places and what comes after it.
fn order(work: &Work) -> ibv_send_wr {
    // SAFETY: all fields are numbers, of which 0 is one, or pointers, which may be null.
    let mut order: ibv_send_wr = unsafe { MaybeUninit::zeroed().assume_init() };
    order.wr_id = work.id;
    order.num_sge = work.place_count as i32;
    order.opcode = match work.kind {
        WorkKind::Send => ibv_wr_opcode::IBV_WR_SEND,
        WorkKind::SendInvalidate => ibv_wr_opcode::IBV_WR_SEND_WITH_INV,
        WorkKind::Read => ibv_wr_opcode::IBV_WR_RDMA_READ,
        WorkKind::Write => ibv_wr_opcode::IBV_WR_RDMA_WRITE,
    };
    if work.signaled {
        order.send_flags = ibv_send_flags::IBV_SEND_SIGNALED.0;
    }
    if work.kind == WorkKind::SendInvalidate {
        order.imm_data_invalidated_rkey_union =
            imm_data_invalidated_rkey_union_t { invalidated_rkey: work.invalidate };
    }
    if matches!(work.kind, WorkKind::Read | WorkKind::Write) {
        order.wr.rdma = rdma_t { remote_addr: work.remote.address, rkey: work.remote.key };
    }
    order
}
