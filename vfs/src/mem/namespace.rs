//! Names: looking up, listing, making, linking, renaming and removing. Each is one step for everybody else.

use super::MemNode;
use super::attribute::initial;
use super::directory::Directory;
use super::inode::{Body, Inode, Number, ROOT};
use super::permission::{READ, SEARCH, WRITE, check, check_sticky, is_root};
use super::storage::Storage;
use crate::{
    Created, DirectoryChange, DirectoryEntry, DirectoryPage, DirectoryRequest, Error, FileKind, Identity,
    NewObject, Removed, Result, SetAttributes,
};

/// Longest name in bytes.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// Most names of one object, as on ext4.
pub(super) const LINKS_MAX: u32 = 65_000;

/// Longest text of a symbolic link in bytes, as Linux's paths.
const SYMLINK_BYTES_MAX: usize = 4095;

/// Mode of what is made without one: for its owner alone.
const DEFAULT_MODE: u32 = 0o600;
const DEFAULT_DIRECTORY_MODE: u32 = 0o700;

impl Storage {
    /// The object `name` stands for, if any, for a caller who may search the directory.
    pub(super) fn find(
        &self,
        directory: MemNode,
        identity: &Identity,
        name: &[u8],
    ) -> Result<Option<Number>> {
        let (inode, entries) = self.get_directory(directory)?;
        check_name(name)?;
        check(inode, identity, SEARCH)?;
        Ok(entries.get(name))
    }

    pub(super) fn lookup(&self, directory: MemNode, identity: &Identity, name: &[u8]) -> Result<MemNode> {
        let number = self.find(directory, identity, name)?.ok_or(Error::NotFound)?;
        Ok(self.inode(number).node())
    }

    pub(super) fn parent(&self, directory: MemNode, identity: &Identity) -> Result<Option<MemNode>> {
        let (inode, entries) = self.get_directory(directory)?;
        check(inode, identity, SEARCH)?;
        Ok((directory.number != ROOT).then(|| self.inode(entries.parent).node()))
    }

    /// Looks through all directories, for the names of files lead one way.
    pub(super) fn path(&self, node: MemNode) -> Option<Vec<u8>> {
        self.get(node).ok()?;
        let mut path: Vec<&[u8]> = Vec::new();
        let mut number = node.number;
        while number != ROOT {
            let (above, name) = self.inodes.values().find_map(|inode| match &inode.body {
                Body::Directory(directory) => Some((inode.number, directory.name_of(number)?)),
                _ => None,
            })?;
            path.push(name);
            number = above;
        }
        path.reverse();
        Some(path.join(&b'/'))
    }

    pub(super) fn read_link(&self, node: MemNode) -> Result<Vec<u8>> {
        match &self.get(node)?.body {
            Body::Symlink(text) => Ok(text.clone()),
            _ => Err(Error::WrongType),
        }
    }

    pub(super) fn read_directory(
        &self,
        directory: MemNode,
        identity: &Identity,
        request: DirectoryRequest,
    ) -> Result<DirectoryPage> {
        let (inode, entries) = self.get_directory(directory)?;
        check(inode, identity, READ)?;
        let searchable = check(inode, identity, SEARCH);
        let mut page = DirectoryPage::default();
        let mut name_bytes = 0;
        for (cookie, name, number) in entries.behind(request.cookie) {
            name_bytes += name.len();
            if page.entries.len() == request.entries_max || name_bytes > request.name_bytes_max {
                return Ok(page);
            }
            let object = || {
                let node = self.inode(number).node();
                searchable.map(|()| (self.attributes(number), node.handle()))
            };
            page.entries.push(DirectoryEntry {
                name: name.to_vec(),
                cookie,
                mounted_on_fileid: number.0,
                object: request.with_attributes.then(object),
            });
        }
        page.end = true;
        Ok(page)
    }

    pub(super) fn create(
        &mut self,
        directory: MemNode,
        identity: &Identity,
        name: &[u8],
        object: NewObject<'_>,
        set: &SetAttributes,
    ) -> Result<Created<MemNode>> {
        if self.find(directory, identity, name)?.is_some() {
            return Err(Error::Exists);
        }
        let parent = self.get(directory)?;
        check(parent, identity, WRITE)?;
        let body = body_of(object, directory.number, identity)?;
        if set.size_bytes.is_some() && !matches!(body, Body::Regular(_)) {
            return Err(Error::Invalid);
        }
        let (number, change) = self.make(directory, identity, name, body, set)?;
        Ok(Created { node: self.inode(number).node(), attributes: self.attributes(number), change })
    }

    /// Makes an object in a directory that was checked.
    pub(super) fn make(
        &mut self,
        directory: MemNode,
        identity: &Identity,
        name: &[u8],
        body: Body,
        set: &SetAttributes,
    ) -> Result<(Number, DirectoryChange)> {
        let is_directory = matches!(body, Body::Directory(_));
        let parent = self.get(directory)?;
        let default_mode = if is_directory { DEFAULT_DIRECTORY_MODE } else { DEFAULT_MODE };
        let (mut mode, owner) = initial(parent, identity, is_directory, default_mode, set)?;
        if matches!(body, Body::Symlink(_)) {
            mode = 0o777;
        }
        if set.size_bytes.is_some_and(|size| size > super::attribute::FILE_BYTES_MAX) {
            return Err(Error::TooLarge);
        }
        if self.inodes.len() as u64 >= self.options.files_max {
            return Err(Error::NoSpace);
        }
        if is_directory {
            check_links(parent)?;
        }
        let number = self.insert(body, mode, owner);
        self.apply(number, mode, owner, set);
        self.inode_mut(number).links = if is_directory { 2 } else { 1 };
        let change = self.add_entry(directory.number, name, number);
        Ok((number, change))
    }

    pub(super) fn link(
        &mut self,
        node: MemNode,
        directory: MemNode,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange> {
        let inode = self.get(node)?;
        if inode.is_directory() {
            return Err(Error::IsDirectory);
        }
        if self.find(directory, identity, name)?.is_some() {
            return Err(Error::Exists);
        }
        check(self.get(directory)?, identity, WRITE)?;
        if inode.links == 0 {
            // Open, but removed: it has no name that could have a sibling.
            return Err(Error::NotFound);
        }
        check_links(inode)?;
        self.touch(node.number);
        self.inode_mut(node.number).links += 1;
        Ok(self.add_entry(directory.number, name, node.number))
    }

    pub(super) fn remove(
        &mut self,
        directory: MemNode,
        identity: &Identity,
        name: &[u8],
        removed: Removed,
    ) -> Result<DirectoryChange> {
        let number = self.find(directory, identity, name)?.ok_or(Error::NotFound)?;
        removed.check(self.inode(number).kind())?;
        let parent = self.get(directory)?;
        check(parent, identity, WRITE)?;
        check_sticky(parent, self.inode(number), identity)?;
        self.check_empty(number)?;
        let change = self.remove_entry(directory.number, name);
        self.drop_link(number);
        Ok(change)
    }

    pub(super) fn rename(
        &mut self,
        (source, source_name): (MemNode, &[u8]),
        (target, target_name): (MemNode, &[u8]),
        identity: &Identity,
    ) -> Result<(DirectoryChange, DirectoryChange)> {
        let moved = self.find(source, identity, source_name)?.ok_or(Error::NotFound)?;
        let replaced = self.find(target, identity, target_name)?;
        if replaced == Some(moved) {
            // POSIX: two names of one object stay as they are.
            return Ok((self.unchanged(source), self.unchanged(target)));
        }
        self.check_move(source, moved, target, identity)?;
        if let Some(replaced) = replaced {
            self.check_replace(target, moved, replaced, identity)?;
        }
        let (source, target) = (source.number, target.number);
        let (source_before, target_before) = (self.attributes(source), self.attributes(target));
        self.remove_entry(source, source_name);
        if let Some(replaced) = replaced {
            self.remove_entry(target, target_name);
            self.drop_link(replaced);
        }
        self.add_entry(target, target_name, moved);
        if self.inode(moved).is_directory() {
            self.directory_mut(moved).parent = target;
        }
        self.touch(moved);
        Ok((self.change_since(source, source_before), self.change_since(target, target_before)))
    }

    /// A change that did not happen.
    pub(super) fn unchanged(&self, directory: MemNode) -> DirectoryChange {
        self.change_since(directory.number, self.attributes(directory.number))
    }

    fn check_move(&self, source: MemNode, moved: Number, target: MemNode, identity: &Identity) -> Result<()> {
        let (source, target) = (self.get(source)?, self.get(target)?);
        let moved = self.inode(moved);
        check(source, identity, WRITE)?;
        check(target, identity, WRITE)?;
        check_sticky(source, moved, identity)?;
        if !moved.is_directory() || source.number == target.number {
            return Ok(());
        }
        // It gets another '..'.
        check(moved, identity, WRITE)?;
        if self.is_inside(target.number, moved.number) {
            return Err(Error::Invalid);
        }
        check_links(target)
    }

    fn check_replace(
        &self,
        target: MemNode,
        moved: Number,
        replaced: Number,
        identity: &Identity,
    ) -> Result<()> {
        check_sticky(self.get(target)?, self.inode(replaced), identity)?;
        match (self.inode(moved).is_directory(), self.inode(replaced).is_directory()) {
            (true, false) => Err(Error::NotDirectory),
            (false, true) => Err(Error::IsDirectory),
            (false, false) => Ok(()),
            (true, true) => self.check_empty(replaced),
        }
    }

    fn check_empty(&self, number: Number) -> Result<()> {
        match &self.inode(number).body {
            Body::Directory(directory) if directory.len() > 0 => Err(Error::NotEmpty),
            _ => Ok(()),
        }
    }

    /// Whether directory `number` is `ancestor` or below it.
    fn is_inside(&self, mut number: Number, ancestor: Number) -> bool {
        while number != ancestor {
            if number == ROOT {
                return false;
            }
            let Body::Directory(directory) = &self.inode(number).body else {
                panic!("only directories are above");
            };
            number = directory.parent;
        }
        true
    }

    /// Adds a name; a directory counts as a link to the one above.
    fn add_entry(&mut self, directory: Number, name: &[u8], number: Number) -> DirectoryChange {
        let before = self.attributes(directory);
        self.directory_mut(directory).add(name, number);
        let adds_link = u32::from(self.inode(number).is_directory());
        self.inode_mut(directory).links += adds_link;
        self.touch_contents(directory);
        self.change_since(directory, before)
    }

    /// Takes a name away and leaves the object's own counts alone.
    fn remove_entry(&mut self, directory: Number, name: &[u8]) -> DirectoryChange {
        let before = self.attributes(directory);
        let number = self.directory_mut(directory).remove(name);
        let drops_link = u32::from(self.inode(number).is_directory());
        self.inode_mut(directory).links -= drops_link;
        self.touch_contents(directory);
        self.change_since(directory, before)
    }

    /// Takes note that one name of an object went.
    fn drop_link(&mut self, number: Number) {
        self.touch(number);
        let inode = self.inode_mut(number);
        // An empty directory has its name and its own '.'.
        inode.links -= if inode.is_directory() { 2 } else { 1 };
        self.release_if_unused(number);
    }
}

/// Refuses what is not a single component.
fn check_name(name: &[u8]) -> Result<()> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::NameTooLong);
    }
    let is_bad = matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0));
    if is_bad { Err(Error::BadName) } else { Ok(()) }
}

fn check_links(inode: &Inode) -> Result<()> {
    if inode.links >= LINKS_MAX { Err(Error::TooManyLinks) } else { Ok(()) }
}

/// What is in a new object. Device nodes are the superuser's to make.
fn body_of(object: NewObject<'_>, parent: Number, identity: &Identity) -> Result<Body> {
    let device = |kind, major, minor| {
        if is_root(identity) { Ok(Body::Special(kind, (major, minor))) } else { Err(Error::NotPermitted) }
    };
    match object {
        NewObject::Directory => Ok(Body::Directory(Directory::new(parent))),
        NewObject::Symlink([]) => Err(Error::Invalid),
        NewObject::Symlink(text) if text.len() > SYMLINK_BYTES_MAX => Err(Error::NameTooLong),
        NewObject::Symlink(text) => Ok(Body::Symlink(text.to_vec())),
        NewObject::BlockDevice(major, minor) => device(FileKind::BlockDevice, major, minor),
        NewObject::CharacterDevice(major, minor) => device(FileKind::CharacterDevice, major, minor),
        NewObject::Socket => Ok(Body::Special(FileKind::Socket, (0, 0))),
        NewObject::Fifo => Ok(Body::Special(FileKind::Fifo, (0, 0))),
        NewObject::Regular => Ok(Body::Regular(Default::default())),
    }
}
