//! Space that is free, and space that is kept for others.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use client::{ClientOptions, Compound, OpenHow, Session};
use testkit::asking::ask;
use testkit::mounted::Mounted;
use testkit::server::{Scratch, Server, ServerPlan, can_serve};
use wire::nfs4::{ChannelDirectionArgs, FileHandle, RawAttributes, StableHow, Status, attribute};

/// Bytes of the file that goes, and what a file system may use for itself meanwhile.
const FILE_BYTES: u64 = 32 << 20;
const SLACK_BYTES: u64 = 2 << 20;

/// More bytes than the state directory has room for.
const FULL_BYTES: usize = 65 << 20;

/// Bytes of each write.
const WRITE_BYTES: usize = 1 << 20;

/// A user without privileges.
const ALICE: u32 = 70_001;

/// Free bytes of the file system: in all, and for this user.
async fn free(session: &Session, handle: FileHandle) -> (u64, u64) {
    let numbers = [attribute::SPACE_AVAIL, attribute::SPACE_FREE];
    let reply = session.call(Compound::new().put_handle(handle).get_attributes(&numbers)).await;
    let reply = reply.expect("a reply");
    reply.skip(1).expect("the handle is good");
    let raw: RawAttributes<'_> = reply.next().expect("attributes");
    let values = raw.decode_values().expect("values");
    (values.space_free.expect("space"), values.space_avail.expect("space"))
}

#[test]
fn what_a_removed_file_took_is_free_when_the_reply_comes() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("df");
    let Some(mounted) = Mounted::ext4(&scratch, "data") else { return };
    let server = Server::start(scratch, ServerPlan::exporting(&[mounted.path()]));
    ask(server.address(), |asking| async move {
        // Connections on every core, each of which comes to have the file open.
        let (one, other) = (asking.client("one").await, asking.client("other").await);
        for session in [one.session(), other.session()] {
            for _ in 0..3 {
                session.add_channel(ChannelDirectionArgs::Fore).await.expect("a further connection");
            }
        }
        let session = one.session();
        let root = session.lookup("/").await.expect("the root");
        for name in ["removed", "renamed over"] {
            let file = session.open(root, name, &OpenHow::create(0o644)).await.expect("a file");
            let bytes = vec![7; WRITE_BYTES];
            for offset in (0..FILE_BYTES).step_by(WRITE_BYTES) {
                session.write(&file, offset, &bytes, StableHow::Unstable).await.expect("a write");
            }
            session.commit(file.handle).await.expect("a commit");
            session.close(&file).await.expect("a close");
            for session in [one.session(), other.session()] {
                let file = session.open(root, name, &OpenHow::read()).await.expect("an open");
                for _ in 0..8 {
                    session.read(&file, 0, 4096).await.expect("a read");
                    session.attributes(file.handle).await.expect("attributes");
                }
                session.close(&file).await.expect("a close");
            }
            let (before, _) = free(session, root).await;
            if name == "removed" {
                session.remove(root, name).await.expect("it goes");
            } else {
                session.open(root, "empty", &OpenHow::create(0o644)).await.expect("a file");
                session.rename(root, "empty", root, name).await.expect("it goes");
            }
            let (after, _) = free(other.session(), root).await;
            let freed = after.saturating_sub(before);
            assert!(
                freed + SLACK_BYTES >= FILE_BYTES,
                "{name}: {freed} of {FILE_BYTES} bytes are free again"
            );
        }
    });
    drop(server);
}

/// Writes until there is no room; answers the bytes written and why it ended.
async fn fill(session: &Session, root: FileHandle, name: &str) -> (u64, Status) {
    let file = session.open(root, name, &OpenHow::create(0o644)).await.expect("a file");
    let bytes = vec![7; WRITE_BYTES];
    let mut offset = 0;
    loop {
        match session.write(&file, offset, &bytes, StableHow::FileSync).await {
            Ok(written) => offset += u64::from(written.count),
            Err(error) => return (offset, error.status().expect("a status")),
        }
    }
}

#[test]
fn blocks_reserved_for_root_are_not_for_others() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("reserved");
    // A fifth is reserved.
    let Some(mounted) = Mounted::ext4_of(&scratch, "data", 64 << 20, &["-m", "20"]) else { return };
    let server = Server::start(scratch, ServerPlan::exporting(&[mounted.path()]));
    ask(server.address(), |asking| async move {
        let alice = asking.client_of("alice", ALICE).await;
        let root = alice.session().lookup("/").await.expect("the root");
        let (_, available) = free(alice.session(), root).await;
        let (written, reason) = fill(alice.session(), root, "alice").await;
        assert_eq!(reason, Status::Nospc);
        assert!(written <= available, "{written} bytes were written where {available} were to be had");
        let (left, available) = free(alice.session(), root).await;
        assert!(left > 8 << 20, "the reserve is still there: {left}");
        assert!(available < WRITE_BYTES as u64 + SLACK_BYTES, "but not for her: {available}");
        // Root is not squashed in this export, and it is root's reserve.
        let admin = asking.client("admin").await;
        let (written, reason) = fill(admin.session(), root, "root").await;
        assert_eq!(reason, Status::Nospc);
        assert!(written > 4 << 20, "root has written {written} bytes of its reserve");
    });
    drop(server);
}

#[test]
fn a_state_directory_that_was_full_takes_records_again() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("full");
    let data = scratch.directory("data");
    let Some(state) = Mounted::tmpfs(&scratch, "state") else { return };
    std::fs::set_permissions(state.path(), Permissions::from_mode(0o700)).expect("a mode");
    let filling = state.path().join("filling");
    let mut server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    ask(server.address(), move |asking| async move {
        let old = asking.client("old").await;
        let root = old.session().lookup("/").await.expect("the root");
        let file = old.session().open(root, "file", &OpenHow::create(0o644)).await.expect("a file");
        let full = std::fs::write(&filling, vec![7; FULL_BYTES]).expect_err("no more room");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        let refused = asking.try_client_with(ClientOptions::named("new")).await.map(|_| ());
        assert_eq!(refused.expect_err("it cannot be recorded").status(), Some(Status::Serverfault));
        old.session()
            .write(&file, 0, b"bytes", StableHow::FileSync)
            .await
            .expect("those who are known go on");
        std::fs::remove_file(&filling).expect("it is there");
        asking.client("new").await;
    });
    let status = server.stop();
    assert!(status.success(), "{status}");
}
