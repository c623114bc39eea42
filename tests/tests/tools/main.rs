//! The program's commands that are clients, against the program as the server.

mod bench;
mod files;
mod mistakes;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use testkit::server::{Scratch, Server, ServerPlan, can_serve, program};

/// The versions of NFS that the commands speak by default, and the one that has nothing in common with it.
const VERSIONS: [&str; 2] = ["4.2", "3"];

/// A server of one writable directory.
struct Served {
    server: Server,
    data: PathBuf,
    /// In which its locations are used.
    version: &'static str,
}

impl Served {
    /// Starts one, if this user may.
    fn start(name: &str) -> Option<Self> {
        if !can_serve() {
            return None;
        }
        let scratch = Scratch::new(name);
        let data = scratch.directory("data");
        let server = Server::start(scratch, ServerPlan::exporting(&[&data]));
        Some(Self { server, data, version: VERSIONS[0] })
    }

    /// Starts one for each version that differs.
    fn in_each_version(name: &str) -> impl Iterator<Item = Self> {
        VERSIONS.into_iter().filter_map(move |version| {
            let served = Self::start(&format!("{name}-{version}"))?;
            Some(Self { version, ..served })
        })
    }

    /// The location of a path on it.
    fn url(&self, path: &str) -> String {
        self.url_in(self.version, path)
    }

    /// The location of a path on it, in a certain version.
    fn url_in(&self, version: &str, path: &str) -> String {
        format!("nfs://{}/{path}?version={version}", self.server.address())
    }

    /// A directory beside the served one.
    fn aside(&self, name: &str) -> PathBuf {
        self.server.scratch().directory(name)
    }
}

/// Runs the program.
fn penstock(arguments: &[&str]) -> Output {
    penstock_with(arguments, b"", Path::new("/"))
}

/// Runs the program with this input, in this directory.
fn penstock_with(arguments: &[&str], input: &[u8], directory: &Path) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    // A command that does not read its input may have ended before.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    child.wait_with_output().expect("a child")
}

/// What it printed, when it succeeded.
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What it complained of, when it failed as a command does: one status, one line.
fn bad(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    said(output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
