//! Types of MOUNT.

use bytes::BytesMut;
use wire::mount3::*;
use wire::xdr::{Chain, Decoder, Encoder, NoRoom};

use crate::values::round_trip;

#[test]
fn every_type() {
    round_trip! { Path<'_>, Name<'_>, Status, MountResult, MountOutcome, Mount<'_>, Export<'_>, }
}

fn exports() -> [Export<'static>; 3] {
    let export = |directory: &'static str, groups: &[&'static str]| Export {
        directory: directory.into(),
        groups: Chain(groups.iter().map(|group| (*group).into()).collect()),
    };
    [export("/", &[]), export("/srv", &["192.0.2.0/24", "@trusted"]), export("/home", &["*"])]
}

/// As many exports as fit, in what a client gets.
fn listed(limit: usize) -> Result<Vec<u8>, NoRoom> {
    let mut encoder = Encoder::new(BytesMut::new(), limit);
    let writer = ListWriter::begin(&encoder)?;
    let _ = exports().iter().try_for_each(|export| writer.item(&mut encoder, export));
    writer.finish(&mut encoder)?;
    Ok(encoder.finish().head.to_vec())
}

#[test]
fn a_list_has_as_many_whole_items_as_fit() {
    let whole = listed(1000).unwrap();
    let mut before = 0;
    for limit in 0..=whole.len() {
        let Ok(bytes) = listed(limit) else {
            assert!(limit < 4, "an empty list fits into {limit} bytes");
            continue;
        };
        assert!(bytes.len() <= limit);
        let mut decoder = Decoder::new(&bytes);
        let mut read = Vec::new();
        while let Some(export) = decoder.get::<Option<Export<'_>>>().unwrap() {
            read.push(export);
        }
        assert_eq!(decoder.finish(), Ok(()));
        assert_eq!(read, exports()[..read.len()]);
        assert!(read.len() >= before, "{} items in {limit} bytes", read.len());
        before = read.len();
    }
    assert_eq!(before, exports().len());
}
