//! Sockets over the ring.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use engine::sync::cross;
use engine::{Engine, EngineConfig, Shard, block_on};

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// Two ends of one connection.
async fn pair(shard: &Shard) -> (Rc<OwnedFd>, Rc<OwnedFd>) {
    let listener = Rc::new(listener());
    let address = listener.local_addr().unwrap();
    let mut accepts = shard.accept(listener);
    let connecting = shard.clone();
    let connect = shard.spawn(async move { connecting.connect_tcp(address).await });
    let accepted = accepts.next().await.unwrap();
    (Rc::new(connect.await.unwrap().unwrap()), Rc::new(accepted))
}

/// Sends everything back until the peer ends.
async fn echo(shard: Shard, socket: Rc<OwnedFd>) {
    let mut buffer = vec![0; 5000];
    loop {
        let received;
        (received, buffer) = shard.recv(socket.clone(), buffer, 0..5000).await;
        let bytes = received.unwrap();
        if bytes == 0 {
            return;
        }
        let slice = buf::Slice::new(buffer, 0..bytes);
        let (sent, slice) = shard.send(socket.clone(), slice, false).await;
        sent.unwrap();
        buffer = slice.into_inner();
    }
}

/// Sends 3 MiB in heads and chains while receiving it back.
async fn client(shard: Shard, address: std::net::SocketAddr) {
    let socket = Rc::new(shard.connect_tcp(address).await.unwrap());
    let mut chain = shard.pool().take_wait(3 << 20, 77).await.unwrap();
    let payload: Vec<u8> = (0..3 << 20).map(|index: u32| (index % 253) as u8).collect();
    chain.copy_from(0, &payload);
    let (sender, sending) = (shard.clone(), socket.clone());
    let sent = shard.spawn(async move {
        let (sent, (_head, chain)) = sender.send(sending, (b"head".to_vec(), chain), false).await;
        (sent, chain.len())
    });
    let total = payload.len() + 4;
    let (received, back) = shard.recv_exact(socket, vec![0; total], 0..total).await;
    received.unwrap();
    assert_eq!((&back[..4], back[4..] == payload), (&b"head"[..], true));
    let (sent, length) = sent.await.unwrap();
    assert_eq!((sent.is_ok(), length), (true, 3 << 20));
}

#[test]
fn echo_between_two_shards() {
    let listener = listener();
    let address = listener.local_addr().unwrap();
    let listener = Arc::new(listener);
    let config = EngineConfig { shards: Some(2), region_bytes: 16 << 20, ..EngineConfig::small() };
    let engine = Engine::start(config, move |shard| {
        let listener = listener.clone();
        async move {
            if shard.index() == 0 {
                let mut accepts = shard.accept(listener);
                for _ in 0..4 {
                    let socket = Rc::new(accepts.next().await.unwrap());
                    shard.spawn(echo(shard.clone(), socket));
                }
                shard.shutting_down().await;
            } else {
                let clients: Vec<_> = (0..4).map(|_| shard.spawn(client(shard.clone(), address))).collect();
                for client in clients {
                    client.await.unwrap();
                }
                assert_eq!(shard.pool().bytes_taken(), 0);
                shard.remote().shut_down(std::time::Duration::from_secs(10));
            }
        }
    });
    engine.unwrap().join().unwrap();
}

#[test]
fn a_dropped_receive_keeps_its_memory_until_the_kernel_is_done() {
    let done = block_on(EngineConfig::small(), |shard| async move {
        let (near, far) = pair(&shard).await;
        let chain = shard.pool().take(4096, 0).unwrap();
        let task = shard.spawn({
            let (shard, near) = (shard.clone(), near.clone());
            async move { shard.recv(near, chain, 0..4096).await.0 }
        });
        // Tasks run in the order in which they became ready: now it has submitted.
        shard.yield_now().await;
        task.abort();
        assert!(task.await.is_err());
        assert!(shard.pool().bytes_taken() > 0, "the kernel may still write it");
        while shard.pool().bytes_taken() > 0 {
            shard.yield_now().await;
        }
        // What arrives after the cancellation is lost to nobody.
        shard.send(far, b"later".to_vec(), false).await.0.unwrap();
        let (received, buffer) = shard.recv_exact(near, vec![0; 5], 0..5).await;
        received.unwrap();
        buffer
    });
    assert_eq!(done.unwrap(), b"later");
}

#[test]
fn a_shard_may_end_with_receives_in_flight() {
    block_on(EngineConfig::small(), |shard| async move {
        let (near, far) = pair(&shard).await;
        let chain = shard.pool().take(1 << 20, 0).unwrap();
        let receiver = shard.clone();
        shard.spawn(async move {
            receiver.recv_exact(near, chain, 0..1 << 20).await.0.unwrap();
            panic!("the other end never sends that much, {far:?}");
        });
        shard.yield_now().await;
    })
    .unwrap();
}

#[test]
fn errors_come_with_the_buffer() {
    block_on(EngineConfig::small(), |shard| async move {
        let (near, far) = pair(&shard).await;
        drop(far);
        let (received, buffer) = shard.recv_exact(near.clone(), vec![1; 4], 0..4).await;
        assert_eq!(received.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(buffer, [1; 4]);
        shard.shutdown(near, std::net::Shutdown::Both).await.unwrap();
        let closed = listener().local_addr().unwrap();
        let refused = shard.connect_tcp(closed).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    })
    .unwrap();
}

#[test]
fn a_full_table_refuses_and_recovers() {
    let config = EngineConfig { in_flight_max: 1, ..EngineConfig::small() };
    block_on(config, |shard| async move {
        let listener = Rc::new(listener());
        let (taker, held) = (shard.clone(), listener.clone());
        let task = shard.spawn(async move { taker.poll(held, libc::POLLIN).await });
        shard.yield_now().await;
        let refused = shard.poll(listener.clone(), libc::POLLIN).await.unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOBUFS));
        let _connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(task.await.unwrap().unwrap(), libc::POLLIN);
        assert_eq!(shard.poll(listener, libc::POLLIN).await.unwrap(), libc::POLLIN);
    })
    .unwrap();
}

#[test]
fn connections_are_handed_to_other_shards() {
    let config = EngineConfig { shards: Some(2), ..EngineConfig::small() };
    let (sender, receiver) = cross::oneshot();
    let sender = std::sync::Mutex::new(Some((sender, receiver)));
    let engine = Engine::start(config, move |shard| {
        let ends = if shard.index() == 0 { sender.lock().unwrap().take() } else { None };
        async move {
            let Some((sender, receiver)) = ends else { return shard.shutting_down().await };
            let listener = Rc::new(listener());
            let address = listener.local_addr().unwrap();
            let mut accepts = shard.accept(listener);
            let connecting = shard.clone();
            let near = shard.spawn(async move { connecting.connect_tcp(address).await.unwrap() });
            let accepted = accepts.next().await.unwrap();
            shard
                .remote()
                .spawn_on(1, |there| async move {
                    there.send(Rc::new(accepted), b"from 1".to_vec(), false).await.0.unwrap();
                    sender.send(there.index()).unwrap();
                })
                .unwrap();
            let near = Rc::new(near.await.unwrap());
            let (received, buffer) = shard.recv_exact(near, vec![0; 6], 0..6).await;
            received.unwrap();
            assert_eq!((buffer.as_slice(), receiver.await), (&b"from 1"[..], Ok(1)));
            shard.remote().shut_down(std::time::Duration::from_secs(10));
        }
    });
    engine.unwrap().join().unwrap();
}
