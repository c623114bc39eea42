//! Sockets over the ring.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use engine::sync::cross;
use engine::{Engine, EngineConfig, ReceiveMode, Shard, block_on};
use rustix::net::sockopt;

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
fn a_shard_ends_at_once_though_a_peer_has_not_acknowledged() {
    const BYTES: usize = 256 << 10;
    let (released, releases) = mpsc::channel();
    let ended = block_on(EngineConfig::small(), |shard| async move {
        let (one, other) = pair(&shard).await;
        // All of it has room on this side, and not on the other.
        sockopt::set_socket_send_buffer_size(&one, 2 * BYTES).unwrap();
        sockopt::set_socket_recv_buffer_size(&other, 4096).unwrap();
        let release = move |_, usage| released.send(usage).unwrap();
        let sent = shard.send_zero_copy(one, vec![7; BYTES], false, release).await;
        assert_eq!(sent.unwrap(), BYTES);
        (Instant::now(), other.try_clone().unwrap())
    });
    let (begun, peer) = ended.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "it waits for the peer");
    assert_eq!(releases.try_recv(), Err(mpsc::TryRecvError::Empty), "the kernel holds it");
    let mut received = Vec::new();
    TcpStream::from(peer).read_to_end(&mut received).unwrap();
    assert!(received == [7; BYTES], "what was sent stays as it was");
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

/// Bytes that differ from their neighbours and from those a buffer further.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 253) as u8).collect()
}

#[test]
fn what_comes_in_is_received_in_order_whatever_the_limit() {
    use ReceiveMode::{Multishot, Own, Shared};
    let ways = [(Multishot, 1), (Multishot, 5000), (Multishot, u32::MAX), (Shared, 1), (Own, 1)];
    for (receive, limit) in ways {
        let config = EngineConfig { receive, ..EngineConfig::small() };
        let armed = block_on(config, move |shard| async move {
            let (ours, theirs) = pair(&shard).await;
            let mut receives = shard.receives(ours, limit);
            let sender = shard.clone();
            let total = if limit == 1 { 200_000 } else { 3 << 20 };
            shard.spawn(async move {
                for piece in pattern(total).chunks(70_001) {
                    sender.send(theirs.clone(), piece.to_vec(), false).await.0.unwrap();
                }
                rustix::net::shutdown(&theirs, rustix::net::Shutdown::Write).unwrap();
            });
            let mut received = Vec::new();
            loop {
                let loan = receives.next().await.unwrap().unwrap();
                if loan.is_empty() {
                    break;
                }
                received.extend_from_slice(&loan);
            }
            assert!(received == pattern(total), "all bytes in order");
            receives.armed()
        });
        assert!(armed.unwrap() >= 1);
    }
}

#[test]
fn stopping_loses_no_byte() {
    let stopped = block_on(EngineConfig::small(), |shard| async move {
        let (ours, theirs) = pair(&shard).await;
        let mut receives = shard.receives(ours.clone(), 16 << 10);
        let sender = shard.clone();
        let total = 2 << 20;
        shard.spawn(async move {
            for piece in pattern(total).chunks(3_001) {
                sender.send(theirs.clone(), piece.to_vec(), false).await.0.unwrap();
            }
        });
        let (mut received, mut rounds) = (Vec::new(), 0);
        while received.len() < total {
            rounds += 1;
            let loan = receives.next().await.unwrap().unwrap();
            received.extend_from_slice(&loan);
            drop(loan);
            receives.stop();
            let mut drained = 0;
            while let Some(loan) = receives.next().await {
                let loan = loan.unwrap();
                drained += loan.len();
                received.extend_from_slice(&loan);
            }
            assert!(drained <= (16 << 10) + 4096, "{drained} bytes after the stop");
            // The rest of a piece, received elsewhere.
            let missing = (total - received.len()).min(1_000);
            let (result, buffer) = shard.recv_exact(ours.clone(), vec![0; missing], 0..missing).await;
            result.unwrap();
            received.extend_from_slice(&buffer);
        }
        assert!(received == pattern(total), "all bytes in order");
        rounds
    });
    assert!(stopped.unwrap() > 10, "it was stopped in the middle");
}

#[test]
fn who_waits_for_buffers_gets_them_when_they_come_back() {
    block_on(EngineConfig::small(), |shard| async move {
        let (hoarder, generous) = pair(&shard).await;
        let (ours, theirs) = pair(&shard).await;
        let mut receives = shard.receives(hoarder, u32::MAX);
        let mut kept = Vec::new();
        let sender = shard.clone();
        shard.spawn(async move {
            let all = engine::RECEIVE_POOL_BYTES;
            sender.send(generous, vec![0; all], false).await.0.unwrap();
        });
        // One buffer is left.
        let buffers = engine::RECEIVE_POOL_BYTES / engine::RECEIVE_BUFFER_BYTES - 3;
        while kept.len() < buffers {
            kept.push(receives.next().await.unwrap().unwrap());
        }
        drop(receives);
        shard.send(theirs.clone(), b"waits".to_vec(), false).await.0.unwrap();
        let (receiver, socket) = (shard.clone(), ours.clone());
        let waiting = shard.spawn(async move { receiver.recv_loan(&socket, 3).await.unwrap().to_vec() });
        shard.sleep(std::time::Duration::from_millis(5)).await;
        drop(kept);
        assert_eq!(waiting.await.unwrap(), b"wai");
        let mut rest = shard.receives(ours, 100);
        assert_eq!(&*rest.next().await.unwrap().unwrap(), b"ts");
        drop(theirs);
        assert!(rest.next().await.unwrap().unwrap().is_empty(), "the end of the stream");
    })
    .unwrap();
}

#[test]
fn thousands_of_idle_connections_cost_no_buffers() {
    block_on(EngineConfig::small(), |shard| async move {
        engine::raise_file_limit().unwrap();
        let mut idle = Vec::new();
        for _ in 0..1_500 {
            let (ours, theirs) = pair(&shard).await;
            let mut receives = shard.receives(ours, 100);
            let receiving = shard.spawn(async move { receives.next().await.unwrap().unwrap().len() });
            idle.push((theirs, receiving));
        }
        shard.sleep(std::time::Duration::from_millis(5)).await;
        // Three times as many as there are buffers wait, and every one is served.
        for (theirs, _) in &idle {
            shard.send(theirs.clone(), vec![1; 7], false).await.0.unwrap();
        }
        for (_theirs, receiving) in idle {
            assert_eq!(receiving.await.unwrap(), 7);
        }
    })
    .unwrap();
}
