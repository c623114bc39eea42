//! A core that calls, over connections that it opens itself.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use engine::{EngineConfig, Shard, block_on};
use rpc::Insert;
use transport::{CallError, Message};
use transport_rdma::{Answered, Connection, Endpoint, Limits, Room, WORKS_MAX};
use verbs::Options;
use verbs::loopback::Fabric;

use super::message::{call, reply};
use super::service::TestService;

/// Receives of its core.
const RECEIVES: u32 = 512;

/// What calls.
pub struct Caller {
    pub shard: Shard,
    pub endpoint: Endpoint,
    /// Answers calls back.
    pub service: Rc<TestService>,
    address: SocketAddr,
}

/// Runs a test on a core of its own, whose calls go to this address.
pub fn calling<F: Future<Output = ()> + 'static>(
    fabric: &Fabric,
    address: SocketAddr,
    test: impl FnOnce(Caller) -> F + Send + 'static,
) {
    let fabric = fabric.clone();
    let config = EngineConfig { region_bytes: 16 << 20, ..EngineConfig::small() };
    let ran = block_on(config, move |shard| async move {
        let options = Options { receives_max: RECEIVES, works_max: WORKS_MAX, connections_max: 64 };
        let limits = Limits { receives_max: RECEIVES, ..Limits::default() };
        let endpoint = Endpoint::for_calls(&shard, Box::new(fabric.adapter(options)), limits);
        let service = Rc::new(TestService::new(&shard));
        test(Caller { shard, endpoint: endpoint.expect("memory"), service, address }).await;
    });
    ran.expect("io_uring");
}

impl Caller {
    pub async fn try_connect(&self) -> std::io::Result<Rc<Connection>> {
        self.endpoint.connect(self.address, Rc::clone(&self.service)).await
    }

    pub async fn connect(&self) -> Rc<Connection> {
        self.try_connect().await.expect("the peer takes it")
    }

    /// Waits until no payload memory is out.
    pub async fn wait_until_empty(&self) {
        let begun = self.shard.now();
        while self.shard.pool().bytes_taken() > 0 {
            assert!(self.shard.now() - begun < super::PATIENCE, "memory does not come back");
            self.shard.sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// A call of a program, with no bulk data.
pub fn plain(program: u32, body: &[u8]) -> Message {
    Message::new(BytesMut::from(&call(0, program, body)[..]))
}

/// The same with bulk data behind the body, its pad, and something behind that.
pub fn with_bulk(program: u32, body: &[u8], data: impl Into<rpc::Bulk>, behind: &[u8]) -> Message {
    let data = data.into();
    let mut head = BytesMut::from(&call(0, program, body)[..]);
    let position = head.len();
    head.extend_from_slice(&[0; 3][..data.len().next_multiple_of(4) - data.len()]);
    head.extend_from_slice(behind);
    Message { head, inserts: [Insert { position, data }].into_iter().collect() }
}

/// Room for so much data, and so much text.
pub fn room(data: usize, text: usize) -> Room {
    Room { data, text }
}

/// The body of an answer without data.
pub fn body(answered: Result<Answered, CallError>) -> Bytes {
    let Answered { text, data } = answered.expect("it is answered");
    assert!(data.is_none(), "all of it is text");
    let xid = super::message::word(&text, 0);
    assert_eq!(text[..8], reply(xid, &[]));
    text.slice(8..)
}
