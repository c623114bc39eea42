//! Nothing leads out of an export, and file systems mounted below are entered only when asked.

mod rig;

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use rig::calls::{alice, make, mode, page, root};
use rig::{Mounted, storage, with};
use rustix::fs::{XattrFlags, setxattr};
use vfs::{Access, Authority, Error, FileKind, Identity, NewObject, OpenAccess, Removed, SetAttributes, Vfs};
use vfs_local::{LocalStorage, Options};

#[test]
fn nothing_leads_out() {
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    let export = mounted.path.join("export");
    std::fs::create_dir_all(export.join("below/deeper")).expect("directories");
    std::fs::write(mounted.path.join("secret"), b"x").expect("a file outside");
    symlink("../secret", export.join("relative")).expect("a link");
    symlink("/", export.join("absolute")).expect("a link");
    let outside = mounted.path.join("moved");
    let inside = export.join("below");
    with(storage(&export), move |local, _| async move {
        let top = local.root();
        for name in [&b".."[..], b"../secret", b"below/..", b"."] {
            assert_eq!(local.lookup(&top, &root(), name).await.err(), Some(Error::BadName));
        }
        for name in [&b"relative"[..], b"absolute"] {
            let link = local.lookup(&top, &root(), name).await.expect("the link itself");
            assert_eq!(local.attributes(&link).await.unwrap().kind, FileKind::Symlink);
            assert_eq!(local.lookup(&link, &root(), b"etc").await.err(), Some(Error::NotDirectory));
        }
        assert!(local.parent(&top, &root()).await.expect("no error").is_none());
        let below = local.lookup(&top, &root(), b"below").await.expect("it is there");
        let deeper = local.lookup(&below, &root(), b"deeper").await.expect("it is there");
        let up = local.parent(&deeper, &root()).await.expect("no error").expect("not the root");
        assert_eq!(local.handle(&up), local.handle(&below));
        // Moved out behind the server's back, it must not show the way.
        std::fs::rename(&inside, &outside).expect("a move");
        for node in [&below, &deeper] {
            let up = local.parent(node, &root()).await;
            assert!(matches!(up, Err(Error::AccessDenied | Error::NotFound | Error::Stale)), "{up:?}");
        }
    });
}

#[test]
fn the_largest_file_is_what_the_file_system_takes() {
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    let block_bytes = rustix::fs::statvfs(&mounted.path).expect("mounted").f_bsize;
    with(storage(&mounted.path), move |local, _| async move {
        // ext4 counts the blocks of a file in 32 bits.
        assert_eq!(local.capabilities().file_bytes_max, u64::from(u32::MAX) * block_bytes);
    });
}

/// A tmpfs at `path` for as long as the value lives.
struct Below<'a>(&'a Path);

impl<'a> Below<'a> {
    fn mount(path: &'a Path) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(path).status();
        assert!(mounted.expect("mount runs").success());
        Self(path)
    }
}

impl Drop for Below<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn file_systems_below_are_entered_only_when_asked() {
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    let point = mounted.path.join("point");
    std::fs::create_dir(&point).expect("a directory");
    std::fs::write(point.join("hidden"), b"").expect("a file");
    let hidden = std::fs::metadata(&point).expect("it is there").ino();
    let _below = Below::mount(&point);
    std::fs::write(point.join("shown"), b"").expect("a file");

    with(storage(&mounted.path), move |local, _| async move {
        let point = local.lookup(&local.root(), &root(), b"point").await.expect("the directory itself");
        assert_eq!(local.attributes(&point).await.unwrap().fileid, hidden);
        assert!(local.lookup(&point, &root(), b"hidden").await.is_ok());
        assert_eq!(local.lookup(&point, &root(), b"shown").await.err(), Some(Error::NotFound));
    });

    let mut options = Options::new(&mounted.path, 1);
    options.cross_mounts = true;
    let crossing = || LocalStorage::open(options.clone()).expect("it can be exported");
    let handle = with(crossing(), move |local, _| async move {
        let top = local.root();
        let listed = page(&local, &top, 0, 100).await;
        let entry = listed.entries.iter().find(|entry| entry.name == b"point").expect("it is listed");
        assert_eq!(entry.mounted_on_fileid, hidden);
        let point = local.lookup(&top, &root(), b"point").await.expect("the mounted directory");
        let attributes = local.attributes(&point).await.unwrap();
        assert_eq!(attributes.mounted_on_fileid, hidden);
        assert_ne!(attributes.fsid, local.capabilities().fsid);
        let shown = local.lookup(&point, &root(), b"shown").await.expect("a file of the mounted one");
        assert_eq!(local.lookup(&point, &root(), b"hidden").await.err(), Some(Error::NotFound));
        let up = local.parent(&point, &root()).await.expect("no error").expect("not the root");
        assert_eq!(local.handle(&up), local.handle(&top));
        let across = local.rename(&point, b"shown", &top, b"moved", &root()).await;
        assert_eq!(across.err(), Some(Error::CrossDevice));
        assert_eq!(local.remove(&top, &root(), b"point", Removed::Anything).await, Err(Error::Busy));
        local.handle(&shown)
    });
    // By its handle alone, after a restart.
    with(crossing(), move |local, _| async move {
        let shown = local.node(&handle).await.expect("the same file");
        assert_ne!(local.attributes(&shown).await.unwrap().fsid, local.capabilities().fsid);
    });
}

#[test]
fn users_get_no_further_than_the_kernel_lets_them() {
    let Some(mounted) = Mounted::tmpfs().filter(|_| rig::is_root()) else { return };
    with(storage(&mounted.path), |local, _| async move {
        let top = local.root();
        let closed = SetAttributes { mode: Some(0o700), ..Default::default() };
        let made = local.create(&top, &root(), b"closed", NewObject::Directory, &closed).await.unwrap();
        make(&local, &made.node, &root(), "file").await.expect("a file");
        assert_eq!(local.lookup(&made.node, &alice(), b"file").await.err(), Some(Error::AccessDenied));
        assert_eq!(
            local.remove(&made.node, &alice(), b"file", Removed::Anything).await.err(),
            Some(Error::AccessDenied)
        );
        let device = local.create(&top, &alice(), b"null", NewObject::CharacterDevice(1, 3), &closed).await;
        assert_eq!(device.err(), Some(Error::NotPermitted));
    });
}

/// An access ACL as the kernel keeps it: the owner both, one user reading, nobody else anything.
fn acl_for(uid: u32) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    // Owner, named user, group, mask, others: tags of posix_acl_xattr.h.
    let entries = [(1u16, 6u16, NOBODY), (2, 4, uid), (4, 0, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY)];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn posix_acls_count() {
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    let path = mounted.path.join("file");
    with(storage(&mounted.path), move |local, _| async move {
        let made = make(&local, &local.root(), &root(), "file").await.expect("a file");
        local.set_attributes(&made.node, None, &root(), &mode(0o600)).await.expect("a mode");
        let both = Access { read: true, write: true, execute: false };
        assert_eq!(local.access(&made.node, &alice(), both).await, Ok(Access::default()));
        let set = XattrFlags::empty();
        setxattr(&path, "system.posix_acl_access", &acl_for(alice().uid()), set).expect("an ACL");
        let reads = Access { read: true, ..Access::default() };
        assert_eq!(local.access(&made.node, &alice(), both).await, Ok(reads));
        assert!(local.open(&made.node, &alice(), OpenAccess::Read, Authority::Caller).await.is_ok());
        let refused = local.open(&made.node, &alice(), OpenAccess::Both, Authority::Caller).await;
        assert_eq!(refused.err(), Some(Error::AccessDenied));
        let stranger = Identity::new(70_002, 70_002, &[]);
        assert_eq!(local.access(&made.node, &stranger, both).await, Ok(Access::default()));
    });
}

#[test]
fn reserved_blocks_are_not_for_users() {
    let made = Mounted::image("ext4", &["-q", "-F", "-m", "30"], "");
    let Some(mounted) = made.filter(|_| rig::is_root()) else { return };
    vfs_local::drop_quota_override().expect("a right can be given up");
    with(storage(&mounted.path), |local, _| async move {
        let top = local.root();
        let opened = make(&local, &top, &alice(), "file").await.expect("a file");
        let space = local.space(&top, &alice()).await.unwrap();
        assert!(space.free_bytes > space.available_bytes + (50 << 20));
        let beyond = space.available_bytes + (20 << 20);
        assert_eq!(local.allocate(&opened.file, &alice(), 0, beyond).await, Err(Error::NoSpace));
    });
}

#[test]
fn quotas_hold() {
    let made = Mounted::image("xfs", &["-q", "-f"], ",uquota");
    let Some(mounted) = made.filter(|_| rig::is_root()) else { return };
    let limit = format!("limit bhard=10m {}", alice().uid());
    let set = Command::new("xfs_quota").args(["-x", "-c", &limit]).arg(&mounted.path).output();
    if !set.as_ref().is_ok_and(|set| set.status.success()) {
        println!("skipped: quotas cannot be set here ({set:?})");
        return;
    }
    vfs_local::drop_quota_override().expect("a right can be given up");
    with(storage(&mounted.path), |local, shard| async move {
        let opened = make(&local, &local.root(), &alice(), "file").await.expect("a file");
        assert_eq!(local.allocate(&opened.file, &alice(), 0, 20 << 20).await, Err(Error::Quota));
        let mut outcome = Ok(());
        for number in 0..20 {
            outcome = rig::calls::write(&local, &shard, &opened.file, &alice(), number << 20, 1 << 20).await;
            if outcome.is_err() {
                break;
            }
        }
        assert_eq!(outcome, Err(Error::Quota));
    });
}
