//! Calls that were well-formed once: whatever a byte is changed to, the server stays up and answers in form.

use std::cell::Cell;

use bytes::Bytes;
use rpc::{Call, Outcome};
use wire::nfs4::*;

use crate::support::*;

/// Rounds of the test; each changes every compound once.
const ROUNDS: usize = 400;

/// Bytes of the answer to procedure 0: an RPC header and nothing else.
const NULL_REPLY_BYTES: usize = 24;

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
            match client.connection().outcome(changed) {
                Outcome::Disconnect => {}
                outcome => {
                    answered += usize::from(check(outcome, &bytes));
                }
            }
            client.resynchronise(1);
        }
    }
    assert!(answered > 1000, "only {answered} calls reached an operation");
    assert_eq!(world.env().pool().bytes_taken(), 0, "payload memory went back");
    let fresh = world.client("fresh");
    fresh.at_export(&[readdir(0, 4096, &[])]).ok();
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

/// Whether a compound was answered; panics when that answer is malformed.
fn check(outcome: Outcome, call: &[u8]) -> bool {
    let is_null_reply = matches!(&outcome, Outcome::Reply(reply) if reply.length() == NULL_REPLY_BYTES);
    // Behind transaction id, kind, RPC version and program. A call of another version is no compound.
    let is_compound = call.get(16..20) == Some(&VERSION.to_be_bytes()[..]);
    if is_null_reply || !is_compound || matches!(outcome, Outcome::Disconnect) {
        return false;
    }
    match received(outcome) {
        Ok(reply) => !reply.results.is_empty(),
        // Refused before it was taken for a compound.
        Err(error) if error.contains("ReplyHeader {") => false,
        Err(error) => panic!("{error}\nanswers {}", call.escape_ascii()),
    }
}
