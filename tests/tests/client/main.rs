//! The client library against the real server, over connections that break.

mod nfs3;
mod served;

use bytes::{Bytes, BytesMut};
use client::pipeline::{Answer, Call, Next, Pipeline, Sending, Source};
use client::{CallbackEvent, Client, Compound, OpenHow};
use transport::Message;
use wire::nfs4::{
    CALLBACK_PROCEDURE_COMPOUND, CALLBACK_VERSION, CallbackArguments, CallbackCompoundArgs,
    CallbackNotifyLockArgs, CallbackOperation, CallbackRecallSlotArgs, CallbackSequenceArgs,
    ChannelDirectionArgs, FileHandle, FileType, GetFhResult, SequenceId, SlotId, StableHow, StateOwner,
    Status,
};
use wire::rpc::{CallHeader, Credential, OpaqueAuth};
use wire::xdr::{Encoder, List};

use crate::served::{EXPORT, with_client};

async fn root(client: &Client) -> FileHandle {
    client.session().lookup(EXPORT).await.expect("the export")
}

#[test]
fn results_are_read_in_order() {
    with_client(|_, _, client| async move {
        let expected = root(&client).await;
        let reply = client.session().call(Compound::new().put_root().lookup(EXPORT).get_handle()).await;
        let reply = reply.expect("answered");
        reply.skip(2).expect("PUTROOTFH and LOOKUP");
        assert_eq!(reply.next::<GetFhResult>().expect("GETFH").object, expected);
        let error = client.session().lookup("export/missing").await.expect_err("there is nothing");
        assert_eq!(error.status(), Some(Status::Noent));
    });
}

#[test]
fn a_request_is_executed_once_though_its_connection_breaks() {
    with_client(|_, server, client| async move {
        let root = root(&client).await;
        server.lose(3);
        // Executed twice, it would say that the name is there.
        client.session().create_directory(root, "made", 0o755).await.expect("made in the end");
        assert_eq!(server.losses(), 0);
        client.session().create_directory(root, "next", 0o755).await.expect("the slot goes on");
        assert_eq!(client.session().list(root).await.expect("a listing").len(), 2);
    });
}

#[test]
fn what_may_be_executed_twice_comes_again_when_its_reply_was_not_kept() {
    with_client(|_, server, client| async move {
        let root = root(&client).await;
        let session = client.session();
        let file = session.open(root, "file", &OpenHow::create(0o644)).await.expect("a file");
        for losses in 1..4 {
            server.lose(losses);
            let written = session.write(&file, 0, b"payload", StableHow::Unstable).await.expect("written");
            assert_eq!(written.count, 7);
            server.lose(losses);
            let shared = Bytes::from_static(b"payload");
            let written = session.write_bulk(&file, 0, shared, StableHow::Unstable).await.expect("written");
            assert_eq!((written.count, server.losses()), (7, 0), "sent from where it lies, and again");
            server.lose(losses);
            let (data, at_end) = session.read(&file, 0, 100).await.expect("read");
            assert_eq!((&data[..], at_end), (&b"payload"[..], true));
        }
        // What would not be the same the second time is the caller's to decide.
        server.lose(1);
        let compound = Compound::new().put_handle(root).remove("file");
        let reply = session.call(compound).await.expect("SEQUENCE itself succeeds");
        assert_eq!(reply.status(), Status::RetryUncachedRep);
        assert_eq!(session.lookup("export/file").await.expect_err("removed").status(), Some(Status::Noent));
    });
}

#[test]
fn a_delayed_request_comes_again() {
    with_client(|_, server, client| async move {
        let root = root(&client).await;
        server.delay(3);
        client.session().create_directory(root, "made", 0o755).await.expect("made in the end");
        assert_eq!(server.delays(), 0);
    });
}

#[test]
fn slots_are_shared_by_many_requests_over_several_connections() {
    with_client(|wire, _, client| async move {
        let root = root(&client).await;
        let session = client.session();
        for _ in 0..3 {
            session.add_channel(ChannelDirectionArgs::Fore).await.expect("a further connection");
        }
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let session = session.clone();
                wire.shard()
                    .spawn(async move { session.create_directory(root, &format!("d{number}"), 0o755).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("made");
        }
        assert_eq!(session.list(root).await.expect("a listing").len(), 100);
    });
}

#[test]
fn details_and_links_are_told() {
    with_client(|_, _, client| async move {
        let root = root(&client).await;
        let session = client.session();
        let file = session.open(root, "file", &OpenHow::create(0o640)).await.expect("a file");
        session.write(&file, 4096, b"x", StableHow::FileSync).await.expect("written");
        let details = session.details(file.handle).await.expect("details");
        assert_eq!((details.file_type, details.size, details.mode), (FileType::Regular, 4097, 0o640));
        let link = wire::nfs4::CreateType::SymbolicLink(b"file"[..].into());
        let link = session.create(root, "link", link, 0o777).await.expect("a link");
        assert_eq!(session.read_link(link).await.expect("its text"), b"file");
        let mut names: Vec<_> =
            session.list(root).await.expect("a listing").into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, [b"file".to_vec(), b"link".to_vec()]);
        let again = session.open_handle(file.handle, wire::nfs4::share_access::READ).await.expect("opened");
        assert_eq!(session.read(&again, 4096, 10).await.expect("read").0, b"x"[..]);
    });
}

/// GETATTR, and WRITE and READ of blocks that only their place knows, in turn; so many calls in all.
struct Blocks {
    file: client::OpenFile,
    left: u32,
    turns: Vec<u32>,
    good: u32,
    lost: u32,
}

impl Blocks {
    const BYTES: usize = 100_000;

    fn data(place: usize) -> Bytes {
        (0..Self::BYTES).map(|at| ((at * (2 * place + 1)) >> 3) as u8).collect::<Vec<u8>>().into()
    }
}

impl Source for Blocks {
    fn next(&mut self, _place: usize) -> Next {
        if self.left == 0 {
            return Next::Ended;
        }
        self.left -= 1;
        Next::Call
    }

    fn write(&mut self, place: usize, call: &mut Call<'_>) {
        let offset = (place * Self::BYTES) as u64;
        let compound = Compound::new().put_handle(self.file.handle);
        let turn = self.turns[place] % 3;
        let compound = match turn {
            0 => compound.write_announced(self.file.stateid, 0, StableHow::Unstable, Self::BYTES as u32),
            1 => compound.read(self.file.stateid, 0, Self::BYTES as u32),
            _ => compound.get_attributes(client::Details::NUMBERS),
        };
        let (operations, count) = compound.encoded_operations();
        call.operations(operations, count);
        match turn {
            0 => {
                call.patch_u64(16, offset);
                call.payload(&Self::data(place));
                let commit = Compound::new().commit(0, 0);
                let (operations, count) = commit.encoded_operations();
                call.operations(operations, count);
            }
            1 => {
                call.patch_u64(12, offset);
                call.expects(Self::BYTES as u32);
            }
            _ => {}
        }
        self.turns[place] += 1;
    }

    fn answered(&mut self, _place: usize, answer: Answer<'_>) {
        match answer {
            Answer::Results(_) => self.good += 1,
            Answer::Lost => self.lost += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_pipeline_moves_large_and_small_over_several_connections() {
    with_client(|wire, _, client| async move {
        let root = root(&client).await;
        let session = client.session();
        let file = session.open(root, "file", &OpenHow::create(0o644)).await.expect("a file");
        let address = session.channels()[0].connection().address();
        for (connections, single, fragment_bulk) in [(1, false, true), (2, true, false), (9, false, false)] {
            let mut pipeline = Pipeline::new(&wire, Sending { single, fragment_bulk });
            pipeline.add_session(session, address, 4, connections).await.expect("connected");
            let source = Blocks { file, left: 240, turns: vec![0; 4], good: 0, lost: 0 };
            let source = pipeline.run(source).await;
            assert_eq!((source.good, source.lost), (240, 0), "{connections} connections");
            // The slots go on with the session where the pipeline left them.
            for place in 0..4 {
                let (data, _) = session
                    .read(&file, (place * Blocks::BYTES) as u64, Blocks::BYTES as u32)
                    .await
                    .expect("read");
                assert!(data == Blocks::data(place), "what place {place} wrote");
            }
        }
    });
}

#[test]
fn a_pipeline_ends_when_its_connections_do() {
    with_client(|wire, server, client| async move {
        let root = root(&client).await;
        let session = client.session();
        let file = session.open(root, "file", &OpenHow::create(0o644)).await.expect("a file");
        let address = session.channels()[0].connection().address();
        let mut pipeline = Pipeline::new(&wire, Sending::default());
        pipeline.add_session(session, address, 4, 2).await.expect("connected");
        server.lose(2);
        let source = Blocks { file, left: 1_000_000, turns: vec![0; 4], good: 0, lost: 0 };
        let source = pipeline.run(source).await;
        assert!((2..=4).contains(&source.lost), "{} calls were on the connections", source.lost);
        // The slots whose outcome is in doubt are not used again; the others are.
        session.details(file.handle).await.expect("the session goes on");
    });
}

/// CB_COMPOUND { CB_SEQUENCE, ... }.
fn callback(client: &Client, sequence: u32, operations: &[CallbackArguments<'_>]) -> Message {
    let mut encoder = Encoder::new(BytesMut::new(), 65_536);
    let header = CallHeader {
        xid: 0,
        program: 0x4000_0000,
        version: CALLBACK_VERSION,
        procedure: CALLBACK_PROCEDURE_COMPOUND,
        credential: Credential::None,
        verifier: OpaqueAuth::NONE,
    };
    encoder.put(&header).expect("room");
    let count = operations.len() as u32 + 1;
    let frame =
        CallbackCompoundArgs { tag: "".into(), minor_version: 2, callback_ident: 0, operations: count };
    encoder.put(&frame).expect("room");
    let sequence = CallbackSequenceArgs {
        session_id: client.session().id(),
        sequence_id: SequenceId(sequence),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        cache_this: true,
        referring_calls: List::default(),
    };
    encoder.put(&CallbackArguments::from(sequence)).expect("room");
    operations.iter().for_each(|operation| encoder.put(operation).expect("room"));
    Message::new(encoder.finish().head)
}

#[test]
fn callbacks_are_answered_and_delivered_once() {
    with_client(|wire, server, client| async move {
        let handle = root(&client).await;
        let connection = server.connection();
        let owner = StateOwner { client_id: client.id(), owner: "owner".into() };
        let notify = CallbackNotifyLockArgs { handle, lock_owner: owner };
        let recall = CallbackRecallSlotArgs { target_highest_slot_id: SlotId(2) };
        let illegal = CallbackArguments::Unserved(CallbackOperation::Illegal);
        let operations = [notify.into(), recall.into(), illegal];
        // The second is a retry: it is answered alike, but nothing happens again.
        let mut answers = Vec::new();
        for _ in 0..2 {
            let answer = wire.call_back(connection, callback(&client, 1, &operations)).await;
            answers.push(answer.expect("answered").slice(4..));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].slice(20..24)[..], Status::OpIllegal.number().to_be_bytes());
        let notified = CallbackEvent::LockAvailable { handle, owner: Bytes::from_static(b"owner") };
        assert_eq!(client.next_event().await, notified);
        let session_id = client.session().id();
        let recalled = CallbackEvent::SlotsRecalled { session_id, target: SlotId(2) };
        assert_eq!(client.next_event().await, recalled);
        assert_eq!(client.callbacks().try_next_event(), None);
        assert_eq!(client.session().target_slot(), 2);
        let misordered = wire.call_back(connection, callback(&client, 7, &[])).await;
        assert_eq!(misordered.expect("answered")[24..28], Status::SeqMisordered.number().to_be_bytes());
    });
}
