//! Who answers calls.

use crate::{Call, ConnectionId, Outcome};

/// Answers calls on one core.
#[allow(async_fn_in_trait, reason = "tasks stay on their core, so no future need be Send")]
pub trait Service: 'static {
    /// Answers one call. The transport runs each call as a task of its own and never drops it half way:
    /// a call that was started is finished even when its connection is gone.
    async fn call(&self, call: Call) -> Outcome;

    /// The connection is not read for a while, though its peer may have sent something, or is read again.
    fn unread(&self, _connection: ConnectionId, _is_unread: bool) {}

    /// The connection is gone; nothing further arrives from it and nothing can be sent to it. Said at once, and again
    /// when the last of its calls has ended if some were in progress.
    fn disconnected(&self, connection: ConnectionId);
}
