//! Every type decodes what it encodes, refuses every shorter prefix, and survives any bytes; and what is encoded is
//! understood by a dissector that others wrote.

mod annotated;
mod dissected;
mod dissector;
mod mount3;
mod nfs3;
mod nfs4;
mod rpcbind;
mod values;
