//! The whole server, asked by our own client over a real socket.

mod support;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use client::{Client, ClientOptions, Compound, Error, OpenHow, Session};
use engine::{EngineConfig, Shard, block_on};
use support::{Scratch, Server, free_port, is_root};
use transport_tcp::{Endpoint, Limits};
use wire::nfs4::{FileHandle, FreeStateidArgs, StableHow, Status};

/// How often and how many times an unmount is tried: a shard closes the files after the reload is logged.
const UNMOUNT_TRY: Duration = Duration::from_millis(20);
const UNMOUNT_TRIES_MAX: usize = 500;

/// Runs `ask` with a session on the server.
fn with_session<A, F>(server: &Server, ask: A) -> F::Output
where
    A: FnOnce(Shard, Session) -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    with_session_at(server.port, ask)
}

/// Runs `ask` with a session at this port.
fn with_session_at<A, F>(port: u16, ask: A) -> F::Output
where
    A: FnOnce(Shard, Session) -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let asked = block_on(EngineConfig::small(), move |shard| async move {
        let endpoint = Endpoint::new(&shard, Limits::default());
        let client = Client::connect(&endpoint, address, ClientOptions::default()).await.expect("a client");
        let result = ask(shard, client.session().clone()).await;
        client.destroy().await.expect("the client goes");
        result
    });
    asked.expect("a ring for the client")
}

#[test]
fn what_is_written_is_read_and_stands_in_the_directory() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let scratch = Scratch::new("written");
    let data = scratch.directory("data");
    std::os::unix::fs::chown(&data, Some(65534), Some(65534)).expect("root may");
    let server = Server::start(&scratch, [&data]);
    let content: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let expected = content.clone();
    with_session(&server, |_, session| async move {
        let root = session.lookup("/").await.expect("the root");
        let file = session.open(root, "a", &OpenHow::create(0o640)).await.expect("an open");
        session.write(&file, 0, &content, StableHow::FileSync).await.expect("a write");
        let (read, eof) = session.read(&file, 0, content.len() as u32).await.expect("a read");
        assert!(eof && read[..] == content[..]);
        session.close(&file).await.expect("a close");
    });
    assert!(std::fs::read(data.join("a")).expect("the file") == expected);
}

/// A file system mounted for a test, unmounted with it.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&path).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(path))
    }

    fn unmount(&self) -> bool {
        Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-lq").arg(&self.0).status();
    }
}

fn export(path: &Path) -> String {
    format!("[[export]]\npath = {path:?}\nsquash = \"none\"\n")
}

async fn status_of(session: &Session, handle: FileHandle) -> Status {
    match session.attributes(handle).await {
        Ok(_) => Status::Ok,
        Err(Error::Status { status, .. }) => status,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_port_serves() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let scratch = Scratch::new("ports");
    let data = scratch.directory("data");
    let ports = [free_port(), free_port()];
    let keys = format!("[server]\nnfs3_port = {}\nmount_port = {}\n", ports[0], ports[1]);
    let config = scratch.config(&(keys + &export(&data)));
    let server = Server::start(&scratch, ["--config".as_ref(), config.as_os_str()]);
    for port in ports.into_iter().chain([server.port]) {
        with_session_at(port, |_, session| async move { session.lookup("/").await.expect("the root") });
    }
}

#[test]
fn a_reload_takes_a_protocol_from_those_who_use_it() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let scratch = Scratch::new("protocols");
    let data = scratch.directory("data");
    let config = scratch.config(&export(&data));
    let server = Server::start(&scratch, ["--config".as_ref(), config.as_os_str()]);
    let process = rustix::process::Pid::from_child(&server.child);
    let log = server.log.clone();
    with_session(&server, move |_, session| async move {
        let root = session.lookup("/").await.expect("the root");
        assert_eq!(status_of(&session, root).await, Status::Ok);
        std::fs::write(&config, export(&data) + "protocols = [\"3\", \"4.1\"]\n").expect("a written file");
        rustix::process::kill_process(process, rustix::process::Signal::HUP).expect("it runs");
        log.wait_for("the exports are reloaded");
        assert_eq!(status_of(&session, root).await, Status::Access);
    });
}

#[test]
fn an_export_that_goes_lets_its_file_system_go_and_disturbs_no_other() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let scratch = Scratch::new("unexport");
    let (stays, goes) = (scratch.directory("stays"), scratch.directory("goes"));
    let Some(mounted) = Mounted::new(goes.clone()) else {
        eprintln!("nothing can be mounted here");
        return;
    };
    let both = export(&stays) + &export(&goes);
    let config = scratch.config(&both);
    let server = Server::start(&scratch, ["--config".as_ref(), config.as_os_str()]);
    let process = rustix::process::Pid::from_child(&server.child);
    let reload =
        move || rustix::process::kill_process(process, rustix::process::Signal::HUP).expect("it runs");
    let log = server.log.clone();
    let one = export(&stays) + "pseudo = \"/stays\"\n";
    with_session(&server, move |shard, session| async move {
        let kept = session.lookup("/stays").await.expect("an export");
        let kept_file = session.open(kept, "a", &OpenHow::create(0o600)).await.expect("an open");
        let gone = session.lookup("/goes").await.expect("an export");
        let gone_file = session.open(gone, "a", &OpenHow::create(0o600)).await.expect("an open");
        assert!(!mounted.unmount(), "an exported file system is in use");

        std::fs::write(&config, "[[export]]\npath = \"/no/such/place\"\n").expect("a written file");
        reload();
        log.wait_for("the exports stay as they are");
        assert_eq!(status_of(&session, gone).await, Status::Ok);

        std::fs::write(&config, one).expect("a written file");
        reload();
        log.wait_for("the exports are reloaded");
        assert_eq!(status_of(&session, gone_file.handle).await, Status::Stale);
        let mut tries = 0;
        while !mounted.unmount() {
            tries += 1;
            assert!(tries < UNMOUNT_TRIES_MAX, "something holds the file system");
            shard.sleep(UNMOUNT_TRY).await;
        }

        session.write(&kept_file, 0, b"undisturbed", StableHow::FileSync).await.expect("a write");
        let call = session.call(Compound::new().put_root().lookup("goes")).await.expect("a reply");
        assert!(matches!(call.skip(2), Err(Error::Status { status: Status::Noent, .. })));
        session.close(&kept_file).await.expect("a close");
        // What was revoked is freed, or the client could not go.
        let free = Compound::new().operation(FreeStateidArgs { stateid: gone_file.stateid });
        session.call(free).await.expect("a reply").next::<()>().expect("it was revoked");
    });
}
