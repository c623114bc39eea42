//! The adapters as this core has them: works with the memory they are about, until they have ended.
//!
//! UNSAFETY: an adapter uses memory after it was told of it. All of it is owned by a flight from before the adapter is told
//! until a completion says that it is done, and by nobody else; the regions behind it are dropped after the adapters.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use buf::{Chain, Pool, Slot, Slots};
use engine::sync::oneshot;
use slab::Slab;
use smallvec::SmallVec;
use verbs::{Access, Completion, CompletionKind, DeviceId, Event, PairId, Status, Verbs};
use wire::rdma::{Chunk, Segment};

use crate::batch::{Batch, Parts};
use crate::limits::{Limits, MESSAGE_BYTES, WORKS_MAX};
use crate::memory::Memory;

/// Completes a work that nobody waits for: its failure is told by what follows it.
const NOBODY: u64 = u64::MAX - 1;

/// How a batch ended, and the memory it was about.
pub(crate) type Ended = (Status, Parts);

/// What an adapter has of ours.
enum Flight {
    /// A place for a message.
    Receive { slot: Slot, device: DeviceId },
    /// A batch, of which so many works, and reads among them, count against its connection.
    Batch { pair: PairId, works: usize, reads: usize, held: Parts, ended: Option<oneshot::Sender<Ended>> },
}

/// A completion, as a connection is told.
pub(crate) enum Told {
    /// A message came.
    Message { pair: PairId, slot: Slot, bytes: usize },
    /// So many works of a connection have ended, and reads among them.
    Works { pair: PairId, works: usize, reads: usize, status: Status },
}

/// All adapters of one core.
pub(crate) struct Adapter {
    // Before everything that it uses.
    verbs: Box<dyn Verbs>,
    pub memory: Memory,
    receives: Slots,
    sends: Slots,
    _pool: Pool,
    flights: RefCell<Slab<Flight>>,
    /// Receives that are posted on each adapter.
    posted: RefCell<BTreeMap<DeviceId, u32>>,
    /// Reads that one connection may have outstanding on each adapter.
    reads_max: BTreeMap<DeviceId, u32>,
    /// Works that any connection may have outstanding.
    pub works_max: usize,
}

impl Adapter {
    /// Registers the core's payload memory, for those that may touch it, and memory for messages, and has as many receives posted
    /// on each adapter as connections may share.
    ///
    /// # Errors
    /// As `ibv_reg_mr` and `ibv_post_srq_recv`.
    pub fn new(verbs: Box<dyn Verbs>, pool: &Pool, of_pool: Access, limits: &Limits) -> io::Result<Self> {
        let devices = verbs.devices();
        let works_max = verbs.works_max().min(WORKS_MAX as usize);
        let each = |max: u32| max.min(limits.receives_max) as usize;
        let count: usize = devices.iter().map(|device| each(device.receives_max)).sum();
        // One more, for the message that is just looked at.
        let receives = Slots::new(count + 1, MESSAGE_BYTES)?;
        let sends = Slots::new(limits.receives_max as usize, MESSAGE_BYTES)?;
        let mut memory = Memory::default();
        // What comes last goes first: memory outlives who knows it, also when something fails below.
        let verbs = verbs;
        let of_messages = [receives.region(), sends.region()].map(|region| (region, Access::Local));
        for (region, access) in [(pool.region(), of_pool)].into_iter().chain(of_messages) {
            // SAFETY: the regions live as long as the pool and the slots, which are dropped after the verbs. Peers
            // that were called may touch all of a pool that is for them, and are trusted to touch no more than calls lend them.
            let id = unsafe { verbs.register(region.address(), region.bytes(), access)? };
            memory.add(region, id);
        }
        let adapter = Self {
            verbs,
            memory,
            receives,
            sends,
            _pool: pool.clone(),
            flights: RefCell::default(),
            posted: RefCell::default(),
            reads_max: devices.iter().map(|device| (device.id, device.reads_max)).collect(),
            works_max,
        };
        for device in devices {
            for _ in 0..each(device.receives_max) {
                let slot = adapter.receives.take().expect("there are as many as are posted");
                adapter.receive(slot, device.id)?;
            }
        }
        Ok(adapter)
    }

    /// What is behind it, for everything that is about no memory.
    pub fn verbs(&self) -> &dyn Verbs {
        &*self.verbs
    }

    /// The descriptor that tells when there is something, as a handle of one's own.
    ///
    /// # Errors
    /// As `dup`.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.verbs.descriptor().try_clone_to_owned()
    }

    /// As a peer is told of memory that is to be lent to it; `None` when it is not for peers, or lies in too many pieces.
    pub fn chunk(&self, device: DeviceId, chain: &Chain) -> Option<Chunk> {
        let segment = |slice: &[u8]| {
            let place = self.memory.place(slice)?;
            let handle = self.verbs.remote_key(device, place.memory)?;
            Some(Segment { handle, length: place.length, offset: place.address })
        };
        let segments: Option<SmallVec<[Segment; 2]>> = chain.as_slices().map(segment).collect();
        Chunk::of(&segments?)
    }

    /// Reads that one connection of any adapter may have outstanding here.
    pub fn reads_borne(&self) -> u32 {
        self.reads_max.values().copied().max().unwrap_or_default()
    }

    /// How many receives are posted on an adapter.
    pub fn posted(&self, device: DeviceId) -> u32 {
        self.posted.borrow().get(&device).copied().unwrap_or_default()
    }

    /// How many reads one connection of an adapter may have outstanding.
    pub fn reads_max(&self, device: DeviceId) -> u32 {
        self.reads_max.get(&device).copied().unwrap_or_default()
    }

    /// Has one more message received, before what the last one asks for is done: who is granted calls finds receives.
    fn receive_next(&self, device: DeviceId) {
        let posted = self.receives.take().map(|slot| self.receive(slot, device));
        if let Some(Err(error)) = posted {
            tracing::debug!(%error, "an RDMA adapter takes no receive");
        }
    }

    /// Has a message received into a place.
    ///
    /// # Errors
    /// As `ibv_post_srq_recv`; the place is given back then.
    fn receive(&self, slot: Slot, device: DeviceId) -> io::Result<()> {
        let place = self.memory.place(slot.as_slice()).expect("places for messages are registered");
        let id = self.flights.borrow_mut().insert(Flight::Receive { slot, device });
        // SAFETY: the flight owns the place until the completion.
        let posted = unsafe { self.verbs.receive(device, id as u64, place) };
        match posted {
            Ok(()) => *self.posted.borrow_mut().entry(device).or_default() += 1,
            Err(_) => self.forget(id),
        }
        posted
    }

    /// A place for a message that leaves, when there is one.
    pub async fn slot(&self) -> Slot {
        self.sends.take_wait().await
    }

    /// Asks a queue pair for all of a batch, which is not empty. What is told of its end comes with the memory it was about.
    ///
    /// # Errors
    /// When there is no room for so many, or the connection has ended.
    pub fn post(&self, pair: PairId, batch: Batch, ended: Option<oneshot::Sender<Ended>>) -> io::Result<()> {
        let reads = batch.reads();
        let Batch { mut works, held } = batch;
        let flight = Flight::Batch { pair, works: works.len(), reads, held, ended };
        let id = self.flights.borrow_mut().insert(flight);
        works.iter_mut().for_each(|work| work.id = NOBODY);
        let last = works.last_mut().expect("a batch has works");
        (last.id, last.signaled) = (id as u64, true);
        // SAFETY: all places are in memory of `held`, which the flight owns until the last one's completion.
        let posted = unsafe { self.verbs.post(pair, &works) };
        if posted.is_err() {
            self.forget(id);
        }
        posted
    }

    /// Lets go of what no adapter has, when the table is nobody's.
    fn forget(&self, id: usize) {
        let flight = self.flights.borrow_mut().remove(id);
        drop(flight);
    }

    /// Has the descriptor tell of what comes from now on.
    pub fn arm(&self) {
        if let Err(error) = self.verbs.arm() {
            tracing::error!(%error, "RDMA completions cannot be waited for");
        }
    }

    /// Takes completions that are there.
    pub fn take_completions(&self, completions: &mut Vec<Completion>) {
        self.verbs.completions(completions);
    }

    /// Takes events that are there, which costs more, and is rarely worth it.
    pub fn take_events(&self, events: &mut Vec<Event>) {
        self.verbs.events(events);
    }

    /// What a completion means. Tells who waits for a batch.
    pub fn complete(&self, completion: Completion) -> Option<Told> {
        if completion.id == NOBODY {
            return None;
        }
        let flight = self.flights.borrow_mut().try_remove(completion.id as usize)?;
        match flight {
            Flight::Receive { slot, device } => {
                debug_assert_eq!(completion.kind, CompletionKind::Receive);
                *self.posted.borrow_mut().entry(device).or_default() -= 1;
                self.receive_next(device);
                let bytes = (completion.bytes as usize).min(MESSAGE_BYTES);
                completion.status.is_success().then_some(Told::Message { pair: completion.pair, slot, bytes })
            }
            Flight::Batch { pair, works, reads, held, ended } => {
                match ended {
                    // Whoever waited has gone away.
                    Some(ended) => drop(ended.send((completion.status, held))),
                    None => drop(held),
                }
                Some(Told::Works { pair, works, reads, status: completion.status })
            }
        }
    }
}
