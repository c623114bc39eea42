//! Two cores: who gets which connection, and how one reaches the other's.

mod support;

use std::{
    rc::Rc,
    sync::{Mutex, mpsc},
    time::Duration,
};

use bytes::BytesMut;
use engine::{Engine, EngineConfig, Shard};
use rpc::{Call, ConnectionId, Outcome, Reply, Service, Transport};
use support::{ECHO, PATIENCE, Peer, message, record, reply, word};
use transport_tcp::{Backchannels, CallError, Endpoint, Intake, Limits, Listener};

const SHARDS: usize = 2;

/// Answers nothing, and tells the test where calls arrive.
struct Observer {
    seen: mpsc::Sender<ConnectionId>,
}

impl Service for Observer {
    async fn call(&self, call: Call) -> Outcome {
        self.seen.send(call.peer.connection).expect("the test listens");
        Outcome::Reply(Reply::new(BytesMut::from(&reply(word(&call.head, 0), b"")[..])))
    }

    fn disconnected(&self, _connection: ConnectionId) {}
}

/// Starts both shards; each says with what it was reached.
fn start(listener: Listener, back: Backchannels) -> (Engine, mpsc::Receiver<ConnectionId>) {
    let (seen, arrivals) = mpsc::channel();
    let (intake, listener, seen) = (Intake::new(SHARDS), Mutex::new(Some(listener)), Mutex::new(seen));
    let config = EngineConfig { shards: Some(SHARDS), ..EngineConfig::small() };
    let engine = Engine::start(config, move |shard: Shard| {
        let (intake, back) = (intake.clone(), back.clone());
        if shard.index() == 0 {
            let listener = listener.lock().expect("not poisoned").take().expect("one first shard");
            shard.spawn(listener.accept_all(shard.clone(), intake.clone()));
        }
        let service = Rc::new(Observer { seen: seen.lock().expect("not poisoned").clone() });
        async move {
            let endpoint = Endpoint::new(&shard, Limits::default());
            let serving = endpoint.clone();
            shard.spawn(async move { back.serve(serving).await });
            let serving = endpoint.clone();
            shard.spawn(async move { intake.serve(serving, service).await });
            shard.shutting_down().await;
            assert!(endpoint.drain(PATIENCE).await);
        }
    });
    (engine.expect("io_uring"), arrivals)
}

#[test]
fn connections_are_spread_and_reached_from_everywhere() {
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let (address, back) = (listener.address(), Backchannels::new(SHARDS));
    let (engine, arrivals) = start(listener, back.clone());

    let mut peers: Vec<(Peer, ConnectionId)> = (0..4)
        .map(|xid| {
            let mut peer = Peer::connect(address);
            peer.send(&record(&message(xid, ECHO, b"")));
            assert_eq!(peer.receive(), reply(xid, b""));
            (peer, arrivals.recv_timeout(PATIENCE).expect("the call arrived"))
        })
        .collect();
    let on_first = peers.iter().filter(|(_, id)| id.core() == 0).count();
    assert_eq!(on_first, 2, "each core has two");

    for (peer, id) in &mut peers {
        let (result, answers) = mpsc::channel();
        let (back, id) = (back.clone(), *id);
        let other = 1 - id.core();
        let ask = move |_| async move {
            let call = BytesMut::from(&message(0, 77, b"across")[..]);
            result.send(back.call(id, call, PATIENCE).await).expect("the test listens");
        };
        engine.remote().spawn_on(other, ask).expect("the shard runs");
        let call = peer.receive();
        assert_eq!(call[24..], *b"across");
        peer.send(&record(&reply(word(&call, 0), b"heard")));
        let answer = answers.recv_timeout(PATIENCE).expect("answered").expect("not lost");
        assert_eq!(answer[8..], *b"heard");
    }
    check_lost(&engine, &back);
    engine.shut_down(Duration::from_secs(10));
    engine.join().expect("both shards end well");
}

/// A connection that does not exist cannot be called.
fn check_lost(engine: &Engine, back: &Backchannels) {
    let (result, answers) = mpsc::channel();
    let back = back.clone();
    let ask = move |_| async move {
        let call = BytesMut::from(&message(0, 77, b"")[..]);
        let answer = back.call(ConnectionId::new(1, Transport::Tcp, 1 << 40), call, PATIENCE).await;
        result.send(answer).expect("the test listens");
    };
    engine.remote().spawn_on(0, ask).expect("the shard runs");
    let answer = answers.recv_timeout(PATIENCE).expect("answered");
    assert_eq!(answer.expect_err("there is no such connection"), CallError::Lost);
}
