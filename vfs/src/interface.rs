//! The interface itself.

use buf::{Chain, Piped};

use crate::{
    Access, Advice, Attributes, Authority, Copied, CreateHow, Created, DirectoryChange, DirectoryPage,
    DirectoryRequest, Fsid, Identity, NewObject, NodeHandle, OpenAccess, Opened, ReadDone, Removed, Result,
    SeekTarget, SetAttributes, Space, Stability, Written, XattrSet,
};

/// What an exported file system can do, found by probing when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Identifies the file system of the export's root.
    pub fsid: Fsid,
    /// Largest file in bytes.
    pub file_bytes_max: u64,
    /// Longest name in bytes.
    pub name_bytes_max: u32,
    /// Most names one object may have.
    pub links_max: u32,
    /// Whether extended attributes of users are kept.
    pub xattr: bool,
    /// Block size a clone must be aligned to; 0 where clones are not to be had.
    pub clone_block_bytes: u32,
    /// Whether holes are kept and found.
    pub holes: bool,
    /// Resolution of the time stamps in nanoseconds.
    pub time_delta_ns: u64,
}

/// One exported file system on one core.
///
/// Names passed in are single components; the storage refuses '.', '..', '/' and NUL with
/// [`Error::BadName`](crate::Error::BadName). Nothing is ever followed: a symbolic link is an object.
/// Every namespace change (create, remove, rename, link, setting attributes) is durable when the future
/// completes. Futures are not cancelled half way: dropping one lets the work finish.
#[allow(async_fn_in_trait, reason = "tasks stay on their core, so no future need be Send")]
pub trait Vfs: Clone + 'static {
    /// One object, as this core sees it. Cheap to clone.
    type Node: Clone + 'static;
    /// An open file, held by state that any core may use. Cheap to clone. While one exists the object stays.
    type File: Clone + Send + Sync + 'static;
    /// A file that stays open in case it is used again, as long as its object has a name.
    type Kept: 'static;

    /// What the export's file system can do.
    fn capabilities(&self) -> Capabilities;

    /// The root of the export.
    fn root(&self) -> Self::Node;

    /// The persistent name of `node`.
    fn handle(&self, node: &Self::Node) -> NodeHandle;

    /// The object named by `handle`. Runs as the server itself: whoever holds a handle may present it.
    async fn node(&self, handle: &NodeHandle) -> Result<Self::Node>;

    /// The attributes of `node`.
    async fn attributes(&self, node: &Self::Node) -> Result<Attributes>;

    /// Space left on the file system `node` is on.
    async fn space(&self, node: &Self::Node, identity: &Identity) -> Result<Space>;

    /// Which of `wanted` the caller has, as the kernel says (POSIX ACLs count).
    async fn access(&self, node: &Self::Node, identity: &Identity, wanted: Access) -> Result<Access>;

    /// The object `name` in `directory`.
    async fn lookup(&self, directory: &Self::Node, identity: &Identity, name: &[u8]) -> Result<Self::Node>;

    /// The directory above; `None` at the export's root.
    async fn parent(&self, directory: &Self::Node, identity: &Identity) -> Result<Option<Self::Node>>;

    /// Where `node` lies below the export's root: names with slashes between them, nothing for the root. Of an object with
    /// several names it is one of them. `None` where the storage cannot tell. Does not sleep.
    fn path(&self, node: &Self::Node) -> Option<Vec<u8>>;

    /// The text of a symbolic link.
    async fn read_link(&self, node: &Self::Node, identity: &Identity) -> Result<Vec<u8>>;

    /// A page of `directory`'s entries.
    async fn read_directory(
        &self,
        directory: &Self::Node,
        identity: &Identity,
        request: DirectoryRequest,
    ) -> Result<DirectoryPage>;

    /// Makes an object that is not a regular file being opened. An error leaves nothing behind.
    async fn create(
        &self,
        directory: &Self::Node,
        identity: &Identity,
        name: &[u8],
        object: NewObject<'_>,
        attributes: &SetAttributes,
    ) -> Result<Created<Self::Node>>;

    /// Opens an existing regular file.
    async fn open(
        &self,
        node: &Self::Node,
        identity: &Identity,
        access: OpenAccess,
        authority: Authority,
    ) -> Result<Self::File>;

    /// Keeps a file open. Unlike `file` itself, what this returns keeps no object that has lost its last name.
    fn keep(&self, file: &Self::File) -> Self::Kept;

    /// The file, unless the last name of its object has gone. While somebody else has that file open it may be answered yet.
    fn kept(&self, kept: &Self::Kept) -> Option<Self::File>;

    /// Opens `name` in `directory` as a regular file, making it as `how` says. The opener's access holds
    /// even where the new mode would forbid it to later openers.
    async fn open_create(
        &self,
        directory: &Self::Node,
        identity: &Identity,
        name: &[u8],
        how: CreateHow,
        attributes: &SetAttributes,
        access: OpenAccess,
    ) -> Result<Opened<Self::Node, Self::File>>;

    /// Gives `node` the further name `name` in `directory`.
    async fn link(
        &self,
        node: &Self::Node,
        directory: &Self::Node,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange>;

    /// Renames; answers what happened to the source and to the target directory.
    async fn rename(
        &self,
        source: &Self::Node,
        source_name: &[u8],
        target: &Self::Node,
        target_name: &[u8],
        identity: &Identity,
    ) -> Result<(DirectoryChange, DirectoryChange)>;

    /// Removes a name, if it stands for what may be `removed`. The object's space is free before the call returns, unless a
    /// [`Vfs::File`] or another name keeps it.
    async fn remove(
        &self,
        directory: &Self::Node,
        identity: &Identity,
        name: &[u8],
        removed: Removed,
    ) -> Result<DirectoryChange>;

    /// Changes attributes; with `file` (open for writing) a change of size needs no permission of its own.
    /// Setuid and setgid bits are cleared as the kernel does for `identity`.
    async fn set_attributes(
        &self,
        node: &Self::Node,
        file: Option<&Self::File>,
        identity: &Identity,
        attributes: &SetAttributes,
    ) -> Result<()>;

    /// The object an open file is of.
    async fn file_node(&self, file: &Self::File) -> Result<Self::Node>;

    /// Reads up to the buffer's length at `offset` into it; the buffer comes back in any case.
    async fn read(&self, file: &Self::File, offset: u64, buffer: Chain) -> (Chain, Result<ReadDone>);

    /// Reads up to `bytes` at `offset` into the empty `pipe`, if that can be done on the spot: without sleeping and
    /// without a copy. Where it cannot, `None`, and the pipe stays empty; [`Vfs::read`] can. What is in the pipe may
    /// still change with the file until it is sent. Worth a try from [`CROSSOVER_BYTES`](crate::CROSSOVER_BYTES) on.
    fn read_piped(&self, file: &Self::File, offset: u64, bytes: usize, pipe: &mut Piped) -> Option<ReadDone>;

    /// Writes the whole payload at `offset`; the payload comes back in any case.
    async fn write(
        &self,
        file: &Self::File,
        identity: &Identity,
        offset: u64,
        payload: Chain,
        stability: Stability,
    ) -> (Chain, Result<Written>);

    /// Brings everything written to `file` before the call to stable storage. A failure is answered to
    /// every commit that waited for the same sync and changes [`Vfs::write_verifier`].
    async fn commit(&self, file: &Self::File) -> Result<()>;

    /// The same for who has no open file at hand, as COMMIT carries no stateid. Who may write was decided when the
    /// data was written.
    async fn commit_node(&self, node: &Self::Node) -> Result<()> {
        let file = self.open(node, &Identity::root(), OpenAccess::Write, Authority::Reclaim).await?;
        self.commit(&file).await
    }

    /// Changes whenever unstable writes may have been lost: at every start and after a failed sync.
    fn write_verifier(&self) -> [u8; 8];

    /// Makes sure that writing the range will not run out of space.
    async fn allocate(&self, file: &Self::File, identity: &Identity, offset: u64, bytes: u64) -> Result<()>;

    /// Makes the range a hole.
    async fn deallocate(&self, file: &Self::File, identity: &Identity, offset: u64, bytes: u64)
    -> Result<()>;

    /// The first offset at or behind `offset` of what is looked for; a hole is found at the end of the file
    /// at the latest. [`Error::NoSuchRange`](crate::Error::NoSuchRange) at or behind the end.
    async fn seek(&self, file: &Self::File, offset: u64, target: SeekTarget) -> Result<u64>;

    /// Copies up to `bytes` between two open files of this file system; may stop early, never fails after
    /// something was copied.
    async fn copy(
        &self,
        source: &Self::File,
        source_offset: u64,
        target: &Self::File,
        target_offset: u64,
        bytes: u64,
        identity: &Identity,
    ) -> Result<Copied>;

    /// Makes the target range share the source's storage, wholly or not at all. `bytes` 0 means to the
    /// source's end.
    async fn clone_range(
        &self,
        source: &Self::File,
        source_offset: u64,
        target: &Self::File,
        target_offset: u64,
        bytes: u64,
        identity: &Identity,
    ) -> Result<()>;

    /// Tells how a range is going to be used; answers the advice that was taken.
    async fn advise(&self, file: &Self::File, offset: u64, bytes: u64, advice: Advice) -> Result<bool>;

    /// The value of a user extended attribute (`name` without the "user." prefix).
    async fn get_xattr(&self, node: &Self::Node, identity: &Identity, name: &[u8]) -> Result<Vec<u8>>;

    /// Sets one; answers what that did to the object.
    async fn set_xattr(
        &self,
        node: &Self::Node,
        identity: &Identity,
        name: &[u8],
        value: &[u8],
        how: XattrSet,
    ) -> Result<DirectoryChange>;

    /// The names of the user extended attributes, without prefix, in a stable order.
    async fn list_xattrs(&self, node: &Self::Node, identity: &Identity) -> Result<Vec<Vec<u8>>>;

    /// Removes one; answers what that did to the object.
    async fn remove_xattr(
        &self,
        node: &Self::Node,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange>;
}
