//! What an administrator does while clients work: look, reload, unmount, stop.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use client::{Compound, OpenHow, Session};
use rustix::process::Signal;
use testkit::asking::ask;
use testkit::behaved::BehavedClient;
use testkit::mounted::Mounted;
use testkit::server::{Scratch, Server, ServerPlan, can_serve, export};
use wire::nfs4::{CreateType, GetFhResult, RawAttributes, StableHow, Status, Verifier, attribute};

/// Bytes of each write that runs while the server is told to stop.
const WRITE_BYTES: usize = 256 * 1024;

/// How many of them: no more than the session has slots, for a slot whose reply is lost is not used again.
const WRITES: u64 = 60;

/// How long an unmount may take to become possible, and the pause between two attempts.
const UNMOUNT_TRIES_MAX: u32 = 500;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(20);

#[test]
fn exports_come_and_go_while_others_work_and_their_file_systems_are_let_go() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("reload");
    let stays = scratch.directory("stays");
    let Some(goes) = Mounted::tmpfs(&scratch, "goes") else { return };
    let (one, both) = (export(&stays, "pseudo = \"/stays\""), export(goes.path(), "pseudo = \"/goes\""));
    let both = one.clone() + &both;
    let mut server = Server::start(scratch, ServerPlan::new(both.clone()));
    let mut behaved = BehavedClient::start(server.address(), "/stays");
    ask(server.address(), move |asking| async move {
        let client = asking.client("reload").await;
        for round in 0..3 {
            // Open, locked by nobody, and being written to when it goes.
            let gone = client.session().lookup("/goes").await.expect("an export");
            let name = format!("file-{round}");
            let file = client.session().open(gone, &name, &OpenHow::create(0o644)).await.expect("a file");
            let writing = client.session().clone();
            let writer = asking.shard.spawn(async move {
                let bytes = vec![7; WRITE_BYTES];
                loop {
                    let written = writing.write(&file, 0, &bytes, StableHow::Unstable).await;
                    if let Err(error) = written {
                        return error.status();
                    }
                }
            });
            asking.shard.sleep(UNMOUNT_PAUSE).await;
            server.reload(one.clone());
            let status = writer.await.expect("it is not aborted");
            assert!(matches!(status, Some(Status::Stale | Status::AdminRevoked)), "{status:?}");
            let mut tries = 0;
            while !goes.unmount() {
                tries += 1;
                assert!(tries < UNMOUNT_TRIES_MAX, "the file system is still held");
                asking.shard.sleep(UNMOUNT_PAUSE).await;
            }
            goes.mount_again();
            server.reload(both.clone());
            behaved.work_on(2);
        }
        behaved.finish();
    });
}

/// The names in a directory, their numbers and the numbers they are mounted on.
async fn names(session: &Session, path: &str) -> HashSet<String> {
    let handle = session.lookup(path).await.expect("a directory");
    let entries = session.read_directory(handle).await.expect("a listing");
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect()
}

#[test]
fn several_exports_are_found_by_walking_from_the_root() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("pseudo");
    let mut exports = String::new();
    for (name, pseudo) in [("one", "/projects/one"), ("two", "/projects/two"), ("home", "/home")] {
        let path = scratch.directory(name);
        std::fs::write(path.join(name), name).expect("a file");
        exports += &export(&path, &format!("pseudo = {pseudo:?}"));
    }
    let server = Server::start(scratch, ServerPlan::new(exports));
    ask(server.address(), |asking| async move {
        let client = asking.client("walk").await;
        let session = client.session();
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        assert_eq!(names(session, "/").await, set(&["projects", "home"]));
        assert_eq!(names(session, "/projects").await, set(&["one", "two"]));
        assert_eq!(names(session, "/projects/one").await, set(&["one"]));
        assert_eq!(names(session, "/home").await, set(&["home"]));

        let mut fsids = HashSet::new();
        for path in ["/", "/projects/one", "/projects/two", "/home"] {
            let numbers = [attribute::FSID, attribute::FILEID, attribute::MOUNTED_ON_FILEID];
            let names = path.split('/').filter(|name| !name.is_empty()).count();
            let compound = Compound::new().put_root().lookup_path(path).get_attributes(&numbers);
            let reply = session.call(compound).await.expect("a reply");
            reply.skip(1 + names).expect("it is there");
            let raw: RawAttributes<'_> = reply.next().expect("attributes");
            let values = raw.decode_values().expect("values");
            assert!(fsids.insert(values.fsid.expect("an fsid")), "{path} has an fsid of its own");
            assert!(values.mounted_on_fileid.is_some());
        }

        let up = Compound::new().put_root().lookup_path("/projects/one").lookup_parent().get_handle();
        let reply = session.call(up).await.expect("a reply");
        reply.skip(4).expect("above the export");
        let above = reply.next::<GetFhResult>().expect("a handle").object;
        assert_eq!(above, session.lookup("/projects").await.expect("a directory"));

        let root = session.lookup("/").await.expect("the root");
        let refused = session.create(root, "new", CreateType::Directory, 0o755).await.expect_err("read-only");
        assert_eq!(refused.status(), Some(Status::Rofs));
        let refused = session.remove(root, "home").await.expect_err("read-only");
        assert_eq!(refused.status(), Some(Status::Rofs));
    });
}

#[test]
fn an_export_whose_directory_is_gone_keeps_nobody_from_the_others() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("gone");
    let (stays, goes) = (scratch.directory("stays"), scratch.directory("goes"));
    let server = Server::start(scratch, ServerPlan::exporting(&[&stays, &goes]));
    std::fs::remove_dir(goes).expect("an empty directory");
    ask(server.address(), |asking| async move {
        let client = asking.client("gone").await;
        let session = client.session();
        let root = session.lookup("/").await.expect("the root");
        let entries = session.read_directory(root).await.expect("a listing");
        let entries: Vec<_> = entries.iter().map(|entry| (&entry.name[..], entry.file_id != 0)).collect();
        assert_eq!(entries, [(&b"goes"[..], false), (&b"stays"[..], true)]);
        let numbers = [attribute::FILEID];
        let unforgiving = Compound::new().put_root().read_directory(0, Verifier::default(), 4096, &numbers);
        let reply = session.call(unforgiving).await.expect("a reply");
        reply.skip(2).expect("those that are there are listed");
        session.lookup("/stays").await.expect("an export");
    });
}

#[test]
fn a_server_told_to_stop_answers_what_it_has_begun() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("stop");
    let data = scratch.directory("data");
    let mut server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    let process = server.process();
    let acknowledged = ask(server.address(), move |asking| async move {
        let mut options = client::ClientOptions::named("stop");
        options.retries = 0;
        let client = asking.client_with(options).await;
        let session = client.session().clone();
        let root = session.lookup("/").await.expect("the root");
        let file = session.open(root, "file", &OpenHow::create(0o644)).await.expect("a file");
        let (begun, acknowledged) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0_u64)));
        let mut tasks = Vec::new();
        for number in 0..WRITES {
            let (session, begun, acknowledged) =
                (session.clone(), Rc::clone(&begun), Rc::clone(&acknowledged));
            tasks.push(asking.shard.spawn(async move {
                begun.set(begun.get() + 1);
                let bytes = vec![number as u8; WRITE_BYTES];
                let offset = number * WRITE_BYTES as u64;
                let written = session.write(&file, offset, &bytes, StableHow::FileSync).await;
                if written.is_ok() {
                    acknowledged.set(acknowledged.get() + 1);
                }
                written.is_ok().then_some(number)
            }));
        }
        while acknowledged.get() < 5 {
            asking.shard.sleep(Duration::from_millis(1)).await;
        }
        rustix::process::kill_process(process, Signal::TERM).expect("it runs");
        let mut done = Vec::new();
        for task in tasks {
            done.extend(task.await.expect("it is not aborted"));
        }
        done
    });
    let status = server.wait();
    assert!(status.success(), "{status}");
    let content = std::fs::read(data.join("file")).expect("the file");
    for number in &acknowledged {
        let start = *number as usize * WRITE_BYTES;
        assert!(content[start..start + WRITE_BYTES].iter().all(|byte| *byte == *number as u8), "{number}");
    }
    assert!(acknowledged.len() >= 5);
    // And it comes back as if nothing had been.
    server.start_again();
    ask(server.address(), |asking| async move {
        let client = asking.client("after").await;
        client.session().lookup("/file").await.expect("the file");
    });
}
