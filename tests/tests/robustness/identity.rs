//! Who acts, and as whom.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use client::OpenHow;
use testkit::asking::ask;
use testkit::server::{Scratch, Server, ServerPlan, can_serve};
use wire::nfs4::{StableHow, Status};

/// Two users without privileges, and the one who stands for nobody.
const ALICE: u32 = 70_001;
const BOB: u32 = 70_002;
const NOBODY: u32 = 65_534;

const SETUID_AND_SETGID: u32 = 0o6000;

#[test]
fn a_write_by_another_user_takes_setuid_and_setgid_away() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("setuid");
    let data = scratch.directory("data");
    for name in ["bob", "root"] {
        let path = data.join(name);
        std::fs::write(&path, "program").expect("a file");
        chown(&path, Some(ALICE), Some(ALICE)).expect("root may");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(SETUID_AND_SETGID | 0o777))
            .expect("a mode");
    }
    let server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    ask(server.address(), move |asking| async move {
        let mode = |name: &str| std::fs::metadata(data.join(name)).expect("a file").mode() & 0o7777;
        for (name, stable) in [("bob", StableHow::Unstable), ("root", StableHow::FileSync)] {
            let client = asking.client_of(name, BOB).await;
            let session = client.session();
            let root = session.lookup("/").await.expect("the root");
            let file = session.open(root, name, &OpenHow::read_write()).await.expect("everybody may write");
            session.read(&file, 0, 100).await.expect("a read");
            assert_eq!(mode(name), SETUID_AND_SETGID | 0o777, "looking changes nothing");
            session.write(&file, 0, b"other", stable).await.expect("a write");
            assert_eq!(mode(name), 0o777, "{name}");
            let attributes = session.attributes(file.handle).await.expect("attributes");
            assert_eq!(attributes.mode & 0o7777, 0o777, "and the client sees it");
        }
    });
}

#[test]
fn root_is_nobody_unless_the_export_says_otherwise() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("squash");
    let data = scratch.directory("data");
    let private = data.join("private");
    std::fs::write(&private, "alice's").expect("a file");
    chown(&private, Some(ALICE), Some(ALICE)).expect("root may");
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o600)).expect("a mode");
    // An export of which nothing is said but where it is.
    let exports = format!("[[export]]\npath = {data:?}\n");
    let server = Server::start(scratch, ServerPlan::new(exports));
    ask(server.address(), move |asking| async move {
        let client = asking.client("root").await;
        let session = client.session();
        let root = session.lookup("/").await.expect("the root");
        for how in [OpenHow::read(), OpenHow::read_write()] {
            let refused = session.open(root, "private", &how).await.expect_err("it is alice's");
            assert_eq!(refused.status(), Some(Status::Access));
        }
        session.open(root, "made", &OpenHow::create(0o644)).await.expect("everybody may");
        session.create_directory(root, "directory", 0o755).await.expect("everybody may");
        for name in ["made", "directory"] {
            let made = std::fs::metadata(data.join(name)).expect("it is there");
            assert_eq!((made.uid(), made.gid()), (NOBODY, NOBODY), "{name}");
        }
        let alice = asking.client_of("alice", ALICE).await;
        let file = alice.session().open(root, "private", &OpenHow::read_write()).await.expect("it is hers");
        assert_eq!(&alice.session().read(&file, 0, 100).await.expect("a read").0[..], b"alice's");
    });
}
