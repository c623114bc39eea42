//! READs that go through pipes, through memory, or some each: always what is in the file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::{OpenFile, OpenHow, Session};
use testkit::asking::ask;
use testkit::raw::{RawConnection, read_call, record};
use testkit::server::{Scratch, Server, ServerPlan, can_serve};
use wire::nfs4::FileHandle;

const PAGE: usize = 4096;
const MIB: usize = 1 << 20;

/// Bytes that differ from their neighbours and from those a page further.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

async fn open(session: &Session, name: &str) -> OpenFile {
    let root: FileHandle = session.lookup("/").await.expect("the root");
    session.open(root, name, &OpenHow::read()).await.expect("it may be read")
}

async fn expect_right(session: &Session, file: &OpenFile, content: &[u8], offset: usize, bytes: usize) {
    let (data, ends) = session.read(file, offset as u64, bytes as u32).await.expect("a read");
    let rest = content.get(offset..).unwrap_or_default();
    assert!(data[..] == rest[..bytes.min(rest.len())], "{bytes} at {offset}");
    assert_eq!(ends, offset + data.len() >= content.len(), "{bytes} at {offset}");
}

#[test]
fn reads_of_every_size_are_right() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("sizes");
    let data = scratch.directory("data");
    let content = pattern(2 * MIB + 3 * PAGE + 11);
    std::fs::write(data.join("file"), &content).expect("a file");
    let server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    ask(server.address(), move |asking| async move {
        let client = asking.client("reader").await;
        let file = open(client.session(), "file").await;
        let end = content.len();
        for bytes in [1, PAGE, 4 * PAGE - 1, 4 * PAGE, 4 * PAGE + 1, 5 * PAGE + 3, 100_000, MIB - 4, MIB] {
            for offset in [0, 1, PAGE - 1, PAGE, MIB + 5, end - bytes, end - bytes + 1, end - 1, end, end + 9]
            {
                expect_right(client.session(), &file, &content, offset, bytes).await;
            }
        }
        client.session().close(&file).await.expect("an end");
        client.destroy().await.expect("the client goes");
    });
}

/// Changes the file's size and content until told to stop: at the beginning of every page its number stands.
fn disturb(path: &Path, stop: &AtomicBool) {
    let file = File::options().write(true).open(path).expect("a file");
    let page = |number: u64| {
        let mut page = [number as u8; PAGE];
        page[..8].copy_from_slice(&number.to_be_bytes());
        page
    };
    while !stop.load(Ordering::Relaxed) {
        file.set_len(MIB as u64 / 2).expect("it gets shorter");
        for number in 100..256 {
            file.write_all_at(&page(number), number * PAGE as u64).expect("it gets longer");
        }
    }
}

#[test]
fn reads_are_whole_while_the_file_changes() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("restless");
    let path = scratch.directory("data").join("file");
    std::fs::write(&path, vec![0; MIB]).expect("a file");
    let server = Server::start(scratch, ServerPlan::exporting(&[path.parent().expect("a directory")]));
    let stop = Arc::new(AtomicBool::new(false));
    let disturbing = {
        let (stop, path) = (Arc::clone(&stop), path.clone());
        std::thread::spawn(move || disturb(&path, &stop))
    };
    ask(server.address(), |asking| async move {
        let client = asking.client("reader").await;
        let file = open(client.session(), "file").await;
        for round in 0..600_usize {
            let (offset, bytes) = (round % 50 * PAGE, 4 * PAGE + round % 7 * 150_000);
            let read = client.session().read(&file, offset as u64, bytes as u32).await;
            let (data, ends) = read.expect("a read");
            let end = offset + data.len();
            assert!(data.len() <= bytes && end <= MIB && !data.is_empty(), "{} at {offset}", data.len());
            assert!(!ends || end >= MIB / 2, "the file never ended at {end}");
            assert!(ends || end < MIB, "the file never went on at {end}");
            for (index, page) in data.chunks(PAGE).enumerate().filter(|(_, page)| page.len() >= 8) {
                let number = u64::from_be_bytes(page[..8].try_into().expect("eight bytes"));
                let place = (offset / PAGE + index) as u64;
                assert!(number == 0 || number == place, "page {number} stands where page {place} belongs");
            }
        }
        client.session().close(&file).await.expect("an end");
        client.destroy().await.expect("the client goes");
    });
    stop.store(true, Ordering::Relaxed);
    disturbing.join().expect("no panic");
}

#[test]
fn readers_who_hold_every_pipe_disturb_nobody() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("pipes");
    let data = scratch.directory("data");
    let content = pattern(MIB);
    std::fs::write(data.join("file"), &content).expect("a file");
    let server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    let address = server.address();
    ask(address, move |asking| async move {
        let holder = asking.client("holder").await;
        let session = holder.session();
        let file = open(session, "file").await;
        expect_right(session, &file, &content, 0, MIB).await;
        // Nobody takes these: more than all pipes of a core hold.
        let mut deaf: Vec<_> = (0..16).map(|_| RawConnection::new(address)).collect();
        for (number, connection) in deaf.iter_mut().enumerate() {
            // The session's own calls go over its first slot.
            for call in 1..8 {
                let slot = (number * 7 + call) as u32;
                connection.send(&record(&read_call(session.id(), slot, &file, MIB as u32)));
            }
        }
        let other = asking.client("other").await;
        let theirs = open(other.session(), "file").await;
        for round in 0..200 {
            let (offset, bytes) = (round % 10 * 5000, 4 * PAGE + round % 3 * 300_000);
            let read = expect_right(other.session(), &theirs, &content, offset, bytes);
            assert!(asking.within(Duration::from_secs(5), read).await.is_some(), "others are held up");
        }
        // Late, but whole.
        for connection in &mut deaf {
            for _ in 1..8 {
                let reply = connection.receive(Duration::from_secs(20)).expect("a reply");
                // SEQUENCE may have refused the slot; what was read stands at the end.
                if reply.len() >= MIB {
                    assert!(reply[reply.len() - MIB..] == content[..]);
                }
            }
        }
        other.session().close(&theirs).await.expect("an end");
        other.destroy().await.expect("the client goes");
    });
}
