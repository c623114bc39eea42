//! Sessions used to the full: all slots at once, several connections, callbacks to another core.

use std::time::Duration;

use client::{CallbackEvent, LockOutcome, OpenHow};
use testkit::asking::ask;
use testkit::behaved::BehavedClient;
use testkit::server::{Scratch, Server, ServerPlan, can_serve};
use wire::nfs4::{ChannelDirectionArgs, LockType, StableHow};

/// Slots of a session, as Linux asks for.
const SLOTS: u64 = 64;

/// Bytes that each slot writes and reads.
const PART_BYTES: usize = 256 * 1024;

/// Until when a callback must have come: it is sent at once.
const CALLBACK_MAX: Duration = Duration::from_secs(5);

fn server(name: &str) -> Server {
    let scratch = Scratch::new(name);
    let data = scratch.directory("data");
    Server::start(scratch, ServerPlan::exporting(&[&data]))
}

fn part(number: u64) -> Vec<u8> {
    (0..PART_BYTES as u64).map(|byte| (byte.wrapping_mul(number + 3) >> 3) as u8).collect()
}

#[test]
fn all_slots_at_once_over_four_connections_of_which_some_break() {
    if !can_serve() {
        return;
    }
    let server = server("slots");
    let mut behaved = BehavedClient::start(server.address(), "/");
    ask(server.address(), move |asking| async move {
        let client = asking.client("many").await;
        let session = client.session().clone();
        for _ in 0..3 {
            session.add_channel(ChannelDirectionArgs::Fore).await.expect("a further connection");
        }
        assert_eq!(session.granted().fore_channel.requests_max, SLOTS as u32);
        let root = session.lookup("/").await.expect("the root");
        let file = session.open(root, "parts", &OpenHow::create(0o644)).await.expect("a file");
        let mut tasks = Vec::new();
        for number in 0..SLOTS {
            let session = session.clone();
            tasks.push(asking.shard.spawn(async move {
                let (offset, bytes) = (number * PART_BYTES as u64, part(number));
                session.write(&file, offset, &bytes, StableHow::Unstable).await.expect("a write");
                session
                    .create_directory(root, &format!("directory-{number}"), 0o755)
                    .await
                    .expect("a directory");
                let (read, _) = session.read(&file, offset, PART_BYTES as u32).await.expect("a read");
                assert!(read[..] == bytes[..], "part {number} is as it was written");
            }));
        }
        // While they run, two of the connections go.
        for channel in &session.channels()[1..3] {
            asking.shard.sleep(Duration::from_millis(20)).await;
            channel.connection().close();
        }
        for task in tasks {
            task.await.expect("it is not aborted");
        }
        // Each was made exactly once, however often it was asked for.
        let entries = session.read_directory(root).await.expect("a listing");
        let made = entries.iter().filter(|entry| entry.name.starts_with(b"directory-")).count();
        assert_eq!(made as u64, SLOTS);
        session.commit(file.handle).await.expect("a commit");
    });
    behaved.work_on(1);
    behaved.finish();
}

#[test]
fn waiters_on_either_core_hear_of_a_lock_that_is_free() {
    if !can_serve() {
        return;
    }
    let server = server("notice");
    ask(server.address(), move |asking| async move {
        let mut clients = Vec::new();
        // Connections go to the core with the fewest: of four, two are on each.
        for number in 0..4 {
            clients.push(asking.client(&format!("client-{number}")).await);
        }
        let root = clients[0].session().lookup("/").await.expect("the root");
        for holder in 0..clients.len() {
            let name = format!("locked by {holder}");
            let mut files = Vec::new();
            for client in &clients {
                files.push(
                    client.session().open(root, &name, &OpenHow::create(0o666)).await.expect("an open"),
                );
            }
            let (session, file) = (clients[holder].session(), &files[holder]);
            let held = session.lock(file, "holder", LockType::Write, 0, 10).await.expect("a lock");
            let LockOutcome::Granted(held) = held else { panic!("nobody else has it: {held:?}") };
            for waiter in (0..clients.len()).filter(|waiter| *waiter != holder) {
                let (session, file) = (clients[waiter].session(), &files[waiter]);
                let asked =
                    session.lock(file, "waiter", LockType::WriteWait, 0, 10).await.expect("an answer");
                assert!(matches!(asked, LockOutcome::Denied { .. }), "{asked:?}");
            }
            session.unlock(file, held, 0, 10).await.expect("an unlock");
            // The first in the queue is told, takes it and gives it up, and so on.
            for waiter in (0..clients.len()).filter(|waiter| *waiter != holder) {
                let (client, file) = (&clients[waiter], &files[waiter]);
                let event = asking.within(CALLBACK_MAX, client.next_event()).await;
                let Some(CallbackEvent::LockAvailable { handle, .. }) = event else {
                    panic!("client {waiter} does not hear of client {holder}'s unlock: {event:?}");
                };
                assert_eq!(handle, file.handle);
                let taken = client.session().lock(file, "waiter", LockType::WriteWait, 0, 10).await;
                let Ok(LockOutcome::Granted(taken)) = taken else { panic!("it is free, yet {taken:?}") };
                client.session().unlock(file, taken, 0, 10).await.expect("an unlock");
            }
        }
    });
}
