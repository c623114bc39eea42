//! Who may do what.

use super::{Fixture, alice, bob, mode, size};
use crate::{
    Access, Authority, CreateHow, Error, Identity, NewObject, OpenAccess, Removed, SetAttributes, SetTime,
    Time, Vfs,
};

const ALL: Access = Access { read: true, write: true, execute: true };

pub(super) async fn mode_bits_decide_by_the_first_class_that_fits<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    // The owner has less than the group, and the group less than others.
    let opened = fixture.file(&alice, b"file", 0o046).await;
    let colleague = Identity::new(70_003, 70_001, &[]);
    let expected = [
        (&alice, Access::default()),
        (&colleague, Access { read: true, ..Default::default() }),
        (&bob(), Access { read: true, write: true, execute: false }),
        (&Identity::root(), Access { read: true, write: true, execute: false }),
    ];
    for (identity, access) in expected {
        assert_eq!(vfs.access(&opened.node, identity, ALL).await, Ok(access), "{identity:?}");
        for wanted in [OpenAccess::Read, OpenAccess::Write, OpenAccess::Both] {
            let allowed = (access.read || !wanted.reads()) && (access.write || !wanted.writes());
            let result = vfs.open(&opened.node, identity, wanted, Authority::Caller).await.err();
            assert_eq!(result, (!allowed).then_some(Error::AccessDenied), "{identity:?} {wanted:?}");
        }
    }
    let asked = Access { read: true, ..Default::default() };
    assert_eq!(vfs.access(&opened.node, &bob(), asked).await, Ok(asked), "no more than asked for");
}

pub(super) async fn supplementary_groups_count<V: Vfs>(fixture: &Fixture<V>) {
    let vfs = &fixture.vfs;
    let opened = fixture.file(&alice(), b"file", 0o060).await;
    let member = Identity::new(70_002, 70_002, &[70_009, 70_001]);
    for (identity, result) in [(member, None), (bob(), Some(Error::AccessDenied))] {
        let opened = vfs.open(&opened.node, &identity, OpenAccess::Both, Authority::Caller).await;
        assert_eq!(opened.err(), result);
    }
}

pub(super) async fn sticky_directories_protect_their_entries<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice, bob) = (&fixture.vfs, alice(), bob());
    let sticky = fixture.subdirectory(&Identity::root(), b"sticky", 0o1777).await.node;
    vfs.create(&sticky, &alice, b"hers", NewObject::Fifo, &mode(0o666)).await.unwrap();
    vfs.create(&sticky, &bob, b"his", NewObject::Fifo, &mode(0o666)).await.unwrap();
    assert_eq!(vfs.remove(&sticky, &bob, b"hers", Removed::Anything).await, Err(Error::NotPermitted));
    let moved = vfs.rename(&sticky, b"hers", &sticky, b"other", &bob).await;
    assert_eq!(moved, Err(Error::NotPermitted));
    let replaced = vfs.rename(&sticky, b"his", &sticky, b"hers", &bob).await;
    assert_eq!(replaced, Err(Error::NotPermitted));
    vfs.remove(&sticky, &alice, b"hers", Removed::Anything).await.unwrap();
    vfs.remove(&sticky, &Identity::root(), b"his", Removed::Anything).await.unwrap();
}

pub(super) async fn directories_need_search_and_write<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice, bob) = (&fixture.vfs, alice(), bob());
    let listed = fixture.subdirectory(&alice, b"listed", 0o704).await.node;
    let searched = fixture.subdirectory(&alice, b"searched", 0o701).await.node;
    for directory in [&listed, &searched] {
        vfs.create(directory, &alice, b"it", NewObject::Fifo, &mode(0o600)).await.unwrap();
    }
    let page = |directory| {
        let request = crate::DirectoryRequest {
            cookie: 0,
            entries_max: 10,
            name_bytes_max: 1000,
            with_attributes: false,
        };
        vfs.read_directory(directory, &bob, request)
    };
    assert_eq!(page(&listed).await.unwrap().entries.len(), 1);
    assert_eq!(page(&searched).await.err(), Some(Error::AccessDenied));
    assert_eq!(vfs.lookup(&listed, &bob, b"it").await.err(), Some(Error::AccessDenied));
    assert!(vfs.lookup(&searched, &bob, b"it").await.is_ok());
    let made = vfs.create(&searched, &bob, b"new", NewObject::Fifo, &mode(0o600)).await;
    assert_eq!(made.err(), Some(Error::AccessDenied));
    assert_eq!(vfs.remove(&searched, &bob, b"it", Removed::Anything).await, Err(Error::AccessDenied));
    let moved = vfs.rename(&searched, b"it", &fixture.directory, b"it", &bob).await;
    assert_eq!(moved.err(), Some(Error::AccessDenied));
}

pub(super) async fn only_owners_change_attributes<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, Identity::new(70_001, 70_001, &[70_005]));
    let node = fixture.file(&alice, b"file", 0o622).await.node;
    let to = |gid| SetAttributes { gid: Some(gid), ..Default::default() };
    let given = SetAttributes { uid: Some(70_002), ..Default::default() };
    let time = Time { seconds: 1_000, nanoseconds: 0 };
    let dated = SetAttributes { modified: Some(SetTime::To(time)), ..Default::default() };
    let dated_now = SetAttributes { modified: Some(SetTime::Now), ..Default::default() };
    let denied = Err(Error::NotPermitted);
    let bob = bob();
    for refused in [mode(0o777), to(70_002), given, dated] {
        assert_eq!(vfs.set_attributes(&node, None, &bob, &refused).await, denied, "{refused:?}");
    }
    for refused in [given, to(70_002)] {
        assert_eq!(vfs.set_attributes(&node, None, &alice, &refused).await, denied, "{refused:?}");
    }
    // Others may write, so they may say that it was now, and cut it.
    for allowed in [dated_now, size(0)] {
        assert_eq!(vfs.set_attributes(&node, None, &bob, &allowed).await, Ok(()), "{allowed:?}");
    }
    for allowed in [mode(0o600), to(70_005), dated] {
        assert_eq!(vfs.set_attributes(&node, None, &alice, &allowed).await, Ok(()), "{allowed:?}");
    }
    assert_eq!(vfs.set_attributes(&node, None, &Identity::root(), &given).await, Ok(()));
    let attributes = fixture.attributes(&node).await;
    assert_eq!((attributes.mode, attributes.uid, attributes.gid), (0o600, 70_002, 70_005));
    assert_eq!(attributes.modified, time);
    let refused = vfs.set_attributes(&node, None, &alice, &size(0)).await;
    assert_eq!(refused, Err(Error::AccessDenied));
}

pub(super) async fn writing_clears_setuid<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice, bob) = (&fixture.vfs, alice(), bob());
    let opened = fixture.file(&alice, b"file", 0o666).await;
    let node = &opened.node;
    let arm = async || {
        vfs.set_attributes(node, None, &alice, &mode(0o6777)).await.unwrap();
        assert_eq!(fixture.attributes(node).await.mode, 0o6777);
    };
    arm().await;
    let by_bob = vfs.open(node, &bob, OpenAccess::Write, Authority::Caller).await.unwrap();
    fixture.write(&by_bob, &bob, 0, b"x").await;
    assert_eq!(fixture.attributes(node).await.mode, 0o777, "after a write by another");
    arm().await;
    fixture.write(&opened.file, &alice, 0, b"x").await;
    assert_eq!(fixture.attributes(node).await.mode, 0o777, "after a write by the owner");
    arm().await;
    vfs.set_attributes(node, None, &bob, &size(0)).await.unwrap();
    assert_eq!(fixture.attributes(node).await.mode, 0o777, "after a truncation");
    arm().await;
    let given = SetAttributes { uid: Some(70_002), ..Default::default() };
    vfs.set_attributes(node, None, &Identity::root(), &given).await.unwrap();
    assert_eq!(fixture.attributes(node).await.mode, 0o777, "after a change of owner");
}

pub(super) async fn the_opener_of_a_read_only_file_writes<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    let opened = fixture.file(&alice, b"file", 0o444).await;
    fixture.write(&opened.file, &alice, 0, b"hello").await;
    vfs.set_attributes(&opened.node, Some(&opened.file), &alice, &size(4)).await.unwrap();
    assert_eq!(fixture.read(&opened.file, 0, 10).await, (b"hell".to_vec(), true));
    let refused = vfs.set_attributes(&opened.node, None, &alice, &size(3)).await;
    assert_eq!(refused, Err(Error::AccessDenied), "without the open file the mode counts");
    let again = vfs.open(&opened.node, &alice, OpenAccess::Write, Authority::Caller).await;
    assert_eq!(again.err(), Some(Error::AccessDenied));
}

pub(super) async fn reclaims_ask_nobody<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice, bob) = (&fixture.vfs, alice(), bob());
    let node = fixture.file(&alice, b"file", 0o000).await.node;
    let file = vfs.open(&node, &bob, OpenAccess::Both, Authority::Reclaim).await.unwrap();
    fixture.write(&file, &bob, 0, b"x").await;
    let how = CreateHow::Unchecked;
    let set = SetAttributes::default();
    let by_name = vfs.open_create(&fixture.directory, &bob, b"file", how, &set, OpenAccess::Read).await;
    assert_eq!(by_name.err(), Some(Error::AccessDenied), "opening by name is no reclaim");
}
