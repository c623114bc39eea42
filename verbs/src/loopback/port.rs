//! What the fabric keeps of one adapter.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::control::RemoteAccess;
use super::registration::Registrations;
use crate::{
    Completion, CompletionKind, Event, EventKind, Options, PairId, Place, RequestId, Status, WorkKind,
};

/// Which adapter of the fabric, counted from 1.
pub(super) type PortId = u64;

/// Accesses that are remembered; the oldest are forgotten.
const ACCESSES_MAX: usize = 1 << 16;

/// A receive that waits for a message.
pub(super) struct Receive {
    pub(super) id: u64,
    pub(super) place: Place,
}

/// A completion that has not been taken.
pub(super) struct Untold {
    pub(super) completion: Completion,
    /// Which work of its pair's, of a work.
    pub(super) sequence: u64,
}

/// A work that is to fail.
pub(super) struct Fault {
    /// Of which pair, if of one.
    pub(super) pair: Option<PairId>,
    pub(super) kind: WorkKind,
    pub(super) status: Status,
}

/// One adapter.
pub(super) struct Port {
    pub(super) host: IpAddr,
    pub(super) options: Options,
    /// It has gone, and its owner knows or will.
    pub(super) is_removed: bool,
    pub(super) registrations: Registrations,
    /// In the order of posting.
    pub(super) receives: VecDeque<Receive>,
    /// Receives that were posted and whose completion has not been taken.
    pub(super) receives_outstanding: u32,
    completions: VecDeque<Untold>,
    events: VecDeque<Event>,
    /// Kinds of works that are held when they are posted.
    pub(super) holds: Vec<WorkKind>,
    /// Works that were held, as pair and sequence, in the order of posting.
    pub(super) held: VecDeque<(PairId, u64)>,
    pub(super) faults: Vec<Fault>,
    accesses: VecDeque<RemoteAccess>,
    /// Reads that one connection had outstanding, at most.
    pub(super) reads_outstanding_max: usize,
    bell: Bell,
}

impl Port {
    pub(super) fn new(host: IpAddr, options: Options, descriptor: Arc<OwnedFd>) -> Self {
        Self {
            host,
            options,
            is_removed: false,
            registrations: Registrations::default(),
            receives: VecDeque::new(),
            receives_outstanding: 0,
            completions: VecDeque::new(),
            events: VecDeque::new(),
            holds: Vec::new(),
            held: VecDeque::new(),
            faults: Vec::new(),
            accesses: VecDeque::new(),
            reads_outstanding_max: 0,
            bell: Bell { descriptor, notice: Notice::Unasked, is_readable: false },
        }
    }

    /// Refuses when the adapter has gone.
    pub(super) fn present(&self) -> Result<(), Errno> {
        if self.is_removed { Err(Errno::NODEV) } else { Ok(()) }
    }

    /// Posts a receive.
    pub(super) fn receive(&mut self, id: u64, place: Place) -> Result<(), Errno> {
        self.present()?;
        if !self.registrations.holds(&place) {
            return Err(Errno::INVAL);
        }
        if self.receives_outstanding >= self.options.receives_max {
            return Err(Errno::NOMEM);
        }
        self.receives_outstanding += 1;
        self.receives.push_back(Receive { id, place });
        Ok(())
    }

    /// Queues a completion, and tells of it if the owner asked for that.
    pub(super) fn complete(&mut self, completion: Completion, sequence: u64) {
        self.completions.push_back(Untold { completion, sequence });
        if self.bell.notice == Notice::Armed {
            self.bell.notice = Notice::Given;
            self.bell.set(true);
        }
    }

    /// Queues an event, and tells of it.
    pub(super) fn happen(&mut self, event: Event) {
        self.events.push_back(event);
        self.bell.set(true);
    }

    /// Takes the oldest completion.
    pub(super) fn take_completion(&mut self) -> Option<Untold> {
        self.completions.pop_front()
    }

    /// Forgets a queue pair, and what has not been taken of its events and its works, as destroying it does.
    pub(super) fn forget(&mut self, pair: PairId) {
        let is_kept =
            |completion: &Completion| completion.pair != pair || completion.kind == CompletionKind::Receive;
        self.completions.retain(|untold| is_kept(&untold.completion));
        self.events.retain(|event| event.pair != pair);
        self.held.retain(|(of, _)| *of != pair);
        self.faults.retain(|fault| fault.pair != Some(pair));
        self.bell.set(self.bell.notice == Notice::Given || !self.events.is_empty());
    }

    /// Requests whose event has not been taken.
    pub(super) fn requests_untaken(&self) -> Vec<RequestId> {
        let requests = self.events.iter().filter(|event| event.kind == EventKind::Request);
        requests.map(|event| event.request).collect()
    }

    /// Takes all events.
    pub(super) fn take_events(&mut self, into: &mut Vec<Event>) {
        into.extend(self.events.drain(..));
        self.bell.set(self.bell.notice == Notice::Given);
    }

    /// Has the next completion told of. Events are told of in any case.
    pub(super) fn arm(&mut self) {
        self.bell.notice = Notice::Armed;
        self.bell.set(!self.events.is_empty());
    }

    /// The status that the next work of this kind is to fail with.
    pub(super) fn take_fault(&mut self, pair: PairId, kind: WorkKind) -> Option<Status> {
        let fits = |fault: &Fault| fault.kind == kind && fault.pair.is_none_or(|of| of == pair);
        let index = self.faults.iter().position(fits)?;
        Some(self.faults.remove(index).status)
    }

    /// Remembers what a peer did to memory here.
    pub(super) fn remember(&mut self, access: RemoteAccess) {
        if self.accesses.len() == ACCESSES_MAX {
            self.accesses.pop_front();
        }
        self.accesses.push_back(access);
    }

    /// What peers did to memory here, oldest first.
    pub(super) fn accesses(&self) -> Vec<RemoteAccess> {
        self.accesses.iter().copied().collect()
    }
}

/// Whether the owner is told of a completion.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// It has never asked.
    Unasked,
    /// Of the next one.
    Armed,
    /// It was, and has not asked again.
    Given,
}

/// The descriptor, and whether it can be read from.
struct Bell {
    descriptor: Arc<OwnedFd>,
    notice: Notice,
    is_readable: bool,
}

impl Bell {
    fn set(&mut self, is_readable: bool) {
        if self.is_readable == is_readable {
            return;
        }
        // It is a counter of 0 or 1 that changes only here, so that neither fails unless the owner reads it himself.
        let _outcome = if is_readable {
            rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes())
        } else {
            rustix::io::read(&self.descriptor, &mut [0_u8; 8])
        };
        self.is_readable = is_readable;
    }
}
