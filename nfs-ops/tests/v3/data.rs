//! READ, WRITE, COMMIT (RFC 1813 §3.3.6, §3.3.7, §3.3.21).

use vfs::{Identity, Vfs};
use wire::nfs3::*;

use super::world;
use crate::support::nfs3::{Write, with_mode};
use crate::support::{Open, close, getfh, putfh, write};

#[test]
fn data_comes_back_however_it_was_sent() {
    let (world, client, root) = world();
    let file = client.make_file(root, "file", b"");
    let data: Vec<u8> = (0..10_001u32).map(|number| (number * 7) as u8).collect();
    for offset in [0, 4097, 13] {
        let told = client.write(file, offset, StableHow::Unstable, &data).ok();
        assert_eq!(told.count, data.len() as u32);
        client.sees_after(file, told.file_wcc);
        assert_eq!(client.read(file, offset, 1 << 20).data().0[..data.len()], data, "at {offset}");
        let told = client.write_cut(file, offset + 20_000, StableHow::Unstable, &data).ok();
        assert_eq!(told.count, data.len() as u32);
        client.sees_after(file, told.file_wcc);
        let read = client.read(file, offset + 20_000, data.len() as u32);
        assert_eq!(read.data().0, data, "at {offset}");
        assert_eq!(read.ok().attributes, Some(client.attributes(file)));
    }
    assert_eq!(world.env().pool().bytes_taken(), 0, "payload memory went back");
}

#[test]
fn payload_is_copied_out_of_heads_alone() {
    let (world, client, root) = world();
    let file = client.make_file(root, "file", b"");
    let data = [7; 20_000];
    client.write_cut(file, 0, StableHow::Unstable, &data).ok();
    client.read(file, 0, 20_000).ok();
    let server = world.server();
    let copies = || (server.copies.read_bytes.get(), server.copies.written_bytes.get());
    assert_eq!(copies(), (0, 0));
    client.write(file, 0, StableHow::Unstable, &data[..300]).ok();
    assert_eq!(copies(), (0, 300));
}

#[test]
fn reads_end_at_the_end() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"0123456789");
    for (offset, count, expected, eof) in [
        (0, 10, &b"0123456789"[..], true),
        (0, 9, b"012345678", false),
        (8, 10, b"89", true),
        (0, u32::MAX, b"0123456789", true),
        (10, 1, b"", true),
        (11, 1, b"", true),
        (0, 0, b"", false),
        (10, 0, b"", true),
        (i64::MAX as u64 - 1, 4, b"", true),
        (i64::MAX as u64, 4, b"", true),
        (1 << 63, 4, b"", true),
        (u64::MAX, u32::MAX, b"", true),
    ] {
        let read = client.read(file, offset, count);
        assert_eq!(read.data(), (expected.to_vec(), eof), "{count} at {offset}");
        assert_eq!(read.ok().attributes, Some(client.attributes(file)));
    }
    let empty = client.make_file(root, "empty", b"");
    assert_eq!(client.read(empty, 0, 0).data(), (vec![], true));
}

#[test]
fn a_read_is_not_longer_than_fsinfo_says() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", &[5; 3 << 19]);
    let read_max = client.fsinfo(root).ok().read_max;
    let (data, eof) = client.read(file, 0, u32::MAX).data();
    assert_eq!((data.len(), eof), (read_max as usize, false));
    let (data, eof) = client.read(file, read_max.into(), u32::MAX).data();
    assert_eq!((data.len(), eof), ((3 << 19) - read_max as usize, true));
}

#[test]
fn what_is_no_file_has_no_data() {
    let (_, client, root) = world();
    let link = client.symlink(root, "link", "text").ok().object.unwrap();
    let pipe = client.mknod(root, "pipe", MknodData::Fifo(with_mode(0o666))).ok().object.unwrap();
    // RFC 1813 §3.3.6: not NFS3ERR_ISDIR.
    for object in [root, link, pipe] {
        for count in [0, 1] {
            let told = client.read(object, 0, count).fails(Status::Inval);
            assert_eq!(told, Some(client.attributes(object)));
        }
        client.sees_after(object, client.write(object, 0, StableHow::Unstable, b"x").fails(Status::Inval));
        client.sees_after(object, client.write(object, 0, StableHow::Unstable, b"").fails(Status::Inval));
        client.sees_after(object, client.commit(object, 0, 0).fails(Status::Inval));
    }
}

#[test]
fn data_is_for_those_who_may() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    client.setattr(file, with_mode(0o640)).ok();
    let (user, member) = (client.user(1000, 1000, &[]), client.user(1001, 5, &[7, 0]));
    let told = user.read(file, 0, 1).fails(Status::Acces);
    assert_eq!(told, Some(client.attributes(file)));
    user.read(file, 0, 0).fails(Status::Acces);
    client.sees_after(file, user.write(file, 0, StableHow::Unstable, b"x").fails(Status::Acces));
    client.sees_after(file, user.write(file, 0, StableHow::Unstable, b"").fails(Status::Acces));
    assert_eq!(member.contents(file), b"data");
    member.write(file, 0, StableHow::Unstable, b"x").fails(Status::Acces);
    // Who may execute may read: clients execute by reading (RFC 1813 §4.4).
    client.setattr(file, with_mode(0o711)).ok();
    assert_eq!(user.contents(file), b"data");
    // What one user was allowed a moment ago another is not.
    client.setattr(file, with_mode(0o600)).ok();
    user.read(file, 0, 1).fails(Status::Acces);
    client.contents(file);
    user.read(file, 0, 1).fails(Status::Acces);
}

#[test]
fn a_write_that_says_another_length_than_it_has_does_nothing() {
    let (world, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    let head = |count| WriteHead { file, offset: 0, count, stable: StableHow::FileSync };
    for count in [0, 4, 6, u32::MAX] {
        let told = client.send(&Write { head: head(count), data: b"other" }).fails(Status::Inval);
        client.sees_after(file, told);
    }
    let (xid, call) = client.write_cut_call(head(9000), &[1; 8999]);
    let outcome = client.connection().outcome(call);
    let answer = crate::support::nfs3::Answer::<WriteArgs>::read(outcome, xid).unwrap();
    client.sees_after(file, answer.fails(Status::Inval));
    assert_eq!(client.contents(file), b"data");
    assert_eq!(world.env().pool().bytes_taken(), 0, "payload memory went back");
}

#[test]
fn writes_beyond_what_a_file_can_be_are_too_big() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"");
    for (offset, data, status) in [
        (u64::MAX, &b"x"[..], Status::Fbig),
        (u64::MAX, b"", Status::Fbig),
        (1 << 63, b"x", Status::Fbig),
        (i64::MAX as u64, b"x", Status::Fbig),
        (i64::MAX as u64 - 1, b"xy", Status::Fbig),
    ] {
        client.sees_after(file, client.write(file, offset, StableHow::Unstable, data).fails(status));
    }
    let before = client.attributes(file);
    let told = client.write(file, 77, StableHow::Unstable, b"").ok();
    assert_eq!(
        (told.count, told.file_wcc.after),
        (0, Some(before)),
        "an empty WRITE does not touch the file"
    );
    client.sees_after(file, client.commit(file, u64::MAX, 2).fails(Status::Inval));
    client.commit(file, u64::MAX, 0).ok();
    client.commit(file, 1 << 63, u32::MAX).ok();
}

#[test]
fn data_is_as_stable_as_asked_and_one_verifier_tells_of_it() {
    let (world, client, root) = world();
    let newer = world.client("one");
    let file = client.make_file(root, "file", b"");
    let open = newer.open(*file, Open::handle()).ok().opened().stateid;
    let theirs = newer.run(&[putfh(*file), write(open, 0, StableHow::Unstable, b"x")]).ok().written();
    newer.run(&[putfh(*file), close(open)]).ok();
    for (asked, committed) in [
        (StableHow::Unstable, StableHow::Unstable),
        (StableHow::DataSync, StableHow::FileSync),
        (StableHow::FileSync, StableHow::FileSync),
    ] {
        let told = client.write(file, 0, asked, b"data").ok();
        assert_eq!((told.committed, told.verifier), (committed, theirs.verifier), "{asked:?}");
    }
    let told = client.commit(file, 0, 0).ok();
    assert_eq!(told.verifier, theirs.verifier);
    client.sees_after(file, told.file_wcc);
}

#[test]
fn a_lost_write_changes_the_verifier() {
    let (world, client, root) = world();
    let file = client.make_file(root, "file", b"");
    let first = client.write(file, 0, StableHow::Unstable, b"one").ok().verifier;
    assert_eq!(client.commit(file, 0, 0).ok().verifier, first);
    client.write(file, 0, StableHow::Unstable, b"two").ok();
    world.storage().fail_next_sync();
    client.sees_after(file, client.commit(file, 0, 0).fails(Status::Io));
    let after = client.write(file, 0, StableHow::Unstable, b"two").ok().verifier;
    assert_ne!(after, first);
    assert_eq!(client.commit(file, 0, 0).ok().verifier, after);
    world.storage().fail_next_sync();
    client.sees_after(file, client.write(file, 0, StableHow::FileSync, b"x").fails(Status::Io));
}

#[test]
fn committed_data_survives_a_power_loss() {
    let (world, client, root) = world();
    let file = client.make_file(root, "file", b"");
    client.write(file, 0, StableHow::Unstable, b"kept").ok();
    client.commit(file, 0, 0).ok();
    let before = client.write(file, 0, StableHow::Unstable, b"lost").ok().verifier;
    world.storage().crash();
    world.restart();
    assert_eq!(client.contents(file), b"kept");
    assert_ne!(client.write(file, 0, StableHow::Unstable, b"again").ok().verifier, before);
}

#[test]
fn files_do_not_stay_open_for_who_does_nothing() {
    let (world, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    client.contents(file);
    client.remove(root, "file").ok();
    world.advance_seconds(2);
    nfs_ops::sweep(&world.server());
    world.server().prune_grants();
    client.read(file, 0, 1).fails(Status::Stale);
    // Nor by being used: who opened it first does not decide for ever.
    let file = client.make_file(root, "other", b"data");
    let newer = world.client("one");
    let user = client.user(1000, 1000, &[]);
    user.read(file, 0, 1).ok();
    // What is done past the server nobody tells it.
    let storage = world.storage().view();
    let forbidden = world.executor().start(async move {
        let node = storage.lookup(&storage.root(), &Identity::root(), b"other").await?;
        let mode = vfs::SetAttributes { mode: Some(0o600), ..Default::default() };
        storage.set_attributes(&node, None, &Identity::root(), &mode).await
    });
    forbidden.finish().unwrap();
    user.read(file, 0, 1).ok();
    for _ in 0..20 {
        world.advance_milliseconds(100);
        let _ = user.read(file, 0, 1).status();
    }
    user.read(file, 0, 1).fails(Status::Acces);
    newer.run(&[putfh(*file), getfh()]).ok();
}
