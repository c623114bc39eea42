//! The ceiling: a server that moves the same bytes over the same sockets with the same messages, and does nothing else.
//!
//! It stands between a load generator and a real server. What makes a session, opens files and finds handles is passed on
//! to the real server, record by record. A READ, WRITE or GETATTR behind SEQUENCE and PUTFH is recognized by its fixed
//! places (`docs/PERFORMANCE.md` says why that is enough here): the first of each kind is passed on too, its reply is kept as
//! the pattern of all further ones, and those are answered on the spot with a handful of system calls on one file. Nothing is
//! checked, decoded, counted or remembered. No server that does its work can be faster by the same means.
//!
//! One thread, epoll, blocking sends: right for clients that always read what they asked for, and for nobody else.

mod call;
mod connection;
mod file;
mod pattern;
mod relay;
mod ring;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::retry_on_intr;

use crate::ceiling::connection::Connection;
use crate::ceiling::file::File;
use crate::ceiling::pattern::Patterns;
use crate::ceiling::relay::Slots;

/// How the bytes of a READ get from the file to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReadWay {
    /// `pread` into the send buffer, all replies of a turn in one send.
    Copy,
    /// From the page cache to a pipe to the socket.
    Splice,
    /// O_DIRECT through a ring into registered memory, and from there to the socket.
    Direct,
}

/// How the bytes of a WRITE get into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WriteWay {
    /// Not at all: received and forgotten.
    Discard,
    /// `pwrite`.
    Copy,
    /// Through a ring from registered memory, into the page cache.
    Ring,
    /// The same with O_DIRECT.
    Direct,
}

/// What the program is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Where load generators connect.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The real server that everything but the measured calls is passed on to.
    #[arg(long)]
    pub backend: SocketAddr,
    /// The file that measured READs and WRITEs go to, whatever handle they carry.
    #[arg(long)]
    pub file: PathBuf,
    /// How READs are answered.
    #[arg(long, value_enum, default_value = "splice")]
    pub read: ReadWay,
    /// How WRITEs are done.
    #[arg(long, value_enum, default_value = "ring")]
    pub write: WriteWay,
}

/// Events taken at once.
const EVENTS_MAX: usize = 256;

/// The epoll tag of the listening socket.
const LISTENER: u64 = u64::MAX;

/// The epoll tag of the ring.
const RING: u64 = u64::MAX - 1;

/// Serves until the process is killed.
///
/// # Errors
/// When the sockets or the file cannot be used.
pub fn serve(settings: &Settings) -> io::Result<()> {
    let listener = TcpListener::bind(settings.listen)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut file = File::open(settings)?;
    if let Some(ring) = file.ring() {
        epoll::add(&poll, ring, EventData::new_u64(RING), EventFlags::IN)?;
    }
    let (mut patterns, mut slots) = (Patterns::default(), Slots::default());
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        events.clear();
        // The ring's completions interrupt it.
        retry_on_intr(|| epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None))?;
        for event in &events {
            match event.data.u64() {
                LISTENER => {
                    let (socket, _) = listener.accept()?;
                    socket.set_nodelay(true)?;
                    let tag = EventData::new_u64(connections.len() as u64);
                    epoll::add(&poll, &socket, tag, EventFlags::IN)?;
                    connections.push(Some(Connection::new(socket, settings.backend)?));
                }
                RING => file.reap(&mut connections)?,
                index => {
                    let place = &mut connections[index as usize];
                    let Some(connection) = place else { continue };
                    if !connection.receive(index as usize, &mut file, &mut patterns, &mut slots)? {
                        *place = None;
                    }
                }
            }
        }
        file.submit()?;
    }
}
