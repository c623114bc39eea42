//! Compares every number, name, type and field order with the published XDR text, which is in `tests/xdr`.

mod mount3;
mod nfs3;
mod nfs4;
mod rdma;
mod rpcbind;
mod text;
