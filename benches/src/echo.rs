//! Round trips over loopback through the engine, beside the plainest epoll loop. The client is the same: a thread that
//! sends on all connections, then receives from all.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use engine::{Engine, EngineConfig, Shard};
use rustix::event::epoll;

use crate::measure::{Comparison, TURNS, time};

/// About what a small call and its reply take.
const MESSAGE_BYTES: usize = 200;
const CONNECTIONS: [usize; 2] = [1, 16];
/// Rounds over all connections in a turn, divided by their number: some milliseconds.
const ROUND_TRIPS: usize = 800;

pub(crate) fn run() -> io::Result<Vec<Comparison>> {
    let ours = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    let ours_address = ours.local_addr()?;
    let engine = Engine::start(EngineConfig::small(), move |shard| serve(shard, ours.clone()));
    let engine = engine.map_err(io::Error::other)?;
    let mut comparisons = Vec::new();
    for connections in CONNECTIONS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let floor_address = listener.local_addr()?;
        let floor = thread::spawn(move || echo_with_epoll(&listener, connections));
        comparisons.push(comparison(connections, ours_address, floor_address)?);
        floor.join().expect("the floor does not panic")?;
    }
    engine.shut_down(Duration::ZERO);
    engine.join().map_err(io::Error::other)?;
    Ok(comparisons)
}

fn comparison(connections: usize, ours: SocketAddr, floor: SocketAddr) -> io::Result<Comparison> {
    let (mut ours, mut floor) = (Client::connect(ours, connections)?, Client::connect(floor, connections)?);
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push((ours.turn()?, floor.turn()?));
    }
    Ok(Comparison::of(format!("echo, connections: {connections}"), "echo by an epoll loop", &turns))
}

struct Client(Vec<TcpStream>);

impl Client {
    fn connect(address: SocketAddr, connections: usize) -> io::Result<Self> {
        let connect = |_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        (0..connections).map(connect).collect::<io::Result<_>>().map(Client)
    }

    /// Nanoseconds of a round trip, on average over all connections.
    fn turn(&mut self) -> io::Result<f64> {
        let connections = self.0.len();
        let mut result = Ok(());
        let mut round = || {
            if result.is_ok() {
                result = self.round();
            }
        };
        let elapsed = time((ROUND_TRIPS / connections) as u32, &mut round);
        result.map(|()| elapsed / connections as f64)
    }

    fn round(&mut self) -> io::Result<()> {
        let mut message = [7; MESSAGE_BYTES];
        for stream in &mut self.0 {
            stream.write_all(&message)?;
        }
        self.0.iter_mut().try_for_each(|stream| stream.read_exact(&mut message))
    }
}

/// Accepts until the engine stops.
async fn serve(shard: Shard, listener: Arc<TcpListener>) {
    let mut accepts = shard.accept(listener);
    while let Ok(socket) = accepts.next().await {
        shard.spawn(echo(shard.clone(), Rc::new(socket)));
    }
}

/// Sends everything back until the peer ends.
async fn echo(shard: Shard, socket: Rc<OwnedFd>) {
    let mut buffer = vec![0; MESSAGE_BYTES];
    loop {
        let received;
        (received, buffer) = shard.recv(socket.clone(), buffer, 0..MESSAGE_BYTES).await;
        let Ok(bytes @ 1..) = received else { return };
        let (sent, slice) = shard.send(socket.clone(), buf::Slice::new(buffer, 0..bytes), false).await;
        if sent.is_err() {
            return;
        }
        buffer = slice.into_inner();
    }
}

/// The same for so many connections, until all have ended.
fn echo_with_epoll(listener: &TcpListener, connections: usize) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut streams = Vec::new();
    for index in 0..connections {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        epoll::add(&epoll, &stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
        streams.push(Some(stream));
    }
    let mut left = connections;
    let mut events = Vec::with_capacity(connections);
    let mut buffer = [0; MESSAGE_BYTES];
    while left > 0 {
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let slot = &mut streams[event.data.u64() as usize];
            let Some(stream) = slot else { continue };
            match stream.read(&mut buffer)? {
                0 => {
                    *slot = None;
                    left -= 1;
                }
                bytes => stream.write_all(&buffer[..bytes])?,
            }
        }
    }
    Ok(())
}
