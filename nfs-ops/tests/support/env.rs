//! The world around the operations: virtual time, seeded randomness, real payload memory, and clients that answer
//! callbacks as told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use buf::{Chain, PAGE_BYTES, PipePool, Piped, Pool};
use bytes::{Bytes, BytesMut};
use nfs_ops::{Backchannel, BackchannelError, Env, LoggedAdmission};
use qos::limits::Cost;
use rpc::ConnectionId;
use wire::nfs4::{
    CallbackArguments, CallbackOperation, CallbackSequenceArgs, CallbackSequenceResult, ResultHead, Status,
    Tag,
};
use wire::rpc::{Accepted, CallHeader, ReplyHeader};
use wire::xdr::{Decoder, Encoder};

use super::executor::Executor;

/// Payload memory of the test's core.
const POOL_BYTES: usize = 64 << 20;

/// How a client takes callbacks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It answers this to CB_SEQUENCE.
    Answers(Status),
    /// The connection breaks.
    Breaks,
    /// No answer comes.
    IsSilent,
}

/// A callback as a client saw it.
#[derive(Clone, Debug)]
pub struct Callback {
    pub connection: ConnectionId,
    pub minor: u32,
    pub program: u32,
    pub sequence: CallbackSequenceArgs,
    /// The operation behind CB_SEQUENCE, number and arguments.
    operation: Vec<u8>,
}

impl Callback {
    /// The operation behind CB_SEQUENCE.
    pub fn operation(&self) -> CallbackArguments<'_> {
        let mut decoder = Decoder::new(&self.operation);
        let operation = CallbackOperation::decode_or_illegal(&mut decoder).unwrap();
        let arguments = CallbackArguments::decode(operation, &mut decoder).unwrap();
        decoder.finish().expect("nothing follows the callback's operation");
        arguments
    }
}

/// The environment of one core. Clones are the same.
#[derive(Clone)]
pub struct TestEnv(Rc<Inner>);

struct Inner {
    executor: Executor,
    random: Cell<u64>,
    pool: Pool,
    pipes: PipePool,
    manners: RefCell<BTreeMap<ConnectionId, Manner>>,
    callbacks: RefCell<Vec<Callback>>,
    transactions: Cell<u32>,
    logged: RefCell<Vec<Cost>>,
}

impl TestEnv {
    pub fn new(executor: Executor) -> Self {
        Self(Rc::new(Inner {
            executor,
            random: Cell::new(0x9e37_79b9_7f4a_7c15),
            pool: Pool::new(POOL_BYTES).unwrap(),
            pipes: PipePool::new(),
            manners: RefCell::default(),
            callbacks: RefCell::default(),
            transactions: Cell::new(0),
            logged: RefCell::default(),
        }))
    }

    /// From now on the client at the other end of `connection` takes callbacks like this.
    pub fn set_manner(&self, connection: ConnectionId, manner: Manner) {
        self.0.manners.borrow_mut().insert(connection, manner);
    }

    /// The callbacks since the last time, in the order in which they came.
    pub fn take_callbacks(&self) -> Vec<Callback> {
        std::mem::take(&mut self.0.callbacks.borrow_mut())
    }

    /// What was charged since the last time.
    pub fn take_logged(&self) -> Vec<Cost> {
        std::mem::take(&mut self.0.logged.borrow_mut())
    }

    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    fn note(&self, connection: ConnectionId, message: &[u8]) -> Bytes {
        let mut decoder = Decoder::new(message);
        let call = CallHeader::decode(&mut decoder).unwrap();
        let _tag: Tag<'_> = decoder.get().unwrap();
        let (minor, _ident, operations) =
            (decoder.u32().unwrap(), decoder.u32().unwrap(), decoder.u32().unwrap());
        assert_eq!((call.procedure, operations), (1, 2));
        let first = CallbackOperation::decode_or_illegal(&mut decoder).unwrap();
        let Ok(CallbackArguments::Sequence(sequence)) = CallbackArguments::decode(first, &mut decoder) else {
            panic!("a callback begins with CB_SEQUENCE");
        };
        let operation = message[decoder.head_index()..].to_vec();
        let number = u32::from_be_bytes(operation[..4].try_into().unwrap());
        let manner = self.0.manners.borrow().get(&connection).copied();
        let status = match manner {
            Some(Manner::Answers(status)) => status,
            _ => Status::Ok,
        };
        let reply = reply(call.xid, &sequence, number, status);
        let program = call.program;
        self.0.callbacks.borrow_mut().push(Callback { connection, minor, program, sequence, operation });
        reply
    }
}

fn reply(xid: u32, sequence: &CallbackSequenceArgs, operation: u32, status: Status) -> Bytes {
    let mut encoder = Encoder::new(BytesMut::new(), 4096);
    let ok = status == Status::Ok;
    encoder.put(&ReplyHeader::accepted(xid, Accepted::Success)).unwrap();
    encoder.put(&status).unwrap();
    encoder.put_opaque(b"").unwrap();
    encoder.put_u32(if ok { 2 } else { 1 }).unwrap();
    ResultHead::encode(&mut encoder, CallbackOperation::Sequence.number(), status).unwrap();
    if ok {
        let CallbackSequenceArgs { session_id, sequence_id, slot_id, highest_slot_id, .. } = *sequence;
        let target_highest_slot_id = highest_slot_id;
        let result = CallbackSequenceResult {
            session_id,
            sequence_id,
            slot_id,
            highest_slot_id,
            target_highest_slot_id,
        };
        encoder.put(&result).unwrap();
        ResultHead::encode(&mut encoder, operation, Status::Ok).unwrap();
    }
    encoder.finish().head.freeze()
}

impl Env for TestEnv {
    fn logs_admissions(&self) -> bool {
        true
    }

    fn log_admission(&self, admitted: LoggedAdmission<'_>) {
        self.0.logged.borrow_mut().push(admitted.cost);
    }

    fn now_ns(&self) -> u64 {
        self.0.executor.now_ns()
    }

    fn wall_clock(&self) -> vfs::Time {
        vfs::Time { seconds: (self.now_ns() / 1_000_000_000) as i64, nanoseconds: 0 }
    }

    async fn sleep(&self, duration_ns: u64) {
        self.0.executor.sleep(duration_ns).await;
    }

    fn random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = next_random(&self.0.random) as u8;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(task);
    }

    async fn payload(&self, bytes: usize, offset: u64) -> Chain {
        let offset_modulo_page = (offset % PAGE_BYTES as u64) as usize;
        self.0.pool.take_wait(bytes, offset_modulo_page).await.expect("the pool is larger than any payload")
    }

    fn pipe(&self) -> Option<Piped> {
        self.0.pipes.take()
    }

    async fn groups_of(&self, uid: u32) -> Option<Vec<u32>> {
        (uid == 1000).then(|| (2000..2040).collect())
    }

    async fn id_of(&self, name: &str, _group: bool) -> Option<u32> {
        match name {
            "alice" => Some(1000),
            "bob" => Some(1001),
            _ => None,
        }
    }
}

impl Backchannel for TestEnv {
    async fn call_back(
        &self,
        connection: ConnectionId,
        message: BytesMut,
        timeout_ns: u64,
    ) -> Result<Bytes, BackchannelError> {
        let manner = self.0.manners.borrow().get(&connection).copied();
        match manner {
            Some(Manner::Breaks) => Err(BackchannelError::Lost),
            Some(Manner::IsSilent) => {
                self.sleep(timeout_ns).await;
                Err(BackchannelError::TimedOut)
            }
            Some(Manner::Answers(_)) | None => Ok(self.note(connection, &message)),
        }
    }

    fn next_transaction(&self) -> u32 {
        self.0.transactions.set(self.0.transactions.get() + 1);
        self.0.transactions.get()
    }
}

/// A xorshift generator: the same numbers in every run.
pub fn next_random(state: &Cell<u64>) -> u64 {
    let mut value = state.get();
    value ^= value << 13;
    value ^= value >> 7;
    value ^= value << 17;
    state.set(value);
    value.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
}
