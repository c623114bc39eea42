//! Who may use whom: the rooms of docs/ARCHITECTURE.md, held against the manifests.

use std::collections::{BTreeMap, BTreeSet};

use testkit::{expect_none, manifest, members, read};

/// May use every room.
const EVERYTHING: &[&str] = &["everything"];

/// Each room and what it may use. `docs/ARCHITECTURE.md` has the same table with the reasons.
const ROOMS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("buf", &[]),
    ("qos", &["metric"]),
    ("metric", &[]),
    ("rpc", &["wire", "buf"]),
    ("state", &["wire", "metric"]),
    ("vfs", &["buf"]),
    ("engine", &["buf", "metric"]),
    ("vfs-local", &["vfs", "engine", "buf", "metric"]),
    ("nfs-ops", &["wire", "buf", "rpc", "qos", "state", "vfs", "metric"]),
    ("transport", &["engine", "wire", "buf", "rpc", "metric"]),
    ("transport-tcp", &["engine", "wire", "buf", "rpc", "transport", "metric"]),
    ("verbs", &[]),
    ("transport-rdma", &["engine", "wire", "buf", "rpc", "transport", "verbs", "metric"]),
    (
        "client",
        &["engine", "wire", "buf", "rpc", "transport", "transport-tcp", "transport-rdma", "verbs", "metric"],
    ),
    ("server", EVERYTHING),
    ("tests", EVERYTHING),
    ("benches", EVERYTHING),
    ("simulation", &["qos", "metric"]),
];

#[test]
fn rooms_use_only_what_the_table_allows() {
    let packages = packages();
    let mut findings = Vec::new();
    for (room, allowed) in ROOMS {
        if *allowed == EVERYTHING {
            continue;
        }
        for (used, way) in reachable(room, &packages) {
            if !allowed.contains(&used.as_str()) {
                findings.push(format!("{room} must not use {used}, but does: {}", way.join(" -> ")));
            }
        }
    }
    expect_none("dependencies outside the table of docs/ARCHITECTURE.md", &findings);
}

#[test]
fn every_member_is_a_room() {
    let rooms: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(members().into_iter().collect::<BTreeSet<_>>(), rooms);
}

#[test]
fn the_document_has_the_same_table() {
    let document = read("docs/ARCHITECTURE.md");
    let mut documented = BTreeMap::new();
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [room, _, may_use] = cells[..]
            && let Some(room) = room.trim_matches('`').strip_suffix('/')
        {
            let used = may_use.split(',').map(|used| used.trim().trim_matches('`').to_owned());
            let used: BTreeSet<String> = used.filter(|used| used != "nothing").collect();
            documented.insert(room.to_owned(), used);
        }
    }
    for (room, allowed) in ROOMS {
        let allowed: BTreeSet<String> = allowed.iter().map(|used| (*used).to_owned()).collect();
        assert_eq!(documented.get(*room), Some(&allowed), "{room}/ in docs/ARCHITECTURE.md");
    }
}

#[test]
fn every_package_of_others_has_its_reason() {
    let document = read("docs/DEPENDENCIES.md");
    let is_documented = |name: &str| document.lines().any(|line| line.starts_with(&format!("| `{name}` |")));
    let mut findings = Vec::new();
    let workspace = manifest("");
    for (name, source) in workspace["workspace"]["dependencies"].as_table().expect("a table") {
        if source.get("path").is_none() && !is_documented(name) {
            findings.push(format!("{name} has no row"));
        }
    }
    for member in members() {
        for (name, source) in dependencies(&manifest(&member)) {
            if source.get("workspace").is_none() {
                findings.push(format!("{member}/Cargo.toml: {name} must come from the workspace"));
            }
        }
    }
    expect_none("packages without a reason in docs/DEPENDENCIES.md", &findings);
}

/// What each member's manifest names, by package, rooms only; rooms are called by their directory.
fn packages() -> BTreeMap<String, Vec<String>> {
    let names: BTreeMap<String, String> = members()
        .into_iter()
        .map(|member| {
            let name = manifest(&member)["package"]["name"].as_str().expect("a name").to_owned();
            (name, member)
        })
        .collect();
    let used_by = |member: &String| {
        let used = dependencies(&manifest(member)).into_iter();
        let rooms = used.filter_map(|(name, _)| names.get(&name).cloned());
        rooms.collect::<Vec<_>>()
    };
    names.values().map(|member| (member.clone(), used_by(member))).collect()
}

/// Everything a manifest depends on, for tests and builds and single platforms too.
fn dependencies(manifest: &toml::Table) -> Vec<(String, toml::Value)> {
    let mut found = Vec::new();
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        if let Some(table) = manifest.get(kind).and_then(toml::Value::as_table) {
            found.extend(table.iter().map(|(name, source)| (name.clone(), source.clone())));
        }
    }
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        found.extend(targets.values().filter_map(toml::Value::as_table).flat_map(dependencies));
    }
    found
}

/// All rooms that `room` reaches, each with a way to it.
fn reachable(room: &str, packages: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open = vec![vec![room.to_owned()]];
    while let Some(way) = open.pop() {
        let last = way.last().expect("a way has a start");
        for used in &packages[last] {
            if used != room && !found.contains_key(used) {
                let longer = [&way[..], std::slice::from_ref(used)].concat();
                found.insert(used.clone(), longer.clone());
                open.push(longer);
            }
        }
    }
    found
}
