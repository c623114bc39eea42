//! A service that answers calls by their program.

use std::cell::{Cell, RefCell};

use buf::Chain;
use bytes::{BufMut, BytesMut};
use engine::Shard;
use engine::sync::Notify;
use rpc::{Bulk, Call, ConnectionId, Insert, Outcome, Payload, Reply, Service};

use super::message::{checksum, pattern, word};

/// Program whose calls are answered with what stands behind their first six words.
pub const ECHO: u32 = 1;
/// Program whose calls are answered with so many bytes in all.
pub const LONG: u32 = 2;
/// Program whose calls are answered with bulk data: bytes, how many times, and whether it lies on the heap.
pub const BULK: u32 = 3;
/// Program whose calls are answered as [`ECHO`], but only when told.
pub const HOLD: u32 = 4;
/// Program whose calls are not answered.
pub const DISCARD: u32 = 5;
/// Program whose calls end their connection.
pub const DISCONNECT: u32 = 6;
/// Program whose calls are answered when told, and until then nothing further is to be read of their connection.
pub const ALONE: u32 = 7;
/// Program whose calls are answered with the milliseconds that they lay unread.
pub const UNREAD: u32 = 8;
/// Program of NFS, whose WRITEs are answered with how they came.
pub const NFS: u32 = wire::nfs4::PROGRAM;

/// Bytes that a reply has at a time, at most.
const BYTES_MAX: u32 = 4 << 20;

/// Set in the transaction id of a WRITE whose payload is brought only when told.
pub const LATER: u32 = 1 << 30;
/// Set in the transaction id of a WRITE whose payload nobody wants.
pub const NEVER: u32 = 1 << 31;
/// Set in the transaction id of a WRITE whose payload is wanted no more as soon as somebody has asked for it.
pub const GIVEN_UP: u32 = 1 << 29;

/// Stands behind each piece of bulk data.
pub const TAIL: u32 = 0x7a11_7a11;
/// The answer where the payload went away.
pub const LOST: u32 = 0xdead_dead;

/// Answers calls, and notes what it was told.
pub struct TestService {
    shard: Shard,
    pub release: Notify,
    /// Calls begun.
    pub begun: Cell<usize>,
    /// WRITEs whose payload was brought.
    pub brought: Cell<usize>,
    /// WRITEs whose payload went away.
    pub lost: Cell<usize>,
    pub gone: RefCell<Vec<ConnectionId>>,
    pub unread: RefCell<Vec<bool>>,
    /// Who called last.
    pub last: Cell<Option<ConnectionId>>,
}

impl TestService {
    pub fn new(shard: &Shard) -> Self {
        Self {
            shard: shard.clone(),
            release: Notify::new(),
            begun: Cell::default(),
            brought: Cell::default(),
            lost: Cell::default(),
            gone: RefCell::default(),
            unread: RefCell::default(),
            last: Cell::default(),
        }
    }

    async fn in_memory(&self, bytes: &[u8]) -> Chain {
        let mut chain = self.shard.pool().take_wait(bytes.len(), 0).await.expect("memory");
        chain.copy_from(0, bytes);
        chain
    }

    async fn bulk(&self, call: &Call) -> Reply {
        let [bytes, count, is_on_heap] = [24, 28, 32].map(|at| word(&call.head, at) as usize);
        let (mut head, mut inserts) = (answer(call, &[]), Vec::new());
        for index in 0..count {
            let data = &pattern(bytes + index)[index..];
            head.put_u32(bytes as u32);
            let position = head.len();
            let data: Bulk = match is_on_heap {
                0 => self.in_memory(data).await.into(),
                _ => bytes::Bytes::copy_from_slice(data).into(),
            };
            inserts.push(Insert { position, data });
            head.put_bytes(0, bytes.next_multiple_of(4) - bytes);
            head.put_u32(TAIL);
        }
        Reply { head, inserts: inserts.into() }
    }

    /// How a WRITE came: payloads, bytes of the head and what they sum up to, and of the payload its position, length,
    /// place in the page and what its bytes sum up to.
    async fn write(&self, mut call: Call) -> Reply {
        let xid = word(&call.head, 0);
        let mut head = answer(&call, &[]);
        [call.payloads.len() as u32, call.head.len() as u32, checksum(&call.head)]
            .into_iter()
            .for_each(|word| head.put_u32(word));
        let Some(Payload { cut, data }) = call.payloads.pop().filter(|_| xid & NEVER == 0) else {
            return Reply::new(head);
        };
        if xid & LATER != 0 {
            self.release.notified().await;
        }
        if xid & GIVEN_UP != 0 {
            let brought = transport::within(&self.shard, std::time::Duration::from_millis(1), data.bring());
            assert!(brought.await.is_none(), "the test holds reads");
            return Reply::new(head);
        }
        let Some(chain) = data.bring().await else {
            self.lost.update(|lost| lost + 1);
            return Reply::new(answer(&call, &LOST.to_be_bytes()));
        };
        self.brought.update(|brought| brought + 1);
        assert_eq!(chain.len(), cut.length, "all of it");
        let address = chain.as_slices().next().map_or(0, |slice| slice.as_ptr() as usize);
        let told = [
            cut.position as u32,
            cut.length as u32,
            (address % buf::PAGE_BYTES) as u32,
            checksum(&chain.to_vec()),
        ];
        told.into_iter().for_each(|word| head.put_u32(word));
        Reply::new(head)
    }
}

fn answer(call: &Call, body: &[u8]) -> BytesMut {
    let mut head = BytesMut::from(&call.head[..4]);
    head.put_u32(1);
    head.extend_from_slice(body);
    head
}

impl Service for TestService {
    async fn call(&self, call: Call) -> Outcome {
        self.begun.update(|begun| begun + 1);
        self.last.set(Some(call.peer.connection));
        if call.head.len() < 24 {
            return Outcome::Disconnect;
        }
        let asks_too_much = |at: usize, max| call.head.len() < at + 4 || word(&call.head, at) > max;
        Outcome::Reply(match word(&call.head, 12) {
            LONG if asks_too_much(24, BYTES_MAX) => return Outcome::Discard,
            BULK if asks_too_much(24, BYTES_MAX / 4) || asks_too_much(28, 8) || asks_too_much(32, 1) => {
                return Outcome::Discard;
            }
            ECHO => Reply::new(answer(&call, &call.head[24..])),
            HOLD => {
                self.release.notified().await;
                Reply::new(answer(&call, &call.head[24..]))
            }
            LONG => Reply::new(answer(&call, &pattern((word(&call.head, 24) as usize).saturating_sub(8)))),
            BULK => self.bulk(&call).await,
            ALONE => {
                let _hold = call.reading.hold();
                self.release.notified().await;
                Reply::new(answer(&call, &call.head[24..]))
            }
            UNREAD => Reply::new(answer(&call, &((call.unread_ns / 1_000_000) as u32).to_be_bytes())),
            NFS => self.write(call).await,
            DISCONNECT => return Outcome::Disconnect,
            _ => return Outcome::Discard,
        })
    }

    fn unread(&self, _connection: ConnectionId, is_unread: bool) {
        self.unread.borrow_mut().push(is_unread);
    }

    fn disconnected(&self, connection: ConnectionId) {
        self.gone.borrow_mut().push(connection);
    }
}
