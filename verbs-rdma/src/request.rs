//! Peers that wish to connect and have no answer yet: those of the whole process, so that any core may answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdma_sys::{rdma_event_channel, rdma_migrate_id};
use verbs::RequestId;

use crate::connection::Connection;
use crate::failure::{Failure, check};

/// Requests without an answer; more are turned away. Cores answer as soon as they see one, so there are few.
const REQUESTS_MAX: usize = 4096;

/// A peer that waits.
pub(crate) struct Request {
    pub(crate) connection: Connection,
    /// Reads that it bears.
    pub(crate) reads_max: u8,
    /// The core that was told of it, whose channel it is on.
    pub(crate) core: u64,
}

struct Waiting {
    last: u64,
    requests: BTreeMap<u64, Request>,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { last: 0, requests: BTreeMap::new() });

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a request until it is answered; none when there are too many, and it is turned away.
pub(crate) fn keep(request: Request) -> Option<RequestId> {
    let mut waiting = waiting();
    if waiting.requests.len() >= REQUESTS_MAX {
        request.connection.reject();
        return None;
    }
    waiting.last += 1;
    let number = waiting.last;
    waiting.requests.insert(number, request);
    Some(RequestId(number))
}

/// Takes a request to be accepted, on this channel from now on.
///
/// # Errors
/// `ENOENT` when there is none, or as `rdma_migrate_id`.
pub(crate) fn take(request: RequestId, channel: *mut rdma_event_channel) -> Result<Request, Failure> {
    // The lock is held over the move: the other channel is there as long as the request is one of its core's.
    let mut waiting = waiting();
    let request = waiting.requests.remove(&request.0).ok_or(Failure::of("the request", libc::ENOENT))?;
    if request.connection.channel() != channel {
        // SAFETY: both channels are there. The call waits for what the other core is being told of the request, which that core
        // acknowledges without taking the lock.
        check("rdma_migrate_id", unsafe { rdma_migrate_id(request.connection.id(), channel) })?;
    }
    Ok(request)
}

/// Turns a peer away; nothing happens when it is not there.
pub(crate) fn reject(request: RequestId) {
    // The lock is held until it is gone, as above.
    let mut waiting = waiting();
    if let Some(request) = waiting.requests.remove(&request.0) {
        request.connection.reject();
    }
}

/// Turns away all that a core was told of and nobody has answered.
pub(crate) fn reject_all(core: u64) {
    let mut waiting = waiting();
    let (of_core, others) =
        std::mem::take(&mut waiting.requests).into_iter().partition(|(_, request)| request.core == core);
    waiting.requests = others;
    let of_core: BTreeMap<u64, Request> = of_core;
    of_core.into_values().for_each(|request| request.connection.reject());
}
