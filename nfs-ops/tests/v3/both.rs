//! Two protocols on one file.

use wire::nfs3::{self, CreateHow, FileHandle, StableHow, Status, Verifier};
use wire::nfs4::{self, OpenClaim, Stateid, attribute, share_access, share_deny};

use super::world;
use crate::support::nfs3::{Nfs3, Write, with_mode, with_size};
use crate::support::*;

/// A file of the superuser's that both protocols have.
fn shared() -> (World, Nfs3, FileHandle, Client, FileHandle) {
    let (world, client, root) = world();
    let newer = world.client("one");
    let file = client.make_file(root, "file", b"data");
    (world, client, root, newer, file)
}

fn share(access: u32, deny: u32) -> Open<'static> {
    Open::handle().access(access).deny(deny)
}

#[test]
fn each_sees_what_the_other_writes() {
    let (_, client, root, newer, file) = shared();
    let open = newer.open(*file, Open::handle()).ok().opened().stateid;
    newer.run(&[putfh(*file), write(open, 2, StableHow::Unstable, b"newer")]).ok();
    assert_eq!(client.contents(file), b"danewer");
    let change = || newer.run(&[putfh(*file), getattr(&[attribute::CHANGE])]).ok().attributes().change;
    let before = change();
    client.write(file, 0, StableHow::Unstable, b"DA").ok();
    assert_ne!(change(), before);
    assert_eq!(newer.contents(*file), b"DAnewer");
    // Byte ranges are locked for those who ask for locks: they are advisory.
    newer.run(&[putfh(*file), lock(open, "me", nfs4::LockType::Write, 0, 10)]).ok();
    client.write(file, 0, StableHow::Unstable, b"xx").ok();
    assert_eq!(client.contents(file), b"xxnewer");
    // Names, too.
    newer.at_export(&[savefh(), rename("file", "renamed")]).ok();
    assert_eq!(client.names(root), ["renamed"]);
    client.rename((root, "renamed"), (root, "again")).ok();
    newer.run(&[putfh(*file), read(open, 0, 1)]).ok();
    assert_eq!(newer.at_export(&[lookup("again"), getfh()]).ok().handle(), *file);
}

#[test]
fn a_right_that_is_taken_away_is_gone_at_once_on_every_core() {
    let (world, client, _, newer, file) = shared();
    let there = world.on_another_core();
    let readers = [client.user(5, 5, &[]), there.connection().nfs3().user(5, 5, &[])];
    let each = |expect: &dyn Fn(&Nfs3)| readers.iter().for_each(expect);
    let by_nfs3 = || {
        client.setattr(file, with_mode(0o600)).ok();
    };
    let by_nfs4 = || {
        newer.run(&[putfh(*file), setattr(Stateid::ANONYMOUS, &mode(0o600))]).ok();
    };
    for takes_away in [&by_nfs3 as &dyn Fn(), &by_nfs4] {
        client.setattr(file, with_mode(0o644)).ok();
        each(&|reader| assert_eq!(reader.contents(file), b"data"));
        takes_away();
        each(&|reader| {
            reader.read(file, 0, 4).fails(Status::Acces);
        });
    }
}

#[test]
fn attributes_that_one_sets_the_other_sees_at_once() {
    let (world, client, _, newer, file) = shared();
    let there = world.on_another_core();
    let elsewhere = there.connection().nfs3();
    let told = || {
        let all = [attribute::MODE, attribute::SIZE, attribute::TIME_MODIFY];
        let reply = newer.run(&[putfh(*file), getattr(&all)]).ok();
        let attributes = reply.attributes();
        (attributes.mode.unwrap(), attributes.size.unwrap())
    };
    let ours = |client: &Nfs3| (client.attributes(file).mode, client.attributes(file).size);
    assert_eq!((told(), ours(&elsewhere)), ((0o644, 4), (0o644, 4)));
    client.setattr(file, with_mode(0o600)).ok();
    assert_eq!((told(), ours(&elsewhere)), ((0o600, 4), (0o600, 4)));
    newer.run(&[putfh(*file), setattr(Stateid::ANONYMOUS, &size(2))]).ok();
    assert_eq!((ours(&client), ours(&elsewhere)), ((0o600, 2), (0o600, 2)));
    elsewhere.setattr(file, with_size(9)).ok();
    assert_eq!((told(), ours(&client)), ((0o600, 9), (0o600, 9)));
    // And a guard knows of it.
    let guard = Some(client.attributes(file).time_metadata);
    newer.run(&[putfh(*file), setattr(Stateid::ANONYMOUS, &mode(0o640))]).ok();
    let guarded = nfs3::SetAttrArgs { object: file, attributes: with_mode(0o777), guard };
    client.send(&guarded).fails(Status::NotSync);
}

/// What becomes of reading, of writing, and of everything that is like writing.
fn statuses(client: &Nfs3, root: FileHandle, file: FileHandle) -> (Status, Status) {
    let writes = [
        client.write(file, 0, StableHow::FileSync, b"data").status(),
        client.write(file, 0, StableHow::FileSync, b"").status(),
        client.write_cut(file, 0, StableHow::Unstable, b"data").status(),
        client.setattr(file, with_size(4)).status(),
    ];
    assert!(writes.iter().all(|status| *status == writes[0]), "{writes:?}");
    let truncates = client.create(root, "file", CreateHow::Unchecked(with_size(0))).status();
    assert_eq!(truncates, writes[0]);
    if truncates == Status::Ok {
        client.write(file, 0, StableHow::FileSync, b"data").ok();
    }
    // Neither reads nor writes.
    client.setattr(file, with_mode(0o644)).ok();
    client.commit(file, 0, 0).ok();
    client.create(root, "file", CreateHow::Unchecked(with_mode(0o644))).ok();
    client.access(file, 1).ok();
    let reads = [client.read(file, 0, 9).status(), client.read(file, 0, 0).status()];
    assert_eq!(reads[0], reads[1]);
    (reads[0], writes[0])
}

#[test]
fn what_an_open_denies_is_to_be_tried_later() {
    use Status::{Jukebox, Ok as Fine};
    let (world, client, root, newer, file) = shared();
    let there = world.on_another_core();
    let both = [client.clone(), there.connection().nfs3()];
    for (deny, expected) in [
        (share_deny::NONE, (Fine, Fine)),
        (share_deny::READ, (Jukebox, Fine)),
        (share_deny::WRITE, (Fine, Jukebox)),
        (share_deny::BOTH, (Jukebox, Jukebox)),
    ] {
        // The files are open on both cores already, for those who need no open.
        for client in &both {
            assert_eq!(statuses(client, root, file), (Fine, Fine));
        }
        let open = newer.open(*file, share(share_access::READ, deny)).ok().opened().stateid;
        for client in &both {
            assert_eq!(statuses(client, root, file), expected, "{deny}");
        }
        if expected.1 == Jukebox {
            client.sees_after(file, client.write(file, 0, StableHow::FileSync, b"x").fails(Jukebox));
            client.sees_after(file, client.setattr(file, with_size(1)).fails(Jukebox));
        }
        if expected.0 == Jukebox {
            assert_eq!(client.read(file, 0, 1).fails(Jukebox), Some(client.attributes(file)));
        }
        newer.run(&[putfh(*file), close(open)]).ok();
        for client in &both {
            assert_eq!(statuses(client, root, file), (Fine, Fine), "closed");
        }
    }
    assert_eq!(client.contents(file), b"data");
}

#[test]
fn who_waits_for_admission_is_asked_behind_it() {
    let (world, client, _, newer, file) = shared();
    let there = world.on_another_core();
    let call = || {
        let head = nfs3::WriteHead { file, offset: 0, count: 5, stable: StableHow::Unstable };
        Write { head, data: b"later" }
    };
    client.send(&call()).ok();
    client.write(file, 0, StableHow::Unstable, b"first").ok();
    let gate = world.server().admission.gate().clone();
    let epoch = gate.close(world.now_ns(), u64::MAX).unwrap();
    let waiting = client.start(&call());
    assert!(!waiting.is_done());
    let elsewhere = newer.over(&there.connection());
    elsewhere.open(*file, share(share_access::READ, share_deny::WRITE)).ok();
    gate.open(epoch, world.now_ns()).unwrap();
    client.sees_after(file, waiting.finish().fails(Status::Jukebox));
    assert_eq!(client.contents(file), b"first");
}

#[test]
fn a_downgrade_lets_others_in() {
    let (_, client, root, newer, file) = shared();
    let wide = newer.open(*file, share(share_access::READ, share_deny::NONE)).ok().opened().stateid;
    let open = newer.open(*file, share(share_access::READ, share_deny::WRITE)).ok().opened().stateid;
    assert_eq!(wide.other, open.other);
    assert_eq!(statuses(&client, root, file), (Status::Ok, Status::Jukebox));
    let downgraded = downgrade(open, share_access::READ, share_deny::NONE);
    newer.run(&[putfh(*file), downgraded]).ok();
    assert_eq!(statuses(&client, root, file), (Status::Ok, Status::Ok));
}

#[test]
fn an_open_of_who_is_gone_denies_nothing() {
    let (world, client, _, newer, file) = shared();
    let open = newer.open(*file, share(share_access::READ, share_deny::WRITE)).ok().opened().stateid;
    client.write(file, 0, StableHow::Unstable, b"x").fails(Status::Jukebox);
    // Within its lease it may only be out of reach.
    world.advance_seconds(80);
    client.write(file, 0, StableHow::Unstable, b"x").fails(Status::Jukebox);
    world.advance_seconds(20);
    client.write(file, 0, StableHow::Unstable, b"x").ok();
    newer.run(&[putfh(*file), read(open, 0, 1)]).fails(nfs4::Status::Expired);
}

#[test]
fn who_waits_for_the_lock_of_one_that_is_gone_is_told_at_once() {
    let (world, client, _, gone, file) = shared();
    let waiting = world.client("two");
    let open = gone.open(*file, share(share_access::BOTH, share_deny::WRITE)).ok().opened().stateid;
    gone.run(&[putfh(*file), lock(open, "me", nfs4::LockType::Write, 0, 1)]).ok();
    let reader = waiting.open(*file, share(share_access::READ, share_deny::NONE)).ok().opened().stateid;
    world.advance_seconds(80);
    waiting
        .run(&[putfh(*file), lock(reader, "it", nfs4::LockType::ReadWait, 0, 1)])
        .fails(nfs4::Status::Denied);
    world.advance_seconds(20);
    // Whoever is in the way of this and has not been heard of for long is put aside.
    client.write(file, 0, StableHow::Unstable, b"x").ok();
    assert_eq!(world.callbacks().len(), 1, "no sweep was needed");
}

#[test]
fn data_waits_for_those_who_reclaim() {
    let (world, client, root, newer, file) = shared();
    newer.open(*file, share(share_access::READ, share_deny::BOTH)).ok();
    client.contents(client.make_file(root, "other", b"x"));
    world.restart();
    let client = world.connection().nfs3();
    assert_eq!(statuses(&client, root, file), (Status::Jukebox, Status::Jukebox));
    // Names do not wait.
    client.make_directory(root, "directory");
    client.remove(root, "other").ok();
    let newer = world.connection().client_with("one", 2, CHANNEL);
    let claim = OpenClaim::Previous(nfs4::DelegationType::None);
    let reclaim = share(share_access::READ, share_deny::WRITE).claim(claim).op();
    newer.run(&[putfh(*file), reclaim]).ok();
    assert_eq!(statuses(&client, root, file), (Status::Jukebox, Status::Jukebox));
    newer.run(&[reclaim_complete()]).ok();
    assert_eq!(statuses(&client, root, file), (Status::Ok, Status::Jukebox));
    // It ends, too, when nobody comes back.
    world.restart();
    assert_eq!(statuses(&client, root, file), (Status::Jukebox, Status::Jukebox));
    world.advance_seconds(100);
    nfs_ops::sweep(&world.server());
    assert_eq!(statuses(&client, root, file), (Status::Ok, Status::Ok));
}

#[test]
fn a_file_that_one_removes_stays_open_for_the_other() {
    let (_, client, root, newer, file) = shared();
    let open = newer.open(*file, Open::handle()).ok().opened().stateid;
    client.remove(root, "file").ok();
    newer.run(&[putfh(*file), write(open, 0, StableHow::FileSync, b"still")]).ok();
    assert_eq!(newer.run(&[putfh(*file), read(open, 0, 9)]).ok().data().0, b"still");
    // The handle is good as long as there is a file.
    assert_eq!(client.attributes(file).links, 0);
    assert_eq!(client.contents(file), b"still");
    client.link(file, root, "again").fails(Status::Noent);
    newer.run(&[putfh(*file), close(open)]).ok();
    client.read(file, 0, 1).fails(Status::Stale);
    newer.run(&[putfh(*file)]).fails(nfs4::Status::Stale);
}

#[test]
fn a_file_that_one_removes_is_gone_for_who_used_it() {
    let (_, client, root, newer, file) = shared();
    client.contents(file);
    client.write(file, 0, StableHow::FileSync, b"used").ok();
    newer.run(&[putfh(*root), remove("file")]).ok();
    client.read(file, 0, 1).fails(Status::Stale);
    newer.run(&[putfh(*file)]).fails(nfs4::Status::Stale);
}

#[test]
fn one_makes_exclusively_what_the_other_finds() {
    let (_, client, root, newer, _) = shared();
    let exclusive = CreateHow::Exclusive(Verifier([1; 8]));
    let made = client.create(root, "new", exclusive).ok().object.unwrap();
    newer.at_export(&[Open::named("new").guarded(&mode(0o600))]).fails(nfs4::Status::Exist);
    let opened = newer.at_export(&[Open::named("new").op(), getfh()]).ok();
    assert_eq!(opened.handle(), *made);
    // An open that denies writing denies it from the moment on at which the file is there.
    newer.at_export(&[Open::named("own").deny(share_deny::BOTH).unchecked(&mode(0o600)), getfh()]).ok();
    let own = client.lookup(root, "own").ok().object;
    client.read(own, 0, 1).fails(Status::Jukebox);
    client.create(root, "own", CreateHow::Unchecked(with_size(0))).fails(Status::Jukebox);
    client.create(root, "own", CreateHow::Unchecked(with_mode(0o600))).ok();
}
