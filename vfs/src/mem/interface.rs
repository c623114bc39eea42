//! The storage interface over the tables: each call is one look or one change under the lock, and is over when
//! it is first polled.

use buf::{Chain, Piped};

use super::attribute::FILE_BYTES_MAX;
use super::content::BLOCK;
use super::namespace::{LINKS_MAX, NAME_BYTES_MAX};
use super::permission::granted;
use super::{KeptMemFile, Mem, MemFile, MemNode};
use crate::{
    Access, Advice, Attributes, Authority, Capabilities, Copied, CreateHow, Created, DirectoryChange,
    DirectoryPage, DirectoryRequest, Identity, NewObject, NodeHandle, OpenAccess, Opened, ReadDone, Removed,
    Result, SeekTarget, SetAttributes, Space, Stability, Vfs, Written, XattrSet,
};

impl Vfs for Mem {
    type Node = MemNode;
    type File = MemFile;
    type Kept = KeptMemFile;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            fsid: self.storage.lock().options.fsid,
            file_bytes_max: FILE_BYTES_MAX,
            name_bytes_max: NAME_BYTES_MAX as u32,
            links_max: LINKS_MAX,
            xattr: true,
            clone_block_bytes: BLOCK as u32,
            holes: true,
            time_delta_ns: 1,
        }
    }

    fn root(&self) -> MemNode {
        self.storage.lock().root()
    }

    fn handle(&self, node: &MemNode) -> NodeHandle {
        node.handle()
    }

    async fn node(&self, handle: &NodeHandle) -> Result<MemNode> {
        let node = MemNode::from_handle(handle)?;
        Ok(self.storage.lock().get(node)?.node())
    }

    async fn attributes(&self, node: &MemNode) -> Result<Attributes> {
        let storage = self.storage.lock();
        Ok(storage.get(*node)?.attributes(storage.options.fsid))
    }

    async fn space(&self, node: &MemNode, identity: &Identity) -> Result<Space> {
        let storage = self.storage.lock();
        storage.get(*node)?;
        Ok(storage.space(identity))
    }

    async fn access(&self, node: &MemNode, identity: &Identity, wanted: Access) -> Result<Access> {
        let granted = granted(self.storage.lock().get(*node)?, identity);
        Ok(Access {
            read: wanted.read && granted.read,
            write: wanted.write && granted.write,
            execute: wanted.execute && granted.execute,
        })
    }

    async fn lookup(&self, directory: &MemNode, identity: &Identity, name: &[u8]) -> Result<MemNode> {
        self.storage.lock().lookup(*directory, identity, name)
    }

    async fn parent(&self, directory: &MemNode, identity: &Identity) -> Result<Option<MemNode>> {
        self.storage.lock().parent(*directory, identity)
    }

    fn path(&self, node: &MemNode) -> Option<Vec<u8>> {
        self.storage.lock().path(*node)
    }

    async fn read_link(&self, node: &MemNode, _identity: &Identity) -> Result<Vec<u8>> {
        self.storage.lock().read_link(*node)
    }

    async fn read_directory(
        &self,
        directory: &MemNode,
        identity: &Identity,
        request: DirectoryRequest,
    ) -> Result<DirectoryPage> {
        self.storage.lock().read_directory(*directory, identity, request)
    }

    async fn create(
        &self,
        directory: &MemNode,
        identity: &Identity,
        name: &[u8],
        object: NewObject<'_>,
        attributes: &SetAttributes,
    ) -> Result<Created<MemNode>> {
        self.storage.lock().create(*directory, identity, name, object, attributes)
    }

    async fn open(
        &self,
        node: &MemNode,
        identity: &Identity,
        access: OpenAccess,
        authority: Authority,
    ) -> Result<MemFile> {
        let mut storage = self.storage.lock();
        storage.check_open(*node, identity, access, authority)?;
        Ok(MemFile::new(&self.storage, &mut storage, node.number, access))
    }

    fn keep(&self, file: &MemFile) -> KeptMemFile {
        file.keep(&self.storage.lock())
    }

    fn kept(&self, kept: &KeptMemFile) -> Option<MemFile> {
        kept.open(&self.storage)
    }

    async fn open_create(
        &self,
        directory: &MemNode,
        identity: &Identity,
        name: &[u8],
        how: CreateHow,
        attributes: &SetAttributes,
        access: OpenAccess,
    ) -> Result<Opened<MemNode, MemFile>> {
        let mut storage = self.storage.lock();
        let found = storage.open_create(*directory, identity, name, how, attributes, access)?;
        Ok(Opened {
            node: storage.inode(found.number).node(),
            file: MemFile::new(&self.storage, &mut storage, found.number, access),
            attributes: found.attributes,
            created: found.created,
            change: found.change,
        })
    }

    async fn link(
        &self,
        node: &MemNode,
        directory: &MemNode,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange> {
        self.storage.lock().link(*node, *directory, identity, name)
    }

    async fn rename(
        &self,
        source: &MemNode,
        source_name: &[u8],
        target: &MemNode,
        target_name: &[u8],
        identity: &Identity,
    ) -> Result<(DirectoryChange, DirectoryChange)> {
        self.storage.lock().rename((*source, source_name), (*target, target_name), identity)
    }

    async fn remove(
        &self,
        directory: &MemNode,
        identity: &Identity,
        name: &[u8],
        removed: Removed,
    ) -> Result<DirectoryChange> {
        self.storage.lock().remove(*directory, identity, name, removed)
    }

    async fn set_attributes(
        &self,
        node: &MemNode,
        file: Option<&MemFile>,
        identity: &Identity,
        attributes: &SetAttributes,
    ) -> Result<()> {
        let mut storage = self.storage.lock();
        let may_truncate = file.is_some_and(|file| file.writable(&storage) == Ok(node.number));
        storage.set_attributes(*node, may_truncate, identity, attributes)
    }

    async fn file_node(&self, file: &MemFile) -> Result<MemNode> {
        let storage = self.storage.lock();
        Ok(storage.inode(file.number(&storage)?).node())
    }

    async fn read(&self, file: &MemFile, offset: u64, mut buffer: Chain) -> (Chain, Result<ReadDone>) {
        let done = self.storage.lock().read(file, offset, &mut buffer);
        (buffer, done)
    }

    fn read_piped(&self, _: &MemFile, _: u64, _: usize, _: &mut Piped) -> Option<ReadDone> {
        // There are no pages of a file here that a pipe could take.
        None
    }

    async fn write(
        &self,
        file: &MemFile,
        identity: &Identity,
        offset: u64,
        payload: Chain,
        stability: Stability,
    ) -> (Chain, Result<Written>) {
        let written = self.storage.lock().write(file, identity, offset, &payload, stability);
        (payload, written)
    }

    async fn commit(&self, file: &MemFile) -> Result<()> {
        self.storage.lock().commit(file)
    }

    fn write_verifier(&self) -> [u8; 8] {
        self.storage.lock().write_verifier()
    }

    async fn allocate(&self, file: &MemFile, identity: &Identity, offset: u64, bytes: u64) -> Result<()> {
        self.storage.lock().allocate(file, identity, offset, bytes)
    }

    async fn deallocate(&self, file: &MemFile, identity: &Identity, offset: u64, bytes: u64) -> Result<()> {
        self.storage.lock().deallocate(file, identity, offset, bytes)
    }

    async fn seek(&self, file: &MemFile, offset: u64, target: SeekTarget) -> Result<u64> {
        self.storage.lock().seek(file, offset, target)
    }

    async fn copy(
        &self,
        source: &MemFile,
        source_offset: u64,
        target: &MemFile,
        target_offset: u64,
        bytes: u64,
        identity: &Identity,
    ) -> Result<Copied> {
        self.storage.lock().copy((source, source_offset), (target, target_offset), bytes, identity)
    }

    async fn clone_range(
        &self,
        source: &MemFile,
        source_offset: u64,
        target: &MemFile,
        target_offset: u64,
        bytes: u64,
        identity: &Identity,
    ) -> Result<()> {
        self.storage.lock().clone_range((source, source_offset), (target, target_offset), bytes, identity)
    }

    async fn advise(&self, file: &MemFile, _offset: u64, _bytes: u64, _advice: Advice) -> Result<bool> {
        file.number(&self.storage.lock())?;
        Ok(false)
    }

    async fn get_xattr(&self, node: &MemNode, identity: &Identity, name: &[u8]) -> Result<Vec<u8>> {
        self.storage.lock().get_xattr(*node, identity, name)
    }

    async fn set_xattr(
        &self,
        node: &MemNode,
        identity: &Identity,
        name: &[u8],
        value: &[u8],
        how: XattrSet,
    ) -> Result<DirectoryChange> {
        self.storage.lock().set_xattr(*node, identity, name, value, how)
    }

    async fn list_xattrs(&self, node: &MemNode, identity: &Identity) -> Result<Vec<Vec<u8>>> {
        self.storage.lock().list_xattrs(*node, identity)
    }

    async fn remove_xattr(
        &self,
        node: &MemNode,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange> {
        self.storage.lock().remove_xattr(*node, identity, name)
    }
}
