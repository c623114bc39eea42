//! `penstock get`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{Write, stdout};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use client::Details;
use wire::nfs4::{FileType, NfsTime};

use super::location::Location;
use super::remote::{About, Caller, Failure, Found, Outcome, Remote};
use super::transfer::{Bar, PERMISSIONS, hidden_name, read_all};

const EXAMPLES: &str = "\
Examples:
  penstock get nfs://server/scratch/data.bin
  penstock get nfs://server/scratch/data.bin - | sha256sum
  penstock get -rp nfs://server/projects/one ./backup";

/// Arguments of `penstock get`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct GetArguments {
    /// What to fetch: nfs://host:port/path, with ?version=3 for NFSv3.
    pub url: Location,
    /// Where to: a file, a directory that is there, or - for standard output.
    #[arg(default_value = ".")]
    pub target: PathBuf,
    /// Directories with everything below them.
    #[arg(short, long)]
    pub recursive: bool,
    /// Keep permissions and times.
    #[arg(short, long)]
    pub preserve: bool,
    /// No progress.
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub caller: Caller,
}

/// Fetches.
pub fn run(arguments: GetArguments) -> bool {
    let (url, caller) = (arguments.url.clone(), arguments.caller);
    Remote::run(&url, caller, move |remote| get(remote, arguments))
}

async fn get(remote: Rc<Remote>, arguments: GetArguments) -> Outcome<bool> {
    let url = &arguments.url;
    let found = remote.find(url, true).await?;
    let is_directory = found.details.file_type == FileType::Directory;
    if arguments.target.as_os_str() == "-" {
        if is_directory {
            return Err(Failure::new(url, "is a directory, which does not go to standard output"));
        }
        to_stream(&remote, &arguments, &found, &mut stdout().lock()).await?;
        return Ok(true);
    }
    let name = url.path.last().map_or(&[][..], Vec::as_slice);
    let target = if arguments.target.is_dir() {
        arguments.target.join(OsStr::from_bytes(name))
    } else {
        arguments.target.clone()
    };
    if !is_directory && is_special(&target) {
        let mut sink = File::options().write(true).open(&target).about(target.display())?;
        to_stream(&remote, &arguments, &found, &mut sink).await?;
        return Ok(true);
    }
    if !is_directory {
        get_file(&remote, &arguments, url, &found, &target).await?;
        return Ok(true);
    }
    if !arguments.recursive {
        return Err(Failure::new(url, "is a directory; -r fetches it with everything below it"));
    }
    get_tree(&remote, &arguments, found, target).await
}

/// Whether a device or a pipe is there, which is written to and never replaced.
fn is_special(target: &Path) -> bool {
    fs::metadata(target).is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// Fetches a file to where bytes just flow.
async fn to_stream(
    remote: &Remote,
    arguments: &GetArguments,
    found: &Found,
    sink: &mut impl Write,
) -> Outcome<()> {
    let url = &arguments.url;
    let bar = Bar::new(url.path.last().map_or(&[][..], Vec::as_slice), found.details.size, arguments.quiet);
    let file = remote.files().open_to_read(found.handle).await.about(url)?;
    read_all(remote, &file, sink, &bar, url).await.map(drop)
}

/// Fetches a directory and all below it; goes on with the rest when something cannot be fetched.
async fn get_tree(remote: &Remote, arguments: &GetArguments, found: Found, target: PathBuf) -> Outcome<bool> {
    let mut good = true;
    let mut open = vec![(arguments.url.clone(), found.handle, found.details, target)];
    // Their times would change with every name made in them.
    let mut directories = Vec::new();
    while let Some((url, handle, details, target)) = open.pop() {
        make_local(&target, directories.is_empty()).about(target.display())?;
        directories.push((target.clone(), details));
        for (name, details) in remote.files().list(handle).await.about(&url)? {
            remote.check_interrupt(&url)?;
            let (below, target) = match local(&url, &name, &target) {
                Ok(names) => names,
                Err(failure) => {
                    eprintln!("penstock: {failure}");
                    good = false;
                    continue;
                }
            };
            let handle =
                remote.files().lookup_in(handle, below.path.last().expect("a name")).await.about(&below)?;
            if details.file_type == FileType::Directory {
                open.push((below, handle, details, target));
                continue;
            }
            let found = Found { handle, details };
            if let Err(failure) = get_leaf(remote, arguments, &below, &found, &target).await {
                eprintln!("penstock: {failure}");
                good = false;
            }
        }
    }
    for (target, details) in directories.iter().rev().filter(|_| arguments.preserve) {
        keep(&File::open(target).about(target.display())?, details).about(target.display())?;
    }
    Ok(good)
}

/// Makes a directory unless it is there. Only the first, which the user named, may be a link: a server could make others
/// lead anywhere.
fn make_local(target: &Path, is_first: bool) -> std::io::Result<()> {
    let is_there =
        if is_first { target.is_dir() } else { target.symlink_metadata().is_ok_and(|found| found.is_dir()) };
    if is_there { Ok(()) } else { fs::create_dir(target) }
}

/// The location and the local path of an entry. A server's names do not lead out of the target.
fn local(url: &Location, name: &[u8], target: &Path) -> Outcome<(Location, PathBuf)> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
        return Err(Failure::new(url, "holds a name that is no file name here"));
    }
    Ok((url.below(name), target.join(OsStr::from_bytes(name))))
}

async fn get_leaf(
    remote: &Remote,
    arguments: &GetArguments,
    url: &Location,
    found: &Found,
    target: &Path,
) -> Outcome<()> {
    match found.details.file_type {
        FileType::Regular => get_file(remote, arguments, url, found, target).await,
        FileType::SymbolicLink => {
            let text = remote.files().read_link(found.handle).await.about(url)?;
            symlink(OsString::from_vec(text), target).about(target.display())
        }
        other => Err(Failure::new(url, format!("a {} is left out", super::display::type_name(other)))),
    }
}

/// Fetches one file, which appears under its name when it is complete.
async fn get_file(
    remote: &Remote,
    arguments: &GetArguments,
    url: &Location,
    found: &Found,
    target: &Path,
) -> Outcome<()> {
    let Found { handle, details } = found;
    let name = target.file_name().ok_or_else(|| Failure::new(target.display(), "not the name of a file"))?;
    let hidden = target.with_file_name(hidden_name());
    let file = remote.files().open_to_read(*handle).await.about(url)?;
    let mut options = File::options();
    // What is to have the permissions of the original has none for others before it is complete.
    // A server that guessed the name could have made it lead anywhere; what is there already is not opened.
    options.write(true).create_new(true).mode(if arguments.preserve { 0o600 } else { 0o666 });
    let mut sink = options.open(&hidden).about(target.display())?;
    let bar = Bar::new(name.as_bytes(), details.size, arguments.quiet);
    let fetched = async {
        read_all(remote, &file, &mut sink, &bar, url).await?;
        if arguments.preserve {
            keep(&sink, details).about(target.display())?;
        }
        fs::rename(&hidden, target).about(target.display())
    };
    let fetched = fetched.await;
    if fetched.is_err() {
        // The reason that it failed is worth more than that this fails too.
        let _ = fs::remove_file(&hidden);
    }
    // Read-only opens are of no consequence; the client's state ends in a moment.
    let _ = remote.files().close(&file).await;
    fetched
}

fn keep(file: &File, details: &Details) -> std::io::Result<()> {
    // The owner is another one here: nothing may act as the owner or the group.
    file.set_permissions(Permissions::from_mode(details.mode & PERMISSIONS))?;
    let times = FileTimes::new().set_accessed(time(details.accessed)).set_modified(time(details.modified));
    file.set_times(times)
}

/// The nearest time that this machine can express.
fn time(time: NfsTime) -> SystemTime {
    let nanoseconds = Duration::from_nanos(time.nanoseconds.into());
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let at = if time.seconds >= 0 { UNIX_EPOCH.checked_add(whole) } else { UNIX_EPOCH.checked_sub(whole) };
    at.and_then(|at| at.checked_add(nanoseconds)).unwrap_or(UNIX_EPOCH)
}
