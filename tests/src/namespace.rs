//! A network of a test's own, with nothing but a loopback, and a /run of its own.

use std::io::Read;
use std::process::{Child, Command, Stdio};

/// Where administrators' programs are, which users' search paths leave out.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What makes the namespaces: ends when its input does.
const HOLD: &str = "mount -t tmpfs run /run && ip link set lo up && echo && exec cat";

/// A network and a /run that only commands of [`Namespace::command`] see. Gone with the value and the last of these.
pub struct Namespace(Child);

impl Namespace {
    /// A new one.
    ///
    /// # Panics
    /// When it cannot be made, as by who is not root.
    pub fn new() -> Self {
        let mut hold = Command::new("unshare");
        hold.args(["--net", "--mount", "sh", "-c", HOLD]).env("PATH", PATH);
        let mut child =
            hold.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare of util-linux");
        let mut ready = [0];
        let said = child.stdout.as_mut().expect("it is piped").read_exact(&mut ready);
        said.expect("a network and a mount namespace, and `ip` of iproute2");
        Self(child)
    }

    /// The words that run a command in it, which follows them.
    pub fn launcher(&self) -> Vec<String> {
        let target = self.0.id().to_string();
        let words = ["nsenter", "--target", &target, "--net", "--mount", "env"];
        words.into_iter().map(str::to_owned).chain([format!("PATH={PATH}")]).collect()
    }

    /// A command in it.
    pub fn command(&self, program: &str) -> Command {
        let launcher = self.launcher();
        let mut command = Command::new(&launcher[0]);
        command.args(&launcher[1..]).arg(program);
        command
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
