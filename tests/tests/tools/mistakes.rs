//! What is said to those who made a mistake.

use std::fs;

use client::OpenHow;
use testkit::asking::ask;
use testkit::server::{Scratch, Server, ServerPlan, can_serve, export, free_port};

use crate::{Served, bad, good, penstock, said};

/// The complaint of a failing command is one line that names the object and the reason.
fn complains(arguments: &[&str], subject: &str, reason: &str) {
    let said = bad(&penstock(arguments));
    let first = said.lines().next().unwrap_or_default();
    assert!(
        first.starts_with("penstock: ") && first.contains(subject) && first.contains(reason),
        "{arguments:?}: {said}"
    );
}

#[test]
fn the_object_and_the_reason_are_named() {
    for served in Served::in_each_version("tools-mistakes") {
        fs::write(served.data.join("file"), b"").expect("a file");
        fs::create_dir_all(served.data.join("full/of")).expect("a directory");
        let local = served.aside("local");
        let local = local.to_str().expect("text");
        let (missing, file, full) = (served.url("missing"), served.url("file"), served.url("full"));

        complains(&["ls", &missing], "/missing", "no such file or directory");
        complains(&["stat", &missing], "/missing", "no such file or directory");
        complains(&["get", &missing, local], "/missing", "no such file or directory");
        complains(&["cp", &missing, &file], "/missing", "no such file or directory");
        complains(&["rm", &missing], "/missing", "no such file or directory");
        good(&penstock(&["rm", "-f", &missing]));
        complains(&["put", "/nowhere/at/all", &file], "/nowhere/at/all", "No such file");
        complains(&["ls", &served.url("file/below")], "/file/below", "not a directory");
        complains(
            &["put", "/dev/null", &served.url("missing/name")],
            "/missing",
            "no such file or directory",
        );
        complains(&["mkdir", &full], "/full", "file exists");
        complains(&["mkdir", "-p", &served.url("file/below")], "/file", "not a directory");
        complains(&["rm", &full], "/full", "-r");
        complains(&["get", &full, local], "/full", "-r");
        complains(&["put", local, &full], local, "-r");
        complains(&["cp", &full, &served.url("other")], "/full", "not a regular file");
        complains(&["rm", &served.url("")], "nfs://", "no name");
        complains(&["bench", &missing], "/missing", "no such file or directory");
        complains(&["bench", &file], "/file", "not a directory");
        assert!(served.data.join("full/of").is_dir(), "nothing was removed");
    }
}

#[test]
fn permission_is_the_servers_to_give() {
    for served in Served::in_each_version("tools-permission") {
        fs::write(served.data.join("secret"), b"secret").expect("a file");
        fs::set_permissions(served.data.join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("a mode");
        fs::create_dir(served.data.join("theirs")).expect("a directory");
        let user = ["--uid", "4711", "--gid", "4711"];
        let with = |arguments: &[&str]| penstock(&[arguments, &user].concat());
        let secret = served.url("secret");
        let said = bad(&with(&["get", &secret, "-"]));
        assert!(said.contains("/secret: permission denied"), "{said}");
        let said = bad(&with(&["put", "/dev/null", &served.url("theirs/name")]));
        assert!(said.contains("/theirs/name: permission denied"), "{said}");
        let said = bad(&with(&["bench", &served.url("theirs")]));
        assert!(said.contains("--uid"), "{said}");
        assert_eq!(penstock(&["get", &secret, "-"]).stdout, b"secret");
    }
}

#[test]
fn nfsv3_says_what_is_exported_and_where_mount_is_not() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("tools-exports");
    let (one, two) = (scratch.directory("one"), scratch.directory("two"));
    let mount_port = free_port();
    let mut plan = ServerPlan::new(
        export(&one, "") + &export(&two, "") + &export(&scratch.directory("four"), "protocols = [\"4.2\"]"),
    );
    plan.settings.push_str(&format!("mount_port = {mount_port}\n"));
    fs::write(one.join("file"), b"").expect("a file");
    let server = Server::start(scratch, plan);
    let address = server.address();
    for path in ["", "four", "none/at/all"] {
        complains(
            &["ls", &format!("nfs://{address}/{path}?version=3")],
            path,
            "the server exports /one, /two",
        );
    }
    let listed = penstock(&["ls", &format!("nfs://{address}/one?version=3&mountport={mount_port}")]);
    assert_eq!(good(&listed), "file\n");
    let url = format!("nfs://127.0.0.1/one?version=3&nfsport={}&mountport=9", server.port());
    for command in ["ls", "bench"] {
        complains(&[command, &url], "/one", "MOUNT at port 9: cannot connect");
        assert!(bad(&penstock(&[command, &url])).contains("mountport="), "the remedy is told");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // Port 9, "discard", is nobody's here.
    for command in ["ls", "stat", "bench"] {
        let said = bad(&penstock(&[command, "nfs://127.0.0.1:9/"]));
        assert!(said.contains("127.0.0.1:9") && said.contains("remedy: start the server"), "{said}");
    }
    let said = bad(&penstock(&["ls", "nfs://no-such-host.invalid/"]));
    assert!(said.contains("no-such-host.invalid") && said.contains("remedy"), "{said}");
}

#[test]
fn a_wrong_command_line_is_explained() {
    let wrong = |arguments: &[&str], words: &str| {
        let output = penstock(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    };
    wrong(&["ls", "/local/path"], "nfs://host");
    wrong(&["ls", "nfs://server/?version=4.0"], "3, 4.1 and 4.2");
    wrong(&["ls", "nfs://server/?mountport=20048"], "version=3");
    wrong(&["bench", "nfs://server/", "-w", "reed"], "no workload `reed`");
    wrong(&["bench", "nfs://server/", "-b", "4KB"], "4KiB");
    wrong(&["mkdir", "-m", "rwx", "nfs://server/a"], "octal");
    let failing = |arguments: &[&str], words: &str| {
        wrong(arguments, words);
        wrong(arguments, "remedy");
    };
    failing(&["bench", "nfs://127.0.0.1:9/", "-q", "1", "--sessions", "2"], "--depth 1");
    failing(&["bench", "nfs://127.0.0.1:9/", "-w", "remove"], "--operations");
    failing(&["bench", "nfs://127.0.0.1:9/?version=3", "-w", "getattr,open"], "opens no files");
    failing(&["bench", "nfs://127.0.0.1:9/?version=3", "--sessions", "2"], "--connections");
    failing(&["bench", "nfs://127.0.0.1:9/", "-b", "1MiB", "--file-size", "4KiB"], "--file-size");
}

/// A server that has a period of grace worth waiting for when it starts again.
fn with_grace(name: &str, version: &'static str) -> Option<Served> {
    if !can_serve() {
        return None;
    }
    let scratch = Scratch::new(name);
    let data = scratch.directory("data");
    let mut plan = ServerPlan::exporting(&[&data]);
    plan.settings.push_str("grace_seconds = 15\n");
    Some(Served { server: Server::start(scratch, plan), data, version })
}

#[test]
fn a_server_in_its_grace_period_is_waited_for() {
    let Some(mut served) = with_grace("tools-grace", "4.2") else { return };
    // Somebody who holds a file, and will not come back.
    ask(served.server.address(), |asking| async move {
        let client = asking.client("holder").await;
        let root = client.session().lookup("/").await.expect("the root");
        client.session().open(root, "held", &OpenHow::create(0o644)).await.expect("a file");
    });
    served.server.kill();
    served.server.start_again();
    let output = penstock(&["put", "/etc/hostname", &served.url("put")]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("has just started"), "{}", said(&output));
    assert!(served.data.join("put").exists());
}

#[test]
fn a_load_begins_after_the_grace_period() {
    let Some(mut served) = with_grace("tools-grace-bench", "3") else { return };
    let url = served.url("");
    let load = ["bench", &url, "-n", "100", "--file-size", "1MiB", "--keep", "--quiet", "--json"];
    good(&penstock(&load));
    ask(served.server.address(), |asking| async move {
        let client = asking.client("holder").await;
        let root = client.session().lookup("/").await.expect("the root");
        client.session().open(root, "held", &OpenHow::create(0o644)).await.expect("a file");
    });
    served.server.kill();
    served.server.start_again();
    // The files are there already, and nothing has to be written that would wait.
    let value: serde_json::Value = serde_json::from_str(&good(&penstock(&load))).expect("one JSON object");
    assert_eq!((&value["operations"], &value["errors"]), (&100.into(), &0.into()), "{value:#}");
}
