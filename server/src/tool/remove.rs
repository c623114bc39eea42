//! `penstock rm`.

use std::rc::Rc;

use clap::Args;
use wire::nfs4::{FileHandle, FileType, Status};

use super::location::Location;
use super::remote::{About, Caller, Failure, Outcome, Remote, reason};

const EXAMPLES: &str = "\
Examples:
  penstock rm nfs://server/scratch/a nfs://server/scratch/b
  penstock rm -r nfs://server/scratch/old";

/// Arguments of `penstock rm`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct RemoveArguments {
    /// What to remove, all on one server: nfs://host:port/path, with ?version=3 for NFSv3. The first says how the server is
    /// spoken to: its version and options hold for all.
    #[arg(required = true)]
    pub urls: Vec<Location>,
    /// Directories with everything below them.
    #[arg(short, long)]
    pub recursive: bool,
    /// No complaint about what is not there.
    #[arg(short, long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub caller: Caller,
}

/// Removes; goes on with the others when one cannot be removed.
pub fn run(arguments: RemoveArguments) -> bool {
    let (url, caller) = (arguments.urls[0].clone(), arguments.caller);
    if let Some(other) = arguments.urls.iter().find(|other| !other.is_same_server(&url)) {
        eprintln!("penstock: {other}: on another server than {url}; remove them one server after the other");
        return false;
    }
    Remote::run(&url, caller, move |remote| remove(remote, arguments))
}

async fn remove(remote: Rc<Remote>, arguments: RemoveArguments) -> Outcome<bool> {
    let mut good = true;
    for url in &arguments.urls {
        if let Err(failure) = remove_one(&remote, &arguments, url).await {
            eprintln!("penstock: {failure}");
            good = false;
        }
    }
    Ok(good)
}

async fn remove_one(remote: &Remote, arguments: &RemoveArguments, url: &Location) -> Outcome<()> {
    let (parent, name) = remote.parent(url).await?;
    let handle = match remote.files().lookup_in(parent, &name).await {
        Err(error) if error.status() == Some(Status::Noent) && arguments.force => return Ok(()),
        looked_up => looked_up.about(url)?,
    };
    let is_directory = remote.files().details(handle).await.about(url)?.file_type == FileType::Directory;
    if is_directory && !arguments.recursive {
        return Err(Failure::new(url, "is a directory; -r removes it with everything below it"));
    }
    if !is_directory {
        return remote.files().remove(parent, &name).await.about(url);
    }
    empty(remote, url, handle).await?;
    remote.files().remove_directory(parent, &name).await.about(url)
}

/// Removes everything below a directory. What somebody else removes at the same time is no failure.
async fn empty(remote: &Remote, location: &Location, directory: FileHandle) -> Outcome<()> {
    let files = remote.files();
    let mut open = vec![(location.clone(), directory)];
    // Each directory is emptied of files when it is reached, and removed when everything behind it on the list is.
    let mut reached: Vec<(Location, FileHandle, Vec<u8>)> = Vec::new();
    while let Some((at, directory)) = open.pop() {
        for (name, details) in files.list(directory).await.about(&at)? {
            remote.check_interrupt(&at)?;
            let below = at.below(&name);
            if details.file_type == FileType::Directory {
                open.push((below.clone(), files.lookup_in(directory, &name).await.about(&below)?));
                reached.push((below, directory, name));
            } else {
                gone(files.remove(directory, &name).await, &below)?;
            }
        }
    }
    for (at, parent, name) in reached.iter().rev() {
        gone(files.remove_directory(*parent, name).await, at)?;
    }
    Ok(())
}

fn gone(removed: client::Result<()>, subject: &Location) -> Outcome<()> {
    match removed {
        Err(error) if error.status() != Some(Status::Noent) => Err(Failure::new(subject, reason(&error))),
        _ => Ok(()),
    }
}
