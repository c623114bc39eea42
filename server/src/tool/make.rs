//! `penstock mkdir`.

use std::rc::Rc;

use clap::Args;
use wire::nfs4::{FileHandle, FileType, Status};

use super::location::Location;
use super::remote::{About, Caller, Failure, Outcome, Remote};

/// Permissions unless told otherwise.
const MODE: &str = "755";

/// Arguments of `penstock mkdir`.
#[derive(Args, Clone, Debug)]
pub struct MakeArguments {
    /// The directory: nfs://host:port/path, with ?version=3 for NFSv3.
    pub url: Location,
    /// The directories that it is in as well; no complaint if it is there.
    #[arg(short, long)]
    pub parents: bool,
    /// Permissions, octal.
    #[arg(short, long, value_name = "MODE", default_value = MODE, value_parser = mode)]
    pub mode: u32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub caller: Caller,
}

/// Makes a directory.
pub fn run(arguments: MakeArguments) -> bool {
    let (url, caller) = (arguments.url.clone(), arguments.caller);
    Remote::run(&url, caller, move |remote| make(remote, arguments))
}

async fn make(remote: Rc<Remote>, arguments: MakeArguments) -> Outcome<bool> {
    if arguments.parents {
        make_all(&remote, &arguments.url, arguments.mode).await?;
        return Ok(true);
    }
    let (parent, name) = remote.parent(&arguments.url).await?;
    remote.files().create_directory(parent, &name, arguments.mode).await.about(&arguments.url)?;
    Ok(true)
}

/// Makes a directory and those on the way to it, as far as they are missing; returns its handle.
///
/// # Errors
/// What the server says, or that something on the way is no directory.
pub async fn make_all(remote: &Remote, location: &Location, mode: u32) -> Outcome<FileHandle> {
    // From the nearest that is there: in NFSv3 nothing is above an export.
    let mut at = location.clone();
    let mut handle = loop {
        match remote.find(&at, true).await {
            Ok(found) if found.details.file_type == FileType::Directory => break found.handle,
            Ok(_) => return Err(Failure::new(&at, "not a directory")),
            Err(failure) if at.path.pop().is_none() => return Err(failure),
            Err(_) => {}
        }
    };
    for name in &location.path[at.path.len()..] {
        at.path.push(name.clone());
        handle = match remote.files().create_directory(handle, name, mode).await {
            // Whoever may not write into a directory may go through it. The server may say so before it says that the
            // name is there.
            Err(error)
                if matches!(
                    error.status(),
                    Some(Status::Exist | Status::Access | Status::Rofs | Status::Perm)
                ) =>
            {
                let found = remote.find(&at, true).await.map_err(|failure| match error.status() {
                    Some(Status::Exist) => failure,
                    _ => Failure::new(&at, super::remote::reason(&error)),
                })?;
                if found.details.file_type != FileType::Directory {
                    return Err(Failure::new(&at, "not a directory"));
                }
                found.handle
            }
            made => made.about(&at)?,
        };
    }
    Ok(handle)
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| "permissions are octal, such as 755 or 1777".to_owned())
}
