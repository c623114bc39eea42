//! Passing records on to the real server.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::ceiling::call::{session_at, word};

/// Longest record that is passed on: 1 MiB of data and what surrounds it. The two ends are ours; this catches a mistake.
const RECORD_MAX: usize = 2 << 20;

/// How many calls of each session and slot were passed on. The real server sees only those, so their sequence ids are
/// counted anew.
#[derive(Debug, Default)]
pub(super) struct Slots(HashMap<([u8; 16], [u8; 4]), u32>);

/// The connection to the real server that belongs to one of a load generator.
#[derive(Debug)]
pub(super) struct Relay(TcpStream);

impl Relay {
    pub(super) fn connect(backend: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(backend)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Passes a record on. A call's reply is waited for and given back without its mark; what the server asks of the client
    /// meanwhile goes to the client.
    pub(super) fn pass(
        &mut self,
        record: &[u8],
        client: &TcpStream,
        slots: &mut Slots,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut record = record.to_vec();
        let theirs = session_at(&record).map(|at| {
            let slot_at = at + 20;
            let key = (at..at + 16, slot_at..slot_at + 4);
            let key =
                (record[key.0].try_into().expect("16 bytes"), record[key.1].try_into().expect("4 bytes"));
            let count = slots.0.entry(key).or_default();
            *count += 1;
            let theirs = <[u8; 4]>::try_from(&record[at + 16..slot_at]).expect("4 bytes");
            record[at + 16..slot_at].copy_from_slice(&count.to_be_bytes());
            theirs
        });
        send_record(&self.0, &record)?;
        if word(&record, 4) != Some(0) {
            return Ok(None);
        }
        loop {
            let mut reply = receive_record(&self.0)?;
            if word(&reply, 4) == Some(0) {
                send_record(client, &reply)?;
                continue;
            }
            if let (Some(theirs), Some(tag)) = (theirs, word(&reply, 28)) {
                let at = 36 + (tag as usize).next_multiple_of(4) + 24;
                if let Some(place) = reply.get_mut(at..at + 4) {
                    place.copy_from_slice(&theirs);
                }
            }
            return Ok(Some(reply));
        }
    }
}

pub(super) fn send_record(mut stream: &TcpStream, record: &[u8]) -> io::Result<()> {
    let mut bytes = (1 << 31 | record.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(record);
    stream.write_all(&bytes)
}

fn receive_record(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut record = Vec::new();
    loop {
        let mut mark = [0; 4];
        stream.read_exact(&mut mark)?;
        let mark = u32::from_be_bytes(mark);
        let (start, length) = (record.len(), (mark & !(1 << 31)) as usize);
        if start + length > RECORD_MAX {
            return Err(io::Error::other("the real server sent a record that is longer than any"));
        }
        record.resize(start + length, 0);
        stream.read_exact(&mut record[start..])?;
        if mark >> 31 == 1 {
            return Ok(record);
        }
    }
}
