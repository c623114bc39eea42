use std::path::Path;

use ::qos::limits::Tier;

use super::*;

fn parsed(text: &str) -> Result<Settings, Diagnostics> {
    parse(Path::new("/etc/penstock.toml"), text)
}

/// Asserts that `text` is refused at `position` ("line:column") with `words` in the message.
fn refused(text: &str, position: &str, words: &str) {
    let message = parsed(text).expect_err("a bad configuration is refused").to_string();
    assert!(message.starts_with(&format!("/etc/penstock.toml:{position}:")), "{message}");
    assert!(message.contains(words), "{message}");
    assert!(message.contains("\n  remedy: "), "{message}");
}

#[test]
fn everything_but_the_path_has_a_default() {
    let settings = parsed("[[export]]\npath = \"/usr\"\n").unwrap();
    assert_eq!(settings.server, ServerSettings::default());
    assert_eq!(settings.limits, Limits::default());
    assert_eq!(settings.exports, [ExportPlan::simple("/usr".into())]);
}

#[test]
fn several_exports_have_places_by_their_names() {
    let settings =
        parsed("[[export]]\npath = \"/usr\"\n[[export]]\npath = \"/etc\"\npseudo = \"/a/b/\"\n").unwrap();
    let places: Vec<_> = settings.exports.iter().map(ExportPlan::pseudo_path).collect();
    assert_eq!(places, ["/usr", "/a/b"]);
    assert_ne!(settings.exports[0].id, settings.exports[1].id);
}

#[test]
fn readers_alone_keep_others_out() {
    let settings = parsed("[[export]]\npath = \"/usr\"\nread_only_clients = [\"10.0.0.0/8\"]\n").unwrap();
    assert!(settings.exports[0].clients.is_empty());
}

#[test]
fn an_export_has_the_protocols_that_are_listed() {
    let settings = parsed("[[export]]\npath = \"/usr\"\nprotocols = [\"4.2\", \"3\"]\n").unwrap();
    assert_eq!(settings.exports[0].protocol_names(), ["3", "4.2"]);
}

#[test]
fn a_port_is_listened_on_once() {
    let ports = |lines: &str| {
        parsed(&format!("[server]\n{lines}\n[[export]]\npath = \"/usr\"\n")).unwrap().server.ports()
    };
    assert_eq!(ports("port = 7"), [("port", 7)]);
    assert_eq!(ports("mount_port = 2049"), [("port", 2049)]);
    assert_eq!(ports("mount_port = 8\nnfs3_port = 8"), [("port", 2049), ("nfs3_port", 8)]);
    assert_eq!(ports("nfs3_port = 9\nmount_port = 8").len(), 3);
}

#[test]
fn mistakes_are_named_with_place_and_remedy() {
    refused("[server]\nprot = 1\n", "2:1", "unknown field `prot`");
    refused("[server]\nport = 70000\n[[export]]\npath = \"/usr\"\n", "2:8", "`port` is 70000");
    refused("[server]\nmount_port = \"x\"\n", "2:14", "`mount_port` is \"x\", which is of another kind");
    refused(
        "[server]\nmount_port = \"x\"\n",
        "2:14",
        "like mount_port = 20048 (Other ports to listen on besides (1 to",
    );
    refused("[server]\nrpcbind = true\n", "2:11", "like rpcbind = \"auto\" (auto: register");
    refused("[[qos.rule]]\nname = \"a\"\nweight = \"x\"\n", "3:10", "The share beside others");
    refused("[limits]\nclients = \"x\"\n", "2:11", "like clients = 4096");
    refused("[server]\nlease_seconds = 60\ngrace_seconds = 20\n", "3:17", "less than the lease");
    refused("[server]\nrpcbind = \"on\"\n", "2:11", "`rpcbind` is \"on\", which is none of its values");
    refused("[server]\nrpcbind = \"on\"\n", "2:11", "like rpcbind = \"auto\" (auto: register");
    refused("[[export]]\npath = \"/usr\"\nsquash = \"no\"\n", "3:10", "`squash` is \"no\", which is none");
    refused("[[export]]\npath = \"/usr\"\nio = \"fast\"\n", "3:6", "`io` is \"fast\", which is none");
    refused("[server]\nmount_port = 0\n", "2:14", "`mount_port` is 0");
    refused("[server]\nnfs3_port = 65536\n", "2:13", "`nfs3_port` is 65536");
    refused("[limits]\nclients = 0\n", "2:11", "`clients` is 0");
    refused("[log]\nlevel = \"a=b=c\"\n", "2:9", "`level`");
    for level in ["loud", "info,warning", "", "info,"] {
        refused(&format!("[log]\nlevel = {level:?}\n"), "2:9", "is no level");
    }
    refused("[server]\nshards = 0\n", "2:10", "`shards` is 0");
    refused("[server]\ndomain = \"\"\n", "2:10", "`domain`");
    refused("[server]\ndomain = \"user@example.org\"\n", "2:10", "`domain`");
    for address in ["localhost:9469", "127.0.0.1", ":9469", "[::1]:70000"] {
        refused(&format!("[server]\nmetrics = {address:?}\n"), "2:11", "`metrics` is");
    }
    refused("a = [1,\n", "1:8", "unclosed array");
    refused("[[export]]\npath = \"/usr\"\nsqush = \"all\"\n", "3:1", "unknown field `sqush`");
    refused("[[export]]\npath = \"/no/such/place\"\n", "2:8", "does not exist");
    refused("[[export]]\npath = \"usr\"\n", "2:8", "not absolute");
    refused("[[export]]\npath = \"/etc/passwd\"\n", "2:8", "not a directory");
    refused("[[export]]\npath = \"/usr\"\nclients = [\"*\", \"10.0.0.0/99\"]\n", "3:17", "not a network");
    refused("[[export]]\npath = \"/usr\"\npseudo = \"a\"\n", "3:10", "not a place");
    let long = format!("[[export]]\npath = \"/usr\"\npseudo = \"{}\"\n", "/abcdefg".repeat(129));
    refused(&long, "3:10", "has 1032 bytes");
    let long = format!("[[export]]\npath = \"/usr\"\npseudo = \"/a/{}\"\n", "b".repeat(256));
    refused(&long, "3:10", "a name of 256 bytes, and a name has 255 at most");
    refused("[[export]]\npath = \"/usr\"\nanonuid = -1\n", "3:11", "`anonuid`");
    refused("[[export]]\npath = \"/usr\"\nprotocols = []\n", "3:13", "`protocols` is empty");
    refused("[[export]]\npath = \"/usr\"\nprotocols = [\"3\", \"4.0\"]\n", "3:19", "no version of NFS");
    refused("[[export]]\npath = \"/usr\"\nprotocols = [\"3\", \"3\"]\n", "3:19", "twice");
    refused("[[export]]\npath = \"/usr\"\nprotocols = [4.2]\n", "3:14", "which is of another kind");
    refused("[[export]]\naccess = \"ro\"\n", "1:1", "missing field `path`");
    refused("[tracing]\notlp_endpoint = \"https://a\"\n", "2:17", "`otlp_endpoint`");
    refused("[tracing]\notlp_endpoint = \"http://\"\n", "2:17", "`otlp_endpoint`");
    refused("[tracing]\notlp_file = \"traces\"\n", "2:13", "not absolute");
    refused("[tracing]\nqueue_spans = 1\n", "2:15", "`queue_spans` is 1");
    refused("[server]\nadmin = \"here\"\n", "2:9", "`admin` is here, which is not absolute");
    let tcp = |lines: &str| format!("[server.admin_tcp]\naddress = \"[::1]:9470\"\n{lines}");
    refused(&tcp(""), "1:1", "missing field `certificate`");
    let files = "certificate = \"/c\"\nkey = \"k\"\ntoken_file = \"/t\"\n";
    refused(&tcp(files), "4:7", "`key` is k, which is not absolute");
    refused(&tcp(&files.replace("\"k\"", "\"/k\"")).replace(":9470", ""), "2:11", "no address with a port");
    let both = "[tracing]\notlp_file = \"/t\"\notlp_endpoint = \"http://a:1/\"\n";
    refused(both, "2:13", "`otlp_endpoint` is given too");
    refused("", "1:1", "no [[export]]");
}

#[test]
fn metrics_have_a_port_of_their_own() {
    let with = |lines: &str| format!("[server]\nmetrics = {lines}\n[[export]]\npath = \"/usr\"\n");
    for lines in [
        "\"127.0.0.1:2049\"",
        "\"127.0.0.1:20048\"\nmount_port = 20048",
        "\"[::1]:7\"\nnfs3_port = 7\naddresses = [\"::\"]",
        "\"0.0.0.0:7\"\nport = 7\naddresses = [\"::1\", \"10.0.0.1\"]",
    ] {
        refused(&with(lines), "2:11", "listens there too");
    }
    for lines in [
        "\"127.0.0.1:2050\"",
        "\"127.0.0.1:2049\"\naddresses = [\"10.0.0.1\"]",
        "\"0.0.0.0:2049\"\naddresses = [\"::1\"]",
        "\"[::1]:2049\"\naddresses = [\"0.0.0.0\"]",
    ] {
        parsed(&with(lines)).unwrap();
    }
}

#[test]
fn administration_over_tcp_has_a_port_of_its_own() {
    let with = |address: &str, lines: &str| {
        format!(
            "[server]\n{lines}\n[server.admin_tcp]\naddress = \"{address}\"\ncertificate = \"/c\"\nkey = \"/k\"\n\
             token_file = \"/t\"\n[[export]]\npath = \"/usr\"\n"
        )
    };
    let metrics = |address: &str| format!("metrics = \"{address}\"");
    for (address, lines, words) in [
        ("[::1]:2049", "", "`admin_tcp` is [::1]:2049, and NFS or MOUNT listens there too (`port` is 2049)"),
        ("10.0.0.1:7", "mount_port = 7", "listens there too (`mount_port` is 7)"),
        ("0.0.0.0:7", &metrics("127.0.0.1:7"), "the metrics are served there too (`metrics` is 127.0.0.1:7)"),
        (
            "127.0.0.1:7",
            &metrics("[::]:7"),
            "`admin_tcp` is 127.0.0.1:7, and the metrics are served there too",
        ),
    ] {
        refused(&with(address, lines), "4:11", words);
    }
    for (address, lines) in [
        ("127.0.0.1:8", &*metrics("127.0.0.1:7")),
        ("127.0.0.1:7", &metrics("10.0.0.1:7")),
        ("127.0.0.1:0", &metrics("127.0.0.1:0")),
        ("127.0.0.1:2049", "addresses = [\"10.0.0.1\"]"),
    ] {
        parsed(&with(address, lines)).unwrap();
    }
}

#[test]
fn mistakes_in_rules_are_named_with_place_and_remedy() {
    let refused = |lines: &str, position: &str, words: &str| {
        refused(&format!("{lines}\n[[export]]\npath = \"/usr\"\npseudo = \"/data\"\n"), position, words);
    };
    refused("[qos]\nio_unit = 1", "2:1", "unknown field `io_unit`");
    refused("[qos]\nio_unit_kib = 0", "2:15", "`io_unit_kib` is 0");
    refused("[qos]\npace = \"fast\"", "2:8", "`pace` is \"fast\", which is none of its values");
    refused("[qos]\nadmission_log = \"log\"", "2:17", "not absolute");
    refused("[[qos.rule]]\nusers = [0]", "1:1", "missing field `name`");
    refused("[[qos.rule]]\nname = \"a\"", "1:1", "does not say whom it is for");
    let rule = |lines: &str| format!("[[qos.rule]]\nname = \"a\"\nusers = [0]\n{lines}");
    refused(&rule("").replace("\"a\"", "\"a b\""), "2:8", "cannot name a group");
    refused(&rule("rate = 1"), "4:1", "unknown field `rate`");
    refused(&rule("tier = \"first\""), "4:8", "`tier` is \"first\", which is none of its values");
    refused(&rule("weight = 0"), "4:10", "`weight` is 0");
    refused(&rule("reserve_bytes_per_second = 0"), "4:28", "`reserve_bytes_per_second` is 0");
    refused(&rule("clients = [\"10.0.0.0/99\"]"), "4:12", "not a network");
    refused(&rule("clients = [\"filer\"]"), "4:12", "a host name");
    refused(&rule("exports = [\"/nowhere\"]"), "4:12", "no export has this place");
    refused(&rule("").replace("[0]", "[-1]"), "3:10", "no user id");
    refused(&format!("{}\n{}", rule(""), rule("")), "6:8", "two rules make the group");
}

#[test]
fn a_rule_is_what_it_says() {
    let text = "[qos]\nio_unit_kib = 4\npace = \"latency\"\n[[qos.rule]]\nname = \"a\"\nclients = [\"10.0.0.0/8\"]\nusers = [7]\n\
                exports = [\"/data\"]\ntier = \"protected\"\nweight = 3\nreserve_bytes_per_second = 1000000000000\n\
                [[export]]\npath = \"/usr\"\npseudo = \"/data\"\n";
    let settings = parsed(text).unwrap();
    let rule = &settings.qos.rules[0];
    assert_eq!(
        (settings.qos.io_unit_kib, rule.weight.unwrap().get(), rule.tier.unwrap()),
        (4, 3, Tier::Protected)
    );
    assert_eq!(rule.reserved.unwrap().get(), 1_000_000_000_000);
    assert_eq!(settings.qos.pace, Pace::Latency);
    let (inside, export) = ("10.9.9.9".parse().unwrap(), Some(settings.exports[0].id));
    assert!(rule.fits(inside, Some(7), export));
    assert!(!rule.fits("11.0.0.1".parse().unwrap(), Some(7), export));
    assert!(!rule.fits(inside, Some(8), export) && !rule.fits(inside, Some(7), None));
}

#[test]
fn filters_of_log_lines_are_taken_as_they_are() {
    for filter in ["INFO", "off", "info,nfs_ops=debug", "penstock=trace", "warn,state[sweep]=debug"] {
        let settings = parsed(&format!("[log]\nlevel = {filter:?}\n[[export]]\npath = \"/usr\"\n")).unwrap();
        assert_eq!(settings.log.filter, filter);
    }
}

#[test]
fn exports_in_each_others_way_are_refused() {
    let two = |first: &str, second: &str| {
        format!("[[export]]\npath = \"/usr\"\n{first}\n[[export]]\npath = \"/etc\"\n{second}\n")
    };
    refused(&two("pseudo = \"/a\"", "pseudo = \"/a\""), "6:10", "two exports have the place /a");
    refused(&two("pseudo = \"/a\"", "pseudo = \"/a/b\""), "6:10", "lie within one another");
    refused(&two("pseudo = \"/\"", ""), "5:8", "lie within one another");
    refused(&two("id = 5", "id = 5"), "6:6", "same `id` 5");
    refused(
        "[[export]]\npath = \"/usr\"\n[[export]]\npath = \"/usr/\"\npseudo = \"/b\"\n",
        "4:8",
        "exported twice",
    );
}

#[test]
fn exports_within_one_another_are_refused_on_one_file_system() {
    let scratch = crate::testing::Scratch::new();
    let (outer, inner) = (scratch.path().join("outer"), scratch.path().join("outer/inner"));
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::create_dir(scratch.path().join("outer-beside")).unwrap();
    let beside = scratch.path().join("outer-beside");
    let two = |first: &Path, second: &Path| {
        format!("[[export]]\npath = {first:?}\n[[export]]\npath = {second:?}\n")
    };
    refused(&two(&outer, &inner), "4:8", "within one another, on one file system");
    refused(&two(&inner, &outer), "4:8", "within one another, on one file system");
    parsed(&two(&outer, &beside)).unwrap();
    // Another file system: without `cross_mounts`, one does not lead into the other.
    parsed("[[export]]\npath = \"/\"\npseudo = \"/root\"\n[[export]]\npath = \"/proc\"\n").unwrap();
    let crossing =
        "[[export]]\npath = \"/\"\npseudo = \"/root\"\ncross_mounts = true\n[[export]]\npath = \"/proc\"\n";
    refused(crossing, "6:8", "within one another");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found =
        parsed("[server]\nport = 0\n[[export]]\npath = \"/no/such\"\nclients = [\"@x\"]\n").unwrap_err();
    assert_eq!(found.0.len(), 3, "{found}");
}

#[test]
fn the_example_says_the_defaults() {
    // Every commented-out setting is put in force; the result is the defaults, but where the text says
    // that it is an example.
    let text: String = example()
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| line.strip_prefix('#').unwrap_or(line).replace("/srv/data", "/usr") + "\n")
        .collect();
    // The example has both destinations, and one alone may be given.
    let text = text.replace("otlp_file = \"/var/log/penstock-traces.jsonl\"\n", "");
    let mut settings = parsed(&text).unwrap();
    assert!(matches!(settings.tracing.destination.take(), Some(Destination::Endpoint(_))));
    assert_eq!(settings.tracing, TracingSettings::default());
    assert_eq!(settings.server.domain.take().as_deref(), Some("example.org"));
    assert_eq!(settings.server.shards.take(), Some(4));
    assert_eq!(settings.server.nfs3_port.take(), Some(2050));
    assert_eq!(settings.server.mount_port.take(), Some(20048));
    assert_eq!(settings.server.metrics.take(), "127.0.0.1:9469".parse().ok());
    assert_eq!(settings.server.admin.take().as_deref(), Some(Path::new("/run/penstock.sock")));
    let tcp = settings.server.admin_tcp.take().unwrap();
    assert_eq!(
        (tcp.address.port(), tcp.token_file.as_path()),
        (9470, Path::new("/etc/penstock/admin.token"))
    );
    assert_eq!(settings.server, ServerSettings::default());
    assert_eq!(settings.log, LogSettings::default());
    assert_eq!(settings.limits, Limits::default());
    let rules = std::mem::take(&mut settings.qos.rules);
    assert_eq!((rules.len(), rules[0].exports[0]), (1, settings.exports[0].id));
    assert_eq!(settings.qos.admission_log.take().as_deref(), Some(Path::new("/var/log/penstock-admissions")));
    assert_eq!(settings.qos, QosSettings::default());
    let plain = parsed("[[export]]\npath = \"/usr\"\npseudo = \"/data\"\nid = 7\n").unwrap();
    assert_eq!(settings.exports, plain.exports);
}

#[test]
fn the_document_lists_every_limit_with_its_default() {
    let document = include_str!("../../../docs/CONFIGURATION.md");
    for row in LIMIT_ROWS {
        let line = format!(
            "| `{}` | {} | {} to {} | {} | {} |",
            row.name, row.default, row.range.0, row.range.1, row.bounds, row.at_bound
        );
        assert!(document.contains(&line), "docs/CONFIGURATION.md lacks the line\n{line}");
    }
    let listed = document.lines().filter(|line| line.starts_with("| `")).count();
    assert!(listed >= LIMIT_ROWS.len());
}
