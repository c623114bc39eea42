//! A peer that sends whatever bytes it likes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use client::OpenFile;
use wire::nfs4::{
    Arguments, CompoundArgsFrame, FileHandle, Operation, PROCEDURE_COMPOUND, PROCEDURE_NULL, PROGRAM,
    PutFhArgs, ReadArgs, SequenceArgs, SequenceId, SessionId, SlotId, StableHow, Stateid, VERSION, WriteHead,
};
use wire::record::Mark;
use wire::rpc::{AuthSys, CallHeader, Credential, Gids, OpaqueAuth};
use wire::xdr::Encoder;

/// Bytes of the largest head built here.
const HEAD_MAX: usize = 4096;

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A connection without manners.
pub struct RawConnection(pub TcpStream);

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    /// When it cannot.
    pub fn new(address: SocketAddr) -> Self {
        Self(TcpStream::connect_timeout(&address, CONNECT_MAX).expect("a connection"))
    }

    /// Sends bytes as they are; false when the peer has closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends no more.
    pub fn end(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Whether the peer closes the connection within this time, whatever it says before.
    ///
    /// # Panics
    /// When the socket has no timeouts.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        let begun = Instant::now();
        let mut buffer = vec![0; 65_536];
        loop {
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            self.0.set_read_timeout(Some(left)).expect("a timeout");
            match self.0.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return false;
                }
                Err(_) => return true,
            }
        }
    }

    /// The next record, of one fragment; `None` when none comes within this time.
    ///
    /// # Panics
    /// When the socket has no timeouts.
    pub fn receive(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(time)).expect("a timeout");
        let mut mark = [0; 4];
        self.0.read_exact(&mut mark).ok()?;
        let mut body = vec![0; Mark::from_bytes(mark).length as usize];
        self.0.read_exact(&mut body).ok()?;
        Some(body)
    }

    /// Whether the server answers a call that does nothing.
    pub fn is_answered(&mut self, time: Duration) -> bool {
        self.send(&record(&null_call(0x7e57)))
            && self.receive(time).is_some_and(|reply| reply[..4] == [0, 0, 0x7e, 0x57])
    }
}

/// A record of one fragment.
pub fn record(body: &[u8]) -> Vec<u8> {
    let mut bytes = mark(true, body.len() as u32).to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// A record mark.
pub fn mark(last: bool, length: u32) -> [u8; 4] {
    (u32::from(last) << 31 | length).to_be_bytes()
}

/// A call of NULL, without its mark.
///
/// # Panics
/// Never: it fits.
pub fn null_call(xid: u32) -> Vec<u8> {
    let mut encoder = Encoder::new(BytesMut::new(), HEAD_MAX);
    encoder.put(&header(xid, PROCEDURE_NULL)).expect("it fits");
    encoder.finish().head.to_vec()
}

/// A WRITE of `length` bytes in a session that does not exist, up to where its data begins, with its mark.
///
/// # Panics
/// When the data would need padding, which stands behind it.
pub fn write_call_head(xid: u32, length: u32) -> Vec<u8> {
    assert_eq!(length % 4, 0, "the data ends with an XDR unit");
    let mut encoder = Encoder::new(BytesMut::new(), HEAD_MAX + length as usize);
    encoder.put(&header(xid, PROCEDURE_COMPOUND)).expect("it fits");
    let frame = CompoundArgsFrame::begin(&mut encoder, b"", 1).expect("it fits");
    let sequence = SequenceArgs {
        session_id: SessionId([0x5a; 16]),
        sequence_id: SequenceId(1),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        cache_this: false,
    };
    encoder.put(&Arguments::from(sequence)).expect("it fits");
    let object = FileHandle::new(&[7; 32]).expect("a handle");
    encoder.put(&Arguments::from(PutFhArgs { object })).expect("it fits");
    encoder.put(&Operation::Write).expect("it fits");
    let head = WriteHead { stateid: Stateid::ANONYMOUS, offset: 0, stable: StableHow::Unstable };
    head.encode_head(&mut encoder, length as usize).expect("it fits");
    frame.finish(&mut encoder, 3);
    let head = encoder.finish().head;
    let mut bytes = mark(true, head.len() as u32 + length).to_vec();
    bytes.extend_from_slice(&head);
    bytes
}

/// A READ from the first byte of a file, as the first request of a slot, without its mark.
///
/// # Panics
/// Never: it fits.
pub fn read_call(session_id: SessionId, slot: u32, file: &OpenFile, bytes: u32) -> Vec<u8> {
    let mut encoder = Encoder::new(BytesMut::new(), HEAD_MAX);
    encoder.put(&header(slot, PROCEDURE_COMPOUND)).expect("it fits");
    let frame = CompoundArgsFrame::begin(&mut encoder, b"", 1).expect("it fits");
    let sequence = SequenceArgs {
        session_id,
        sequence_id: SequenceId(1),
        slot_id: SlotId(slot),
        highest_slot_id: SlotId(slot),
        cache_this: false,
    };
    encoder.put(&Arguments::from(sequence)).expect("it fits");
    encoder.put(&Arguments::from(PutFhArgs { object: file.handle })).expect("it fits");
    let read = ReadArgs { stateid: file.stateid, offset: 0, count: bytes };
    encoder.put(&Arguments::from(read)).expect("it fits");
    frame.finish(&mut encoder, 3);
    encoder.finish().head.to_vec()
}

fn header(xid: u32, procedure: u32) -> CallHeader<'static> {
    let credential = Credential::Sys(AuthSys {
        stamp: 0,
        machine_name: "raw".into(),
        uid: 0,
        gid: 0,
        gids: Gids::default(),
    });
    CallHeader { xid, program: PROGRAM, version: VERSION, procedure, credential, verifier: OpaqueAuth::NONE }
}
