//! File systems mounted for one test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::server::Scratch;

/// Bytes of an image; most of them are never written.
const IMAGE_BYTES: u64 = 256 << 20;

/// How long a file system stays frozen at most, should its test hang.
const FROZEN_MAX: Duration = Duration::from_secs(60);

/// A file system mounted for one test, gone with the value.
pub struct Mounted {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Mounted {
    /// An ext4 of 256 MiB at `name` in the test's directory; `None`, with a notice, where that cannot be had.
    ///
    /// # Panics
    /// When there is no room for it.
    pub fn ext4(scratch: &Scratch, name: &str) -> Option<Self> {
        Self::ext4_of(scratch, name, IMAGE_BYTES, &[])
    }

    /// An ext4 of this size, made with further options.
    ///
    /// # Panics
    /// When there is no room for it.
    pub fn ext4_of(scratch: &Scratch, name: &str, bytes: u64, options: &[&str]) -> Option<Self> {
        let image = scratch.path().join(format!("{name}.img"));
        std::fs::File::create(&image).and_then(|file| file.set_len(bytes)).expect("an image");
        // Made without a discard, which the sparse image does not need.
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-E", "nodiscard"]).args(options).arg(&image);
        if !succeeds(&mut make) {
            println!("skipped: mkfs.ext4 is not to be had");
            return None;
        }
        Self::mount(scratch, name, &["-t", "ext4", "-o", "loop", image.to_str().expect("a plain path")])
    }

    /// A tmpfs.
    ///
    /// # Panics
    /// When its mount point cannot be made.
    pub fn tmpfs(scratch: &Scratch, name: &str) -> Option<Self> {
        Self::mount(scratch, name, &["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
    }

    fn mount(scratch: &Scratch, name: &str, arguments: &[&str]) -> Option<Self> {
        let path = scratch.path().join(name);
        std::fs::create_dir_all(&path).expect("a mount point");
        if !succeeds(Command::new("mount").args(arguments).arg(&path)) {
            println!("skipped: nothing can be mounted here");
            return None;
        }
        let this = Self { path, arguments: arguments.iter().map(ToString::to_string).collect() };
        // Everybody may do everything in it, as in the test's other directories.
        scratch.directory(name);
        Some(this)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Mounts it again after [`Mounted::unmount`].
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount_again(&self) {
        assert!(
            succeeds(Command::new("mount").args(&self.arguments).arg(&self.path)),
            "it was mounted before"
        );
    }

    /// Whether it can be unmounted now; if so, it is.
    pub fn unmount(&self) -> bool {
        succeeds(Command::new("umount").arg(&self.path))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        succeeds(Command::new("umount").args(["--lazy", "--quiet"]).arg(&self.path));
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// A frozen file system: whoever writes to it waits. Thawed with the value, or after a while should the test hang.
pub struct Frozen {
    path: PathBuf,
    thawed: Arc<AtomicBool>,
}

impl Frozen {
    /// Freezes what is mounted.
    ///
    /// # Panics
    /// When it cannot be frozen.
    pub fn new(mounted: &Mounted) -> Self {
        let path = mounted.path.clone();
        assert!(succeeds(Command::new("fsfreeze").arg("--freeze").arg(&path)), "it freezes");
        let thawed = Arc::new(AtomicBool::new(false));
        let rescue = Self { path: path.clone(), thawed: Arc::clone(&thawed) };
        std::thread::spawn(move || {
            std::thread::park_timeout(FROZEN_MAX);
            drop(rescue);
        });
        Self { path, thawed }
    }

    /// Whether it is frozen no more.
    pub fn is_thawed(&self) -> bool {
        self.thawed.load(Ordering::SeqCst)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if !self.thawed.swap(true, Ordering::SeqCst) {
            succeeds(Command::new("fsfreeze").arg("--unfreeze").arg(&self.path));
        }
    }
}
