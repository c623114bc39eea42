//! Messages as they arrive, without record marks.

use bytes::Bytes;
use rpc::Payloads;

use crate::share::Holds;

/// One RPC message as it arrived. The memory it counts against is given back when it is dropped.
#[derive(Debug)]
pub struct Received {
    /// The message without the payloads that were cut out of it.
    pub head: Bytes,
    /// What was cut out, in stream order.
    pub payloads: Payloads,
    /// What it holds of its core's shares.
    pub(crate) holds: Holds,
}

impl Received {
    /// A message that came through the window alone and counts against nothing.
    pub(crate) fn small(head: Bytes) -> Self {
        Self { head, payloads: Payloads::new(), holds: Holds::new() }
    }

    /// Bytes of payload.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payloads.iter().map(|payload| payload.cut.length).sum()
    }

    /// Transaction id and message type, if the message is long enough to have them.
    pub(crate) fn prefix(&self) -> Option<(u32, u32)> {
        transport::prefix(&self.head)
    }
}
