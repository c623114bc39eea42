//! The client of NFSv3 against the real server.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use client::nfs3::{Client, Tree, encoded_arguments};
use client::pipeline::{Answer, Call, Next, Pipeline, Sending, Source};
use client::{ClientOptions, Error, Identity, Patience};
use wire::nfs3::{
    CreateHow, FileHandle, FileType, MkdirArgs, Procedure, ReadArgs, SetAttributes, StableHow, Status,
    Verifier, WriteArgs, access,
};
use wire::xdr::Payload;

use crate::served::{EXPORT, Faulty, Wire, with_client};

/// Runs a test with a server, a client of it, and the export's root.
fn with_nfs3<F>(
    options: ClientOptions,
    test: impl FnOnce(Wire, Rc<Faulty>, Client, FileHandle) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    with_client(|wire, server, client| async move {
        let address = client.session().channels()[0].connection().address();
        let client = Client::connect(&wire, address, options).await.expect("connected");
        let root = client.mount(&format!("/{EXPORT}")).await.expect("the export");
        test(wire, server, client, root).await;
    });
}

fn mode(mode: u32) -> SetAttributes {
    SetAttributes { mode: Some(mode), ..SetAttributes::default() }
}

/// The status that a task failed with.
fn failed<T: std::fmt::Debug>(outcome: client::Result<T>) -> Status {
    match outcome {
        Err(Error::Procedure { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_lead_through_exports_that_are_mounted_and_unmounted() {
    with_nfs3(ClientOptions::default(), |_, _, client, root| async move {
        let exports = client.exports().await.expect("a list");
        assert_eq!(exports.iter().map(|export| &export.directory[..]).collect::<Vec<_>>(), ["/export"]);
        client.unmount("/export").await.expect("forgotten");
        assert_eq!(client.mounts().await.expect("a list"), []);

        let below = client.create_directory(root, "a", 0o755).await.expect("made");
        let below = client.create_directory(below, "b", 0o755).await.expect("made");
        let tree = Tree::new(client.clone());
        assert_eq!(tree.lookup("export/a//b/").await.expect("found"), below);
        assert!(tree.read_max() >= 1 << 20 && tree.write_max() >= 1 << 20);
        let error = tree.lookup("/export/a/missing").await.expect_err("nothing there");
        assert_eq!(error.to_string(), "NFSPROC3_LOOKUP failed with NFS3ERR_NOENT");
        for path in ["/", "/a/b"] {
            let error = tree.lookup(path).await.expect_err("nothing is exported there").to_string();
            assert!(
                error.starts_with("MNT of /") && error.ends_with("the server exports /export"),
                "{error}"
            );
        }
        let mounts = client.mounts().await.expect("a list");
        assert_eq!(mounts.iter().map(|(_, directory)| &directory[..]).collect::<Vec<_>>(), ["/export"]);
        tree.end().await.expect("ended");
        assert_eq!(client.mounts().await.expect("a list"), []);
    });
}

#[test]
fn a_call_is_executed_once_though_its_connection_breaks() {
    with_nfs3(ClientOptions::default(), |_, server, client, root| async move {
        // Executed twice, each but one of them would fail.
        let lose = || server.lose(2);
        lose();
        let directory = client.create_directory(root, "directory", 0o755).await.expect("MKDIR");
        lose();
        let file = client.create(root, "file", CreateHow::Guarded(mode(0o644))).await.expect("CREATE");
        lose();
        let shared = Bytes::from_static(b"payload");
        client.write_bulk(file, 0, shared, StableHow::FileSync).await.expect("WRITE");
        assert_eq!(&client.read(file, 0, 100).await.expect("READ").0[..], b"payload");
        lose();
        client.create(root, "other", CreateHow::Exclusive(Verifier([1; 8]))).await.expect("CREATE");
        lose();
        client.link(file, directory, "hard").await.expect("LINK");
        lose();
        client.create_link(root, "soft", b"file").await.expect("SYMLINK");
        lose();
        client.rename(root, "file", directory, "moved").await.expect("RENAME");
        lose();
        client.remove(directory, "hard").await.expect("REMOVE");
        lose();
        client.remove(directory, "moved").await.expect("REMOVE");
        lose();
        client.remove_directory(root, "directory").await.expect("RMDIR");
        assert_eq!(server.losses(), 0);
        let mut names: Vec<_> = client
            .read_directory(root)
            .await
            .expect("a listing")
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        names.retain(|name| !name.starts_with(b"."));
        names.sort();
        assert_eq!(names, ["other", "soft"]);
    });
}

#[test]
fn jukebox_is_waited_for_by_those_who_have_patience() {
    with_nfs3(ClientOptions::default(), |wire, server, client, root| async move {
        server.delay(1);
        assert_eq!(failed(client.attributes(root).await), Status::Jukebox);
        let address = client.channel().expect("connected").connection().address();
        let patience = |time| {
            let options = ClientOptions::default();
            ClientOptions { patience: Some(Patience { time, tell: || panic!("no grace period") }), ..options }
        };
        let options = patience(Duration::from_secs(60));
        let patient = Client::connect(&wire, address, options).await.expect("connected");
        server.delay(3);
        patient.attributes(root).await.expect("told in the end");
        assert_eq!(server.delays(), 0);
        let options = patience(Duration::from_millis(50));
        let hasty = Client::connect(&wire, address, options).await.expect("connected");
        server.delay(u32::MAX);
        assert_eq!(failed(hasty.attributes(root).await), Status::Jukebox);
        server.delay(0);
    });
}

#[test]
fn data_goes_out_and_comes_back() {
    for annotations in [false, true] {
        let options = ClientOptions { annotations, ..ClientOptions::default() };
        with_nfs3(options, move |wire, _, client, root| async move {
            assert_eq!(client.channel().expect("connected").is_annotated(), annotations);
            let how = CreateHow::Unchecked(mode(0o640));
            let file = client.create(root, "file", how).await.expect("a file");
            let written = client.write(file, 3, b"abcde", StableHow::FileSync).await.expect("written");
            assert_eq!((written.count, written.committed), (5, StableHow::FileSync));
            let mut chain = wire.shard().pool().take(100_001, 0).expect("memory");
            chain.copy_from(0, &[7; 100_001]);
            let written = client.write_bulk(file, 8, chain, StableHow::Unstable).await.expect("written");
            assert_eq!(written.count, 100_001);
            assert_eq!(client.commit(file).await.expect("committed"), written.verifier);
            let (data, at_end) = client.read(file, 0, 10).await.expect("read");
            assert_eq!((&data[..], at_end), (&b"\0\0\0abcde\x07\x07"[..], false));
            let (data, at_end) = client.read(file, 8, 200_000).await.expect("read");
            assert_eq!((data, at_end), (Bytes::from(vec![7; 100_001]), true));
            let attributes = client.attributes(file).await.expect("told");
            let FileType::Regular = attributes.file_type else { panic!("{attributes:?}") };
            assert_eq!((attributes.size, attributes.mode), (100_009, 0o640));
            let set = SetAttributes { size: Some(4), ..mode(0o600) };
            let wcc = client.set_attributes(file, set).await.expect("set");
            assert_eq!(wcc.after.map(|after| (after.size, after.mode)), Some((4, 0o600)));
            let wanted = access::READ | access::EXECUTE;
            assert_eq!(client.access(file, wanted).await.expect("told") & access::READ, access::READ);
            let link = client.create_link(root, "link", b"some/where").await.expect("a link");
            assert_eq!(client.read_link(link).await.expect("its text"), b"some/where");
            assert!(client.file_system_info(root).await.expect("told").read_max > 0);
            assert!(client.file_system_status(root).await.expect("told").bytes_total > 0);
        });
    }
}

#[test]
fn files_are_made_in_three_ways_and_listed_over_many_replies() {
    with_nfs3(ClientOptions::default(), |_, _, client, root| async move {
        let exclusive = |byte| CreateHow::Exclusive(Verifier([byte; 8]));
        let file = client.create(root, "file", exclusive(1)).await.expect("made");
        assert_eq!(client.create(root, "file", exclusive(1)).await.expect("the same"), file);
        assert_eq!(failed(client.create(root, "file", exclusive(2)).await), Status::Exist);
        let unchecked = CreateHow::Unchecked(mode(0o644));
        assert_eq!(client.create(root, "file", unchecked).await.expect("the same"), file);
        assert_eq!(failed(client.create(root, "file", CreateHow::Guarded(mode(0o644))).await), Status::Exist);
        // What a failure tells is there for whoever wants it.
        let place = wire::nfs3::DirOpArgs { directory: root, name: "file".into() };
        let call = MkdirArgs { place, attributes: mode(0o755) };
        let reply = client.call(&call).await.expect("answered");
        let failure = reply.outcome().expect("well-formed").expect_err("it is there");
        assert!(failure.status == Status::Exist && failure.body.after.is_some(), "{failure:?}");

        let directory = client.create_directory(root, "many", 0o755).await.expect("made");
        let name = |number: u32| format!("{number:0>100}");
        for number in 0..1000 {
            client.create(directory, &name(number), unchecked).await.expect("made");
        }
        let mut entries = client.read_directory(directory).await.expect("a listing");
        entries.retain(|entry| !entry.name.starts_with(b"."));
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(entries.len(), 1000);
        for (entry, number) in entries.iter().zip(0..) {
            assert_eq!(entry.name, name(number));
            let handle = entry.handle.expect("our server tells it");
            let attributes = client.attributes(handle).await.expect("told");
            assert_eq!((entry.attributes, entry.file_id), (Some(attributes), attributes.file_id));
        }
    });
}

/// WRITE, READ and GETATTR of blocks that only their place knows, in turn; so many calls in all.
struct Blocks {
    calls: [(Procedure, Vec<u8>); 3],
    left: u32,
    turns: Vec<usize>,
    good: u32,
}

impl Blocks {
    const BYTES: u32 = 100_001;

    fn new(file: FileHandle, calls: u32, places: usize) -> Self {
        let (offset, count, stable) = (0, Self::BYTES, StableHow::Unstable);
        let data = Payload::Inline(0..count as usize);
        let calls_on_file = [
            encoded_arguments(&WriteArgs { file, offset, count, stable, data }),
            encoded_arguments(&ReadArgs { file, offset, count }),
            encoded_arguments(&wire::nfs3::GetAttrArgs { object: file }),
        ];
        Self { calls: calls_on_file, left: calls, turns: vec![0; places], good: 0 }
    }

    fn data(place: usize) -> Bytes {
        vec![place as u8 + 1; Self::BYTES as usize].into()
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
        let offset = place as u64 * u64::from(Self::BYTES);
        let turn = self.turns[place] % self.calls.len();
        let (procedure, arguments) = &self.calls[turn];
        call.procedure(*procedure, arguments);
        match turn {
            0 => {
                call.patch_u64(20, offset);
                call.payload(&Self::data(place));
            }
            1 => {
                call.patch_u64(12, offset);
                call.expects(Self::BYTES);
            }
            _ => {}
        }
        self.turns[place] += 1;
    }

    fn answered(&mut self, _place: usize, answer: Answer<'_>) {
        let Answer::Results(_) = answer else { panic!("{answer:?}") };
        self.good += 1;
    }
}

#[test]
fn a_pipeline_calls_procedures_over_several_connections() {
    with_nfs3(ClientOptions::default(), |wire, _, client, root| async move {
        let address = client.channel().expect("connected").connection().address();
        let file = client.create(root, "file", CreateHow::Unchecked(mode(0o644))).await.expect("a file");
        for (connections, single, fragment_bulk) in [(1, false, true), (2, true, false), (9, false, false)] {
            let mut pipeline = Pipeline::new(&wire, Sending { single, fragment_bulk });
            let identity = Identity::new(0, 0);
            pipeline.add_nfs3(&identity, address, 4, connections).await.expect("connected");
            let blocks = pipeline.run(Blocks::new(file, 240, 4)).await;
            assert_eq!(blocks.good, 240);
            for place in 0..4 {
                let offset = place as u64 * u64::from(Blocks::BYTES);
                let (data, _) = client.read(file, offset, Blocks::BYTES).await.expect("read");
                assert!(data == Blocks::data(place), "what place {place} wrote is there");
            }
        }
        // A call that fails is told by the name of its status: WRITE, then READ.
        let mut pipeline = Pipeline::new(&wire, Sending::default());
        pipeline.add_nfs3(&Identity::new(7, 7), address, 1, 1).await.expect("connected");
        client.set_attributes(file, mode(0o600)).await.expect("set");
        let denied = pipeline.run(Denied(Blocks::new(file, 2, 1), Vec::new())).await;
        assert_eq!(denied.1, ["NFS3ERR_ACCES"; 2]);
    });
}

/// The same by somebody who may not.
struct Denied(Blocks, Vec<&'static str>);

impl Source for Denied {
    fn next(&mut self, place: usize) -> Next {
        self.0.next(place)
    }

    fn write(&mut self, place: usize, call: &mut Call<'_>) {
        self.0.write(place, call);
    }

    fn answered(&mut self, _place: usize, answer: Answer<'_>) {
        let Answer::Failed(status) = answer else { panic!("{answer:?}") };
        self.1.push(status);
    }
}
