//! The tools of libnfs, a client of NFSv3 in user space that other programs are built upon, against the program.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use testkit::server::{Scratch, Server, ServerPlan, can_serve, export};

/// The bytes that are copied in and out.
const LARGE_BYTES: usize = 64 << 20;

struct Served {
    server: Server,
    data: PathBuf,
}

impl Served {
    /// A server that has an export beside the root of the name space, if it can be started and asked.
    fn start(name: &str) -> Option<Self> {
        if !can_serve() {
            return None;
        }
        for tool in ["nfs-ls", "nfs-cp", "nfs-cat"] {
            if Command::new(tool).arg("--help").output().is_err() {
                println!("skipped: {tool} is not installed");
                return None;
            }
        }
        let scratch = Scratch::new(name);
        let data = scratch.directory("data");
        let closed = export(&scratch.directory("closed"), "pseudo = \"/closed\"\nprotocols = [\"4.2\"]");
        let exports = export(&data, "pseudo = \"/data\"") + &closed;
        Some(Self { server: Server::start(scratch, ServerPlan::new(exports)), data })
    }

    /// Runs a tool; of its arguments those that begin with `/` are paths of the server.
    fn run(&self, tool: &str, user: u32, arguments: &[&str]) -> Output {
        let port = self.server.port();
        let arguments = arguments.iter().map(|argument| match argument.strip_prefix('/') {
            Some(path) => format!(
                "nfs://127.0.0.1/{path}?version=3&nfsport={port}&mountport={port}&uid={user}&gid={user}"
            ),
            None => (*argument).to_owned(),
        });
        let mut command = Command::new(tool);
        command.args(arguments).current_dir(self.server.scratch().path());
        command.output().expect("the tool runs")
    }

    /// What a tool prints that must succeed.
    fn good(&self, tool: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(tool, 0, arguments);
        assert!(output.status.success(), "{tool} {arguments:?}: {output:?}");
        output.stdout
    }

    /// What a tool complains of that must fail.
    fn bad(&self, tool: &str, user: u32, arguments: &[&str]) -> String {
        let output = self.run(tool, user, arguments);
        assert!(!output.status.success(), "{tool} {arguments:?}: {output:?}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// What a listing says: permissions, links, size and name of each entry, in order of names.
    fn listed(&self, arguments: &[&str]) -> Vec<[String; 4]> {
        let text = String::from_utf8(self.good("nfs-ls", arguments)).expect("text");
        let mut entries: Vec<_> = text
            .lines()
            .map(|line| {
                let columns: Vec<_> = line.split_whitespace().collect();
                [0, 1, 4, 5].map(|at| columns[at].to_owned())
            })
            .collect();
        entries.sort_by(|one, other| one[3].cmp(&other[3]));
        entries
    }
}

#[test]
fn what_is_copied_in_and_out_stays_the_same() {
    let Some(served) = Served::start("libnfs-copies") else { return };
    let (near, far) = (served.server.scratch().path().join("in"), served.data.join("out"));
    let bytes: Vec<u8> =
        (0..LARGE_BYTES as u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 13) as u8).collect();
    for length in [0, 1, 4097, LARGE_BYTES] {
        fs::write(&near, &bytes[..length]).expect("a file");
        served.good("nfs-cp", &["in", "/data/out"]);
        assert!(fs::read(&far).expect("it is there") == bytes[..length], "{length} bytes arrived");
        served.good("nfs-cp", &["/data/out", "back"]);
        let back = fs::read(near.with_file_name("back")).expect("it is there");
        assert!(back == bytes[..length], "{length} bytes came back");
        assert!(served.good("nfs-cat", &["/data/out"]) == bytes[..length], "{length} bytes were shown");
        fs::remove_file(&far).expect("it is there");
        fs::remove_file(near.with_file_name("back")).expect("it is there");
    }
}

#[test]
fn directories_are_listed() {
    let Some(served) = Served::start("libnfs-lists") else { return };
    fs::create_dir_all(served.data.join("d/e")).expect("directories");
    fs::write(served.data.join("d/file"), b"text").expect("a file");
    fs::hard_link(served.data.join("d/file"), served.data.join("second")).expect("a link");
    fs::set_permissions(served.data.join("second"), PermissionsExt::from_mode(0o640)).expect("a mode");
    symlink("d", served.data.join("link")).expect("a link");
    let directory_bytes = fs::metadata(served.data.join("d")).expect("it is there").size().to_string();
    let listed = served.listed(&["/data"]);
    let expected = [
        ["drwxr-xr-x", "3", directory_bytes.as_str(), "d"],
        ["lrwxrwxrwx", "1", "1", "link"],
        ["-rw-r-----", "2", "4", "second"],
    ];
    assert_eq!(listed, expected);
    let names = |arguments: &[&str]| -> Vec<_> {
        served.listed(arguments).into_iter().map(|[.., name]| name).collect()
    };
    assert_eq!(names(&["/data/d"]), ["e", "file"], "a directory of an export is mounted itself");
    assert_eq!(names(&["-R", "/data"]), ["d", "d/e", "d/file", "link", "second"]);
    // More than one reply's worth.
    for number in 0..5000 {
        fs::write(served.data.join(format!("d/e/entry-{number:04}")), b"").expect("a file");
    }
    let expected: Vec<_> = (0..5000).map(|number| format!("entry-{number:04}")).collect();
    assert_eq!(names(&["/data/d/e"]), expected);
}

#[test]
fn what_fails_is_told_as_what_it_is() {
    let Some(served) = Served::start("libnfs-errors") else { return };
    fs::write(served.data.join("secret"), b"text").expect("a file");
    fs::set_permissions(served.data.join("secret"), PermissionsExt::from_mode(0o600)).expect("a mode");
    fs::create_dir(served.data.join("d")).expect("a directory");
    fs::set_permissions(served.data.join("d"), PermissionsExt::from_mode(0o700)).expect("a mode");
    fs::write(served.server.scratch().path().join("in"), b"text").expect("a file");
    for (tool, user, arguments, error) in [
        ("nfs-cat", 0, ["/data/missing"].as_slice(), "NFS3ERR_NOENT"),
        ("nfs-cat", 0, &["/data/missing/file"], "MNT3ERR_NOENT"),
        ("nfs-cat", 0, &["/data/secret/file"], "MNT3ERR_NOTDIR"),
        ("nfs-ls", 0, &["/missing"], "MNT3ERR_NOENT"),
        ("nfs-ls", 0, &["/closed"], "MNT3ERR_ACCES"),
        ("nfs-cat", 1000, &["/data/secret"], "ACCESS denied"),
        ("nfs-ls", 1000, &["/data/d"], "NFS3ERR_ACCES"),
        ("nfs-cp", 1000, &["in", "/data/d/file"], "NFS3ERR_ACCES"),
        ("nfs-cp", 0, &["in", "/data/d"], "NFS3ERR_EXIST"),
    ] {
        let said = served.bad(tool, user, arguments);
        assert!(said.contains(error), "{tool} {arguments:?} as {user}: {said}");
    }
    assert_eq!(served.good("nfs-cat", &["/data/secret"]), b"text");
    assert_eq!(fs::read_dir(served.data.join("d")).expect("a directory").count(), 0, "nothing was made");
}
