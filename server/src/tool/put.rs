//! `penstock put`.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{Read, stdin};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args;
use wire::nfs4::{Attributes, FileHandle, FileType, NfsTime, Status};

use super::location::Location;
use super::remote::{About, Caller, Failure, Outcome, Remote};
use super::transfer::{Bar, Kept, Upload};

/// Permissions of what is put without `-p`.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

const EXAMPLES: &str = "\
Examples:
  penstock put data.bin nfs://server/scratch/
  tar c . | penstock put - nfs://server/scratch/backup.tar
  penstock put -rp ./project nfs://server/projects/

A file appears under its name when all of it is in stable storage; what had the name before is there until then.";

/// Arguments of `penstock put`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct PutArguments {
    /// What to store: a file, a directory with -r, or - for standard input.
    pub source: PathBuf,
    /// Where to: a directory that is there, or the new name: nfs://host:port/path, with ?version=3 for NFSv3.
    pub url: Location,
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

/// Stores.
pub fn run(arguments: PutArguments) -> bool {
    let (url, caller) = (arguments.url.clone(), arguments.caller);
    Remote::run(&url, caller, move |remote| put(remote, arguments))
}

async fn put(remote: Rc<Remote>, arguments: PutArguments) -> Outcome<bool> {
    let source = &arguments.source;
    let is_input = source.as_os_str() == "-";
    let metadata = if is_input { None } else { Some(fs::metadata(source).about(source.display())?) };
    let is_directory = metadata.as_ref().is_some_and(Metadata::is_dir);
    if is_directory && !arguments.recursive {
        return Err(Failure::new(source.display(), "is a directory; -r stores it with everything below it"));
    }
    let url = target(&remote, &arguments).await?;
    let (parent, name) = remote.parent(&url).await?;
    match metadata {
        None => {
            let bar = Bar::new(&name, 0, arguments.quiet);
            put_bytes(&remote, parent, &name, &url, &mut stdin().lock(), &bar, &mode_only(FILE_MODE)).await?;
            Ok(true)
        }
        Some(metadata) if is_directory => put_tree(&remote, &arguments, parent, &url, metadata).await,
        Some(metadata) => {
            put_file(&remote, &arguments, parent, &url, source, &metadata).await?;
            Ok(true)
        }
    }
}

/// Where it goes: below the location if that is a directory.
async fn target(remote: &Remote, arguments: &PutArguments) -> Outcome<Location> {
    let url = &arguments.url;
    // A link to a directory is as good as the directory.
    let found = remote.find(url, true).await;
    if !found.is_ok_and(|found| found.details.file_type == FileType::Directory) {
        return Ok(url.clone());
    }
    // `.` and `..` have a name too.
    let full = fs::canonicalize(&arguments.source).ok();
    let name = full.as_deref().and_then(Path::file_name).map(OsStr::as_bytes);
    let name =
        name.ok_or_else(|| Failure::new(url, "is a directory, and there is no name to give: add one"))?;
    Ok(url.below(name))
}

/// Stores a directory and all below it; goes on with the rest when something cannot be stored.
async fn put_tree(
    remote: &Remote,
    arguments: &PutArguments,
    parent: FileHandle,
    url: &Location,
    metadata: Metadata,
) -> Outcome<bool> {
    let mut good = true;
    let mut open = vec![(arguments.source.clone(), parent, url.clone(), metadata)];
    // Their times would change with every name made in them.
    let mut directories = Vec::new();
    while let Some((source, parent, url, metadata)) = open.pop() {
        let directory = ensure_directory(remote, parent, &url).await?;
        directories.push((directory, url.clone(), metadata));
        for entry in fs::read_dir(&source).about(source.display())? {
            remote.check_interrupt(&url)?;
            let source = entry.about(source.display())?.path();
            match put_entry(remote, arguments, directory, &url, &source).await {
                Ok(Some((below, metadata))) => open.push((source, directory, below, metadata)),
                Ok(None) => {}
                Err(failure) => {
                    eprintln!("penstock: {failure}");
                    good = false;
                }
            }
        }
    }
    for (directory, url, metadata) in directories.iter().rev().filter(|_| arguments.preserve) {
        let attributes = kept(metadata).attributes();
        remote.files().set_attributes(*directory, &attributes).await.about(url)?;
    }
    Ok(good)
}

/// Stores a file or link; a directory is returned for later.
async fn put_entry(
    remote: &Remote,
    arguments: &PutArguments,
    directory: FileHandle,
    url: &Location,
    source: &Path,
) -> Outcome<Option<(Location, Metadata)>> {
    let name = source.file_name().expect("an entry has a name").as_bytes();
    let below = url.below(name);
    let metadata = fs::symlink_metadata(source).about(source.display())?;
    if metadata.is_dir() {
        return Ok(Some((below, metadata)));
    }
    if metadata.is_symlink() {
        let text = fs::read_link(source).about(source.display())?;
        let text = text.as_os_str().as_encoded_bytes();
        remote.files().create_link(directory, name, text).await.about(below)?;
    } else if metadata.is_file() {
        put_file(remote, arguments, directory, &below, source, &metadata).await?;
    } else {
        return Err(Failure::new(source.display(), "no file, directory or link: left out"));
    }
    Ok(None)
}

async fn put_file(
    remote: &Remote,
    arguments: &PutArguments,
    directory: FileHandle,
    url: &Location,
    source: &Path,
    metadata: &Metadata,
) -> Outcome<()> {
    let mut file = File::open(source).about(source.display())?;
    let name = url.path.last().expect("it has a parent");
    let bar = Bar::new(name, metadata.len(), arguments.quiet);
    let attributes = if arguments.preserve { kept(metadata).attributes() } else { mode_only(FILE_MODE) };
    put_bytes(remote, directory, name, url, &mut file, &bar, &attributes).await
}

async fn put_bytes(
    remote: &Remote,
    directory: FileHandle,
    name: &[u8],
    url: &Location,
    source: &mut dyn Read,
    bar: &Bar,
    attributes: &Attributes<'_>,
) -> Outcome<()> {
    let upload = Upload::begin(remote, directory, name, url).await?;
    let written = upload.fill(source, bar).await;
    upload.end(written, attributes).await
}

async fn ensure_directory(remote: &Remote, parent: FileHandle, url: &Location) -> Outcome<FileHandle> {
    let name = url.path.last().expect("it has a parent");
    match remote.files().create_directory(parent, name, DIRECTORY_MODE).await {
        Err(error) if error.status() == Some(Status::Exist) => {
            let handle = remote.files().lookup_in(parent, name).await.about(url)?;
            let details = remote.files().details(handle).await.about(url)?;
            if details.file_type == FileType::Directory {
                Ok(handle)
            } else {
                Err(Failure::new(url, "not a directory"))
            }
        }
        made => made.about(url),
    }
}

fn mode_only(mode: u32) -> Attributes<'static> {
    Attributes { mode: Some(mode), ..Attributes::default() }
}

fn kept(metadata: &Metadata) -> Kept {
    let time = |seconds, nanoseconds: i64| NfsTime { seconds, nanoseconds: nanoseconds as u32 };
    Kept {
        mode: metadata.mode() & 0o7777,
        accessed: time(metadata.atime(), metadata.atime_nsec()),
        modified: time(metadata.mtime(), metadata.mtime_nsec()),
    }
}
