//! What an adapter is asked to do. All of it has the layout of C, as it crosses to the library.

/// One adapter of the machine, as counted by the core that asks.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u32);

/// Memory that all adapters know, in the order of [`Verbs::register`](crate::Verbs::register).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryId(pub u32);

/// A queue pair: one end of a connection. Never used again for another, and never 0.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairId(pub u64);

/// A peer that wishes to connect. Any core may accept or reject it, once.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

/// Places of one [`Work`].
pub const PLACES_MAX: usize = 4;

/// Bytes of memory that the adapters know.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Of the first byte.
    pub address: u64,
    /// In bytes.
    pub length: u32,
    /// The memory it lies in.
    pub memory: MemoryId,
}

/// Bytes of memory at the peer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    /// Of the first byte, as the peer counts.
    pub address: u64,
    /// By which the peer's adapter knows the memory.
    pub key: u32,
}

/// What a [`Work`] does.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    /// Sends a message, which takes one of the peer's receives.
    Send = 0,
    /// The same, and ends the peer's registration [`Work::invalidate`].
    SendInvalidate = 1,
    /// Reads memory of the peer.
    Read = 2,
    /// Writes memory of the peer.
    Write = 3,
}

/// Something a queue pair is asked to do.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Comes back with the completion. Not `u64::MAX`, which is the library's own.
    pub id: u64,
    /// What is done.
    pub kind: WorkKind,
    /// Whether a completion is wanted if it succeeds. A failure always has one, and the completion of a later work of the
    /// same queue pair tells that the earlier ones have ended.
    pub signaled: bool,
    /// The key that [`WorkKind::SendInvalidate`] ends.
    pub invalidate: u32,
    /// Where at the peer, of a read or a write.
    pub remote: Remote,
    /// From where, or to where, in this order; as many as [`Work::place_count`] says.
    pub places: [Place; PLACES_MAX],
    /// How many places it has.
    pub place_count: u32,
}

impl Work {
    /// Of these places, signaled.
    ///
    /// # Panics
    /// When they are more than [`PLACES_MAX`]: the caller's mistake.
    pub fn new(id: u64, kind: WorkKind, of: &[Place]) -> Self {
        let mut places = [Place::default(); PLACES_MAX];
        places[..of.len()].copy_from_slice(of);
        let place_count = u32::try_from(of.len()).expect("at most PLACES_MAX");
        Self { id, kind, signaled: true, invalidate: 0, remote: Remote::default(), places, place_count }
    }

    /// Its places.
    pub fn places(&self) -> &[Place] {
        &self.places[..self.place_count as usize]
    }

    /// Bytes of all of them.
    pub fn length(&self) -> u64 {
        self.places().iter().map(|place| u64::from(place.length)).sum()
    }
}
