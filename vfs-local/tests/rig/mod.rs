//! File systems to test on, and the engine to test with.
#![allow(dead_code, reason = "each test file uses its part")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use engine::{EngineConfig, Shard};
use vfs_local::{Local, LocalStorage, Options};

pub mod calls;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A file system mounted for one test, gone with it.
pub struct Mounted {
    pub path: PathBuf,
    image: Option<PathBuf>,
}

impl Mounted {
    /// A tmpfs.
    pub fn tmpfs() -> Option<Self> {
        Self::tmpfs_of("256m")
    }

    /// A tmpfs of this size.
    pub fn tmpfs_of(size: &str) -> Option<Self> {
        Self::mount("tmpfs", None, &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
    }

    /// A file system whose disk turns out smaller than it said: its image is sparse, on a tmpfs without the room.
    pub fn broken_disk() -> Option<(Self, Self)> {
        let small = Self::tmpfs_of("16m")?;
        let image = small.path.join("disk");
        let file = std::fs::File::create(&image).expect("an image file");
        file.set_len(256 << 20).expect("its size");
        let make = ["-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1"];
        let made = Command::new("mkfs.ext4").args(make).arg(&image).output();
        if !made.is_ok_and(|made| made.status.success()) {
            println!("skipped: mkfs.ext4 is not to be had");
            return None;
        }
        let device = image.to_str().expect("a plain path");
        let mounted = Self::mount("ext4", None, &["-t", "ext4", "-o", "loop", device])?;
        Some((mounted, small))
    }

    /// A file system of this kind on a loop image; `None`, with a notice, where that cannot be had.
    pub fn image(kind: &str, make: &[&str], options: &str) -> Option<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let image = std::env::temp_dir().join(format!("vfs-local-{}-{number}.img", std::process::id()));
        let file = std::fs::File::create(&image).expect("an image file");
        file.set_len(512 << 20).expect("its size");
        let tool = format!("mkfs.{kind}");
        let made = Command::new(&tool).args(make).arg(&image).output();
        if !made.as_ref().is_ok_and(|made| made.status.success()) {
            println!("skipped: {tool} is not to be had ({made:?})");
            std::fs::remove_file(&image).expect("removal");
            return None;
        }
        let device = image.to_str().expect("a plain path").to_owned();
        Self::mount(kind, Some(image), &["-t", kind, "-o", &format!("loop{options}"), &device])
    }

    pub fn ext4() -> Option<Self> {
        Self::image("ext4", &["-q", "-F"], "")
    }

    pub fn xfs() -> Option<Self> {
        Self::image("xfs", &["-q", "-f"], "")
    }

    /// Whatever `mount` makes of the arguments; `None`, with a notice, where it fails.
    pub fn mount(kind: &str, image: Option<PathBuf>, arguments: &[&str]) -> Option<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("vfs-local-{}-{number}-{kind}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a mount point");
        let mounted = Command::new("mount").args(arguments).arg(&path).output().expect("mount runs");
        let this = Self { path, image };
        if !mounted.status.success() {
            println!("skipped: no {kind} here: {}", String::from_utf8_lossy(&mounted.stderr));
            return None;
        }
        let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
        std::fs::set_permissions(&this.path, open).expect("a mode");
        Some(this)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
        let _ = std::fs::remove_dir(&self.path);
        if let Some(image) = &self.image {
            let _ = std::fs::remove_file(image);
        }
    }
}

/// Whether the tests can act as several users.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// The export of `path`.
pub fn storage(path: &Path) -> Arc<LocalStorage> {
    LocalStorage::open(Options::new(path, 1)).expect("the directory can be exported")
}

/// Runs `test` on a shard with the export.
pub fn with<F>(storage: Arc<LocalStorage>, test: impl FnOnce(Local, Shard) -> F + Send + 'static) -> F::Output
where
    F: Future + 'static,
    F::Output: Send + 'static,
{
    engine::block_on(EngineConfig::small(), |shard| async move {
        let local = Local::new(storage, shard.clone()).expect("helper threads");
        test(local, shard).await
    })
    .expect("the engine starts")
}
