//! Files without a mount.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use testkit::server::program;

use crate::{Served, bad, good, penstock, penstock_with, said};

/// Bytes that differ at every offset within a few MiB.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 13) as u8).collect()
}

#[test]
fn what_is_put_is_what_is_got() {
    for served in Served::in_each_version("tools-files") {
        let local = served.aside("local");
        for length in [0, 1, 4095, (1 << 20) - 1024, 1 << 20, (9 << 20) + 7] {
            let data = pattern(length);
            fs::write(local.join("in"), &data).expect("a written file");
            good(&penstock(&["put", local.join("in").to_str().expect("text"), &served.url("out")]));
            assert!(
                fs::read(served.data.join("out")).expect("it is there") == data,
                "{length} bytes arrived"
            );
            good(&penstock(&["get", &served.url("out"), local.join("back").to_str().expect("text")]));
            assert!(fs::read(local.join("back")).expect("it is there") == data, "{length} bytes came back");
        }
        let data = pattern(3 << 20);
        good(&penstock_with(&["put", "-", &served.url("piped")], &data, &local));
        assert!(penstock(&["get", &served.url("piped"), "-"]).stdout == data, "through pipes");
        assert_eq!(fs::read_dir(&served.data).expect("a directory").count(), 2, "no other names are left");
    }
}

#[test]
fn trees_keep_their_shape_permissions_and_times() {
    for served in Served::in_each_version("tools-trees") {
        let local = served.aside("local");
        let tree = local.join("tree");
        fs::create_dir_all(tree.join("a/b")).expect("directories");
        fs::write(tree.join("a/b/file"), b"text").expect("a file");
        fs::write(tree.join("a/ä b"), b"").expect("a file");
        symlink("b/file", tree.join("a/link")).expect("a link");
        fs::set_permissions(tree.join("a/b/file"), PermissionsExt::from_mode(0o640)).expect("a mode");
        let then = UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        let file = fs::File::options().append(true).open(tree.join("a/b/file")).expect("the file");
        file.set_modified(then).expect("a time");
        fs::set_permissions(tree.join("a"), PermissionsExt::from_mode(0o750)).expect("a mode");

        good(&penstock(&["put", "-rp", tree.to_str().expect("text"), &served.url("")]));
        good(&penstock(&["get", "-rp", &served.url("tree"), local.join("back").to_str().expect("text")]));
        for root in [served.data.join("tree"), local.join("back")] {
            let found = fs::metadata(root.join("a/b/file")).expect("the file");
            assert_eq!((found.mode() & 0o7777, found.len()), (0o640, 4), "{}", root.display());
            assert_eq!(found.modified().expect("a time"), then, "{}", root.display());
            assert_eq!(fs::read_link(root.join("a/link")).expect("a link"), Path::new("b/file"));
            assert_eq!(fs::metadata(root.join("a")).expect("a directory").mode() & 0o7777, 0o750);
            assert!(root.join("a/ä b").exists());
        }
        // A link on the way is followed.
        assert_eq!(penstock(&["get", &served.url("tree/a/link"), "-"]).stdout, b"text");

        let listed = good(&penstock(&["ls", "-R", "--json", &served.url("tree")]));
        let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
        let mut paths: Vec<_> = listed.iter().map(|entry| entry["path"].as_str().expect("a path")).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/tree/a", "/tree/a/b", "/tree/a/b/file", "/tree/a/link", "/tree/a/ä b"]);
        let link = listed.iter().find(|entry| entry["type"] == "link").expect("the link");
        assert_eq!(link["target"], "b/file");

        good(&penstock(&["rm", "-r", &served.url("tree")]));
        assert!(!served.data.join("tree").exists());
    }
}

#[test]
fn names_need_not_be_utf8() {
    let (odd, escaped) = (OsStr::from_bytes(b"b\xff\n%41"), "b\\xff\\x0a%41");
    for served in Served::in_each_version("tools-names") {
        let local = served.aside("local");
        let tree = local.join("tree");
        fs::create_dir_all(tree.join(odd)).expect("a directory");
        fs::write(tree.join(odd).join(odd), b"text").expect("a file");
        symlink(odd, tree.join(odd).join("link")).expect("a link");
        good(&penstock(&["put", "-r", tree.to_str().expect("text"), &served.url("")]));
        assert_eq!(fs::read(served.data.join("tree").join(odd).join(odd)).expect("it is there"), b"text");

        let url = served.url("tree/b%ff%0a%2541");
        assert_eq!(good(&penstock(&["ls", &url])), format!("{escaped}\nlink\n"));
        let long = good(&penstock(&["ls", "-lR", &served.url("tree")]));
        assert!(long.contains(&format!("link -> {escaped}\n")), "{long}");
        let listed = good(&penstock(&["ls", "-R", "--json", &served.url("tree")]));
        let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
        let urls: Vec<_> = listed.iter().map(|entry| entry["url"].as_str().expect("text")).collect();
        assert!(urls.iter().any(|url| url.ends_with("/tree/b%ff%0a%2541/link")), "{urls:?}");

        let back = local.join("back");
        good(&penstock(&["get", "-r", &served.url("tree"), back.to_str().expect("text")]));
        assert_eq!(fs::read(back.join(odd).join("link")).expect("a link to what came back"), b"text");
        // Through a link whose text is no UTF-8 either.
        assert_eq!(penstock(&["get", &served.url("tree/b%ff%0a%2541/link"), "-"]).stdout, b"text");
        let said = bad(&penstock(&["rm", &url]));
        assert!(said.contains("/tree/b%ff%0a%2541: is a directory"), "{said}");
        good(&penstock(&["rm", "-r", &served.url("tree")]));
        assert_eq!(fs::read_dir(&served.data).expect("a directory").count(), 0);
    }
}

#[test]
fn lists_are_for_people_and_for_programs() {
    for served in Served::in_each_version("tools-lists") {
        fs::write(served.data.join("file"), pattern(1234)).expect("a file");
        fs::write(served.data.join(".hidden"), b"").expect("a file");
        fs::set_permissions(served.data.join("file"), PermissionsExt::from_mode(0o4755)).expect("a mode");
        good(&penstock(&["mkdir", "-p", "-m", "1777", &served.url("x/y/z")]));
        good(&penstock(&["mkdir", "-p", &served.url("x/y/z")]));
        assert_eq!(fs::metadata(served.data.join("x/y/z")).expect("made").mode() & 0o7777, 0o1777);

        assert_eq!(good(&penstock(&["ls", &served.url("")])), "file\nx\n");
        assert_eq!(good(&penstock(&["ls", "-a", &served.url("")])), ".hidden\nfile\nx\n");
        assert_eq!(good(&penstock(&["ls", "-R", &served.url("x")])), "/x:\ny\n\n/x/y:\nz\n\n/x/y/z:\n");
        let long = good(&penstock(&["ls", "-l", &served.url("file")]));
        assert!(long.starts_with("-rwsr-xr-x 1 ") && long.contains(" 1234 "), "{long}");

        let stat = good(&penstock(&["stat", "--json", &served.url("file")]));
        let stat: Value = serde_json::from_str(&stat).expect("JSON");
        assert_eq!(
            (&stat["type"], &stat["size"], &stat["mode"]),
            (&"file".into(), &1234.into(), &"4755".into())
        );
        let expected = fs::metadata(served.data.join("file")).expect("a file");
        assert_eq!(stat["file_id"], expected.ino());
        assert!(good(&penstock(&["stat", &served.url("x")])).contains("directory"));
        // The versions between have all of it.
        assert_eq!(good(&penstock(&["ls", &served.url_in("4.1", "x")])), "y\n");
    }
}

#[test]
fn the_server_copies_by_itself() {
    for served in Served::in_each_version("tools-copies") {
        let data = pattern((5 << 20) + 3);
        fs::write(served.data.join("source"), &data).expect("a file");
        fs::create_dir(served.data.join("directory")).expect("a directory");
        good(&penstock(&["cp", &served.url("source"), &served.url("copy")]));
        good(&penstock(&["cp", "-p", &served.url("source"), &served.url("directory")]));
        let older = served.url_in("4.1", "source");
        good(&penstock(&["cp", &older, &served.url("over-4.1")]));
        for copy in ["copy", "directory/source", "over-4.1"] {
            assert!(fs::read(served.data.join(copy)).expect("it is there") == data, "{copy}");
        }
        let modified =
            |name: &str| fs::metadata(served.data.join(name)).expect("a file").modified().expect("a time");
        assert_eq!(modified("source"), modified("directory/source"));
        let again = bad(&penstock(&["cp", &served.url("source"), &served.url("source")]));
        assert!(again.contains("same file"), "{again}");
        assert!(fs::read(served.data.join("source")).expect("it is there") == data, "it was not harmed");
    }
}

#[test]
fn what_is_put_replaces_at_once_or_not_at_all() {
    for served in Served::in_each_version("tools-atomic") {
        let local = served.aside("local");
        fs::write(served.data.join("name"), b"old").expect("a file");
        let held = fs::File::open(served.data.join("name")).expect("the old file");
        good(&penstock_with(&["put", "-", &served.url("name")], b"new", &local));
        assert_eq!(fs::read(served.data.join("name")).expect("it is there"), b"new");
        assert_ne!(
            held.metadata().expect("open").ino(),
            fs::metadata(served.data.join("name")).expect("new").ino()
        );
        // A source that cannot be read to its end leaves what was there.
        let said = bad(&penstock(&["put", "/proc/self/mem", &served.url("name")]));
        assert!(said.contains("input"), "{said}");
        assert_eq!(fs::read(served.data.join("name")).expect("it is there"), b"new");
        assert_eq!(fs::read_dir(&served.data).expect("a directory").count(), 1, "no other names are left");
    }
}

#[test]
fn what_stands_at_either_end_is_not_replaced_by_mistake() {
    for served in Served::in_each_version("tools-ends") {
        let local = served.aside("local");
        let path = |name: &str| local.join(name).to_str().expect("text").to_owned();
        fs::write(served.data.join("tool"), b"text").expect("a file");
        // The owner is another one here, so what runs as the owner must not.
        fs::set_permissions(served.data.join("tool"), PermissionsExt::from_mode(0o4755)).expect("a mode");
        good(&penstock(&["get", "-p", &served.url("tool"), &path("tool")]));
        assert_eq!(fs::metadata(local.join("tool")).expect("a file").mode() & 0o7777, 0o755);
        good(&penstock(&["cp", "-p", &served.url("tool"), &served.url("tool-2")]));
        assert_eq!(fs::metadata(served.data.join("tool-2")).expect("a file").mode() & 0o7777, 0o755);

        // Devices are written to.
        symlink("/dev/null", local.join("nothing")).expect("a link");
        good(&penstock(&["get", &served.url("tool"), &path("nothing")]));
        assert!(fs::symlink_metadata(local.join("nothing")).expect("it is there").is_symlink());

        // Links to directories lead there, and a file is not copied onto itself.
        fs::create_dir(served.data.join("version-1")).expect("a directory");
        symlink("version-1", served.data.join("current")).expect("a link");
        good(&penstock(&["put", &path("tool"), &served.url("current")]));
        assert!(served.data.join("version-1/tool").exists());
        assert!(fs::symlink_metadata(served.data.join("current")).expect("it is there").is_symlink());
        let again = bad(&penstock(&["cp", &served.url("tool"), &served.url("")]));
        assert!(again.contains("same file"), "{again}");
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let Some(served) = Served::start("tools-pipe") else { return };
    for number in 0..1000 {
        fs::create_dir(served.data.join(format!("a-rather-long-name-of-a-directory-{number}")))
            .expect("a directory");
    }
    let mut command = Command::new(program());
    command.args(["ls", "-l", &served.url("")]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("a child");
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(141), ""), "as the shell has it");
}
