//! One export on one core.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::{self, Rc};
use std::sync::{Arc, Weak};
use std::time::Duration;

use buf::{Chain, Piped};
use engine::{Cap, HelperError, HelpersExhausted, Personality, Shard};
use rustix::fs::FallocateFlags;
use tracing::Instrument;
use vfs::{
    Access, Advice, Attributes, Authority, Capabilities, Copied, CreateHow, Created, DirectoryChange,
    DirectoryPage, DirectoryRequest, Error, Identity, NewObject, NodeHandle, OpenAccess, Opened, ReadDone,
    Removed, Result, SeekTarget, SetAttributes, Space, Stability, Vfs, Written, XattrSet,
};

use crate::attribute;
use crate::cache::Recent;
use crate::close::Closer;
use crate::object::Object;
use crate::open::OpenFile;
use crate::open_files::LEFT_TIME;
use crate::personality::{Personalities, exhausted};
use crate::places::{Place, Places};
use crate::read::{ReadCounters, ReadStats};
use crate::storage::LocalStorage;
use crate::{process, trace};

/// Jobs of an export that may wait for a helper thread per shard. Beyond, callers are told to try later.
const HELPER_JOBS_WAITING_MAX: usize = 4096;

/// Reads of an export that may wait for the disk per shard, where waiting takes no kernel worker: as deep as a
/// disk's queue.
const READS_MAX: usize = 256;

/// Syncs of an export per shard at a time. They hold no memory, and gain from one another: what a disk writes for one
/// it writes for all that wait.
const SYNCS_MAX: usize = 16;

/// How often files that were left unsynced are looked for.
const SETTLE_EVERY: Duration = Duration::from_secs(10);

/// An object of an export.
#[derive(Clone, Debug)]
pub struct Node(pub(crate) Arc<Object>);

/// An open file. Any core may use it.
#[derive(Clone, Debug)]
pub struct File(pub(crate) Arc<OpenFile>);

/// An open file that lasts no longer than its object has a name. The export holds the file; this only finds it.
pub struct Kept {
    file: Weak<OpenFile>,
    storage: Arc<LocalStorage>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(file) = self.file.upgrade() {
            self.storage.open_files().let_go(&file);
        }
    }
}

impl File {
    pub(crate) fn access(&self) -> OpenAccess {
        self.0.access()
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One export as one core sees it. Cheap to clone; stays on its core.
#[derive(Clone)]
pub struct Local(Rc<Inner>);

struct Inner {
    storage: Arc<LocalStorage>,
    shard: Shard,
    cap: Cap,
    /// Places for operations that occupy a kernel worker and memory.
    workers: Places,
    /// Places for syncs, which occupy a kernel worker: no write waits behind them.
    syncs: Places,
    /// Places for reads that do not.
    reads: Places,
    personalities: Personalities,
    recent: Recent,
    read_counters: ReadCounters,
}

impl Local {
    /// The export on this shard. Fails when there are not enough helper threads left to reserve its share.
    pub fn new(storage: Arc<LocalStorage>, shard: Shard) -> std::result::Result<Self, HelpersExhausted> {
        let options = storage.options();
        assert!(shard.index() < options.shards, "the storage was opened for fewer shards");
        let cap = shard.helpers().cap(options.helper_jobs_max, HELPER_JOBS_WAITING_MAX)?;
        let this = Self(Rc::new(Inner {
            cap,
            workers: Places::new(options.ring_workers_max),
            syncs: Places::new(SYNCS_MAX),
            reads: Places::new(READS_MAX),
            personalities: Personalities::default(),
            recent: Recent::default(),
            read_counters: ReadCounters::default(),
            storage,
            shard,
        }));
        if this.core() == 0 {
            this.0.shard.spawn(settle_now_and_then(Rc::downgrade(&this.0)));
        }
        Ok(this)
    }

    /// What all cores share of the export.
    pub fn storage(&self) -> &Arc<LocalStorage> {
        &self.0.storage
    }

    pub(crate) fn shard(&self) -> &Shard {
        &self.0.shard
    }

    pub(crate) fn core(&self) -> usize {
        self.0.shard.index()
    }

    pub(crate) fn closer(&self) -> Closer {
        let helpers = self.0.shard.helpers().clone();
        Closer::new(helpers, self.0.cap.clone(), Arc::clone(&self.0.storage))
    }

    /// What this core has found open lately.
    pub(crate) fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// What reading has done on this core.
    pub fn read_stats(&self) -> ReadStats {
        self.0.read_counters.snapshot()
    }

    pub(crate) fn read_counters(&self) -> &ReadCounters {
        &self.0.read_counters
    }

    /// Runs `work`, which may sleep, on a helper thread, as one of this export's.
    pub(crate) async fn on_helper<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LocalStorage) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let storage = Arc::clone(&self.0.storage);
        let done = self.0.shard.helpers().run(&self.0.cap, move || work(&storage)).await;
        done.unwrap_or_else(|failure| match failure {
            HelperError::Busy => Err(Error::Exhausted),
            HelperError::Lost => panic!("a storage job panicked; its effects are unknown"),
        })
    }

    /// A place for a sync.
    pub(crate) async fn sync_place(&self) -> Place {
        self.0.syncs.enter().await
    }

    /// A place for a write. What is to be written waits in memory that is needed elsewhere, so not for ever.
    pub(crate) async fn write_place(&self) -> Result<Place> {
        self.0.workers.enter_while_moving(&self.0.shard).await
    }

    /// A place for a read of a file of `object`'s file system, for which memory waits as for a write.
    pub(crate) async fn read_place(&self, object: &Object) -> Result<Place> {
        let places = if object.mount().reads_without_waiting() { &self.0.reads } else { &self.0.workers };
        places.enter_while_moving(&self.0.shard).await
    }

    pub(crate) fn personality(&self, identity: &Identity) -> Result<Option<Personality>> {
        self.0.personalities.of(&self.0.shard, identity).map_err(exhausted)
    }
}

/// Syncs files that were closed unsynced and that nobody commits, as long as the export is there.
async fn settle_now_and_then(inner: rc::Weak<Inner>) {
    while let Some(shard) = inner.upgrade().map(|inner| inner.shard.clone()) {
        shard.sleep(SETTLE_EVERY).await;
        let Some(local) = inner.upgrade().map(Local) else { return };
        let left = local.storage().open_files().left(LEFT_TIME);
        if left.is_empty() {
            continue;
        }
        let settled = local
            .on_helper(move |storage| {
                left.iter().for_each(|inode| storage.open_files().settle(inode));
                Ok(())
            })
            .await;
        if let Err(failure) = settled {
            tracing::debug!(?failure, "files left unsynced wait for the next turn");
        }
    }
}

impl Vfs for Local {
    type Node = Node;
    type File = File;
    type Kept = Kept;

    fn capabilities(&self) -> Capabilities {
        self.storage().capabilities()
    }

    fn root(&self) -> Node {
        Node(Arc::clone(self.storage().root()))
    }

    fn handle(&self, node: &Node) -> NodeHandle {
        *node.0.handle()
    }

    async fn node(&self, handle: &NodeHandle) -> Result<Node> {
        self.node_of(handle).await
    }

    async fn attributes(&self, node: &Node) -> Result<Attributes> {
        attribute::read(&node.0)
    }

    async fn space(&self, node: &Node, _identity: &Identity) -> Result<Space> {
        self.space_at(node).await
    }

    async fn access(&self, node: &Node, identity: &Identity, wanted: Access) -> Result<Access> {
        self.allowed(node, identity, wanted).await
    }

    async fn lookup(&self, directory: &Node, identity: &Identity, name: &[u8]) -> Result<Node> {
        self.look_up(directory, identity, name).await
    }

    async fn parent(&self, directory: &Node, identity: &Identity) -> Result<Option<Node>> {
        self.parent_of(directory, identity).await
    }

    fn path(&self, node: &Node) -> Option<Vec<u8>> {
        self.storage().path(&node.0)
    }

    async fn read_link(&self, node: &Node, _identity: &Identity) -> Result<Vec<u8>> {
        self.link_text(node).await
    }

    async fn read_directory(
        &self,
        directory: &Node,
        identity: &Identity,
        request: DirectoryRequest,
    ) -> Result<DirectoryPage> {
        self.list(directory, identity, request).await
    }

    async fn create(
        &self,
        directory: &Node,
        identity: &Identity,
        name: &[u8],
        object: NewObject<'_>,
        attributes: &SetAttributes,
    ) -> Result<Created<Node>> {
        self.make(directory, identity, name, object, attributes).await
    }

    async fn open(
        &self,
        node: &Node,
        identity: &Identity,
        access: OpenAccess,
        authority: Authority,
    ) -> Result<File> {
        self.open_node(node, identity, access, authority).await
    }

    fn keep(&self, file: &File) -> Kept {
        self.storage().open_files().keep(&file.0);
        Kept { file: Arc::downgrade(&file.0), storage: Arc::clone(self.storage()) }
    }

    fn kept(&self, kept: &Kept) -> Option<File> {
        kept.file.upgrade().map(File)
    }

    async fn open_create(
        &self,
        directory: &Node,
        identity: &Identity,
        name: &[u8],
        how: CreateHow,
        attributes: &SetAttributes,
        access: OpenAccess,
    ) -> Result<Opened<Node, File>> {
        self.open_by_name(directory, identity, name, how, attributes, access).await
    }

    async fn link(
        &self,
        node: &Node,
        directory: &Node,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange> {
        self.add_name(node, directory, identity, name).await
    }

    async fn rename(
        &self,
        source: &Node,
        source_name: &[u8],
        target: &Node,
        target_name: &[u8],
        identity: &Identity,
    ) -> Result<(DirectoryChange, DirectoryChange)> {
        self.change_name(source, source_name, target, target_name, identity).await
    }

    async fn remove(
        &self,
        directory: &Node,
        identity: &Identity,
        name: &[u8],
        removed: Removed,
    ) -> Result<DirectoryChange> {
        self.remove_name(directory, identity, name, removed).await
    }

    async fn set_attributes(
        &self,
        node: &Node,
        file: Option<&File>,
        identity: &Identity,
        attributes: &SetAttributes,
    ) -> Result<()> {
        self.change_attributes(node, file, identity, attributes).await
    }

    async fn file_node(&self, file: &File) -> Result<Node> {
        Ok(Node(Arc::clone(file.0.object())))
    }

    async fn read(&self, file: &File, offset: u64, buffer: Chain) -> (Chain, Result<ReadDone>) {
        let span = trace::read(offset, buffer.len());
        self.read_file(file, offset, buffer).instrument(span).await
    }

    fn read_piped(&self, file: &File, offset: u64, bytes: usize, pipe: &mut Piped) -> Option<ReadDone> {
        trace::pipe(offset, bytes).in_scope(|| self.pipe_file(file, offset, bytes, pipe))
    }

    async fn write(
        &self,
        file: &File,
        identity: &Identity,
        offset: u64,
        payload: Chain,
        stability: Stability,
    ) -> (Chain, Result<Written>) {
        let span = trace::write(offset, payload.len(), stability);
        self.write_file(file, identity, offset, payload, stability).instrument(span).await
    }

    async fn commit(&self, file: &File) -> Result<()> {
        self.commit_file(file).instrument(trace::commit()).await
    }

    async fn commit_node(&self, node: &Node) -> Result<()> {
        self.commit_node_data(node).instrument(trace::commit()).await
    }

    fn write_verifier(&self) -> [u8; 8] {
        process::write_verifier().to_be_bytes()
    }

    async fn allocate(&self, file: &File, identity: &Identity, offset: u64, bytes: u64) -> Result<()> {
        self.reserve(file, identity, offset, bytes, FallocateFlags::empty()).await
    }

    async fn deallocate(&self, file: &File, identity: &Identity, offset: u64, bytes: u64) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        self.reserve(file, identity, offset, bytes, flags).await
    }

    async fn seek(&self, file: &File, offset: u64, target: SeekTarget) -> Result<u64> {
        self.find(file, offset, target).await
    }

    async fn copy(
        &self,
        source: &File,
        source_offset: u64,
        target: &File,
        target_offset: u64,
        bytes: u64,
        identity: &Identity,
    ) -> Result<Copied> {
        self.copy_range((source, source_offset), (target, target_offset), bytes, identity).await
    }

    async fn clone_range(
        &self,
        source: &File,
        source_offset: u64,
        target: &File,
        target_offset: u64,
        bytes: u64,
        identity: &Identity,
    ) -> Result<()> {
        self.share_range((source, source_offset), (target, target_offset), bytes, identity).await
    }

    async fn advise(&self, file: &File, offset: u64, bytes: u64, advice: Advice) -> Result<bool> {
        self.pass_advice(file, offset, bytes, advice).await
    }

    async fn get_xattr(&self, node: &Node, identity: &Identity, name: &[u8]) -> Result<Vec<u8>> {
        self.xattr(node, identity, name).await
    }

    async fn set_xattr(
        &self,
        node: &Node,
        identity: &Identity,
        name: &[u8],
        value: &[u8],
        how: XattrSet,
    ) -> Result<DirectoryChange> {
        self.put_xattr(node, identity, name, value, how).await
    }

    async fn list_xattrs(&self, node: &Node, identity: &Identity) -> Result<Vec<Vec<u8>>> {
        self.xattr_names(node, identity).await
    }

    async fn remove_xattr(&self, node: &Node, identity: &Identity, name: &[u8]) -> Result<DirectoryChange> {
        self.drop_xattr(node, identity, name).await
    }
}
