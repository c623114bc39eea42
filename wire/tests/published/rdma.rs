//! RPC-over-RDMA and the text of RFC 8166.

use wire::rdma::*;
use wire::xdr::Published;

use crate::text::{Names, Text};

const NAMES: Names = Names {
    same: &[("uint32", &["u32"]), ("uint64", &["u64"]), ("struct xdr_rdma_segment", &["Segment"])],
    published: |_| None,
};

#[test]
fn headers_are_the_published_ones() {
    let text = Text::parse(include_str!("../xdr/rpcrdma.x"));
    let numbers = Procedure::ALL.iter().map(|(value, name)| (*name, value.number()));
    let numbers = numbers.chain(ErrorCode::ALL.iter().map(|(value, name)| (*name, value.number())));
    for (name, number) in numbers {
        assert_eq!(text.numbers[name], u64::from(number), "{name}");
    }
    assert_eq!(text.enums[Procedure::PUBLISHED].len(), Procedure::ALL.len());
    assert_eq!(text.enums[ErrorCode::PUBLISHED].len(), ErrorCode::ALL.len());
    assert_eq!(text.structs[Segment::NAME], Segment::FIELDS);
    assert_eq!(text.structs[ReadSegment::NAME], ReadSegment::FIELDS);
    for (name, ours) in [(Segment::NAME, Segment::TYPES), (ReadSegment::NAME, ReadSegment::TYPES)] {
        for (published, ours) in text.types[name].iter().zip(ours) {
            assert!(text.is_same_type(&NAMES, published, ours), "{published} is not {ours}");
        }
    }
    // Written by hand, for they hold no lists: what stands in which order.
    assert_eq!(text.structs["rdma_msg"], ["rdma_xid", "rdma_vers", "rdma_credit", "rdma_body"]);
    assert_eq!(text.structs["rpc_rdma_header"], ["rdma_reads", "rdma_writes", "rdma_reply"]);
    assert_eq!(text.structs["rpc_rdma_header_nomsg"], text.structs["rpc_rdma_header"]);
    assert_eq!(text.structs["rpc_rdma_errvers"], ["rdma_vers_low", "rdma_vers_high"]);
}
