//! File handles sealed and opened, beside the authentication code alone.

use std::hash::Hasher;
use std::hint::black_box;

use nfs_ops::{ExportId, FILE_HANDLE_BYTES, HandleContent, HandleKey};
use siphasher::sip128::{Hash128, Hasher128, SipHasher24};
use vfs::NodeHandle;

use crate::measure::{Comparison, compare};

const KEY: [u8; 16] = [3; 16];
/// What the code covers: all but itself.
const BODY_BYTES: usize = FILE_HANDLE_BYTES - 16;
const FLOOR: &str = "SipHash-2-4 of the same bytes";

pub(crate) fn run() -> std::io::Result<Vec<Comparison>> {
    let key = HandleKey::new(KEY);
    let node = NodeHandle::new(&[7; 28]).expect("as long as ext4's and xfs's are");
    let content = HandleContent::Node(ExportId(1), node);
    let handle = key.seal(&content);
    assert_eq!(key.open(&handle), Some(content));
    let seal = || {
        black_box(key.seal(black_box(&content)));
    };
    let open = || {
        black_box(key.open(black_box(&handle)));
    };
    let floor = || {
        black_box(code(black_box(&[7; BODY_BYTES])));
    };
    Ok(vec![
        compare("seal a file handle", seal, FLOOR, floor),
        compare("open a file handle", open, FLOOR, floor),
    ])
}

fn code(body: &[u8]) -> Hash128 {
    let mut hasher = SipHasher24::new_with_key(&KEY);
    hasher.write(body);
    hasher.finish128()
}
