//! What this server does not have answers as documented, and malformed arguments as such.

use wire::nfs4::*;
use wire::xdr::Opaque;

use crate::support::*;

#[test]
fn what_is_not_here_says_so() {
    let world = World::new();
    let client = world.client("one");
    let stateid = Stateid { seqid: 1, other: [8; 12] };
    let data_block = ApplicationDataBlock {
        offset: 0,
        block_size: 1,
        block_count: 1,
        block_number_offset: 0,
        block_number: 0,
        pattern_offset: 0,
        pattern: Opaque(b"x"),
    };
    for (operation, status) in [
        (op(OpenAttrArgs { create_directory: true }), Status::Notsupp),
        (op(DelegPurgeArgs { client_id: ClientId(1) }), Status::Notsupp),
        (op(DelegReturnArgs { stateid }), Status::BadStateid),
        (op(SetSsvArgs { ssv: Opaque(b"x"), digest: Opaque(b"y") }), Status::Notsupp),
        (op(WantDelegationArgs { want: 0, claim: DelegationClaim::Handle }), Status::Notsupp),
        (
            op(CopyNotifyArgs { source_stateid: stateid, destination_server: NetLocation::Name("x".into()) }),
            Status::Notsupp,
        ),
        (op(WriteSameArgs { stateid, stable: StableHow::Unstable, block: data_block }), Status::Notsupp),
    ] {
        let reply = client.at_export(std::slice::from_ref(&operation));
        assert_eq!(reply.status, status, "operation {}", operation.operation);
    }
    let time = NfsTime::default();
    let directory = GetDirDelegationArgs {
        signal_available: false,
        notification_types: Bitmap::EMPTY,
        child_attribute_delay: time,
        directory_attribute_delay: time,
        child_attributes: Bitmap::EMPTY,
        directory_attributes: Bitmap::EMPTY,
    };
    // Linux asks within the GETATTR of a directory, which must not fail for it.
    let reply = client.at_export(&[op(directory), getattr(&[attribute::FILEID])]).ok();
    let told: GetDirDelegationResult = reply.body(Operation::GetDirDelegation);
    assert_eq!(told, GetDirDelegationResult::Unavailable(false));
}

#[test]
fn malformed_arguments_are_bad_xdr() {
    let world = World::new();
    let client = world.client("one");
    // A word that no operation can end after, and nothing behind it.
    for (operation, _) in Operation::ALL {
        let without_arguments = matches!(
            operation,
            Operation::Getfh
                | Operation::Lookupp
                | Operation::Putpubfh
                | Operation::Putrootfh
                | Operation::Readlink
                | Operation::Restorefh
                | Operation::Savefh
                | Operation::Sequence
                | Operation::BindConnToSession
                | Operation::Illegal
                | Operation::OpenConfirm
                | Operation::Renew
                | Operation::Setclientid
                | Operation::SetclientidConfirm
                | Operation::ReleaseLockowner
        );
        if without_arguments {
            continue;
        }
        let both = [putrootfh(), lookup(EXPORT), savefh(), raw(operation.number(), |_| ())];
        let reply = client.run(&both);
        assert_eq!(reply.status, Status::Badxdr, "{operation}");
    }
    let bad_bool = raw(Operation::Openattr.number(), |encoder| encoder.put_u32(2).unwrap());
    client.at_export(&[bad_bool]).fails(Status::Badxdr);
    let bad_claim = raw(Operation::Open.number(), |encoder| encoder.put_fixed(&[9; 64]).unwrap());
    client.at_export(&[bad_claim]).fails(Status::Badxdr);
    let endless = raw(Operation::Lookup.number(), |encoder| encoder.put_u32(u32::MAX).unwrap());
    client.at_export(&[endless]).fails(Status::Badxdr);
}
