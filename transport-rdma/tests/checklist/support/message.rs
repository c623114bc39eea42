//! Messages as clients send them.

use bytes::BytesMut;
use wire::nfs3::{self, Procedure, WriteHead};
use wire::nfs4::{
    self, Arguments, Bitmap, CompoundArgsFrame, FileHandle, GetAttrArgs, Operation, PROCEDURE_COMPOUND,
    PutFhArgs, StableHow, Stateid,
};
use wire::rdma::{Chunks, Content, Header, VERSION};
use wire::rpc::{AuthSys, CallHeader, Credential, Gids, OpaqueAuth};
use wire::xdr::{Encoder, pad_len};

use super::service::NFS;

/// Calls that a client wishes to have outstanding.
pub const CREDITS: u32 = 128;

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Bytes that differ from their neighbours and from those a page further.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// Tells bytes from others, and their order.
pub fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(1, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))
}

/// An RPC call with any body.
pub fn call(xid: u32, program: u32, body: &[u8]) -> Vec<u8> {
    [&words(&[xid, 0, 2, program, 1, 0])[..], body].concat()
}

/// The reply that [`call`] has, with this body.
pub fn reply(xid: u32, body: &[u8]) -> Vec<u8> {
    [&words(&[xid, 1])[..], body].concat()
}

/// A header alone.
pub fn header(xid: u32, content: Content) -> Vec<u8> {
    let header = Header { xid, version: VERSION, credits: CREDITS, content };
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 16);
    encoder.put(&header).expect("room");
    encoder.finish().head.to_vec()
}

/// A message whose stream follows its header, under the stream's transaction id.
pub fn message(chunks: Chunks, stream: &[u8]) -> Vec<u8> {
    [&header(word(stream, 0), Content::Message(chunks))[..], stream].concat()
}

/// A message whose stream lies in a chunk.
pub fn no_message(xid: u32, chunks: Chunks) -> Vec<u8> {
    header(xid, Content::NoMessage(chunks))
}

/// A call without chunks.
pub fn inline(xid: u32, program: u32, body: &[u8]) -> Vec<u8> {
    message(Chunks::default(), &call(xid, program, body))
}

/// A WRITE whose data is not in it.
#[derive(Clone, Debug)]
pub struct Write {
    /// What stands before the data.
    pub before: Vec<u8>,
    /// What stands behind the data and its pad.
    pub behind: Vec<u8>,
    pub length: usize,
}

impl Write {
    /// Of NFSv3, with nothing behind the data.
    pub fn nfs3(xid: u32, offset: u64, length: usize) -> Self {
        let mut encoder = Encoder::new(BytesMut::new(), 1 << 24);
        encoder.put(&call_header(xid, nfs3::VERSION, Procedure::Write.number())).expect("room");
        let file = nfs3::FileHandle::new(&[7; 32]).expect("a handle");
        let head = WriteHead { file, offset, count: length as u32, stable: StableHow::Unstable };
        head.encode_head(&mut encoder).expect("room");
        Self::of(encoder, length)
    }

    /// Of NFSv4, with a GETATTR behind it.
    pub fn nfs4(xid: u32, offset: u64, length: usize) -> Self {
        let mut encoder = Encoder::new(BytesMut::new(), 1 << 24);
        encoder.put(&call_header(xid, nfs4::VERSION, PROCEDURE_COMPOUND)).expect("room");
        let frame = CompoundArgsFrame::begin(&mut encoder, b"", 1).expect("room");
        let object = FileHandle::new(&[7; 32]).expect("a handle");
        encoder.put(&Arguments::from(PutFhArgs { object })).expect("room");
        encoder.put(&Operation::Write).expect("room");
        let write = nfs4::WriteHead { stateid: Stateid::ANONYMOUS, offset, stable: StableHow::Unstable };
        write.encode_head(&mut encoder, length).expect("room");
        encoder.put(&Arguments::from(GetAttrArgs { requested: Bitmap::of(&[3, 4]) })).expect("room");
        frame.finish(&mut encoder, 3);
        Self::of(encoder, length)
    }

    fn of(encoder: Encoder, length: usize) -> Self {
        let encoded = encoder.finish();
        let at = encoded.inserts.first().map_or(encoded.head.len(), |insert| insert.position);
        let pad = pad_len(length);
        Self { before: encoded.head[..at].to_vec(), behind: encoded.head[at + pad..].to_vec(), length }
    }

    /// Where the data stands.
    pub fn position(&self) -> u32 {
        self.before.len() as u32
    }

    /// All but the data and its pad.
    pub fn reduced(&self) -> Vec<u8> {
        [&self.before[..], &self.behind].concat()
    }

    /// With the pad: as it is given to the service.
    pub fn head(&self) -> Vec<u8> {
        [&self.before[..], &[0; 3][..pad_len(self.length)], &self.behind].concat()
    }
}

fn call_header(xid: u32, version: u32, procedure: u32) -> CallHeader<'static> {
    let sys = AuthSys {
        stamp: 0,
        machine_name: "node-17".into(),
        uid: 1000,
        gid: 1000,
        gids: Gids::new(&[27]).expect("one group"),
    };
    CallHeader {
        xid,
        program: NFS,
        version,
        procedure,
        credential: Credential::Sys(sys),
        verifier: OpaqueAuth::NONE,
    }
}
