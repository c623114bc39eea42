//! Calls that come again: the first reply, whatever they come over (RFC 1813 §4.5).

use state::Limits;
use wire::nfs3::*;

use super::world;
use crate::support::World;
use crate::support::nfs3::{Nfs3, at, with_mode};

const XID: u32 = 77;

/// When the file was last changed: a microsecond behind what the clock was set to.
const CHANGED: NfsTime = NfsTime { seconds: 1_500_000_000, nanoseconds: 1_000 };

/// What a call does where `file` and `directory` are in `root`; answers the whole reply.
type Sends = fn(&Nfs3, FileHandle) -> Vec<u8>;

/// What must not be executed twice.
const CHANGES: [(&str, Sends); 11] = [
    ("REMOVE", |client, root| client.remove(root, "file").bytes().to_vec()),
    ("RMDIR", |client, root| client.rmdir(root, "directory").bytes().to_vec()),
    ("RENAME", |client, root| client.rename((root, "file"), (root, "renamed")).bytes().to_vec()),
    ("MKDIR", |client, root| client.mkdir(root, "new").bytes().to_vec()),
    ("SYMLINK", |client, root| client.symlink(root, "new", "text").bytes().to_vec()),
    ("MKNOD", |client, root| client.mknod(root, "new", MknodData::Fifo(with_mode(0o600))).bytes().to_vec()),
    ("LINK", |client, root| client.link(file(client, root), root, "new").bytes().to_vec()),
    ("SETATTR", |client, root| {
        let object = file(client, root);
        client
            .send(&SetAttrArgs { object, attributes: with_mode(0o600), guard: Some(CHANGED) })
            .bytes()
            .to_vec()
    }),
    ("CREATE", |client, root| {
        client.create(root, "new", CreateHow::Guarded(with_mode(0o444))).bytes().to_vec()
    }),
    ("CREATE unchecked", |client, root| {
        client.create(root, "new", CreateHow::Unchecked(with_mode(0o444))).bytes().to_vec()
    }),
    ("CREATE exclusive", |client, root| {
        client.create(root, "new", CreateHow::Exclusive(Verifier([5; 8]))).bytes().to_vec()
    }),
];

/// Anybody may look for it, and looking is no call that is remembered.
fn file(client: &Nfs3, root: FileHandle) -> FileHandle {
    client.lookup(root, "file").ok().object
}

fn filled() -> (World, Nfs3, FileHandle) {
    let (world, client, root) = world();
    client.make_directory(root, "directory");
    client.make_file(root, "file", b"");
    set_at_changed(&world, &client, root, with_mode(0o644));
    (world, client, root)
}

/// Sets attributes of the file at that time.
fn set_at_changed(world: &World, client: &Nfs3, root: FileHandle, attributes: SetAttributes) {
    let file = file(client, root);
    world.storage().set_time(vfs::Time { seconds: CHANGED.seconds.into(), nanoseconds: 0 });
    client.setattr(file, attributes).ok();
}

/// Whether a reply says that the procedure succeeded.
fn is_ok(reply: &[u8]) -> bool {
    // Behind transaction id, kind, acceptance, verifier of two words and what became of the call.
    reply[24..28] == [0; 4]
}

/// All that can be seen of the export.
fn picture(client: &Nfs3, root: FileHandle) -> Vec<(String, FileAttributes)> {
    let names = client.names(root).into_iter();
    let all = names.map(|name| (client.lookup(root, &name).ok().attributes.unwrap(), name));
    let root = (".".to_owned(), client.attributes(root));
    [root].into_iter().chain(all.map(|(attributes, name)| (name, attributes))).collect()
}

#[test]
fn a_call_that_comes_again_gets_the_first_reply_over_whatever_connection() {
    for (name, send) in CHANGES {
        let (world, client, root) = filled();
        let first = send(&client.xid(XID), root);
        assert!(is_ok(&first), "{name}");
        let after = picture(&client, root);
        let elsewhere = world.on_another_core();
        for connection in [
            client.connection().clone(),
            world.connection(),
            world.connection_from("10.0.0.1:923"),
            world.connection_from("[::ffff:10.0.0.1]:2049"),
            elsewhere.connection_from("10.0.0.1:7"),
        ] {
            world.advance_seconds(60);
            assert_eq!(send(&connection.nfs3().xid(XID), root), first, "{name}");
        }
        assert_eq!(picture(&client, root), after, "{name}");
        let counts = world.server().shared.state.duplicates().counts();
        assert_eq!(counts.replayed, 5, "{name}");
        client.connection().lose();
        assert_eq!(send(&world.connection().nfs3().xid(XID), root), first, "{name}");
    }
}

#[test]
fn a_failure_is_the_first_reply_too() {
    for (name, send) in CHANGES {
        let (world, client, root) = filled();
        client.setattr(root, with_mode(0o755)).ok();
        let user = client.user(1000, 1000, &[]);
        let refused = send(&user.xid(XID), root);
        assert!(!is_ok(&refused), "{name}");
        // Nothing forbids it any more: everybody may change the directory, and the file is the user's.
        client.setattr(root, with_mode(0o777)).ok();
        let owner = SetAttributes { uid: Some(1000), ..SetAttributes::default() };
        set_at_changed(&world, &client, root, owner);
        assert_eq!(send(&user.xid(XID), root), refused, "{name}");
        // Who tries anew says so by a new transaction id.
        assert!(is_ok(&send(&user.xid(XID + 1), root)), "{name}");
    }
}

#[test]
fn another_call_is_not_taken_for_the_first() {
    for (name, send) in CHANGES {
        let (world, client, root) = filled();
        client.setattr(root, with_mode(0o777)).ok();
        let twins = [
            client.user(1000, 1000, &[]).xid(XID),
            client.user(1000, 1001, &[]).xid(XID),
            client.user(1000, 1000, &[5]).xid(XID),
            client.connection().nobody().nfs3().xid(XID),
            world.connection_from("10.0.0.2:800").nfs3().xid(XID),
            client.xid(XID + 1),
        ];
        assert!(is_ok(&send(&client.xid(XID), root)), "{name}");
        let executed = || world.server().shared.state.duplicates().counts().executed;
        let before = executed();
        for (number, twin) in twins.iter().enumerate() {
            send(twin, root);
            assert_eq!(executed(), before + number as u64 + 1, "{name}");
        }
        assert_eq!(world.server().shared.state.duplicates().counts().replayed, 0, "{name}");
    }
    let (_, client, root) = filled();
    let client = client.xid(XID);
    let one = client.mkdir(root, "one").ok().object;
    let two = client.mkdir(root, "two").ok().object;
    assert_ne!(one, two, "other arguments");
    client.send(&RmdirArgs { object: at(root, "one") }).ok();
    // The same arguments are another call of another procedure.
    client.send(&RemoveArgs { object: at(root, "one") }).fails(Status::Noent);
    assert_eq!(client.names(root), ["directory", "file", "two"]);
}

#[test]
fn a_call_that_is_still_executed_answers_all_who_wait() {
    for on_another_core in [false, true] {
        let (world, client, root) = filled();
        let gate = world.server().admission.gate().clone();
        let epoch = gate.close(world.now_ns(), u64::MAX).unwrap();
        let call = MkdirArgs { place: at(root, "new"), attributes: with_mode(0o755) };
        let first = client.xid(XID).start(&call);
        let there = if on_another_core { world.on_another_core() } else { world.clone() };
        let again: Vec<_> = (1..=4)
            .map(|port| there.connection_from(&format!("10.0.0.1:{port}")).nfs3().xid(XID).start(&call))
            .collect();
        // Enough wait for it already.
        there.connection().nfs3().xid(XID).start(&call).stays_unanswered();
        world.executor().settle();
        assert!(!first.is_done() && again.iter().all(|pending| !pending.is_done()));
        // Whoever asks for something else does not wait for it.
        client.getattr(root).ok();
        gate.open(epoch, world.now_ns()).unwrap();
        let first = first.finish();
        first.ok();
        for pending in again {
            assert_eq!(pending.finish(), first);
        }
        assert_eq!(client.xid(XID).mkdir(root, "new").bytes(), first.bytes());
        let counts = world.server().shared.state.duplicates().counts();
        assert_eq!((counts.joined, counts.discarded, counts.replayed), (4, 1, 1));
        assert_eq!(client.names(root), ["directory", "file", "new"]);
    }
}

#[test]
fn what_may_be_repeated_is_not_remembered() {
    let (world, client, root) = filled();
    let counts = || world.server().shared.state.duplicates().counts();
    let before = counts();
    let client = client.xid(XID);
    let file = client.lookup(root, "file").ok().object;
    client.getattr(file).ok();
    client.access(file, 1).ok();
    client.write(file, 0, StableHow::Unstable, b"data").ok();
    client.read(file, 0, 9).ok();
    client.commit(file, 0, 0).ok();
    client.fsstat(root).ok();
    client.fsinfo(root).ok();
    client.pathconf(root).ok();
    assert_eq!(client.names(root).len(), 2);
    assert_eq!(counts(), before);
    client.write(file, 0, StableHow::Unstable, b"DATA").ok();
    assert_eq!(client.read(file, 0, 9).data().0, b"DATA");
}

#[test]
fn calls_of_many_clients_are_remembered_within_a_bound() {
    const CALLS_MAX: u64 = 4096;
    let world = World::with_limits(Limits { duplicates_max: CALLS_MAX, ..Limits::default() });
    let root = world.connection().nfs3().root();
    let client = |number: u32| {
        let [low, high, ..] = number.to_le_bytes();
        world.connection_from(&format!("10.7.{high}.{low}:800")).nfs3().xid(XID)
    };
    let counts = || world.server().shared.state.duplicates().counts();
    for number in 0..10_000 {
        client(number).mkdir(root, &format!("{number}")).ok();
        world.advance_milliseconds(1);
        assert!(counts().calls <= CALLS_MAX);
    }
    let reply_bytes = counts().reply_bytes;
    assert!(reply_bytes <= CALLS_MAX * 384 && counts().unremembered == 0, "{:?}", counts());
    assert!(counts().evicted >= 10_000 - CALLS_MAX);
    // Who called last is still known.
    for number in 9_900..10_000 {
        client(number).mkdir(root, &format!("{number}")).ok();
    }
    // Who does nothing but call does not push out the others.
    let busy = world.connection_from("10.8.0.1:800").nfs3();
    for number in 0..5_000 {
        busy.rmdir(root, &format!("{number}")).ok();
    }
    let known = (9_000..10_000).filter(|number| {
        let name = number.to_string();
        client(*number).mkdir(root, &name).status() == Status::Ok
    });
    let known = known.count();
    assert!(known > 900, "only {known} of 1000");
    // After its time nothing is left.
    world.advance_seconds(601);
    nfs_ops::sweep(&world.server());
    assert_eq!((counts().calls, counts().reply_bytes), (0, 0));
}
