//! The server as its clients see it: compounds in, replies out, over a file system in memory.

mod namespace;
mod sessions;
mod slots;
mod support;
