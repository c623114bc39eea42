//! What adapters tell. All of it has the layout of C, as it comes from the library.

use crate::{DeviceId, NativeAddress, PairId, RequestId};

/// Bytes that a peer may tell with its wish to connect, or the answer to it.
pub const PRIVATE_MAX: usize = 255;

/// How a work ended: 0 when it succeeded, otherwise a number of `ibv_wc_status`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// It was done.
    pub const SUCCESS: Self = Self(0);
    /// `IBV_WC_WR_FLUSH_ERR`: its connection ended before it was done.
    pub const FLUSHED: Self = Self(5);
    /// `IBV_WC_REM_ACCESS_ERR`: the peer's memory may not be used so.
    pub const REMOTE_ACCESS: Self = Self(10);
    /// `IBV_WC_RETRY_EXC_ERR`: the peer does not answer.
    pub const RETRIES_EXCEEDED: Self = Self(12);
    /// `IBV_WC_RNR_RETRY_EXC_ERR`: the peer had no receive.
    pub const NO_RECEIVE: Self = Self(13);

    /// Whether it was done.
    pub fn is_success(self) -> bool {
        self == Self::SUCCESS
    }
}

/// What a completion is of.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompletionKind {
    /// A [`Work`](crate::Work) of the queue pair's.
    #[default]
    Work = 0,
    /// A receive of the core's.
    Receive = 1,
}

/// The end of something that was asked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Completion {
    /// What it was asked with.
    pub id: u64,
    /// Whose it was. Of a receive: whose message came, 0 when that is not known.
    pub pair: PairId,
    /// How it ended.
    pub status: Status,
    /// What it was.
    pub kind: CompletionKind,
    /// The adapter it was asked of.
    pub device: DeviceId,
    /// Bytes of a message that was received.
    pub bytes: u32,
}

/// What happened to a connection, or to an adapter.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventKind {
    /// A peer wishes to connect: [`Event::request`], with what it tells.
    #[default]
    Request = 0,
    /// Messages can be sent. At who connected: with what the peer told.
    Established = 1,
    /// The connection that was asked for is not to be had: [`Event::reason`].
    Refused = 2,
    /// The peer has ended the connection, or it broke. It is still to be disconnected.
    Disconnected = 3,
    /// Everything that was asked of a queue pair has ended and its completions have been told. It can be destroyed.
    Ended = 4,
    /// An adapter goes away; its connections are disconnected.
    DeviceRemoved = 5,
}

/// Something that happened.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The adapter.
    pub device: DeviceId,
    /// The connection, of all but a request and a removal.
    pub pair: PairId,
    /// The request.
    pub request: RequestId,
    /// A negated `errno`, or the `rej_reason` of the connection manager.
    pub reason: i32,
    /// How many reads may be outstanding: of a request what the peer bears, of a connection what was agreed on.
    pub reads_max: u32,
    /// Who it is about, of a request.
    pub peer: NativeAddress,
    /// What the peer told, as many bytes as [`Event::private_bytes`] says.
    pub private: [u8; PRIVATE_MAX],
    /// Bytes the peer told.
    pub private_bytes: u8,
}

impl Event {
    /// With nothing but its kind.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            device: DeviceId::default(),
            pair: PairId::default(),
            request: RequestId::default(),
            reason: 0,
            reads_max: 0,
            peer: NativeAddress::default(),
            private: [0; PRIVATE_MAX],
            private_bytes: 0,
        }
    }

    /// What the peer told.
    pub fn private(&self) -> &[u8] {
        &self.private[..usize::from(self.private_bytes)]
    }
}
