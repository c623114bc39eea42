//! Holes, reserved space and shared space. Where a storage keeps none, there is nothing to test.

use super::{Fixture, alice, size};
use crate::{Error, SeekTarget, Vfs};

/// A multiple of any file system's block.
const PIECE: u64 = 64 << 10;

pub(super) async fn holes_and_data_are_found<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    if !vfs.capabilities().holes {
        return;
    }
    let opened = fixture.file(&alice, b"file", 0o600).await;
    let file = &opened.file;
    assert_eq!(vfs.seek(file, 0, SeekTarget::Data).await, Err(Error::NoSuchRange));
    assert_eq!(vfs.seek(file, 0, SeekTarget::Hole).await, Err(Error::NoSuchRange));
    // A hole, data, a hole.
    fixture.write(file, &alice, PIECE, &[1; PIECE as usize]).await;
    vfs.set_attributes(&opened.node, Some(file), &alice, &size(3 * PIECE)).await.unwrap();
    let expected = [
        (0, Ok(PIECE), Ok(0)),
        (PIECE, Ok(PIECE), Ok(2 * PIECE)),
        (PIECE + 5, Ok(PIECE + 5), Ok(2 * PIECE)),
        (2 * PIECE, Err(Error::NoSuchRange), Ok(2 * PIECE)),
        (3 * PIECE - 1, Err(Error::NoSuchRange), Ok(3 * PIECE - 1)),
        (3 * PIECE, Err(Error::NoSuchRange), Err(Error::NoSuchRange)),
    ];
    for (offset, data, hole) in expected {
        assert_eq!(vfs.seek(file, offset, SeekTarget::Data).await, data, "data from {offset}");
        assert_eq!(vfs.seek(file, offset, SeekTarget::Hole).await, hole, "hole from {offset}");
    }
    // The end of the file is a hole.
    vfs.set_attributes(&opened.node, Some(file), &alice, &size(2 * PIECE - 10)).await.unwrap();
    assert_eq!(vfs.seek(file, PIECE, SeekTarget::Hole).await, Ok(2 * PIECE - 10));
}

pub(super) async fn deallocated_ranges_read_as_zeros<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    if !vfs.capabilities().holes {
        return;
    }
    let opened = fixture.file(&alice, b"file", 0o600).await;
    fixture.write(&opened.file, &alice, 0, &[1; 3 * PIECE as usize]).await;
    vfs.commit(&opened.file).await.unwrap();
    let before = fixture.attributes(&opened.node).await;
    vfs.deallocate(&opened.file, &alice, PIECE - 100, PIECE + 200).await.unwrap();
    let after = fixture.attributes(&opened.node).await;
    assert_eq!(after.size_bytes, before.size_bytes);
    assert!(after.used_bytes < before.used_bytes, "{} then {}", before.used_bytes, after.used_bytes);
    assert!(after.change > before.change);
    let (read, _) = fixture.read(&opened.file, PIECE - 101, PIECE as usize + 202).await;
    assert_eq!(read[0], 1);
    assert!(read[1..=PIECE as usize + 200].iter().all(|byte| *byte == 0));
    assert_eq!(read[PIECE as usize + 201], 1);
    assert_eq!(vfs.seek(&opened.file, 0, SeekTarget::Hole).await, Ok(PIECE));
    vfs.deallocate(&opened.file, &alice, 2 * PIECE, 10 * PIECE).await.unwrap();
    assert_eq!(fixture.attributes(&opened.node).await.size_bytes, 3 * PIECE, "the size stays");
}

pub(super) async fn allocated_ranges_are_used<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    let opened = fixture.file(&alice, b"file", 0o600).await;
    fixture.write(&opened.file, &alice, 0, b"kept").await;
    match vfs.allocate(&opened.file, &alice, 0, PIECE).await {
        Err(Error::NotSupported) => return,
        result => result.unwrap(),
    }
    let attributes = fixture.attributes(&opened.node).await;
    assert_eq!(attributes.size_bytes, PIECE, "as far as the range");
    assert!(attributes.used_bytes >= PIECE);
    let (read, _) = fixture.read(&opened.file, 0, 10).await;
    assert_eq!(read, b"kept\0\0\0\0\0\0");
    let too_far = vfs.allocate(&opened.file, &alice, 0, u64::MAX).await.unwrap_err();
    assert!(matches!(too_far, Error::TooLarge | Error::NoSpace | Error::Invalid), "{too_far:?}");
}

pub(super) async fn clones_are_independent<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    if vfs.capabilities().clone_block_bytes == 0 {
        return;
    }
    let source = fixture.file(&alice, b"source", 0o600).await.file;
    let target = fixture.file(&alice, b"target", 0o600).await;
    fixture.write(&source, &alice, 0, &[1; PIECE as usize + 10]).await;
    let clone = async |offset, target_offset, bytes| {
        vfs.clone_range(&source, offset, &target.file, target_offset, bytes, &alice).await
    };
    assert_eq!(clone(1, 0, PIECE).await, Err(Error::Invalid), "not at a block's border");
    assert_eq!(clone(0, 0, 10 * PIECE).await, Err(Error::Invalid), "beyond the source's end");
    clone(0, PIECE, 0).await.unwrap();
    assert_eq!(fixture.attributes(&target.node).await.size_bytes, 2 * PIECE + 10);
    fixture.write(&source, &alice, 0, b"changed").await;
    let (read, end) = fixture.read(&target.file, 0, 3 * PIECE as usize).await;
    assert!(end);
    let (hole, data) = read.split_at(PIECE as usize);
    assert!(hole.iter().all(|byte| *byte == 0));
    assert!(data.iter().all(|byte| *byte == 1));
}
