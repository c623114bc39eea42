//! Messages over RDMA.

use wire::rdma::{Chunk, Chunks, Content, Failure, Header, PrivateData, ReadList, Segment, VERSION};

use crate::encoded;

/// One of each: name, bytes.
pub fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let segment = Segment { handle: 0x1234, length: 1 << 20, offset: 0x7f00_0000_1000 };
    let chunk = |count: usize| Chunk::of(&vec![segment; count]);
    let data = chunk(2).map(|chunk| (148, chunk));
    let header = |content| encoded(&Header { xid: 7, version: VERSION, credits: 128, content });
    let chunks = |stream, data, write, reply| Chunks { reads: ReadList { stream, data }, write, reply };
    let linux = PrivateData { remote_invalidation: true, send_bytes: 4096, receive_bytes: 4096 };
    vec![
        ("inline", header(Content::Message(Chunks::default()))),
        ("read", header(Content::Message(chunks(None, None, chunk(1), None)))),
        ("write", header(Content::Message(chunks(None, data, None, None)))),
        ("long_reply", header(Content::Message(chunks(None, None, None, chunk(3))))),
        ("long_call", header(Content::NoMessage(chunks(chunk(1), data, None, chunk(1))))),
        ("versions", header(Content::Error(Failure::Version { low: 1, high: 1 }))),
        ("error", header(Content::Error(Failure::Chunk))),
        ("private_data", linux.to_bytes().to_vec()),
    ]
}
