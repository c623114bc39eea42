//! `penstock stat`.

use std::rc::Rc;

use clap::Args;
use client::Details;
use wire::nfs4::FileType;

use super::display::{Entry, mode_text, printable, time_text, type_name};
use super::location::Location;
use super::print;
use super::remote::{About, Caller, Outcome, Remote};
use super::unit::bytes_text;

/// Arguments of `penstock stat`.
#[derive(Args, Clone, Debug)]
pub struct StatArguments {
    /// The object: nfs://host:port/path, with ?version=3 for NFSv3.
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
        let text = remote.files().read_link(found.handle).await.about(&arguments.url)?;
        Some(text)
    } else {
        None
    };
    let text = if arguments.json {
        let entry = Entry::new(&arguments.url, details, target.as_deref());
        format!("{}\n", serde_json::to_string_pretty(&entry).expect("plain data"))
    } else {
        text(&arguments.url.path_bytes(), details, target.as_deref())
    };
    print(&text);
    Ok(true)
}

fn text(path: &[u8], details: &Details, target: Option<&[u8]>) -> String {
    let target = target.map_or_else(String::new, |target| format!(" -> {}", printable(target)));
    let rows = [
        ("path", format!("{}{target}", printable(path))),
        ("type", type_name(details.file_type).to_owned()),
        ("size", format!("{} ({})", details.size, bytes_text(details.size as f64))),
        ("storage", details.space.to_string()),
        ("mode", format!("{:04o} ({})", details.mode, mode_text(details))),
        ("owner", printable(details.owner.as_bytes())),
        ("group", printable(details.group.as_bytes())),
        ("links", details.links.to_string()),
        ("file id", details.file_id.to_string()),
        ("accessed", time_text(details.accessed, true)),
        ("modified", time_text(details.modified, true)),
        ("changed", time_text(details.changed, true)),
    ];
    rows.iter().map(|(name, value)| format!("{name:>8}: {value}\n")).collect()
}
