//! Persistent names of objects.

use super::{Fixture, alice};
use crate::{Error, NODE_HANDLE_BYTES_MAX, NodeHandle, Removed, Vfs};

pub(super) async fn handles_name_their_object_for_ever<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let opened = fixture.file(&alice, b"file", 0o600).await;
    let handle = vfs.handle(&opened.node);
    let below = fixture.subdirectory(&alice, b"below", 0o700).await.node;
    vfs.rename(directory, b"file", &below, b"moved", &alice).await.unwrap();
    let node = vfs.node(&handle).await.unwrap();
    assert_eq!(vfs.handle(&node), handle);
    let fileid = fixture.attributes(&node).await.fileid;
    assert_eq!(fileid, opened.attributes.fileid);
    let of_file = vfs.file_node(&opened.file).await.unwrap();
    assert_eq!(vfs.handle(&of_file), handle);
    for handle in [NodeHandle::new(b""), NodeHandle::new(&[0xff; NODE_HANDLE_BYTES_MAX])] {
        let error = vfs.node(&handle.unwrap()).await.err();
        assert!(matches!(error, Some(Error::BadHandle | Error::Stale)), "{error:?}");
    }
}

pub(super) async fn handles_of_removed_objects_are_stale<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    for _ in 0..5 {
        let opened = fixture.file(&alice, b"file", 0o600).await;
        let below = fixture.subdirectory(&alice, b"directory", 0o700).await.node;
        let handles = [vfs.handle(&opened.node), vfs.handle(&below)];
        drop((opened, below));
        vfs.remove(directory, &alice, b"file", Removed::Anything).await.unwrap();
        vfs.remove(directory, &alice, b"directory", Removed::Anything).await.unwrap();
        // Objects that may get the same numbers.
        let _file = fixture.file(&alice, b"file", 0o600).await;
        let _directory = fixture.subdirectory(&alice, b"directory", 0o700).await;
        for handle in handles {
            assert_eq!(vfs.node(&handle).await.err(), Some(Error::Stale));
        }
        vfs.remove(directory, &alice, b"file", Removed::Anything).await.unwrap();
        vfs.remove(directory, &alice, b"directory", Removed::Anything).await.unwrap();
    }
}

pub(super) async fn open_files_outlive_their_name<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let opened = fixture.file(&alice, b"file", 0o600).await;
    fixture.write(&opened.file, &alice, 0, b"kept").await;
    vfs.commit(&opened.file).await.unwrap();
    let handle = vfs.handle(&opened.node);
    vfs.remove(directory, &alice, b"file", Removed::Anything).await.unwrap();
    assert_eq!(fixture.read(&opened.file, 0, 10).await, (b"kept".to_vec(), true));
    fixture.write(&opened.file, &alice, 4, b" on").await;
    assert_eq!(fixture.read(&opened.file, 0, 10).await, (b"kept on".to_vec(), true));
    assert_eq!(fixture.attributes(&opened.node).await.links, 0);

    let other = opened.file.clone();
    drop(opened);
    assert_eq!(fixture.read(&other, 0, 4).await.0, b"kept");
    drop(other);
    assert_eq!(vfs.node(&handle).await.err(), Some(Error::Stale));
}

pub(super) async fn kept_files_do_not<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    for replaced in [false, true] {
        let opened = fixture.file(&alice, b"file", 0o600).await;
        fixture.write(&opened.file, &alice, 0, b"data").await;
        let (handle, kept) = (vfs.handle(&opened.node), vfs.keep(&opened.file));
        drop(opened);
        vfs.rename(directory, b"file", directory, b"moved", &alice).await.unwrap();
        let file = vfs.kept(&kept).expect("it has a name");
        assert_eq!(fixture.read(&file, 0, 10).await, (b"data".to_vec(), true));
        if replaced {
            drop(fixture.file(&alice, b"file", 0o600).await);
            vfs.rename(directory, b"file", directory, b"moved", &alice).await.unwrap();
        } else {
            vfs.remove(directory, &alice, b"moved", Removed::Anything).await.unwrap();
        }
        assert_eq!(fixture.read(&file, 0, 10).await, (b"data".to_vec(), true), "it is in use");
        // What is nameless already is not kept either.
        let again = vfs.keep(&file);
        drop(file);
        assert!(vfs.kept(&kept).is_none() && vfs.kept(&again).is_none());
        assert_eq!(vfs.node(&handle).await.err(), Some(Error::Stale));
    }
}
