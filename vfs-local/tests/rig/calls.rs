//! Calls as the tests make them.

use buf::Chain;
use engine::Shard;
use vfs::{
    CreateHow, DirectoryPage, DirectoryRequest, Identity, OpenAccess, Opened, Result, SetAttributes,
    Stability, Vfs,
};
use vfs_local::{File, Local, Node};

/// A user without privileges.
pub fn alice() -> Identity {
    Identity::new(70_001, 70_001, &[])
}

pub fn root() -> Identity {
    Identity::root()
}

pub fn mode(bits: u32) -> SetAttributes {
    SetAttributes { mode: Some(bits), ..Default::default() }
}

/// Opens `name` for both, making it.
pub async fn make(local: &Local, directory: &Node, who: &Identity, name: &str) -> Result<Opened<Node, File>> {
    let (how, set) = (CreateHow::Guarded, mode(0o644));
    local.open_create(directory, who, name.as_bytes(), how, &set, OpenAccess::Both).await
}

pub fn payload(shard: &Shard, byte: u8, length: usize) -> Chain {
    let mut chain = shard.pool().take(length, 0).expect("payload memory");
    chain.as_mut_slices().for_each(|piece| piece.fill(byte));
    chain
}

pub async fn write(
    local: &Local,
    shard: &Shard,
    file: &File,
    who: &Identity,
    offset: u64,
    length: usize,
) -> Result<()> {
    let chain = payload(shard, 7, length);
    let (_, written) = local.write(file, who, offset, chain, Stability::Unstable).await;
    written.map(|written| assert_eq!(written.bytes, length))
}

pub async fn page(local: &Local, directory: &Node, cookie: u64, entries_max: usize) -> DirectoryPage {
    let request = DirectoryRequest { cookie, entries_max, name_bytes_max: 1 << 20, with_attributes: true };
    local.read_directory(directory, &root(), request).await.expect("a page")
}
