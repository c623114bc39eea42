//! Annotated calls (docs/ANNOTATIONS.md): they mean what they mean without, whatever the annotations say.

use bytes::{Bytes, BytesMut};
use nfs_ops::AnnotationCounts;
use rpc::{Call, Outcome, Payload};
use wire::nfs3;
use wire::nfs4::*;
use wire::rpc::{
    AUTH_ANNOT, Accepted, Annotations, AuthStatus, BulkArea, BulkAreas, CallHeader, Credential, Denied, Item,
    OpaqueAuth, PROBE_ANSWER, ReplyBody, ReplyHeader, TraceContext, annot_kind,
};
use wire::xdr::{Cut, Decoder, Encoder};

use crate::support::nfs3::{Nfs3, Write, at, with_mode, with_size};
use crate::support::*;

/// Compounds of the randomized comparison.
const ROUNDS: usize = 1500;

/// Names that the comparison uses, few enough that they often exist.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A small deterministic generator (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 32) % bound
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

fn trace() -> TraceContext<'static> {
    TraceContext { trace_id: [7; 16], span_id: [9; 8], flags: 1, process_id: 12, command: "cat".into() }
}

/// The same call with these annotations around its credential.
fn annotated(call: Call, annotations: &Annotations<'_>) -> Call {
    rewritten(call, |header, encoder| header.encode_annotated(annotations, encoder).unwrap())
}

/// The same call with this body of a wrapping credential.
fn wrapped(call: Call, body: &[u8]) -> Call {
    let credential = Credential::Other(OpaqueAuth { flavor: AUTH_ANNOT, body: body.into() });
    rewritten(call, |header, encoder| encoder.put(&CallHeader { credential, ..*header }).unwrap())
}

fn rewritten(call: Call, write: impl FnOnce(&CallHeader<'_>, &mut Encoder)) -> Call {
    let mut decoder = Decoder::new(&call.head);
    let header = CallHeader::decode(&mut decoder).unwrap();
    let arguments_at = decoder.position();
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 20);
    write(&header, &mut encoder);
    let mut head = encoder.finish().head;
    let header_len = head.len();
    head.extend_from_slice(&call.head[arguments_at..]);
    let moved = |payload: Payload| {
        let cut = Cut { position: payload.cut.position - arguments_at + header_len, ..payload.cut };
        Payload { cut, ..payload }
    };
    let payloads = call.payloads.into_iter().map(moved).collect();
    Call { head: head.freeze(), payloads, ..call }
}

fn bytes_of(outcome: Outcome) -> Vec<u8> {
    message(outcome).unwrap()
}

fn denied(message: &[u8]) -> Option<AuthStatus> {
    let header: ReplyHeader<'_> = Decoder::new(message).get().unwrap();
    match header.body {
        ReplyBody::Denied(Denied::Auth(status)) => Some(status),
        _ => None,
    }
}

/// Where the payloads of a call's WRITEs truly lie.
fn true_areas(call: &Call) -> BulkAreas {
    let area = |payload: &Payload| BulkArea {
        offset: payload.cut.position as u32,
        length: payload.cut.length as u32,
        alignment: 4096,
        phase: 0,
    };
    BulkAreas::new(&call.payloads.iter().map(area).collect::<Vec<_>>()).unwrap()
}

/// Areas, items and contexts that a peer might send for no good reason.
fn hostile_areas(random: &mut Random, truth: BulkAreas) -> BulkAreas {
    let mut areas = truth.as_slice().to_vec();
    let odd = |random: &mut Random| match random.below(4) {
        0 => random.next() as u32,
        1 => u32::MAX,
        2 => random.below(2000) as u32,
        _ => 0,
    };
    let area = BulkArea {
        offset: odd(random),
        length: odd(random),
        alignment: [0, 1, 4096, 3, 1 << 31][random.below(5) as usize],
        phase: odd(random),
    };
    match random.below(4) {
        // Overlapping, descending, too long by one, and anything.
        0 => areas.extend_from_within(..),
        1 => areas.insert(0, area),
        2 => areas.iter_mut().for_each(|area| area.length += 1),
        _ => areas.push(area),
    }
    areas.truncate(8);
    BulkAreas::new(&areas).unwrap()
}

/// A compound of the comparison: what it is follows from `random`, which is in the same state for both worlds.
fn compound(random: &mut Random, file: FileHandle, stateid: Stateid) -> Vec<Op> {
    let name = |random: &mut Random| NAMES[random.below(4) as usize];
    let all = [attribute::TYPE, attribute::SIZE, attribute::CHANGE, attribute::MODE, attribute::TIME_MODIFY];
    let dir = [putrootfh(), lookup(EXPORT)];
    let at = |operations: &[Op]| [&dir[..], operations].concat();
    let on = |operations: &[Op]| [&[putfh(file)][..], operations].concat();
    let offset = random.below(30_000);
    let length = random.below(9000) as usize;
    match random.below(12) {
        0 => at(&[mkdir(name(random)), getattr(&all)]),
        1 => at(&[remove(name(random))]),
        2 => at(&[savefh(), rename(name(random), name(random))]),
        3 => at(&[readdir(0, 2000, &all)]),
        4 => at(&[Open::named(name(random)).unchecked(&mode(0o644)), getfh(), close(Stateid::CURRENT)]),
        5 => at(&[lookup(name(random)), getattr(&all), access(0x3f)]),
        6 => on(&[read(stateid, offset, length as u32), getattr(&all)]),
        7 => on(&[write(stateid, offset, StableHow::Unstable, &random.bytes(length))]),
        8 => on(&[commit(0, 0), setattr(stateid, &size(offset))]),
        9 => on(&[seek(stateid, offset, DataContent::Hole)]),
        _ => {
            let cuts = (0..=random.below(3)).map(|index| {
                let data = random.bytes(1 + length);
                write_cut(stateid, offset + index, StableHow::FileSync, &data)
            });
            let cuts: Vec<_> = cuts.collect();
            [on(&cuts), vec![getattr(&all)]].concat()
        }
    }
}

/// One side of the comparison.
struct Side {
    client: Client,
    file: FileHandle,
    stateid: Stateid,
}

impl Side {
    fn new() -> (World, Self) {
        let world = World::new();
        let client = world.client("one");
        let (file, stateid) = client.open_new("file");
        (world, Side { client, file, stateid })
    }

    /// What is asked in this round, and then done.
    fn call(&self, random: &mut Random) -> Call {
        let operations = compound(random, self.file, self.stateid);
        let all = [&[self.client.sequence_on(1)][..], &operations].concat();
        self.client.connection().call(b"tag", 2, all.len() as u32, &all)
    }

    fn reply(&self, call: Call) -> Vec<u8> {
        bytes_of(self.client.connection().outcome(call))
    }
}

/// A call of NFSv3 for the comparison; some have the transaction id of an earlier one.
fn procedure(random: &mut Random, client: &Nfs3, root: nfs3::FileHandle, file: nfs3::FileHandle) -> Call {
    let name = |random: &mut Random| at(root, NAMES[random.below(4) as usize]);
    let verifier = nfs3::Verifier::default();
    let (offset, length) = (random.below(30_000), random.below(9000) as usize);
    let client = if random.below(3) > 0 { client.clone() } else { client.xid(random.below(9) as u32) };
    let head =
        |length| nfs3::WriteHead { file, offset, count: length as u32, stable: nfs3::StableHow::Unstable };
    let (_, call) = match random.below(12) {
        0 => client.call(&nfs3::MkdirArgs { place: name(random), attributes: with_mode(0o755) }),
        1 => client.call(&nfs3::RemoveArgs { object: name(random) }),
        2 => client.call(&nfs3::RenameArgs { from: name(random), to: name(random) }),
        3 => {
            let (cookie, directory_count, count_max) = (random.below(9), 500, random.below(3000) as u32);
            client.call(&nfs3::ReadDirPlusArgs {
                directory: root,
                cookie,
                verifier,
                directory_count,
                count_max,
            })
        }
        4 => {
            let how = nfs3::CreateHow::Unchecked(with_mode(0o644));
            client.call(&nfs3::CreateArgs { place: name(random), how })
        }
        5 => client.call(&nfs3::LookupArgs { what: name(random) }),
        6 => client.call(&nfs3::ReadArgs { file, offset, count: length as u32 }),
        7 => client.call(&Write { head: head(length), data: &random.bytes(length) }),
        8 => client.call(&nfs3::SetAttrArgs { object: file, attributes: with_size(offset), guard: None }),
        9 => client.call(&nfs3::CommitArgs { file, offset, count: 0 }),
        _ => client.write_cut_call(head(length + 1), &random.bytes(length + 1)),
    };
    call
}

/// Asks in a world of its own, and is answered there.
struct Asking {
    world: World,
    connection: Connection,
    call: Box<dyn Fn(&mut Random) -> Call>,
}

impl Asking {
    fn compounds() -> Self {
        let (world, side) = Side::new();
        let connection = side.client.connection().clone();
        Asking { world, connection, call: Box::new(move |random| side.call(random)) }
    }

    fn procedures() -> Self {
        let world = World::new();
        let client = world.connection().nfs3();
        let root = client.root();
        let file = client.make_file(root, "file", b"");
        let connection = client.connection().clone();
        Asking { world, connection, call: Box::new(move |random| procedure(random, &client, root, file)) }
    }

    fn reply(&self, call: Call) -> Vec<u8> {
        bytes_of(self.connection.outcome(call))
    }
}

#[test]
fn annotated_and_plain_calls_give_the_same_bytes() {
    give_the_same_bytes(&Asking::compounds(), &Asking::compounds());
    give_the_same_bytes(&Asking::procedures(), &Asking::procedures());
}

fn give_the_same_bytes(plain: &Asking, other: &Asking) {
    let (mut asked, mut answered) = (Random(0x1234_5678), Random(0x1234_5678));
    let mut choice = Random(0x8765_4321);
    let now = || other.world.server().annotations.snapshot();
    let mut right = 0;
    for round in 0..ROUNDS {
        let expected = plain.reply((plain.call)(&mut asked));
        let call = (other.call)(&mut answered);
        let truth = true_areas(&call);
        let trace = (choice.below(2) == 0).then(trace);
        let later = Item { kind: 3 + choice.next() as u32 % 1000, body: &choice.bytes(20) };
        let broken = [
            Item { kind: annot_kind::BULK, body: &choice.bytes(16) },
            Item { kind: annot_kind::TRACE, body: &choice.bytes(8) },
            later,
        ];
        let hostile = hostile_areas(&mut choice, truth);
        let kind = choice.below(3);
        let annotations = match kind {
            // Areas count from the first byte of the message, wrapper included.
            0 => Annotations { bulk: shifted(&call, truth, trace), trace, further: &[] },
            1 => Annotations { bulk: hostile, trace, further: &broken[2..] },
            _ => Annotations { bulk: BulkAreas::default(), trace, further: &broken },
        };
        right += if kind == 0 { truth.as_slice().len() as u64 } else { 0 };
        let before = now();
        let reply = other.reply(annotated(call, &annotations));
        assert_eq!(reply, expected, "round {round} with {annotations:?}");
        assert!(kind != 0 || now().items_unusable == before.items_unusable, "round {round}");
    }
    let counts = now();
    assert!(right > 50 && counts.areas_right >= right / 2, "{counts:?} of {right}");
    assert!(counts.areas_wrong > 10 && counts.items_unusable > 100, "{counts:?}");
}

/// Areas moved by what the annotations make the header longer: those of a call that will be annotated with them.
fn shifted(call: &Call, areas: BulkAreas, trace: Option<TraceContext<'_>>) -> BulkAreas {
    let length = |annotations: &Annotations<'_>| {
        let mut decoder = Decoder::new(&call.head);
        let header = CallHeader::decode(&mut decoder).unwrap();
        let mut encoder = Encoder::new(BytesMut::new(), 4096);
        header.encode_annotated(annotations, &mut encoder).unwrap();
        encoder.written()
    };
    let plain = length(&Annotations::default());
    let more = length(&Annotations { bulk: areas, trace, further: &[] }) - plain;
    let moved = areas.as_slice().iter().map(|area| BulkArea { offset: area.offset + more as u32, ..*area });
    BulkAreas::new(&moved.collect::<Vec<_>>()).unwrap()
}

#[test]
fn areas_are_held_against_the_payloads() {
    let (world, side) = Side::new();
    let ask = |areas: &dyn Fn(&Call) -> BulkAreas, operations: &[Op]| {
        let before = world.server().annotations.snapshot();
        let all = [&[side.client.sequence_on(1), putfh(side.file)][..], operations].concat();
        let call = side.client.connection().call(b"", 2, all.len() as u32, &all);
        let bulk = shifted(&call, areas(&call), None);
        let reply = side.reply(annotated(call, &Annotations { bulk, ..Annotations::default() }));
        let after = world.server().annotations.snapshot();
        assert_eq!(after.calls, before.calls + 1);
        (
            after.areas_right - before.areas_right,
            after.areas_wrong - before.areas_wrong,
            after.items_unusable - before.items_unusable,
            reply,
        )
    };
    let write = |offset, length| write_cut(side.stateid, offset, StableHow::Unstable, &vec![1; length]);
    let inline = super::support::write(side.stateid, 0, StableHow::Unstable, &[2; 77]);
    let truth = |call: &Call| true_areas(call);
    let first = |call: &Call| BulkAreas::new(&true_areas(call).as_slice()[..1]).unwrap();
    let short = |call: &Call| {
        let area = true_areas(call).as_slice()[0];
        BulkAreas::new(&[BulkArea { length: area.length - 1, ..area }]).unwrap()
    };
    let beyond = |call: &Call| {
        let area = true_areas(call).as_slice()[0];
        BulkAreas::new(&[BulkArea { length: 1 << 30, ..area }]).unwrap()
    };
    for (areas, operations, expected) in [
        (&truth as &dyn Fn(&Call) -> BulkAreas, vec![write(0, 4096), write(9, 5)], (2, 0, 0)),
        (&first, vec![write(0, 4096), inline.clone(), write(9, 5)], (1, 0, 0)),
        (&short, vec![write(0, 4096)], (0, 1, 0)),
        (&beyond, vec![write(0, 4096)], (0, 0, 1)),
        // What is not reached is not there.
        (&truth, vec![lookup("x"), write(0, 4096)], (0, 1, 0)),
    ] {
        let (right, wrong, unusable, reply) = ask(areas, &operations);
        assert_eq!((right, wrong, unusable), expected);
        assert_eq!(denied(&reply), None);
    }
}

#[test]
fn areas_of_nfsv3_are_held_against_the_payload() {
    let world = World::new();
    let client = world.connection().nfs3();
    let root = client.root();
    let file = client.make_file(root, "file", b"");
    let ask = |call: Call, length: i64| {
        let before = world.server().annotations.snapshot();
        let areas = true_areas(&call).as_slice().to_vec();
        let told = areas.iter().map(|area| BulkArea {
            length: u32::try_from(i64::from(area.length) + length).unwrap(),
            ..*area
        });
        let bulk = shifted(&call, BulkAreas::new(&told.collect::<Vec<_>>()).unwrap(), None);
        let reply = bytes_of(
            client.connection().outcome(annotated(call, &Annotations { bulk, ..Annotations::default() })),
        );
        assert_eq!(denied(&reply), None);
        let after = world.server().annotations.snapshot();
        assert_eq!(after.calls, before.calls + 1);
        (
            after.areas_right - before.areas_right,
            after.areas_wrong - before.areas_wrong,
            after.items_unusable - before.items_unusable,
        )
    };
    let write = |file| {
        let head = nfs3::WriteHead { file, offset: 0, count: 4095, stable: nfs3::StableHow::Unstable };
        client.write_cut_call(head, &[1; 4095]).1
    };
    assert_eq!(ask(write(file), 0), (1, 0, 0));
    assert_eq!(ask(write(file), -1), (0, 1, 0));
    assert_eq!(ask(write(file), 1), (0, 1, 0), "the pad is no payload");
    assert_eq!(ask(write(file), 1 << 20), (0, 0, 1));
    assert_eq!(client.getattr(file).ok().size, 4095);
    // What the call is otherwise worth is another question.
    assert_eq!(ask(write(root), 0), (1, 0, 0));
    assert_eq!(world.env().pool().bytes_taken(), 0, "payload memory went back");
}

#[test]
fn the_probe_is_answered_and_nothing_else_with_an_empty_wrapper() {
    let world = World::new();
    let connection = world.connection();
    let probe = |program, version, procedure| {
        let credential = Credential::Other(OpaqueAuth { flavor: AUTH_ANNOT, body: b""[..].into() });
        let header =
            CallHeader { xid: 7, program, version, procedure, credential, verifier: OpaqueAuth::NONE };
        let call = connection.call(b"", 2, 0, &[]);
        let call = rewritten(call, |_, encoder| encoder.put(&header).unwrap());
        bytes_of(connection.outcome(call))
    };
    let body = |message: &[u8]| {
        let header: ReplyHeader<'_> = Decoder::new(message).get().unwrap();
        match header.body {
            ReplyBody::Accepted { verifier, status } => (verifier.flavor, verifier.body.to_vec(), status),
            ReplyBody::Denied(denied) => panic!("{denied:?}"),
        }
    };
    let answer = PROBE_ANSWER.to_vec();
    assert_eq!(body(&probe(PROGRAM, VERSION, PROCEDURE_NULL)), (0, answer.clone(), Accepted::Success));
    assert_eq!(body(&probe(PROGRAM + 1, VERSION, PROCEDURE_NULL)).2, Accepted::ProgUnavail);
    assert_eq!(denied(&probe(PROGRAM, VERSION, PROCEDURE_COMPOUND)), Some(AuthStatus::BadCred));
    // In a wrapper that wraps something NULL is only NULL.
    let none = [0; 12];
    let null = connection.call(b"", 2, 0, &[]);
    let call = wrapped(null, &none);
    let mut head = BytesMut::from(&call.head[..]);
    head[20..24].fill(0);
    let message = bytes_of(connection.outcome(Call { head: head.freeze(), ..call }));
    assert_eq!(body(&message), (0, Vec::new(), Accepted::Success));
}

#[test]
fn a_wrapper_that_is_none_is_denied_and_changes_nothing() {
    let (world, side) = Side::new();
    let mut random = Random(99);
    let good = Annotations { trace: Some(trace()), ..Annotations::default() };
    let call = side.call(&mut Random(5));
    let mut encoder = Encoder::new(BytesMut::new(), 4096);
    let sys = CallHeader::decode(&mut Decoder::new(&call.head)).unwrap().credential;
    good.wrap(&sys, &mut encoder).unwrap();
    let body = encoder.finish().head[8..].to_vec();
    let nested = [&AUTH_ANNOT.to_be_bytes()[..], &(body.len() as u32).to_be_bytes(), &body, &[0; 4]].concat();
    let mut bodies = vec![nested, [&body[..], &[0; 4]].concat(), vec![0xff; 400]];
    bodies.extend((4..body.len()).step_by(4).map(|end| body[..end].to_vec()));
    let before = side.client.contents(side.file);
    for body in &bodies {
        let call = wrapped(side.client.connection().call(b"", 2, 0, &[]), body);
        assert_eq!(denied(&side.reply(call)), Some(AuthStatus::BadCred), "{}", body.escape_ascii());
    }
    // Whatever a wrapper's bytes become, there is an answer or an end, and the next call is served.
    for _ in 0..2000 {
        let mut changed = body.clone();
        let at = random.below(changed.len() as u64) as usize;
        changed[at] ^= 1 << random.below(8);
        let all = [side.client.sequence_on(2), putfh(side.file), getfh()];
        let call = wrapped(side.client.connection().call(b"", 2, 3, &all), &changed);
        let _ = side.client.connection().outcome(call);
        side.client.resynchronise(2);
    }
    assert_eq!(side.client.contents(side.file), before);
    assert_eq!(world.server().annotations.snapshot().areas_right, 0);
}

#[test]
fn who_calls_does_not_depend_on_the_wrapper() {
    let world = World::new();
    let connection = world.client("same").connection().clone();
    let with_trace = Annotations { trace: Some(trace()), ..Annotations::default() };
    let exchange = |connection: &Connection, annotations: Option<&Annotations<'_>>| {
        let call = connection.call(b"", 1, 1, &[exchange_id("same", 1, 0)]);
        let call = match annotations {
            Some(annotations) => annotated(call, annotations),
            None => call,
        };
        let reply = Reply::read(&bytes_of(connection.outcome(call))).unwrap().ok();
        let result: ExchangeIdResult<'_> = reply.body(Operation::ExchangeId);
        result.client_id
    };
    let plain = exchange(&connection, None);
    assert_eq!(exchange(&connection, Some(&with_trace)), plain);
    // A retry may be wrapped where the request was not.
    let client = world.client("retrying").cache_this(true);
    let operations = [client.sequence_on(0), putrootfh(), lookup(EXPORT), mkdir("once")];
    let first = bytes_of(client.connection().outcome(client.connection().call(b"", 2, 4, &operations)));
    let again = [client.sequence_again(0), putrootfh(), lookup(EXPORT), mkdir("once")];
    let call = annotated(client.connection().call(b"", 2, 4, &again), &with_trace);
    assert_eq!(bytes_of(client.connection().outcome(call)), first);
}

#[test]
fn switched_off_the_flavor_is_one_that_is_not_served() {
    let world = World::without_annotations();
    let connection = world.connection();
    let call = || connection.call(b"", 1, 1, &[exchange_id("one", 1, 0)]);
    let with_trace = Annotations { trace: Some(trace()), ..Annotations::default() };
    let reply = bytes_of(connection.outcome(annotated(call(), &with_trace)));
    assert_eq!(denied(&reply), Some(AuthStatus::BadCred));
    let mut probe = BytesMut::from(&wrapped(call(), b"").head[..]);
    probe[20..24].fill(0);
    let reply = bytes_of(connection.outcome(Call { head: probe.freeze(), ..call() }));
    assert_eq!(denied(&reply), Some(AuthStatus::BadCred));
    let plain = Bytes::from(bytes_of(connection.outcome(call())));
    assert_eq!(denied(&plain), None);
    assert_eq!(world.server().annotations.snapshot(), AnnotationCounts::default());
}
