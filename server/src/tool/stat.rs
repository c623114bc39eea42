//! `penstock stat`.

use std::rc::Rc;

use clap::Args;
use wire::nfs4::FileType;

use super::display::{Entry, mode_text, time_text, type_name};
use super::location::Location;
use super::remote::{About, Caller, Outcome, Remote};
use super::unit::bytes_text;

/// Arguments of `penstock stat`.
#[derive(Args, Clone, Debug)]
pub struct StatArguments {
    /// The object: nfs://host[:port]/path.
    pub url: Location,
    /// Where a symbolic link leads, not the link itself.
    #[arg(short = 'L', long)]
    pub dereference: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub caller: Caller,
}

/// Shows one object.
pub fn run(arguments: StatArguments) -> bool {
    let (url, caller) = (arguments.url.clone(), arguments.caller);
    Remote::run(&url, caller, move |remote| stat(remote, arguments))
}

async fn stat(remote: Rc<Remote>, arguments: StatArguments) -> Outcome<bool> {
    let found = remote.find(&arguments.url, arguments.dereference).await?;
    let details = &found.details;
    let target = if details.file_type == FileType::SymbolicLink {
        let text = remote.session().read_link(found.handle).await.about(&arguments.url)?;
        Some(String::from_utf8_lossy(&text).into_owned())
    } else {
        None
    };
    let path = arguments.url.path_text();
    if arguments.json {
        let entry = Entry::new(&path, details, target);
        println!("{}", serde_json::to_string_pretty(&entry).expect("plain data"));
        return Ok(true);
    }
    println!("    path: {path}{}", target.map_or_else(String::new, |target| format!(" -> {target}")));
    println!("    type: {}", type_name(details.file_type));
    println!("    size: {} ({})", details.size, bytes_text(details.size as f64));
    println!(" storage: {}", details.space);
    println!("    mode: {:04o} ({})", details.mode, mode_text(details));
    println!("   owner: {}", details.owner);
    println!("   group: {}", details.group);
    println!("   links: {}", details.links);
    println!(" file id: {}", details.file_id);
    println!("accessed: {}", time_text(details.accessed, true));
    println!("modified: {}", time_text(details.modified, true));
    println!(" changed: {}", time_text(details.changed, true));
    Ok(true)
}
