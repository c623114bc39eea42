//! The server as its clients see it: compounds in, replies out, over a file system in memory.

mod annotations;
mod attributes;
mod data;
mod garbage;
mod grace;
mod grants;
mod limits;
mod locks;
mod namespace;
mod opens;
mod sessions;
mod slots;
mod sparse;
mod support;
mod unsupported;
mod v3;
mod xattrs;
