//! Calls that were well-formed once: whatever a byte is changed to, the server stays up and answers in form.

use std::cell::Cell;

use bytes::Bytes;
use nfs_ops::Backchannel;
use rpc::{Call, Outcome};
use wire::nfs4::*;
use wire::rpc::{Accepted, ReplyBody, ReplyHeader};
use wire::xdr::{Decoder, Error};
use wire::{mount3, nfs3};

use crate::support::nfs3::{Nfs3, Raw, at, check_mount_results, check_results, every_call, with_size};
use crate::support::*;

/// Rounds of the test; each changes every compound once.
const ROUNDS: usize = 400;

/// Compounds that reach every operation.
fn compounds(client: &Client, file: FileHandle, stateid: Stateid) -> Vec<Vec<Op>> {
    let dir = [putrootfh(), lookup(EXPORT)];
    let at = |operations: &[Op]| [&dir[..], operations].concat();
    let on = |operations: &[Op]| [&[putfh(file), savefh(), putfh(file)][..], operations].concat();
    let all = [attribute::TYPE, attribute::MODE, attribute::OWNER, attribute::SUPPORTED_ATTRS];
    vec![
        at(&[
            Open::named("b").unchecked(&mode(0o600)),
            read(Stateid::CURRENT, 0, 9),
            close(Stateid::CURRENT),
        ]),
        at(&[Open::named("c").exclusive(1, Some(&mode(0o600))), getfh(), downgrade(Stateid::CURRENT, 1, 0)]),
        at(&[mkdir("d"), getattr(&all), lookupp(), readdir(0, 500, &all), remove("d")]),
        at(&[
            create(CreateType::SymbolicLink("x".into()), "l", &mode(0o777)),
            readlink(),
            lookupp(),
            remove("l"),
        ]),
        at(&[savefh(), rename("b", "e"), restorefh(), access(0x3f), verify(&mode(0o755)), nverify(&mode(0))]),
        on(&[
            write(stateid, 3, StableHow::Unstable, b"hello"),
            commit(0, 0),
            read(stateid, 0, 100),
            getattr(&all),
        ]),
        on(&[
            setattr(stateid, &size(77)),
            lock(stateid, "me", LockType::WriteWait, 0, 9),
            lockt("x", LockType::Read, 0, 9),
        ]),
        on(&[allocate(stateid, 0, 9), deallocate(stateid, 0, 9), seek(stateid, 0, DataContent::Data)]),
        on(&[copy((stateid, 0), (stateid, 50), 5, false), clone_range((stateid, 0), (stateid, 4096), 0)]),
        on(&[
            setxattr(SetXattrOption::Either, "x", b"1"),
            getxattr("x"),
            listxattrs(0, 99),
            removexattr("x"),
        ]),
        on(&[test_stateids(&[stateid]), free_stateid(Stateid::ANONYMOUS)]),
        vec![exchange_id("other", 1, 0)],
        vec![create_session(client.client_id(), SequenceId(9), CHANNEL, 0)],
        vec![op(BackchannelCtlArgs { callback_program: 1, callback_security: wire::xdr::List(vec![]) })],
    ]
}

#[test]
fn changed_calls_are_answered_in_form() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let random = Cell::new(0x1234_5678_9abc_def1);
    let mut answered = 0;
    for _ in 0..ROUNDS {
        for operations in compounds(&client, file, stateid) {
            let all = [&[client.sequence_on(1)][..], &operations].concat();
            let call = client.connection().call(b"tag", 2, all.len() as u32, &all);
            let bytes = change(&call, &random);
            let changed = Call { head: Bytes::copy_from_slice(&bytes), ..call };
            answered += usize::from(check(client.connection().outcome(changed), &bytes));
            client.resynchronise(1);
        }
    }
    assert!(answered > 1000, "only {answered} calls reached an operation");
    assert_eq!(world.env().pool().bytes_taken(), 0, "payload memory went back");
    let fresh = world.client("fresh");
    fresh.at_export(&[readdir(0, 4096, &[])]).ok();
}

/// Calls that reach every procedure of NFSv3 and MOUNT.
fn procedures(client: &Nfs3, root: nfs3::FileHandle, file: nfs3::FileHandle) -> Vec<Call> {
    let connection = client.connection();
    let transaction = || connection.world().env().next_transaction();
    let guard = Some(nfs3::NfsTime { seconds: 1_000_000_000, nanoseconds: 0 });
    let exclusive = nfs3::CreateHow::Exclusive(nfs3::Verifier([1; 8]));
    let head = nfs3::WriteHead { file, offset: 3, count: 5, stable: nfs3::StableHow::FileSync };
    let mut calls = vec![
        client.call(&nfs3::SetAttrArgs { object: file, attributes: with_size(77), guard }).1,
        client.call(&nfs3::CreateArgs { place: at(root, "own"), how: exclusive }).1,
        client.call(&nfs3::RemoveArgs { object: at(root, "own") }).1,
        client.write_cut_call(head, b"hello").1,
    ];
    let every = every_call(root, file).into_iter();
    calls.extend(every.map(|(procedure, arguments)| {
        let target = (nfs3::PROGRAM, nfs3::VERSION, procedure.number());
        connection.raw_call(transaction(), target, &Raw(arguments))
    }));
    let path = [&[0, 0, 0, 7][..], b"/export\0"].concat();
    let mount = [(1, &path[..]), (2, b""), (3, &path[..]), (4, b""), (5, b"")];
    calls.extend(mount.map(|(procedure, arguments)| {
        let target = (mount3::PROGRAM, mount3::VERSION, procedure);
        connection.raw_call(transaction(), target, &Raw(arguments.to_vec()))
    }));
    calls
}

#[test]
fn changed_calls_of_nfsv3_and_mount_are_answered_in_form() {
    let world = World::new();
    let client = world.connection().nfs3();
    let root = client.root();
    let file = client.make_file(root, "file", b"data");
    let random = Cell::new(0x1234_5678_9abc_def1);
    let mut answered = 0;
    for _ in 0..ROUNDS {
        for call in procedures(&client, root, file) {
            let bytes = change(&call, &random);
            let mut changed = Call { head: Bytes::copy_from_slice(&bytes), ..call };
            if changed.payloads.is_empty() && next_random(&random).is_multiple_of(8) {
                // As if the transport had found a payload there.
                let position = (next_random(&random) % bytes.len() as u64) as usize / 4 * 4;
                changed.payloads.push(client.connection().payload(position, &[7; 20]));
            }
            answered += usize::from(check(client.connection().outcome(changed), &bytes));
        }
    }
    assert!(answered > 4000, "only {answered} calls reached a procedure");
    assert_eq!(world.env().pool().bytes_taken(), 0, "payload memory went back");
    world.connection().nfs3().make_file(root, "fresh", b"data");
}

/// The call with a few bytes changed, cut off or added.
fn change(call: &Call, random: &Cell<u64>) -> Vec<u8> {
    let mut bytes = call.head.to_vec();
    for _ in 0..=next_random(random) % 3 {
        let at = (next_random(random) % bytes.len() as u64) as usize;
        match next_random(random) % 8 {
            0 => bytes.truncate(at.max(4)),
            1 => bytes[at] = 0xff,
            2 => bytes[at] = 0,
            3 => bytes.extend_from_slice(&[next_random(random) as u8; 4]),
            4 => bytes[at] ^= 1 << (next_random(random) % 8),
            _ => {
                let word = [0, 1, 2, 3, 4, 0x7fff_ffff, u32::MAX, 77][(next_random(random) % 8) as usize];
                let at = at / 4 * 4;
                if at + 4 <= bytes.len() {
                    bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
                }
            }
        }
    }
    bytes
}

/// Whether a compound or a procedure was answered; panics when that answer is malformed.
fn check(outcome: Outcome, call: &[u8]) -> bool {
    if matches!(outcome, Outcome::Disconnect) {
        return false;
    }
    let reply = message(outcome).unwrap();
    in_form(&reply, call).unwrap_or_else(|error| {
        panic!("{error}\nin {}\nanswers {}", reply.escape_ascii(), call.escape_ascii())
    })
}

fn in_form(reply: &[u8], call: &[u8]) -> Result<bool, String> {
    let explain = |error: Error| error.to_string();
    let mut decoder = Decoder::new(reply);
    let header: ReplyHeader<'_> = decoder.get().map_err(explain)?;
    let ReplyBody::Accepted { status: Accepted::Success, .. } = header.body else {
        // Refused before it was taken for anything.
        return decoder.finish().map(|()| false).map_err(explain);
    };
    // Behind transaction id, kind and RPC version.
    let mut target = Decoder::new(&call[12..]);
    let (program, version, procedure) = (target.u32().unwrap(), target.u32().unwrap(), target.u32().unwrap());
    let results = &reply[decoder.head_index()..];
    match (program, version) {
        _ if procedure == 0 => Ok(false),
        (PROGRAM, VERSION) => Reply::read(reply).map(|reply| !reply.results.is_empty()),
        (PROGRAM, nfs3::VERSION) => {
            let procedure = nfs3::Procedure::from_u32(procedure).expect("it was accepted");
            check_results(procedure, results).map(|status| status.is_some()).map_err(explain)
        }
        (mount3::PROGRAM, mount3::VERSION) => {
            let procedure = mount3::Procedure::from_u32(procedure).expect("it was accepted");
            check_mount_results(procedure, results).map(|()| true).map_err(explain)
        }
        other => Err(format!("{other:?} is not served")),
    }
}
