//! Headers of RPC-over-RDMA, and private data of connections.

use wire::rdma::{Content, PrivateData, Received, SEGMENTS_MAX};

use crate::round_trip::encode;

/// A message as it comes in one Send; its bytes are looked at as private data, too.
pub fn check(data: &[u8]) {
    if let Some(told) = PrivateData::find(data) {
        assert_eq!(PrivateData::find(&told.to_bytes()), Some(told));
    }
    let Ok(received) = Received::parse(data) else { return };
    let (header, cuts) = encode(&received.header);
    assert!(cuts.is_empty());
    // Pieces of two chunks may have come in any order, and go in one.
    assert_eq!(header.len() + received.stream.len(), data.len());
    let again = [&header, received.stream].concat();
    assert_eq!(Received::parse(&again), Ok(received.clone()));
    if let Content::Message(chunks) | Content::NoMessage(chunks) = received.header.content {
        let places =
            [chunks.reads.stream, chunks.reads.data.map(|(_, chunk)| chunk), chunks.write, chunks.reply];
        for chunk in places.into_iter().flatten() {
            assert!(chunk.segments().len() <= SEGMENTS_MAX);
            let half = chunk.length() / 2;
            assert_eq!(chunk.filled(half).map(|filled| filled.length()), Some(half));
        }
    }
}
