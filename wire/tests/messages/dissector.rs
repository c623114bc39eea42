//! What a dissector makes of traffic.

use std::io::Write;
use std::process::{Command, Stdio};

use wire::record::Mark;

const PORT: u16 = 2049;
const CLIENT_PORT: u16 = 800;

/// Bytes of a TCP segment.
const SEGMENT: usize = 1400;

/// Who sends.
#[derive(Clone, Copy)]
pub enum End {
    Client,
    Server,
}

/// A connection, as raw IP in the form of libpcap.
pub struct Capture {
    bytes: Vec<u8>,
    /// The sequence number that comes next of each end.
    sequences: [u32; 2],
}

impl Capture {
    pub fn new() -> Self {
        let mut bytes = Vec::new();
        // Magic, version 2.4, zone, accuracy, longest packet, link type "raw IP".
        for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, 101] {
            bytes.extend(word.to_be_bytes());
        }
        Self { bytes, sequences: [1; 2] }
    }

    /// Sends `stream` in segments.
    pub fn send(&mut self, from: End, stream: &[u8]) {
        let addresses = [[10, 0, 0, 1], [10, 0, 0, 2]];
        let ports = [CLIENT_PORT, PORT];
        let (source, target) = match from {
            End::Client => (0, 1),
            End::Server => (1, 0),
        };
        for segment in stream.chunks(SEGMENT) {
            let length = 40 + segment.len() as u32;
            // Time passes with every byte, whoever sends it.
            for word in [1, self.sequences.iter().sum(), length, length] {
                self.bytes.extend(word.to_be_bytes());
            }
            self.bytes.extend([0x45, 0]);
            self.bytes.extend((length as u16).to_be_bytes());
            self.bytes.extend([0, 1, 0, 0, 64, 6, 0, 0]);
            self.bytes.extend([addresses[source], addresses[target]].concat());
            self.bytes.extend([ports[source], ports[target]].map(u16::to_be_bytes).concat());
            self.bytes
                .extend([self.sequences[source], self.sequences[target]].map(u32::to_be_bytes).concat());
            self.bytes.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
            self.bytes.extend(segment);
            self.sequences[source] += segment.len() as u32;
        }
    }
}

/// The record of fragments of these parts.
pub fn record(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let mark = Mark { last: index + 1 == parts.len(), length: part.len() as u32 };
        bytes.extend(mark.to_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// What the dissector prints of a capture; none when there is no dissector.
pub fn dissect(capture: &Capture, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("tshark");
    command.args([
        "-r",
        "-",
        "-o",
        "rpc.desegment_rpc_over_tcp:TRUE",
        "-o",
        "rpc.defragment_rpc_over_tcp:TRUE",
    ]);
    command.args(["-d", "tcp.port==2049,rpc"]).args(arguments);
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = started else {
        println!("skipped: there is no tshark");
        return None;
    };
    child.stdin.take().unwrap().write_all(&capture.bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asserts that the dissector, which is there, understands every message, and each to its last byte.
pub fn expect_understood(capture: &Capture) {
    assert_eq!(dissect(capture, &["-Y", "_ws.malformed || data"]).as_deref(), Some(""));
}
