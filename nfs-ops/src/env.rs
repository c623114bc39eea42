//! What the operations need of the world outside but may not see: clocks, randomness, tasks, payload
//! memory, name services, and the way back to a client.

use std::future::Future;

use buf::{Chain, Piped};
use bytes::{Bytes, BytesMut};
use qos::limits::{Cost, Entity};
use rpc::ConnectionId;
use tracing::Span;
use wire::rpc::TraceContext;

/// The world around the operations on one core. The server gives the real one; a simulator gives its own.
#[allow(async_fn_in_trait, reason = "tasks stay on their core, so no future need be Send")]
pub trait Env: Clone + 'static {
    /// A monotonic clock in nanoseconds.
    fn now_ns(&self) -> u64;

    /// The same where that clock goes on only from time to time, read now.
    fn now_precise_ns(&self) -> u64 {
        self.now_ns()
    }

    /// The wall clock: seconds since 1970 and nanoseconds.
    fn wall_clock(&self) -> vfs::Time;

    /// Completes after `duration_ns`.
    async fn sleep(&self, duration_ns: u64);

    /// Fills `bytes` with unpredictable bytes.
    fn random(&self, bytes: &mut [u8]);

    /// Runs a task on this core, beside the caller.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Aligned payload memory of `bytes`, its address congruent to `offset` modulo the page size. Waits its
    /// turn while there is none.
    async fn payload(&self, bytes: usize, offset: u64) -> Chain;

    /// An empty pipe for a payload on its way from a file to a socket; `None` when none is free.
    fn pipe(&self) -> Option<Piped>;

    /// The supplementary groups of a user by the server's own name service; `None` when it knows no such user.
    async fn groups_of(&self, uid: u32) -> Option<Vec<u32>>;

    /// The id of a user (or with `group` of a group) by name, by the server's own name service.
    async fn id_of(&self, name: &str, group: bool) -> Option<u32>;

    /// Makes `span`, which was just created, a part of the caller's trace. Called for traced calls only; who exports no
    /// traces has nothing to do.
    fn join_trace(&self, _span: &Span, _caller: &TraceContext<'_>) {}

    /// Whether [`Env::log_admission`] wants to be called.
    fn logs_admissions(&self) -> bool {
        false
    }

    /// Logs what goes on and is charged, so that limits can be judged from outside.
    fn log_admission(&self, _admitted: LoggedAdmission<'_>) {}
}

/// What was charged and goes on, or took place already.
#[derive(Clone, Copy, Debug)]
pub struct LoggedAdmission<'a> {
    /// What it is charged to, the most particular first.
    pub charged_to: &'a [Entity],
    /// What it is charged.
    pub cost: Cost,
    /// How many still wait on this core.
    pub parked: usize,
}

/// Why a callback brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackchannelError {
    /// The connection is gone.
    Lost,
    /// The client did not answer in time.
    TimedOut,
}

/// The way back to a client over a connection it made.
#[allow(async_fn_in_trait, reason = "tasks stay on their core, so no future need be Send")]
pub trait Backchannel: 'static {
    /// Sends an RPC call message (without record marks) and waits for the reply message with the same
    /// transaction id. Works from any core.
    ///
    /// # Errors
    /// [`BackchannelError`].
    async fn call_back(
        &self,
        connection: ConnectionId,
        message: BytesMut,
        timeout_ns: u64,
    ) -> Result<Bytes, BackchannelError>;

    /// A transaction id for the next callback; ids on one connection do not repeat soon.
    fn next_transaction(&self) -> u32;
}
