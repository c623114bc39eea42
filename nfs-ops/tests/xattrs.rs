//! Extended attributes (RFC 8276).

use wire::nfs4::*;

use crate::support::*;

#[test]
fn values_are_set_read_listed_and_removed() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let on = |operation: Op| client.run(&[putfh(file), operation]);
    let told = client.run(&[putfh(file), getattr(&[attribute::XATTR_SUPPORT])]).ok();
    assert_eq!(told.attributes().xattr_support, Some(true));
    let changed: ChangeInfo =
        on(setxattr(SetXattrOption::Create, "a", b"one")).ok().body(Operation::Setxattr);
    assert!(changed.before < changed.after);
    for (operation, status) in [
        (setxattr(SetXattrOption::Create, "a", b"two"), Status::Exist),
        (setxattr(SetXattrOption::Replace, "b", b"two"), Status::Noxattr),
        (setxattr(SetXattrOption::Replace, "a", b"two"), Status::Ok),
        (setxattr(SetXattrOption::Either, "b", b""), Status::Ok),
        (setxattr(SetXattrOption::Either, "c", &[1; 65537]), Status::Xattr2big),
        (setxattr(SetXattrOption::Either, "", b"x"), Status::Inval),
        (setxattr(SetXattrOption::Either, &"x".repeat(251), b"x"), Status::Nametoolong),
        (setxattr(SetXattrOption::Either, "a\0b", b"x"), Status::Badchar),
        (getxattr("c"), Status::Noxattr),
        (removexattr("c"), Status::Noxattr),
    ] {
        on(operation).fails(status);
    }
    let value = on(getxattr("a")).ok();
    assert_eq!(value.body::<XattrValue<'_>>(Operation::Getxattr).bytes(), b"two");
    let list = |cookie, count| on(listxattrs(cookie, count));
    let names = |reply: &Reply| {
        let told: ListXattrsResult<'_> = reply.body(Operation::Listxattrs);
        (told.names.iter().map(|name| name.to_vec()).collect::<Vec<_>>(), told.cookie, told.eof)
    };
    assert_eq!(names(&list(0, 4096).ok()).0, [b"a", b"b"]);
    let (first, cookie, eof) = names(&list(0, 24).ok());
    assert_eq!((&first[..], eof), (&[b"a".to_vec()][..], false));
    let (second, _, eof) = names(&list(cookie, 24).ok());
    assert_eq!((&second[..], eof), (&[b"b".to_vec()][..], true));
    list(0, 20).fails(Status::Toosmall);
    list(0, 0).fails(Status::Toosmall);
    list(99, 4096).fails(Status::BadCookie);
    on(removexattr("a")).ok();
    assert_eq!(names(&list(0, 4096).ok()).0, [b"b"]);
}

#[test]
fn permission_is_the_files() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    client.run(&[putfh(file), setxattr(SetXattrOption::Create, "a", b"one")]).ok();
    let stranger = client.user(5, 5, &[]);
    stranger.run(&[putfh(file), getxattr("a")]).ok();
    stranger.run(&[putfh(file), setxattr(SetXattrOption::Either, "a", b"x")]).fails(Status::Access);
    stranger.run(&[putfh(file), removexattr("a")]).fails(Status::Access);
    client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &mode(0o600))]).ok();
    stranger.run(&[putfh(file), getxattr("a")]).fails(Status::Access);
    client.run(&[putrootfh(), setxattr(SetXattrOption::Either, "a", b"x")]).fails(Status::Rofs);
}
