//! Extended attributes. Where a storage keeps none, there is nothing to test.

use super::{Fixture, alice, bob};
use crate::{Error, Vfs, XattrSet};

pub(super) async fn attributes_are_set_listed_and_removed<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice, bob) = (&fixture.vfs, alice(), bob());
    if !vfs.capabilities().xattr {
        return;
    }
    let node = fixture.file(&alice, b"file", 0o640).await.node;
    let mut last = fixture.attributes(&node).await.change;
    for (name, value) in [(b"one", &b"1"[..]), (b"two", b""), (b"one", b"other")] {
        let change = vfs.set_xattr(&node, &alice, name, value, XattrSet::Either).await.unwrap();
        assert!(
            change.before.change >= last && change.after.change > change.before.change,
            "{change:?} after {last}"
        );
        last = change.after.change;
        assert_eq!(vfs.get_xattr(&node, &alice, name).await.unwrap(), value);
    }
    let mut names = vfs.list_xattrs(&node, &alice).await.unwrap();
    names.sort();
    assert_eq!(names, [b"one", b"two"], "without prefix, and nothing but users' own");
    assert_eq!(vfs.get_xattr(&node, &bob, b"one").await, Err(Error::AccessDenied));
    assert_eq!(vfs.list_xattrs(&node, &bob).await, Err(Error::AccessDenied));
    let set = vfs.set_xattr(&node, &bob, b"one", b"", XattrSet::Either).await;
    assert_eq!(set, Err(Error::AccessDenied));

    let change = vfs.remove_xattr(&node, &alice, b"one").await.unwrap();
    assert!(change.after.change > change.before.change);
    assert_eq!(vfs.get_xattr(&node, &alice, b"one").await, Err(Error::NoXattr));
    assert_eq!(vfs.remove_xattr(&node, &alice, b"one").await, Err(Error::NoXattr));
}

pub(super) async fn presence_is_checked_as_asked<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    if !vfs.capabilities().xattr {
        return;
    }
    let node = fixture.subdirectory(&alice, b"directory", 0o700).await.node;
    let set = async |value: &[u8], how| vfs.set_xattr(&node, &alice, b"name", value, how).await.err();
    assert_eq!(set(b"1", XattrSet::Replace).await, Some(Error::NoXattr));
    assert_eq!(set(b"2", XattrSet::Create).await, None);
    assert_eq!(set(b"3", XattrSet::Create).await, Some(Error::Exists));
    assert_eq!(set(b"4", XattrSet::Replace).await, None);
    assert_eq!(vfs.get_xattr(&node, &alice, b"name").await.unwrap(), b"4");
    assert_eq!(set(&vec![0; 1 << 20], XattrSet::Either).await, Some(Error::XattrTooLarge));
}
