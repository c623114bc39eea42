//! `penstock cp`: the server copies by itself, sharing storage where it can.

use std::rc::Rc;

use clap::Args;
use client::OpenFile;
use wire::nfs4::{Attributes, FileType, Status};

use super::location::Location;
use super::remote::{About, Caller, Failure, Found, Outcome, Remote};
use super::transfer::{Bar, Kept, PERMISSIONS, Upload};

/// Bytes of one COPY, so that progress shows and no call takes long.
const STEP_BYTES: u64 = 64 << 20;

/// Bytes read and written at a time where the server does not copy.
const CHUNK_BYTES: u32 = 1 << 18;

const EXAMPLES: &str = "\
Examples:
  penstock cp nfs://server/images/base.img nfs://server/images/new.img

The bytes do not pass through this machine: the server shares storage where its file system can (CLONE), copies otherwise
(COPY), and only when it can do neither, as in NFSv3 and NFSv4.1, they are read and written from here. Between servers: get,
then put.";

/// Arguments of `penstock cp`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct CopyArguments {
    /// The file: nfs://host:port/path, with ?version=3 for NFSv3.
    pub source: Location,
    /// A directory that is there, or the new name, on the same server. That is spoken to as the file's location says: its
    /// version and options hold for both.
    pub target: Location,
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

/// Copies.
pub fn run(arguments: CopyArguments) -> bool {
    if !arguments.source.is_same_server(&arguments.target) {
        eprintln!("penstock: {}: on another server; use get, then put", arguments.target);
        return false;
    }
    let (url, caller) = (arguments.source.clone(), arguments.caller);
    Remote::run(&url, caller, move |remote| copy(remote, arguments))
}

async fn copy(remote: Rc<Remote>, arguments: CopyArguments) -> Outcome<bool> {
    let source = &arguments.source;
    let Found { handle, details } = remote.find(source, true).await?;
    if details.file_type != FileType::Regular {
        return Err(Failure::new(source, "not a regular file"));
    }
    let mut target = arguments.target.clone();
    let mut there = remote.find(&target, true).await.ok();
    if there.as_ref().is_some_and(|found| found.details.file_type == FileType::Directory) {
        target = target.below(source.path.last().expect("a file has a name"));
        there = remote.find(&target, true).await.ok();
    }
    if there.is_some_and(|found| found.handle == handle) {
        return Err(Failure::new(&target, "the same file as the source"));
    }
    let (directory, name) = remote.parent(&target).await?;
    let from = remote.files().open_to_read(handle).await.about(source)?;
    let upload = Upload::begin(&remote, directory, &name, &target).await?;
    let bar = Bar::new(&name, details.size, arguments.quiet);
    let copied = fill(&remote, &from, &upload, details.size, &bar, source).await;
    let kept = Kept { mode: details.mode, accessed: details.accessed, modified: details.modified };
    let attributes = if arguments.preserve {
        kept.attributes()
    } else {
        Attributes { mode: Some(details.mode & PERMISSIONS), ..Attributes::default() }
    };
    upload.end(copied, &attributes).await?;
    Ok(true)
}

/// By the best way that the server offers.
async fn fill(
    remote: &Remote,
    from: &OpenFile,
    upload: &Upload<'_>,
    size: u64,
    bar: &Bar,
    subject: &Location,
) -> Outcome<()> {
    let files = remote.files();
    let copier = files.copier();
    if let Some(session) = copier
        && size > 0
        && session.clone_file(from, &upload.file).await.is_ok()
    {
        return files.commit(upload.file.handle).await.map(drop).about(subject);
    }
    let mut done = 0;
    while let Some(session) = copier.filter(|_| done < size) {
        remote.check_interrupt(subject)?;
        match session.copy_range(from, &upload.file, done, STEP_BYTES.min(size - done)).await {
            Ok((0, _)) => break,
            Ok((count, _)) => {
                done += count;
                bar.add(count);
            }
            Err(error) if done == 0 && is_not_offered(error.status()) => break,
            Err(error) => return Err(error).about(subject),
        }
    }
    let chunk = CHUNK_BYTES.min(files.read_max()).min(files.write_max());
    while done < size {
        remote.check_interrupt(subject)?;
        let (data, at_end) = files.read(from, done, chunk).await.about(subject)?;
        if data.is_empty() {
            break;
        }
        let written = files.write(&upload.file, done, data.clone()).await;
        let count = u64::from(written.about(subject)?.count);
        done += count;
        bar.add(count);
        if count == 0 {
            return Err(Failure::new(subject, "the server wrote nothing of what it was given"));
        }
        // A server may write a part: then the rest is read again.
        if at_end && count == data.len() as u64 {
            break;
        }
    }
    files.commit(upload.file.handle).await.map(drop).about(subject)
}

fn is_not_offered(status: Option<Status>) -> bool {
    matches!(
        status,
        Some(Status::Notsupp | Status::OpIllegal | Status::OffloadNoReqs | Status::Xdev | Status::Inval)
    )
}
