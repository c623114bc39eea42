//! Heads of calls through `wire`, beside a copy of the same bytes.

use std::hint::black_box;

use bytes::BytesMut;
use wire::nfs4::*;
use wire::rpc::{AuthSys, CallHeader, Credential, Gids, OpaqueAuth};
use wire::xdr::{Cut, Decoder, Encoder, NoRoom};

use crate::measure::{Comparison, compare};

/// Bytes of the WRITE, which the transport has cut out.
const DATA_BYTES: usize = 1 << 20;
const ROOM: usize = DATA_BYTES + 4096;

pub(crate) fn run() -> std::io::Result<Vec<Comparison>> {
    let requested = Bitmap::of(&[
        attribute::TYPE,
        attribute::CHANGE,
        attribute::SIZE,
        attribute::FSID,
        attribute::FILEID,
        attribute::MODE,
        attribute::NUMLINKS,
        attribute::OWNER,
        attribute::OWNER_GROUP,
        attribute::TIME_METADATA,
        attribute::TIME_MODIFY,
    ]);
    let getattr = |encoder: &mut Encoder| encoder.put(&Arguments::from(GetAttrArgs { requested }));
    let write = |encoder: &mut Encoder| {
        encoder.put(&Operation::Write)?;
        let head = WriteHead { stateid: Stateid::ANONYMOUS, offset: 8192, stable: StableHow::Unstable };
        head.encode_head(encoder, DATA_BYTES)
    };
    Ok([shape("SEQUENCE PUTFH GETATTR", getattr), shape("SEQUENCE PUTFH WRITE", write)].concat())
}

/// Encoding and decoding of a call whose last operation is given.
fn shape(name: &str, last: impl Fn(&mut Encoder) -> Result<(), NoRoom>) -> Vec<Comparison> {
    let mut buffer = BytesMut::with_capacity(4096);
    let cuts = encode(&mut buffer, &last).expect("there is room");
    let call = buffer.to_vec();
    assert_eq!(decode(&call, &cuts), 3);
    let floor = || copy(&call);
    let again = || {
        encode(&mut buffer, &last).expect("there is room");
        black_box(&buffer);
    };
    vec![
        compare(format!("encode {name}"), again, "copy of the same bytes", floor()),
        compare(
            format!("decode {name}"),
            || {
                black_box(decode(black_box(&call), &cuts));
            },
            "copy of the same bytes",
            floor(),
        ),
    ]
}

/// From and to places half a page apart: at equal places in their pages the processor takes the reads for
/// dependent on the writes, and the copy takes several times as long.
fn copy(bytes: &[u8]) -> impl FnMut() {
    const APART: usize = 2048;
    let mut memory = vec![0; 2 * APART];
    memory[..bytes.len()].copy_from_slice(bytes);
    let length = bytes.len();
    move || {
        let (from, to) = black_box(&mut memory).split_at_mut(APART);
        to[..length].copy_from_slice(&from[..length]);
    }
}

/// Writes the call anew; where its payload goes.
fn encode(
    buffer: &mut BytesMut,
    last: &impl Fn(&mut Encoder) -> Result<(), NoRoom>,
) -> Result<Vec<Cut>, NoRoom> {
    buffer.clear();
    let mut encoder = Encoder::new(std::mem::take(buffer), ROOM);
    let gids = Gids::new(&[27, 100]).expect("two groups");
    let sys = AuthSys { stamp: 0, machine_name: "node-17".into(), uid: 1000, gid: 1000, gids };
    encoder.put(&CallHeader {
        xid: 1,
        program: PROGRAM,
        version: VERSION,
        procedure: PROCEDURE_COMPOUND,
        credential: Credential::Sys(sys),
        verifier: OpaqueAuth::NONE,
    })?;
    let frame = CompoundArgsFrame::begin(&mut encoder, b"", 2)?;
    let sequence = SequenceArgs {
        session_id: SessionId([1; 16]),
        sequence_id: SequenceId(1),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        cache_this: false,
    };
    let object = FileHandle::new(&[5; 64]).expect("a handle");
    encoder.put(&Arguments::from(sequence))?;
    encoder.put(&Arguments::from(PutFhArgs { object }))?;
    last(&mut encoder)?;
    frame.finish(&mut encoder, 3);
    let encoded = encoder.finish();
    let cuts = encoded.cuts();
    *buffer = encoded.head;
    Ok(cuts)
}

/// Reads the whole call; the number of its operations.
fn decode(call: &[u8], cuts: &[Cut]) -> u32 {
    let mut decoder = Decoder::with_cuts(call, cuts);
    black_box(CallHeader::decode(&mut decoder).expect("it was encoded here"));
    let compound: CompoundArgs<'_> = decoder.get().expect("it was encoded here");
    for _ in 0..compound.operations {
        let operation = Operation::decode_or_illegal(&mut decoder).expect("it was encoded here");
        black_box(Arguments::decode(operation, &mut decoder).expect("it was encoded here"));
    }
    decoder.finish().expect("it was encoded here");
    compound.operations
}
