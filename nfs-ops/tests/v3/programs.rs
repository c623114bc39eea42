//! Which programs, versions and procedures there are (RFC 5531 §9), and arguments that are none.

use wire::nfs3::{self, Procedure};
use wire::rpc::Accepted;
use wire::{mount3, nfs4};

use super::world;
use crate::support::nfs3::{Nothing, Raw, every_call};

/// Side protocols of NFSv3: locks, their recovery, ACLs, and quotas.
const UNSERVED: [u32; 4] = [100_021, 100_024, 100_227, 100_011];

#[test]
fn procedure_0_does_nothing_in_every_program() {
    let (_, client, _) = world();
    for (program, version) in
        [(nfs3::PROGRAM, 3), (nfs4::PROGRAM, nfs4::VERSION), (mount3::PROGRAM, mount3::VERSION)]
    {
        let answer = client.connection().raw((program, version, 0), &Nothing);
        assert_eq!(answer, (Accepted::Success, vec![]));
    }
}

#[test]
fn what_is_not_served_is_refused_by_its_name() {
    let (_, client, _) = world();
    let versions = |first, last| Accepted::ProgMismatch((first, last));
    let mut refused = vec![
        ((nfs3::PROGRAM, 2, 1), versions(3, 4)),
        ((nfs3::PROGRAM, 5, 1), versions(3, 4)),
        ((nfs3::PROGRAM, 0, 0), versions(3, 4)),
        ((mount3::PROGRAM, 1, 1), versions(3, 3)),
        ((mount3::PROGRAM, 4, 0), versions(3, 3)),
        ((nfs3::PROGRAM, 3, 22), Accepted::ProcUnavail),
        ((nfs3::PROGRAM, 3, u32::MAX), Accepted::ProcUnavail),
        ((mount3::PROGRAM, 3, 6), Accepted::ProcUnavail),
    ];
    refused.extend(UNSERVED.map(|program| ((program, 3, 0), Accepted::ProgUnavail)));
    refused.extend(UNSERVED.map(|program| ((program, 4, 1), Accepted::ProgUnavail)));
    for (target, expected) in refused {
        assert_eq!(client.connection().raw(target, &Nothing), (expected, vec![]), "{target:?}");
    }
}

#[test]
fn arguments_that_end_early_are_garbage_and_do_nothing() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    let before = (client.attributes(root), client.attributes(file));
    for (procedure, arguments) in every_call(root, file) {
        let target = (nfs3::PROGRAM, nfs3::VERSION, procedure.number());
        for end in (0..arguments.len()).step_by(4) {
            let answer = client.connection().raw(target, &Raw(arguments[..end].to_vec()));
            assert_eq!(answer, (Accepted::GarbageArgs, vec![]), "{end} bytes of {procedure:?}");
        }
    }
    assert_eq!((client.attributes(root), client.attributes(file)), before);
    for procedure in [mount3::Procedure::Mnt, mount3::Procedure::Umnt] {
        let target = (mount3::PROGRAM, mount3::VERSION, procedure.number());
        for arguments in [&[][..], &[0, 0, 0, 9, b'/', b'e', b'x', b'p'], &[0, 1, 0, 0]] {
            let answer = client.connection().raw(target, &Raw(arguments.to_vec()));
            assert_eq!(answer, (Accepted::GarbageArgs, vec![]));
        }
    }
}

#[test]
fn a_call_that_was_garbage_is_not_remembered() {
    let (_, client, root) = world();
    let (procedure, arguments) = every_call(root, root).swap_remove(8);
    assert_eq!(procedure, Procedure::Mkdir);
    let target = (nfs3::PROGRAM, nfs3::VERSION, procedure.number());
    for (arguments, expected) in [
        (&arguments[..arguments.len() - 4], Accepted::GarbageArgs),
        (&arguments[..arguments.len() - 4], Accepted::GarbageArgs),
        (&arguments, Accepted::Success),
    ] {
        let call = client.connection().raw_call(77, target, &Raw(arguments.to_vec()));
        let answer = crate::support::message(client.connection().outcome(call)).unwrap();
        let header: wire::rpc::ReplyHeader<'_> = wire::xdr::Decoder::new(&answer).get().unwrap();
        let wire::rpc::ReplyBody::Accepted { status, .. } = header.body else { panic!("{header:?}") };
        assert_eq!(status, expected);
    }
    assert_eq!(client.names(root), ["newer"]);
}

#[test]
fn handles_longer_than_the_protocol_has_are_garbage() {
    let (_, client, _) = world();
    let long = [&[0, 0, 0, 68][..], &[7; 68]].concat();
    let target = (nfs3::PROGRAM, nfs3::VERSION, Procedure::Getattr.number());
    assert_eq!(client.connection().raw(target, &Raw(long)), (Accepted::GarbageArgs, vec![]));
}
