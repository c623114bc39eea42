//! What can go wrong with a call of ours.

/// Why a call has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection ended. The call may or may not have been executed.
    #[error("the connection ended before the reply")]
    Lost,
    /// The peer did not answer in time. The call may or may not have been executed.
    #[error("no reply in time")]
    TimedOut,
    /// The peer's transport has answered that it cannot use the call, or has no way for its reply. An RDMA peer alone says so.
    #[error("the peer's transport refused the call")]
    Refused,
    /// The call did not leave: it is longer than can be sent, or names more memory than there is for that.
    #[error("the call is longer, or asks for more, than this transport has memory for")]
    Unsendable,
}
