//! Where bulk data lies in calls and replies as the Linux client sends and expects them, to the byte.

mod nfs3;
mod nfs4;

use wire::head::{Located, locate};
use wire::rpc::{AuthSys, Credential, Gids};
use wire::xdr::{Cut, Encoder};

const DATA_LEN: usize = 4097;
/// Where in the file the data of a WRITE goes.
const FILE_OFFSET: u64 = 8192;

fn sys(machine_name: &str, groups: usize) -> Credential<'_> {
    let gids = Gids::new(&vec![100; groups]).unwrap();
    Credential::Sys(AuthSys { stamp: 0, machine_name: machine_name.into(), uid: 1000, gid: 1000, gids })
}

/// A record's bytes without its one payload, and where that belongs.
fn split(encoder: Encoder) -> (Vec<u8>, Cut) {
    let encoded = encoder.finish();
    let insert = encoded.inserts[0];
    (encoded.head.to_vec(), Cut { position: insert.position, length: insert.length })
}

fn record_len(head: &[u8], cut: &Cut) -> u32 {
    (head.len() + cut.length) as u32
}

/// The data's offset as encoded, after checking that the head parser finds it from any prefix.
fn data_offset((head, cut): &(Vec<u8>, Cut)) -> usize {
    let found = Located::At { offset: cut.position, length: DATA_LEN, file_offset: FILE_OFFSET };
    for end in 0..cut.position {
        match locate(&head[..end], record_len(head, cut)) {
            Located::NeedMore(bytes) => assert!(bytes > end && bytes <= cut.position, "{bytes} at {end}"),
            other => panic!("{other:?} from {end} bytes"),
        }
    }
    assert_eq!(locate(&head[..cut.position], record_len(head, cut)), found);
    assert_eq!(locate(head, record_len(head, cut)), found);
    cut.position
}
