//! What only this storage can be made to do: lose power, fail, run full.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use buf::Pool;

use super::{BLOCK_BYTES, Mem, MemFile, MemOptions, MemStorage};
use crate::{
    Authority, CreateHow, Error, Identity, NewObject, OpenAccess, Opened, Result, SetAttributes, Stability,
    Time, Vfs, XattrSet,
};

type File = Opened<super::MemNode, MemFile>;

/// Runs a future of this storage: none ever waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("memory never waits"),
    }
}

fn pool() -> Pool {
    Pool::new(4 << 20).expect("memory")
}

fn user() -> Identity {
    Identity::new(1_000, 1_000, &[])
}

/// A storage whose root anybody may write.
fn storage(capacity_bytes: u64, files_max: u64) -> (MemStorage, Mem) {
    let storage = MemStorage::new(MemOptions { capacity_bytes, files_max, ..Default::default() });
    let view = storage.view();
    let set = SetAttributes { mode: Some(0o777), ..Default::default() };
    now(view.set_attributes(&view.root(), None, &Identity::root(), &set)).unwrap();
    (storage, view)
}

fn file(view: &Mem, name: &[u8]) -> Result<File> {
    let set = SetAttributes { mode: Some(0o600), ..Default::default() };
    now(view.open_create(&view.root(), &user(), name, CreateHow::Unchecked, &set, OpenAccess::Both))
}

fn write(view: &Mem, file: &MemFile, offset: u64, bytes: &[u8], stability: Stability) -> Result<()> {
    let mut payload = pool().take(bytes.len(), 0).expect("memory");
    payload.copy_from(0, bytes);
    now(view.write(file, &user(), offset, payload, stability)).1.map(|_| ())
}

fn read(view: &Mem, file: &MemFile) -> Vec<u8> {
    let (mut buffer, done) = now(view.read(file, 0, pool().take(100_000, 0).expect("memory")));
    buffer.truncate(done.unwrap().bytes);
    buffer.to_vec()
}

#[test]
fn a_crash_keeps_what_was_committed_and_loses_the_rest() {
    let (storage, view) = storage(1 << 20, 100);
    let opened = file(&view, b"file").unwrap();
    write(&view, &opened.file, 0, b"committed", Stability::Unstable).unwrap();
    now(view.commit(&opened.file)).unwrap();
    write(&view, &opened.file, 0, b"COMM", Stability::Unstable).unwrap();
    write(&view, &opened.file, 50_000, b"far", Stability::Unstable).unwrap();
    let stable = file(&view, b"stable").unwrap();
    write(&view, &stable.file, 0, b"at once", Stability::Data).unwrap();
    let (verifier, before) = (view.write_verifier(), now(view.attributes(&opened.node)).unwrap());

    storage.crash();
    assert_ne!(view.write_verifier(), verifier);
    assert_eq!(now(view.commit(&opened.file)), Err(Error::Stale), "open files end with the machine");
    let after = now(view.attributes(&opened.node)).unwrap();
    assert!(after.change > before.change, "other contents, another change attribute");
    assert_eq!((after.size_bytes, after.used_bytes), (9, BLOCK_BYTES));
    assert_eq!(read(&view, &file(&view, b"file").unwrap().file), b"committed");
    assert_eq!(read(&view, &file(&view, b"stable").unwrap().file), b"at once");
    drop(opened);
    assert_eq!(read(&view, &file(&view, b"file").unwrap().file), b"committed", "a dead file closes nothing");
}

#[test]
fn names_and_attributes_survive_a_crash_and_removed_open_files_do_not() {
    let (storage, view) = storage(1 << 20, 100);
    let (root, user) = (view.root(), user());
    let opened = file(&view, b"removed").unwrap();
    write(&view, &opened.file, 0, &[1; 4096], Stability::File).unwrap();
    now(view.remove(&root, &user, b"removed", crate::Removed::Anything)).unwrap();
    let made = now(view.create(&root, &user, b"fifo", NewObject::Fifo, &Default::default())).unwrap();
    let cut = file(&view, b"cut").unwrap();
    write(&view, &cut.file, 0, b"0123456789", Stability::Unstable).unwrap();
    let set = SetAttributes { size_bytes: Some(4), ..Default::default() };
    now(view.set_attributes(&cut.node, Some(&cut.file), &user, &set)).unwrap();
    now(view.set_xattr(&cut.node, &user, b"name", b"value", XattrSet::Create)).unwrap();

    storage.crash();
    assert_eq!(now(view.node(&view.handle(&opened.node))), Err(Error::Stale));
    assert_eq!(now(view.node(&view.handle(&made.node))), Ok(made.node));
    assert_eq!(read(&view, &file(&view, b"cut").unwrap().file), b"0123");
    assert_eq!(now(view.get_xattr(&cut.node, &user, b"name")).unwrap(), b"value");
    let space = now(view.space(&root, &user)).unwrap();
    assert_eq!(space.total_bytes - space.free_bytes, BLOCK_BYTES, "the removed file's space is back");
}

#[test]
fn an_exclusive_create_is_found_again_after_a_crash() {
    let (storage, view) = storage(1 << 20, 100);
    let (root, user) = (view.root(), user());
    let set = SetAttributes { mode: Some(0o400), ..Default::default() };
    let how = CreateHow::Exclusive(*b"verifier");
    let create = || now(view.open_create(&root, &user, b"file", how, &set, OpenAccess::Both)).unwrap();
    let first = create();
    storage.crash();
    let second = create();
    assert!(first.created && !second.created);
    assert_eq!(first.node, second.node);
}

#[test]
fn a_failed_sync_reaches_every_open_file_once_and_changes_the_verifier() {
    let (storage, view) = storage(1 << 20, 100);
    let first = file(&view, b"file").unwrap().file;
    let second = file(&view, b"file").unwrap().file;
    write(&view, &first, 0, b"data", Stability::Unstable).unwrap();
    let verifier = view.write_verifier();
    storage.fail_next_sync();
    assert_eq!(now(view.commit(&first)), Err(Error::Io));
    let changed = view.write_verifier();
    assert_ne!(changed, verifier);
    assert_eq!(now(view.commit(&second)), Err(Error::Io), "it may rely on the same data");
    assert_eq!(now(view.commit(&second)), Ok(()));
    let later = file(&view, b"file").unwrap().file;
    assert_eq!(now(view.commit(&later)), Ok(()), "it came after");
    storage.fail_next_sync();
    assert_eq!(write(&view, &first, 0, b"DATA", Stability::File), Err(Error::Io));
    assert_ne!(view.write_verifier(), changed);
    storage.crash();
    assert_eq!(read(&view, &file(&view, b"file").unwrap().file), b"data", "what failed is not stable");
}

#[test]
fn a_full_storage_says_so_and_gets_its_space_back() {
    let (_storage, view) = storage(4 * BLOCK_BYTES, 100);
    let (root, user) = (view.root(), user());
    let opened = file(&view, b"file").unwrap();
    write(&view, &opened.file, 0, &[1; 3 * 4096], Stability::Unstable).unwrap();
    let too_much = write(&view, &opened.file, 3 * BLOCK_BYTES, &[1; 2 * 4096], Stability::Unstable);
    assert_eq!(too_much, Err(Error::NoSpace));
    assert_eq!(now(view.attributes(&opened.node)).unwrap().size_bytes, 3 * BLOCK_BYTES);
    assert_eq!(now(view.allocate(&opened.file, &user, 0, 1 << 40)), Err(Error::NoSpace));
    write(&view, &opened.file, 0, &[2; 3 * 4096], Stability::Unstable).expect("no more room is needed");

    now(view.deallocate(&opened.file, &user, 0, 2 * BLOCK_BYTES)).unwrap();
    assert_eq!(now(view.space(&root, &user)).unwrap().free_bytes, 3 * BLOCK_BYTES);
    now(view.remove(&root, &user, b"file", crate::Removed::Anything)).unwrap();
    assert_eq!(now(view.space(&root, &user)).unwrap().free_bytes, 3 * BLOCK_BYTES, "still open");
    drop(opened);
    assert_eq!(now(view.space(&root, &user)).unwrap().free_bytes, 4 * BLOCK_BYTES);
}

#[test]
fn a_quota_binds_its_owner_whoever_writes() {
    let (storage, view) = storage(1 << 20, 100);
    storage.set_quota(1_000, Some(2 * BLOCK_BYTES));
    let opened = file(&view, b"file").unwrap();
    assert_eq!(now(view.space(&view.root(), &user())).unwrap().available_bytes, 2 * BLOCK_BYTES);
    assert_eq!(write(&view, &opened.file, 0, &[1; 3 * 4096], Stability::Unstable), Err(Error::Quota));
    write(&view, &opened.file, 0, &[1; 2 * 4096], Stability::Unstable).unwrap();
    let given = SetAttributes { uid: Some(1_001), ..Default::default() };
    now(view.set_attributes(&opened.node, None, &Identity::root(), &given)).unwrap();
    let own = file(&view, b"own").unwrap();
    write(&view, &own.file, 0, &[1; 2 * 4096], Stability::Unstable)
        .expect("what was given away is not counted");
    let back = SetAttributes { uid: Some(1_000), ..Default::default() };
    let refused = now(view.set_attributes(&opened.node, None, &Identity::root(), &back));
    assert_eq!(refused, Err(Error::Quota));
}

#[test]
fn objects_are_bounded_and_numbers_used_again() {
    let (_storage, view) = storage(1 << 20, 2);
    let (root, user) = (view.root(), user());
    let first = file(&view, b"first").unwrap();
    assert_eq!(file(&view, b"second").err(), Some(Error::NoSpace));
    now(view.remove(&root, &user, b"first", crate::Removed::Anything)).unwrap();
    let (old, fileid) = (view.handle(&first.node), first.attributes.fileid);
    drop(first);
    let second = file(&view, b"second").unwrap();
    assert_eq!(second.attributes.fileid, fileid);
    assert_eq!(now(view.node(&old)), Err(Error::Stale));
}

#[test]
fn views_share_files_between_threads() {
    let (storage, view) = storage(1 << 20, 100);
    let opened = file(&view, b"file").unwrap();
    let shared = opened.file.clone();
    std::thread::spawn(move || {
        let view = storage.view();
        write(&view, &shared, 0, b"from another core", Stability::Unstable).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(read(&view, &opened.file), b"from another core");
}

#[test]
fn advised_reading_and_access_times_follow_the_clock() {
    let (storage, view) = storage(1 << 20, 100);
    let opened = file(&view, b"file").unwrap();
    write(&view, &opened.file, 0, b"data", Stability::Unstable).unwrap();
    let time = Time { seconds: 2_000_000_000, nanoseconds: 5 };
    storage.set_time(time);
    let before = now(view.attributes(&opened.node)).unwrap();
    read(&view, &opened.file);
    let after = now(view.attributes(&opened.node)).unwrap();
    assert_eq!(after.accessed, time);
    assert_eq!((after.change, after.changed), (before.change, before.changed), "reading changes nothing");
    let again = now(view.open(&opened.node, &user(), OpenAccess::Read, Authority::Caller)).unwrap();
    assert_eq!(now(view.advise(&again, 0, 10, crate::Advice::WillNeed)), Ok(false), "nothing to fetch");
}
