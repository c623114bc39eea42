//! The tables of the file system, its clock and its counts.

use std::collections::BTreeMap;

use super::content::Content;
use super::directory::Directory;
use super::inode::{Body, Inode, Number, ROOT};
use super::{MemNode, MemOptions};
use crate::{Attributes, DirectoryChange, Error, Identity, Result, Space, Time};

/// Nanoseconds that the clock moves with each change, so that order shows.
const TICK_NS: u32 = 1_000;

#[derive(Debug)]
pub(super) struct Storage {
    pub(super) options: MemOptions,
    pub(super) inodes: BTreeMap<Number, Inode>,
    /// Numbers of removed objects, to be used again as real file systems do.
    free_numbers: Vec<Number>,
    next_generation: u64,
    /// The last change attribute given. One counter for all objects, so none ever repeats.
    last_change: u64,
    pub(super) time: Time,
    pub(super) usage: Usage,
    /// Counts starts; open files of an earlier one are dead.
    pub(super) life: u64,
    sync_failures: u64,
    pub(super) fail_next_sync: bool,
}

impl Storage {
    pub(super) fn new(options: MemOptions) -> Self {
        let time = Time { seconds: 1_000_000_000, nanoseconds: 0 };
        let mut storage = Self {
            options,
            inodes: BTreeMap::new(),
            free_numbers: vec![ROOT],
            next_generation: 1,
            last_change: 0,
            time,
            usage: Usage::default(),
            life: 1,
            sync_failures: 0,
            fail_next_sync: false,
        };
        let root = storage.insert(Body::Directory(Directory::new(ROOT)), 0o755, (0, 0));
        storage.inode_mut(root).links = 2;
        storage
    }

    pub(super) fn root(&self) -> MemNode {
        self.inode(ROOT).node()
    }

    /// The object a node names, if it still exists.
    pub(super) fn get(&self, node: MemNode) -> Result<&Inode> {
        let inode = self.inodes.get(&node.number).filter(|inode| inode.generation == node.generation);
        inode.ok_or(if node.generation < self.next_generation { Error::Stale } else { Error::BadHandle })
    }

    /// As [`Storage::get`], for a directory.
    pub(super) fn get_directory(&self, node: MemNode) -> Result<(&Inode, &Directory)> {
        let inode = self.get(node)?;
        match &inode.body {
            Body::Directory(directory) => Ok((inode, directory)),
            Body::Symlink(_) => Err(Error::IsSymlink),
            _ => Err(Error::NotDirectory),
        }
    }

    /// An object known to exist.
    pub(super) fn inode(&self, number: Number) -> &Inode {
        self.inodes.get(&number).expect("names and open files keep their object")
    }

    pub(super) fn inode_mut(&mut self, number: Number) -> &mut Inode {
        self.inodes.get_mut(&number).expect("names and open files keep their object")
    }

    pub(super) fn directory_mut(&mut self, number: Number) -> &mut Directory {
        match &mut self.inode_mut(number).body {
            Body::Directory(directory) => directory,
            _ => panic!("the object was checked to be a directory"),
        }
    }

    pub(super) fn attributes(&self, number: Number) -> Attributes {
        self.inode(number).attributes(self.options.fsid)
    }

    /// A new object without a name.
    pub(super) fn insert(&mut self, body: Body, mode: u32, (uid, gid): (u32, u32)) -> Number {
        let number = self.free_numbers.pop().unwrap_or(Number(self.inodes.len() as u64 + 1));
        let generation = self.next_generation;
        self.next_generation += 1;
        let now = self.tick();
        let change = self.next_change();
        let inode = Inode {
            number,
            generation,
            body,
            mode,
            uid,
            gid,
            links: 0,
            opens: 0,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
            change,
            verifier: None,
            xattrs: BTreeMap::new(),
        };
        let replaced = self.inodes.insert(number, inode);
        assert!(replaced.is_none(), "a number names one object at a time");
        number
    }

    /// Frees an object that has neither a name nor an open file.
    pub(super) fn release_if_unused(&mut self, number: Number) {
        let inode = self.inode(number);
        if inode.links > 0 || inode.opens > 0 {
            return;
        }
        let inode = self.inodes.remove(&number).expect("just seen");
        self.usage.give_back(inode.uid, inode.used_bytes());
        self.free_numbers.push(number);
    }

    /// Marks a change of an object's attributes.
    pub(super) fn touch(&mut self, number: Number) {
        let now = self.tick();
        let change = self.next_change();
        let inode = self.inode_mut(number);
        inode.change = change;
        inode.changed = now;
    }

    /// Marks a change of an object's contents (a directory's entries are its contents).
    pub(super) fn touch_contents(&mut self, number: Number) {
        self.touch(number);
        let inode = self.inode_mut(number);
        inode.modified = inode.changed;
    }

    /// What became of an object that was like this `before`. Whoever changes it holds the whole storage.
    pub(super) fn change_since(&self, number: Number, before: Attributes) -> DirectoryChange {
        DirectoryChange { atomic: true, before, after: self.attributes(number) }
    }

    /// Changes a regular file's contents and keeps the counts of space right.
    pub(super) fn edit<T>(&mut self, number: Number, edit: impl FnOnce(&mut Content) -> T) -> T {
        let inode = self.inode_mut(number);
        let (uid, before) = (inode.uid, inode.used_bytes());
        let Body::Regular(content) = &mut inode.body else {
            panic!("the object was checked to be a regular file")
        };
        let result = edit(content);
        let after = content.used_bytes();
        self.usage.give_back(uid, before);
        self.usage.take(uid, after);
        result
    }

    /// Whether `bytes` more of storage may belong to `uid`.
    pub(super) fn check_room(&self, uid: u32, bytes: u64) -> Result<()> {
        if bytes > self.usage.room_of(uid) {
            return Err(Error::Quota);
        }
        if bytes > self.options.capacity_bytes.saturating_sub(self.usage.bytes) {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    pub(super) fn space(&self, identity: &Identity) -> Space {
        let free_bytes = self.options.capacity_bytes.saturating_sub(self.usage.bytes);
        let free_files = self.options.files_max.saturating_sub(self.inodes.len() as u64);
        Space {
            total_bytes: self.options.capacity_bytes,
            free_bytes,
            available_bytes: free_bytes.min(self.usage.room_of(identity.uid())),
            total_files: self.options.files_max,
            free_files,
            available_files: free_files,
        }
    }

    /// Brings a file's contents to stable storage, or fails as a disk does: what was to be synced stays
    /// readable until the next start, and nobody can rely on it.
    pub(super) fn sync(&mut self, number: Number) -> Result<()> {
        if std::mem::take(&mut self.fail_next_sync) {
            self.sync_failures += 1;
            self.edit(number, |content| content.sync_failures += 1);
            return Err(Error::Io);
        }
        self.edit(number, Content::make_stable);
        Ok(())
    }

    /// Another one for each start and each failed sync.
    pub(super) fn write_verifier(&self) -> [u8; 8] {
        let low = (self.life << 16) + self.sync_failures;
        (self.options.seed.wrapping_shl(40) ^ low).to_be_bytes()
    }

    pub(super) fn crash(&mut self) {
        self.life += 1;
        self.fail_next_sync = false;
        let numbers: Vec<Number> = self.inodes.keys().copied().collect();
        for number in numbers {
            self.inode_mut(number).opens = 0;
            let lost = self.inode(number).content().is_some_and(|content| !content.is_stable());
            if lost {
                // The contents went back, the change attribute must not.
                self.edit(number, Content::lose_unstable);
                self.touch(number);
            }
            self.release_if_unused(number);
        }
    }

    fn next_change(&mut self) -> u64 {
        self.last_change += 1;
        self.last_change
    }

    fn tick(&mut self) -> Time {
        self.time.nanoseconds += TICK_NS;
        if self.time.nanoseconds >= 1_000_000_000 {
            self.time.nanoseconds -= 1_000_000_000;
            self.time.seconds += 1;
        }
        self.time
    }
}

/// Who uses how much.
#[derive(Debug, Default)]
pub(super) struct Usage {
    bytes: u64,
    per_owner: BTreeMap<u32, u64>,
    quotas: BTreeMap<u32, u64>,
}

impl Usage {
    pub(super) fn set_quota(&mut self, uid: u32, bytes: Option<u64>) {
        match bytes {
            Some(bytes) => self.quotas.insert(uid, bytes),
            None => self.quotas.remove(&uid),
        };
    }

    pub(super) fn take(&mut self, uid: u32, bytes: u64) {
        self.bytes += bytes;
        *self.per_owner.entry(uid).or_default() += bytes;
    }

    pub(super) fn give_back(&mut self, uid: u32, bytes: u64) {
        self.bytes -= bytes;
        *self.per_owner.entry(uid).or_default() -= bytes;
    }

    fn room_of(&self, uid: u32) -> u64 {
        let quota = self.quotas.get(&uid).filter(|_| uid != 0);
        let used = self.per_owner.get(&uid).copied().unwrap_or(0);
        quota.map_or(u64::MAX, |quota| quota.saturating_sub(used))
    }
}
