//! A connected client, and errors that name what they are about.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use client::{ClientOptions, Details, Error, Files, Trace, in_same_trace, within_trace};
use engine::{EngineConfig, JoinHandle, Shard, block_on};
use signal_hook::consts::{SIGINT, SIGTERM};
use wire::nfs4::{FileHandle, FileType, Status, Verifier};

use crate::fatal::Fatal;
use crate::tool::location::{Location, Transport};

/// Payload memory: what is read is collected outside of it, so only its smallest size is needed.
const REGION_BYTES: usize = 8 << 20;

/// The same over RDMA, where calls lend it: room for the results of each that is under way.
const LENT_BYTES: usize = 64 << 20;

/// Connections that there may be at a time, and calls outstanding on each, for which that is enough.
const CONNECTIONS: u32 = 4;
const CALLS: u32 = 32;

/// Symbolic links followed on the way to one object; as many as Linux follows.
const LINKS_MAX: usize = 40;

/// Who calls, and how.
#[derive(Args, Clone, Copy, Debug)]
pub struct Caller {
    /// The caller's user, by AUTH_SYS. [default: this process's]
    #[arg(long, value_name = "N")]
    pub uid: Option<u32>,
    /// The caller's group. [default: this process's]
    #[arg(long, value_name = "N")]
    pub gid: Option<u32>,
    /// Say in each call where its data lies, and of which trace it is a part where TRACEPARENT is set
    /// (docs/ANNOTATIONS.md).
    #[arg(long)]
    pub annotate: bool,
}

/// Why a command failed: what it is about, and the reason.
#[derive(Debug)]
pub struct Failure {
    subject: String,
    reason: String,
}

/// What a command's steps return.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure that is about `subject`.
    pub fn new(subject: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self { subject: subject.to_string(), reason: reason.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.subject, self.reason)
    }
}

/// Says about what an error is.
pub trait About<T> {
    /// The error is about `subject`.
    ///
    /// # Errors
    /// The same, named.
    fn about(self, subject: impl fmt::Display) -> Outcome<T>;
}

impl<T> About<T> for client::Result<T> {
    fn about(self, subject: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure::new(subject, reason(&error)))
    }
}

impl<T> About<T> for std::io::Result<T> {
    fn about(self, subject: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure::new(subject, error))
    }
}

/// A server, and the means to reach it.
pub struct Remote {
    /// The core all of it is on.
    shard: Shard,
    files: Files,
    interrupted: Arc<AtomicBool>,
}

impl Remote {
    /// Runs a command: connects to the server of `location`, does `work`, and says goodbye. Returns true when nothing
    /// failed.
    pub fn run<F>(
        location: &Location,
        caller: Caller,
        work: impl FnOnce(std::rc::Rc<Remote>) -> F + Send + 'static,
    ) -> bool
    where
        F: Future<Output = Outcome<bool>> + 'static,
    {
        match Self::try_run(location, caller, work) {
            Ok(good) => good,
            Err(what) => {
                eprintln!("penstock: {what}");
                false
            }
        }
    }

    fn try_run<F>(
        location: &Location,
        caller: Caller,
        work: impl FnOnce(std::rc::Rc<Remote>) -> F + Send + 'static,
    ) -> Result<bool, String>
    where
        F: Future<Output = Outcome<bool>> + 'static,
    {
        let address = location.address().map_err(|fatal| fatal.to_string())?;
        let options = options(location, caller);
        let trace = if caller.annotate { trace_of_environment() } else { None };
        let interrupted = watch_interrupts().map_err(|error| error.to_string())?;
        let location = location.clone();
        let region_bytes = if location.transport == Transport::Rdma { LENT_BYTES } else { REGION_BYTES };
        let config = EngineConfig { region_bytes, ..EngineConfig::small() };
        let ran = block_on(config, move |shard| async move {
            let network =
                super::network(&shard, &location, CONNECTIONS, CALLS).map_err(|fatal| fatal.to_string())?;
            let files = Files::connect(network, address, location.version, options).await;
            let files = files.map_err(|error| super::unreachable(&location, address, &error).to_string())?;
            let remote = std::rc::Rc::new(Remote { shard, files, interrupted });
            let work = work(std::rc::Rc::clone(&remote));
            let outcome = match trace {
                Some(trace) => within_trace(trace, work).await,
                None => work.await,
            };
            let outcome = outcome.map_err(|failure| failure.to_string());
            if let Ok(remote) = std::rc::Rc::try_unwrap(remote)
                && let Err(error) = remote.files.end().await
            {
                tracing::debug!("the server forgets this client after its lease: {error}");
            }
            outcome
        });
        ran.map_err(|error| Fatal::new("the engine cannot start", error.to_string()).to_string())?
    }

    /// Its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Starts a task beside this one, as a part of the same trace.
    pub fn spawn<F: Future + 'static>(&self, work: F) -> JoinHandle<F::Output> {
        self.shard.spawn(in_same_trace(work))
    }

    /// Fails when the user wants an end.
    ///
    /// # Errors
    /// When SIGINT or SIGTERM came.
    pub fn check_interrupt(&self, subject: impl fmt::Display) -> Outcome<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            Err(Failure::new(subject, "interrupted"))
        } else {
            Ok(())
        }
    }

    /// Finds an object by its path; symbolic links on the way are followed, the last one if so asked.
    ///
    /// # Errors
    /// What the server says of it.
    pub async fn find(&self, location: &Location, follow: bool) -> Outcome<Found> {
        let mut path = location.path.clone();
        for _ in 0..LINKS_MAX {
            match self.step(&path, follow).await.about(location)? {
                Step::Found(found) => return Ok(*found),
                Step::Link { at, text } => path = redirected(&path, at, &text).about_link(location)?,
            }
        }
        Err(Failure::new(location, "too many symbolic links"))
    }

    async fn step(&self, path: &[Vec<u8>], follow: bool) -> client::Result<Step> {
        let files = &self.files;
        let joined = path.join(&b'/');
        match files.lookup(&joined).await {
            Ok(handle) => {
                let details = files.details(handle).await?;
                if !follow || details.file_type != FileType::SymbolicLink {
                    return Ok(Step::Found(Box::new(Found { handle, details })));
                }
                let text = files.read_link(handle).await?;
                Ok(Step::Link { at: path.len() - 1, text })
            }
            // NFSv3 knows a link on the way for nothing but no directory.
            Err(error) if matches!(error.status(), Some(Status::Symlink | Status::Notdir)) => {
                for at in 0..path.len() {
                    let handle = files.lookup(&path[..=at].join(&b'/')).await?;
                    if files.details(handle).await?.file_type == FileType::SymbolicLink {
                        return Ok(Step::Link { at, text: files.read_link(handle).await? });
                    }
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the directory that a name is, or is to be, in; and the name.
    ///
    /// # Errors
    /// When the location is the root, or the directory is none.
    pub async fn parent(&self, location: &Location) -> Outcome<(FileHandle, Vec<u8>)> {
        let Some((name, path)) = location.path.split_last() else {
            return Err(Failure::new(location, "the root of the server has no name"));
        };
        let directory = Location { path: path.to_vec(), ..location.clone() };
        let found = self.find(&directory, true).await?;
        if found.details.file_type != FileType::Directory {
            return Err(Failure::new(directory, "not a directory"));
        }
        Ok((found.handle, name.clone()))
    }
}

/// An object on the server.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its handle.
    pub handle: FileHandle,
    /// What it is.
    pub details: Details,
}

enum Step {
    Found(Box<Found>),
    Link { at: usize, text: Vec<u8> },
}

/// A path with a symbolic link replaced by where it leads.
fn redirected(path: &[Vec<u8>], at: usize, text: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    if text.starts_with(b"/") {
        return Err("a symbolic link to an absolute path, which means something else on every client");
    }
    let mut new = path[..at].to_vec();
    for name in text.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")) {
        if name != b".." {
            new.push(name.to_vec());
        } else if new.pop().is_none() {
            return Err("a symbolic link that leads out of the server");
        }
    }
    new.extend_from_slice(&path[at + 1..]);
    Ok(new)
}

trait AboutLink<T> {
    fn about_link(self, subject: &Location) -> Outcome<T>;
}

impl<T> AboutLink<T> for Result<T, &'static str> {
    fn about_link(self, subject: &Location) -> Outcome<T> {
        self.map_err(|reason| Failure::new(subject, reason))
    }
}

/// How the client presents itself.
fn options(location: &Location, caller: Caller) -> ClientOptions {
    let mut random = [0; 16];
    crate::environment::fill(&mut random);
    let (owner, verifier) = random.split_at(8);
    let owner = format!("penstock tool {} {owner:02x?}", std::process::id());
    let mut options = ClientOptions::named(&owner).identity(super::identity(caller.uid, caller.gid));
    options.patience = Some(super::PATIENCE);
    options.annotations = caller.annotate;
    options.mount_port = location.mount_port;
    options.verifier = Verifier(verifier.try_into().expect("eight bytes"));
    options
}

/// So many characters of what is no trace context are shown: one has 55.
const TRACE_SHOWN_MAX: usize = 80;

/// The trace that whoever started this command says it is a part of.
fn trace_of_environment() -> Option<Trace> {
    let text = std::env::var("TRACEPARENT").ok()?;
    let trace = Trace::from_parent(&text);
    if trace.is_none() {
        let begin: String = text.chars().take(TRACE_SHOWN_MAX).collect();
        let more = if begin.len() < text.len() { "…" } else { "" };
        eprintln!(
            "penstock: TRACEPARENT is not a W3C trace context (00-TRACE-SPAN-FLAGS) and is left out: {begin:?}{more}"
        );
    }
    trace
}

/// A flag that SIGINT and SIGTERM set; the second one ends the process.
fn watch_interrupts() -> std::io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// An error in the words of `errno`, where there are any.
pub fn reason(error: &Error) -> String {
    let status = match error {
        Error::MountPort { .. } => return format!("{error}; {}", super::MOUNT_PORT_REMEDY),
        Error::Mount { .. } => None,
        _ => error.status(),
    };
    let text = match status {
        Some(Status::Noent) => "no such file or directory",
        Some(Status::Access) => "permission denied",
        Some(Status::Perm) => "operation not permitted",
        Some(Status::Notdir) => "not a directory",
        Some(Status::Isdir) => "is a directory",
        Some(Status::Exist) => "file exists",
        Some(Status::Notempty) => "directory not empty",
        Some(Status::Nospc) => "no space left on the server",
        Some(Status::Dquot) => "quota exceeded",
        Some(Status::Fbig) => "file too large",
        Some(Status::Rofs) => "read-only file system",
        Some(Status::Nametoolong) => "file name too long",
        Some(Status::Stale) => "removed meanwhile (stale file handle)",
        Some(Status::ShareDenied) => "somebody has it open and denies it to others",
        Some(Status::Io) => "input/output error on the server",
        Some(Status::WrongType | Status::Inval) => "not possible for an object of this type",
        _ => return error.to_string(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_are_followed_within_the_server() {
        let path = ["a", "link", "c"].map(|name| name.as_bytes().to_vec());
        let to = |text: &[u8]| redirected(&path, 1, text).map(|path| path.join(&b'/'));
        assert_eq!(to(b"b"), Ok(b"a/b/c".to_vec()));
        assert_eq!(to(b"../x/./y\xff"), Ok(b"x/y\xff/c".to_vec()));
        assert!(to(b"../..").is_err() && to(b"/etc").is_err());
    }
}
