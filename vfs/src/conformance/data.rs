//! Reading and writing.

use super::{Fixture, alice, size};
use crate::{Authority, Error, OpenAccess, Stability, Vfs};

pub(super) async fn what_was_written_is_read<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    let file = fixture.file(&alice, b"file", 0o600).await.file;
    assert_eq!(fixture.read(&file, 0, 10).await, (vec![], true));
    let bytes: Vec<u8> = (0..100_000u32).map(|index| (index % 251) as u8).collect();
    fixture.write(&file, &alice, 5, &bytes).await;
    let (read, end) = fixture.read(&file, 0, 200_000).await;
    assert!(end);
    assert_eq!(read[..5], [0; 5]);
    assert_eq!(read[5..], bytes);
    assert_eq!(fixture.read(&file, 4_000, 200).await, (bytes[3_995..4_195].to_vec(), false));
    assert_eq!(fixture.read(&file, 100_000, 5).await, (bytes[99_995..].to_vec(), true));
    assert_eq!(fixture.read(&file, 100_005, 5).await, (vec![], true));
    assert_eq!(fixture.read(&file, 1 << 40, 5).await, (vec![], true));
    let payload = fixture.payload(b"x");
    let beyond = vfs.capabilities().file_bytes_max;
    let (payload, written) = vfs.write(&file, &alice, beyond, payload, Stability::Unstable).await;
    let error = written.unwrap_err();
    assert!(matches!(error, Error::TooLarge | Error::Invalid), "{error:?}");
    assert_eq!(payload.to_vec(), b"x", "the payload comes back in any case");
}

pub(super) async fn stable_writes_are_stable<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    let file = fixture.file(&alice, b"file", 0o600).await.file;
    let verifier = vfs.write_verifier();
    for asked in [Stability::Unstable, Stability::Data, Stability::File] {
        let payload = fixture.payload(b"hello");
        let (_, written) = vfs.write(&file, &alice, 0, payload, asked).await;
        let written = written.unwrap();
        assert!(written.stability >= asked, "{written:?}");
    }
    vfs.commit(&file).await.unwrap();
    assert_eq!(vfs.write_verifier(), verifier, "nothing was lost");
}

pub(super) async fn truncation_cuts_and_extends<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    let opened = fixture.file(&alice, b"file", 0o600).await;
    fixture.write(&opened.file, &alice, 0, &[7; 10_000]).await;
    vfs.set_attributes(&opened.node, None, &alice, &size(5_000)).await.unwrap();
    vfs.set_attributes(&opened.node, None, &alice, &size(9_000)).await.unwrap();
    let attributes = fixture.attributes(&opened.node).await;
    assert_eq!(attributes.size_bytes, 9_000);
    let (read, end) = fixture.read(&opened.file, 0, 20_000).await;
    assert!(end);
    assert_eq!(read, [[7; 5_000].as_slice(), &[0; 4_000]].concat(), "what was cut stays cut");
    let below = fixture.subdirectory(&alice, b"directory", 0o700).await.node;
    let refused = vfs.set_attributes(&below, None, &alice, &size(0)).await.unwrap_err();
    assert!(matches!(refused, Error::IsDirectory | Error::Invalid), "{refused:?}");
}

pub(super) async fn files_refuse_what_they_were_not_opened_for<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    let node = fixture.file(&alice, b"file", 0o600).await.node;
    let read_only = vfs.open(&node, &alice, OpenAccess::Read, Authority::Caller).await.unwrap();
    let payload = fixture.payload(b"x");
    let (_, written) = vfs.write(&read_only, &alice, 0, payload, Stability::Unstable).await;
    assert!(written.is_err());
    assert!(vfs.allocate(&read_only, &alice, 0, 4096).await.is_err());
    assert!(vfs.deallocate(&read_only, &alice, 0, 4096).await.is_err());
    assert_eq!(fixture.attributes(&node).await.size_bytes, 0);
}

pub(super) async fn copies_carry_bytes<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    let source = fixture.file(&alice, b"source", 0o600).await.file;
    let target = fixture.file(&alice, b"target", 0o600).await.file;
    let bytes: Vec<u8> = (0..50_000u32).map(|index| (index % 249) as u8).collect();
    fixture.write(&source, &alice, 0, &bytes).await;
    let mut done = 0;
    while done < 49_000 {
        let copied =
            vfs.copy(&source, 1_000 + done, &target, 10 + done, 90_000 - done, &alice).await.unwrap();
        assert!(copied.bytes > 0, "a copy makes progress until the source ends");
        done += copied.bytes;
    }
    assert_eq!(done, 49_000, "the source ended");
    let (read, end) = fixture.read(&target, 0, 60_000).await;
    assert!(end);
    assert_eq!(read, [&[0; 10], &bytes[1_000..]].concat());
    let nothing = vfs.copy(&source, 50_000, &target, 0, 10, &alice).await.unwrap();
    assert_eq!(nothing.bytes, 0);
    assert_eq!(vfs.copy(&source, 0, &source, 100, 1_000, &alice).await, Err(Error::Invalid), "overlap");
}
