//! Writes the seeds of every fuzz target: messages as clients and servers send them, made with the encoders.
//!
//! `cargo run --example seeds` in `tests/fuzz`; the files are part of the tree.
#![allow(missing_docs)]
#![forbid(unsafe_code)]

mod calls;
mod mount3;
mod nfs3;
mod rdma;
mod replies;
mod rpcbind;

use std::path::Path;

use bytes::BytesMut;
use wire::nfs4::{Arguments, Bitmap, RawAttributes, attribute};
use wire::record::Mark;
use wire::xdr::{Encode, Encoder};

fn main() -> std::io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (target, name, bytes) in all() {
        let folder = seeds.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// Target, name and bytes of every seed.
fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, control: &[u8], bytes: &[u8]| {
        seeds.push((target, name.to_owned(), [control, bytes].concat()));
    };
    for (name, call) in calls::calls() {
        add("head", name, &[0; 4], &call);
        add("rpc_call", name, &[], &call[..call.len().min(256)]);
        add("record", name, &[16, 0, 8, 0, 40, 3, 0, 90], &whole_record(&call));
    }
    for (name, annotation) in calls::annotations() {
        add("annotation", name, &[], &annotation);
    }
    for (name, reply) in replies::headers() {
        add("rpc_call", name, &[], &reply);
    }
    for (name, compound) in calls::compounds() {
        add("compound", name, &[0; 5], &compound);
    }
    let write = calls::write_compound();
    add("compound", "cut_anywhere", &[3, 0, 100, 0, 8], &write);
    add("compound", "cut_and_short", &[2, 0, 124, 0, 0], &write);
    add("compound", "cut_behind_a_cut", &[3, 0, 200, 0, 4], &calls::writes_compound());
    for (name, attributes) in attributes() {
        add("attributes", name, &[], &encoded(&attributes));
    }
    for (name, compound) in calls::callbacks() {
        add("callback", name, &[], &compound);
    }
    for (name, results) in replies::results() {
        add("results", name, &[], &results);
    }
    for (name, call) in nfs3::calls() {
        add("head", name, &[0; 4], &call);
    }
    for (name, procedure, arguments) in nfs3::arguments() {
        // Where the data of a WRITE begins.
        add("nfs3_call", name, &[procedure, 56, 9], &arguments);
    }
    for (name, procedure, result) in nfs3::results() {
        add("nfs3_reply", name, &[procedure], &result);
    }
    for (name, kind, message) in mount3::messages() {
        add("mount3", name, &[kind], &message);
    }
    for (name, message) in rpcbind::messages() {
        add("rpcbind", name, &[], &message);
    }
    for (name, message) in rdma::messages() {
        add("rdma", name, &[], &message);
    }
    // Instructions: see the target.
    add("record", "fragments", &[0, 64, 4, 1, 2, 9, 0, 5], b"\x05inthr\x83ee.\x02od\x80\x85whole\x7fhuge");
    add("record", "endless", &[0, 64, 4, 1, 0, 1, 2, 3], &b"\x01a".repeat(20));
    seeds
}

fn whole_record(body: &[u8]) -> Vec<u8> {
    let mark = Mark::whole_record(body.len()).expect("a seed is short");
    [&mark.to_bytes(), body].concat()
}

fn encoder() -> Encoder {
    Encoder::new(BytesMut::new(), 1 << 16)
}

fn encoded(value: &impl Encode) -> Vec<u8> {
    let mut encoder = encoder();
    encoder.put(value).expect("seeds are short");
    encoder.finish().head.to_vec()
}

/// One fattr4 for what clients set, one for everything that a server gives.
fn attributes() -> Vec<(&'static str, RawAttributes<'static>)> {
    // Zeros decode as most attributes; four bytes stand for each value's first word.
    static ZEROS: [u8; 512] = [0; 512];
    let raw = |numbers: &[u32], length: usize| RawAttributes {
        mask: Bitmap::of(numbers),
        values: ZEROS[..length].into(),
    };
    vec![
        ("size_and_mode", raw(&[attribute::SIZE, attribute::MODE], 12)),
        ("times_set", raw(&[attribute::TIME_ACCESS_SET, attribute::TIME_MODIFY_SET], 8)),
        ("owner_and_group", raw(&[attribute::OWNER, attribute::OWNER_GROUP], 8)),
        ("mode_umask", raw(&[attribute::MODE_UMASK], 8)),
        ("fs_locations", raw(&[attribute::FS_LOCATIONS], 8)),
        ("open_arguments", raw(&[attribute::OPEN_ARGUMENTS], 20)),
        ("unknown", raw(&[attribute::SIZE, attribute::ACL], 12)),
    ]
}

/// Several operations as they follow one another in a compound.
fn operations(encoder: &mut Encoder, operations: &[Arguments<'_>]) -> u32 {
    for arguments in operations {
        encoder.put(arguments).expect("seeds are short");
    }
    operations.len() as u32
}
