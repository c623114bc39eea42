//! Every type decodes what it encodes, refuses every shorter prefix, and survives any bytes.

mod mount3;
mod nfs3;
mod nfs4;
mod rpcbind;
mod values;
