//! The state directory: who this server is, its secret, and the number of its starts.
//!
//! `identity.toml` is replaced as a whole (written aside, synced, renamed, directory synced), so it is never
//! found half written. `lock` keeps a second instance out. `state.redb` belongs to [`crate::store`].

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::fatal::Fatal;

const IDENTITY_FILE: &str = "identity.toml";
const IDENTITY_ASIDE: &str = "identity.toml.new";
const LOCK_FILE: &str = "lock";
const RECORDS_FILE: &str = "state.redb";

/// The form of `identity.toml`; a greater one was written by a later release.
const VERSION: u32 = 1;

/// Bytes of the random part of owner and scope: never chosen twice by chance.
const NAME_RANDOM_BYTES: usize = 16;

/// A larger identity file was not written by us.
const IDENTITY_BYTES_MAX: u64 = 64 * 1024;

/// Who the server is, as kept over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Server owner's major id (RFC 8881 §2.5).
    pub owner: String,
    /// Server scope.
    pub scope: String,
    /// The secret that authenticates file handles.
    pub handle_key: [u8; 16],
    /// Number of this start; greater than that of every earlier one, and already on stable storage.
    pub epoch: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile {
    version: u32,
    owner: String,
    scope: String,
    handle_key: String,
    epoch: u32,
}

/// The directory, held against other instances for as long as this lives.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    identity: Identity,
    _lock: File,
}

impl StateDirectory {
    /// Opens `path` (made if it is not there), locks it, reads or makes the identity, and counts this start.
    ///
    /// # Errors
    /// Each names the path and the remedy.
    pub fn open(path: &Path) -> Result<Self, Fatal> {
        make(path)?;
        let lock = lock(path)?;
        let mut identity = match read_identity(path)? {
            Some(identity) => identity,
            None => new_identity(path)?,
        };
        identity.epoch = identity.epoch.checked_add(1).ok_or_else(|| {
            corrupt(&path.join(IDENTITY_FILE), "its `epoch` is at the end of the range".to_owned())
        })?;
        write_identity(path, &identity).map_err(|error| unusable(path, &error))?;
        Ok(Self { path: path.to_owned(), identity, _lock: lock })
    }

    /// Who the server is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The file for client records.
    pub fn records_file(&self) -> PathBuf {
        self.path.join(RECORDS_FILE)
    }
}

/// What [`StateDirectory::open`] would find wrong in a directory that is there already, for one who may look into it.
/// Nothing is changed.
///
/// # Errors
/// As its.
pub fn check(path: &Path) -> Result<(), Fatal> {
    if !rustix::process::geteuid().is_root() || !path.exists() {
        return Ok(());
    }
    check_access(path)?;
    read_identity(path).map(drop)
}

fn make(path: &Path) -> Result<(), Fatal> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| unusable(path, &error))?;
    check_access(path)
}

/// Whether the directory is its owner's alone, and the owner runs this.
fn check_access(path: &Path) -> Result<(), Fatal> {
    let metadata = std::fs::metadata(path).map_err(|error| unusable(path, &error))?;
    if !metadata.is_dir() {
        return Err(unusable(path, &std::io::ErrorKind::NotADirectory.into()));
    }
    let loose = metadata.permissions().mode() & 0o077 != 0;
    if loose || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Fatal::new(
            format!("the state directory {} is open to other users", path.display()),
            format!(
                "it holds the secret of the file handles: chown root {0} && chmod 0700 {0}, or name another \
                 directory with --state-dir",
                path.display()
            ),
        ));
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, Fatal> {
    let mut options = OpenOptions::new();
    let opened =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK_FILE));
    let mut file = opened.map_err(|error| unusable(path, &error))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        // The number is a hint for people; without it the message is still right.
        let _ = (&mut file).take(32).read_to_string(&mut holder);
        return Err(Fatal::new(
            format!(
                "the state directory {} is in use by another penstock (process {})",
                path.display(),
                holder.trim()
            ),
            "stop it, or give this one its own directory with --state-dir",
        ));
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| unusable(path, &error))?;
    Ok(file)
}

fn read_identity(path: &Path) -> Result<Option<Identity>, Fatal> {
    let file = path.join(IDENTITY_FILE);
    let text = match File::open(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error)),
        Ok(opened) => {
            let mut text = String::new();
            opened
                .take(IDENTITY_BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(|error| corrupt(&file, error.to_string()))?;
            text
        }
    };
    let read: IdentityFile =
        toml::from_str(&text).map_err(|error| corrupt(&file, error.message().to_owned()))?;
    if read.version != VERSION {
        return Err(Fatal::new(
            format!("{} has version {}, this release knows {VERSION}", file.display(), read.version),
            "run the release that wrote it, or a later one",
        ));
    }
    let names = [&read.owner, &read.scope];
    if names.iter().any(|name| name.is_empty() || name.len() > 256) {
        return Err(corrupt(&file, "`owner` and `scope` have 1 to 256 bytes".to_owned()));
    }
    let handle_key = from_hex(&read.handle_key)
        .ok_or_else(|| corrupt(&file, "`handle_key` is not 32 hexadecimal digits".to_owned()))?;
    Ok(Some(Identity { owner: read.owner, scope: read.scope, handle_key, epoch: read.epoch }))
}

/// A new identity, for an empty directory.
fn new_identity(path: &Path) -> Result<Identity, Fatal> {
    if path.join(RECORDS_FILE).exists() {
        return Err(Fatal::new(
            format!("{} is missing, but {RECORDS_FILE} is there", path.join(IDENTITY_FILE).display()),
            format!(
                "restore {IDENTITY_FILE} from a backup; or move {RECORDS_FILE} away too, then a new identity is \
                 made and every client must mount again"
            ),
        ));
    }
    let mut random = [0; NAME_RANDOM_BYTES];
    let mut handle_key = [0; 16];
    for bytes in [&mut random, &mut handle_key] {
        getrandom::fill(bytes).map_err(|error| {
            Fatal::new(
                format!("the kernel gives no random bytes: {error}"),
                "allow the getrandom system call",
            )
        })?;
    }
    let name = format!("penstock-{}", to_hex(&random));
    Ok(Identity { owner: name.clone(), scope: name, handle_key, epoch: 0 })
}

fn write_identity(path: &Path, identity: &Identity) -> std::io::Result<()> {
    let content = IdentityFile {
        version: VERSION,
        owner: identity.owner.clone(),
        scope: identity.scope.clone(),
        handle_key: to_hex(&identity.handle_key),
        epoch: identity.epoch,
    };
    let text = format!(
        "# Written by penstock at every start. Keep it secret and in your backups: without it clients'\n\
         # file handles are worthless.\n{}",
        toml::to_string(&content).map_err(std::io::Error::other)?
    );
    let aside = path.join(IDENTITY_ASIDE);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, path.join(IDENTITY_FILE))?;
    File::open(path)?.sync_all()
}

fn unusable(path: &Path, error: &std::io::Error) -> Fatal {
    Fatal::new(
        format!("the state directory {} cannot be used: {error}", path.display()),
        "make it writable for root on a file system with space left, or name another with --state-dir",
    )
}

fn corrupt(file: &Path, reason: String) -> Fatal {
    Fatal::new(
        format!("{} is damaged: {}", file.display(), reason.trim_end()),
        format!(
            "restore it from a backup; or move it and {RECORDS_FILE} away, then a new identity is made and every \
             client must mount again"
        ),
    )
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (number, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * number..2 * number + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn the_identity_stays_and_starts_are_counted() {
        let scratch = Scratch::new();
        let path = scratch.path().join("state");
        let first = StateDirectory::open(&path).unwrap().identity().clone();
        let second = StateDirectory::open(&path).unwrap().identity().clone();
        assert_eq!((first.epoch, second.epoch), (1, 2));
        assert_eq!(Identity { epoch: 1, ..second }, first);
        let mode = |file: &str| std::fs::metadata(path.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("."), mode(IDENTITY_FILE)), (0o700, 0o600));
    }

    #[test]
    fn a_start_that_died_while_writing_leaves_the_old_identity() {
        let scratch = Scratch::new();
        let path = scratch.path().join("state");
        StateDirectory::open(&path).unwrap();
        std::fs::write(path.join(IDENTITY_ASIDE), "version = 1\nown").unwrap();
        assert_eq!(StateDirectory::open(&path).unwrap().identity().epoch, 2);
    }

    #[test]
    fn a_second_instance_is_kept_out() {
        let scratch = Scratch::new();
        let path = scratch.path().join("state");
        let held = StateDirectory::open(&path).unwrap();
        let message = StateDirectory::open(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        drop(held);
        StateDirectory::open(&path).unwrap();
    }

    #[test]
    fn damage_is_refused_with_a_remedy() {
        let scratch = Scratch::new();
        let path = scratch.path().join("state");
        drop(StateDirectory::open(&path).unwrap());
        let good = std::fs::read_to_string(path.join(IDENTITY_FILE)).unwrap();
        for bad in
            ["", "\u{0}\u{0}", &good.replace("handle_key = \"", "handle_key = \"x"), &good[..good.len() / 2]]
        {
            std::fs::write(path.join(IDENTITY_FILE), bad).unwrap();
            let message = StateDirectory::open(&path).unwrap_err().to_string();
            assert!(message.contains("is damaged") && message.contains("backup"), "{message}");
        }
        std::fs::write(path.join(IDENTITY_FILE), good.replace("version = 1", "version = 2")).unwrap();
        assert!(StateDirectory::open(&path).unwrap_err().to_string().contains("version 2"));
        std::fs::remove_file(path.join(IDENTITY_FILE)).unwrap();
        std::fs::write(path.join(RECORDS_FILE), "").unwrap();
        assert!(StateDirectory::open(&path).unwrap_err().to_string().contains("is missing"));
    }

    #[test]
    fn an_open_directory_is_refused() {
        let scratch = Scratch::new();
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let message = StateDirectory::open(scratch.path()).unwrap_err().to_string();
        assert!(message.contains("chmod 0700"), "{message}");
    }
}
