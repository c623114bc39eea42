//! `penstock ls`.

use std::rc::Rc;

use clap::Args;
use client::Details;
use wire::nfs4::{FileHandle, FileType};

use super::display::{Entry, mode_text, printable, time_text};
use super::location::Location;
use super::print;
use super::remote::{About, Caller, Found, Outcome, Remote};

const EXAMPLES: &str = "\
Examples:
  penstock ls nfs://server/
  penstock ls -l nfs://server/projects
  penstock ls 'nfs://server/export?version=3'
  penstock ls -R --json nfs://server/projects | jq -r '.[] | select(.size > 1e9) | .path'";

/// Arguments of `penstock ls`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct ListArguments {
    /// What to list: nfs://host:port/path, with ?version=3 for NFSv3.
    pub url: Location,
    /// Permissions, links, owner, group, size and time (UTC) as well.
    #[arg(short, long)]
    pub long: bool,
    /// Names that begin with a dot as well.
    #[arg(short, long)]
    pub all: bool,
    /// Directories with everything below them.
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// The directory itself, not what is in it.
    #[arg(short, long)]
    pub directory: bool,
    /// One JSON array of objects.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub caller: Caller,
}

/// An object in the list.
struct Row {
    /// In its directory; the whole path of what was named itself.
    name: Vec<u8>,
    details: Details,
    target: Option<Vec<u8>>,
}

/// Lists.
pub fn run(arguments: ListArguments) -> bool {
    let (url, caller) = (arguments.url.clone(), arguments.caller);
    Remote::run(&url, caller, move |remote| list(remote, arguments))
}

async fn list(remote: Rc<Remote>, arguments: ListArguments) -> Outcome<bool> {
    let found = remote.find(&arguments.url, !arguments.directory).await?;
    let mut json = Vec::new();
    if found.details.file_type != FileType::Directory || arguments.directory {
        let name = arguments.url.path_bytes();
        let row = row(&remote, found.handle, name, found.details).await.about(&arguments.url)?;
        show(&arguments, None, &[row], &mut json);
    } else {
        list_directories(&remote, &arguments, found, &mut json).await?;
    }
    if arguments.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&json).expect("plain data")));
    }
    Ok(true)
}

/// Lists a directory, and those below it if so asked: each after the one that it is in.
async fn list_directories(
    remote: &Remote,
    arguments: &ListArguments,
    found: Found,
    json: &mut Vec<Entry>,
) -> Outcome<()> {
    let mut open = vec![(arguments.url.clone(), found.handle)];
    let mut is_first = true;
    while let Some((url, handle)) = open.pop() {
        remote.check_interrupt(&url)?;
        let rows = rows(remote, arguments, handle).await.about(&url)?;
        if arguments.recursive && !arguments.json {
            let path = printable(&url.path_bytes());
            print(&format!("{}{path}:\n", if is_first { "" } else { "\n" }));
        }
        is_first = false;
        show(arguments, Some(&url), &rows, json);
        if arguments.recursive {
            for row in rows.iter().rev().filter(|row| row.details.file_type == FileType::Directory) {
                let url = url.below(&row.name);
                let below = remote.files().lookup_in(handle, &row.name).await.about(&url)?;
                open.push((url, below));
            }
        }
    }
    Ok(())
}

/// What is in a directory, by name.
async fn rows(remote: &Remote, arguments: &ListArguments, directory: FileHandle) -> client::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, details) in remote.files().list(directory).await? {
        if !arguments.all && name.starts_with(b".") {
            continue;
        }
        let needs_target = details.file_type == FileType::SymbolicLink && (arguments.long || arguments.json);
        let target = if needs_target {
            let link = remote.files().lookup_in(directory, &name).await?;
            Some(remote.files().read_link(link).await?)
        } else {
            None
        };
        rows.push(Row { name, details, target });
    }
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(rows)
}

async fn row(remote: &Remote, handle: FileHandle, name: Vec<u8>, details: Details) -> client::Result<Row> {
    let is_link = details.file_type == FileType::SymbolicLink;
    let target = if is_link { Some(remote.files().read_link(handle).await?) } else { None };
    Ok(Row { name, details, target })
}

/// Shows what is in a directory, or the one object that was named itself.
fn show(arguments: &ListArguments, directory: Option<&Location>, rows: &[Row], json: &mut Vec<Entry>) {
    if arguments.json {
        let entry = |row: &Row| {
            let url = directory.map_or_else(|| arguments.url.clone(), |url| url.below(&row.name));
            Entry::new(&url, &row.details, row.target.as_deref())
        };
        json.extend(rows.iter().map(entry));
    } else if arguments.long {
        long(rows).iter().for_each(|line| print(&format!("{line}\n")));
    } else {
        rows.iter().for_each(|row| print(&format!("{}\n", printable(&row.name))));
    }
}

/// Lines as `ls -l` has them.
fn long(rows: &[Row]) -> Vec<String> {
    let width = |of: fn(&Details) -> String| {
        rows.iter().map(|row| of(&row.details).chars().count()).max().unwrap_or(0)
    };
    let links = width(|details| details.links.to_string());
    let (owner, group) = (width(owner_text), width(group_text));
    let size = width(|details| details.size.to_string());
    let line = |row: &Row| {
        let details = &row.details;
        let target =
            row.target.as_ref().map_or_else(String::new, |target| format!(" -> {}", printable(target)));
        format!(
            "{} {:>links$} {:<owner$} {:<group$} {:>size$} {} {}{target}",
            mode_text(details),
            details.links,
            owner_text(details),
            group_text(details),
            details.size,
            time_text(details.modified, false),
            printable(&row.name),
        )
    };
    rows.iter().map(line).collect()
}

fn owner_text(details: &Details) -> String {
    printable(details.owner.as_bytes())
}

fn group_text(details: &Details) -> String {
    printable(details.group.as_bytes())
}
