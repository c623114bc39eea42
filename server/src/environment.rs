//! The world around the operations on one shard: what [`nfs_ops::Env`] and [`nfs_ops::Backchannel`] ask for.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use buf::{Chain, PAGE_BYTES, PipePool, Piped, TakeError};
use bytes::{Bytes, BytesMut};
use engine::Shard;
use nfs_ops::{Backchannel, BackchannelError, Env, LoggedAdmission};
use rpc::{ConnectionId, Transport};
use tracing::Span;
use transport_tcp::{CallError, Message};
use wire::rpc::TraceContext;

use crate::admissions::AdmissionLog;
use crate::names::Names;
use crate::{shard, traces};

/// How long a request waits before it asks again for memory when too many already wait.
const CROWDED_PAUSE: Duration = Duration::from_millis(10);

/// The world of one shard. A handle: clones name the same.
#[derive(Clone)]
pub struct Environment(Rc<Inner>);

struct Inner {
    shard: Shard,
    /// Zero of the monotonic clock, the same on all shards.
    origin: Instant,
    names: Arc<Names>,
    next_transaction: Cell<u32>,
    pipes: PipePool,
    admissions: Option<Rc<AdmissionLog>>,
}

impl Environment {
    /// The world of `shard`, which logs admissions if there is a log.
    pub fn new(
        shard: Shard,
        origin: Instant,
        names: Arc<Names>,
        admissions: Option<Rc<AdmissionLog>>,
    ) -> Self {
        let mut first = [0; 4];
        fill(&mut first);
        let next_transaction = Cell::new(u32::from_ne_bytes(first));
        let pipes = PipePool::new();
        Self(Rc::new(Inner { shard, origin, names, next_transaction, pipes, admissions }))
    }
}

impl Env for Environment {
    fn now_ns(&self) -> u64 {
        nanoseconds_since(self.0.origin, self.0.shard.now())
    }

    fn now_precise_ns(&self) -> u64 {
        nanoseconds_since(self.0.origin, self.0.shard.now_precise())
    }

    fn wall_clock(&self) -> vfs::Time {
        // A clock before 1970 is shown as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        vfs::Time { seconds: since.as_secs() as i64, nanoseconds: since.subsec_nanos() }
    }

    async fn sleep(&self, duration_ns: u64) {
        self.0.shard.sleep(Duration::from_nanos(duration_ns)).await;
    }

    fn random(&self, bytes: &mut [u8]) {
        fill(bytes);
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // A stop waits for such tasks as for calls: a copy that goes on, a callback under way.
        let work = self.0.shard.work();
        self.0.shard.spawn(async move {
            task.await;
            drop(work);
        });
    }

    async fn payload(&self, bytes: usize, offset: u64) -> Chain {
        let modulo = (offset % PAGE_BYTES as u64) as usize;
        loop {
            match self.0.shard.pool().take_wait(bytes, modulo).await {
                Ok(chain) => return chain,
                Err(TakeError::TooManyWaiting) => self.0.shard.sleep(CROWDED_PAUSE).await,
                Err(TakeError::TooLong) => {
                    panic!("a payload is bounded far below the pool, yet {bytes} were asked for")
                }
            }
        }
    }

    fn pipe(&self) -> Option<Piped> {
        self.0.pipes.take()
    }

    async fn groups_of(&self, uid: u32) -> Option<Vec<u32>> {
        self.0.names.groups_of(uid).await
    }

    async fn id_of(&self, name: &str, group: bool) -> Option<u32> {
        self.0.names.id_of(name, group).await
    }

    fn join_trace(&self, span: &Span, caller: &TraceContext<'_>) {
        traces::join(span, caller);
    }

    fn logs_admissions(&self) -> bool {
        self.0.admissions.is_some()
    }

    fn log_admission(&self, admitted: LoggedAdmission<'_>) {
        if let Some(log) = &self.0.admissions {
            let truly_ns = nanoseconds_since(self.0.origin, self.0.shard.now_precise());
            log.admit(admitted, self.now_ns(), truly_ns);
        }
    }
}

impl Backchannel for Environment {
    async fn call_back(
        &self,
        connection: ConnectionId,
        message: BytesMut,
        timeout_ns: u64,
    ) -> Result<Bytes, BackchannelError> {
        let timeout = Duration::from_nanos(timeout_ns);
        let remote = self.0.shard.remote();
        let core = connection.core();
        if core == self.0.shard.index() {
            return call_back_here(connection, message, timeout).await;
        }
        if core >= remote.shards() {
            return Err(BackchannelError::Lost);
        }
        let called = remote.call_on(core, move |_| call_back_here(connection, message, timeout)).await;
        called.unwrap_or(Err(BackchannelError::Lost))
    }

    fn next_transaction(&self) -> u32 {
        // Callbacks of different shards may meet on one connection: each shard has every n-th number.
        let shards = self.0.shard.remote().shards() as u32;
        let next = self.0.next_transaction.get().wrapping_add(shards);
        self.0.next_transaction.set(next);
        next
    }
}

/// Calls back over a connection of the calling shard.
async fn call_back_here(
    connection: ConnectionId,
    message: BytesMut,
    timeout: Duration,
) -> Result<Bytes, BackchannelError> {
    let message = Message::new(message);
    let answer = match connection.transport() {
        Transport::Tcp => {
            let endpoint = shard::endpoint().ok_or(BackchannelError::Lost)?;
            endpoint.call_back(connection, message, timeout).await.map(|received| received.head.clone())
        }
        Transport::Rdma => {
            let endpoint = shard::rdma_endpoint().ok_or(BackchannelError::Lost)?;
            endpoint.call_back(connection, message, timeout).await
        }
    };
    answer.map_err(|error| match error {
        CallError::Lost | CallError::Refused | CallError::Unsendable => BackchannelError::Lost,
        CallError::TimedOut => BackchannelError::TimedOut,
    })
}

/// Monotonic nanoseconds at `now`; never 0, which nobody then takes for "never".
pub fn nanoseconds_since(origin: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(origin).as_nanos() as u64 + 1
}

/// Unpredictable bytes.
///
/// # Panics
/// When the kernel has none, which a kernel that runs io_uring cannot say after boot.
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel gives random bytes");
}
