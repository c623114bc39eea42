use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::mpsc::channel;

use nfs_ops::ExportId;
use nfs_ops::limits::Rule;
use qos::limits::{Tier, Usage};

use super::watched::Route;
use super::*;
use crate::config::ExportPlan;
use crate::testing::Scratch;

/// Limits kept in a file, and a runtime to wait in.
struct Kept {
    scratch: Scratch,
    keeper: Keeper,
    runtime: tokio::runtime::Runtime,
}

fn file(scratch: &Scratch) -> PathBuf {
    scratch.path().join("state.redb")
}

/// Of a server with the export `/data` and the group `batch`.
fn load(store: Arc<RecordStore>) -> Keeper {
    load_exporting("/srv".into(), store, 0).unwrap()
}

/// The same with another directory, where so many bytes per second are reserved for the group.
fn load_exporting(path: PathBuf, store: Arc<RecordStore>, reserved: u64) -> Result<Keeper, Fatal> {
    let mut export = ExportPlan::simple(path);
    (export.pseudo, export.id) = (vec!["data".into()], ExportId(7));
    let rule = Rule { name: "batch".into(), users: vec![1], tier: Some(Tier::Background), ..Rule::default() };
    let rule = Rule { reserved: NonZeroU64::new(reserved), ..rule };
    let names = Arc::new(Names::new(&[export], std::slice::from_ref(&rule)));
    let limiting = Limiting { rules: vec![rule], ..Limiting::default() };
    Keeper::load(limiting, names, store, Instant::now())
}

impl Kept {
    fn new() -> Self {
        let scratch = Scratch::new();
        let keeper = load(Arc::new(RecordStore::open(&file(&scratch)).unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { scratch, keeper, runtime }
    }

    fn set(&mut self, name: &str, patch: Value, if_generation: Option<u64>) -> Result<Value, Refused> {
        let patch = patch.as_object().unwrap();
        self.runtime.block_on(self.keeper.change(name, patch, if_generation))
    }

    fn remove(&mut self, name: &str, if_generation: Option<u64>) -> Result<Value, Refused> {
        self.runtime.block_on(self.keeper.remove(name, if_generation))
    }

    fn in_force(&self, name: &str) -> Option<(Limit, Option<Entity>)> {
        self.keeper.limiting.table.get(self.keeper.find(name).unwrap().entity())
    }

    /// What a server that starts now would put in force: the file as it is on disk at this moment.
    fn after_a_crash(&self) -> Keeper {
        load(self.copied())
    }

    fn copied(&self) -> Arc<RecordStore> {
        let copy = self.scratch.path().join("copy.redb");
        std::fs::copy(file(&self.scratch), &copy).unwrap();
        Arc::new(RecordStore::open(&copy).unwrap())
    }
}

#[test]
fn what_is_told_is_in_force_and_survives_a_crash() {
    let mut kept = Kept::new();
    let told = kept.set("export:/srv", json!({ "bytes_per_second": 1000, "weight": 5 }), None).unwrap();
    assert_eq!((&told["entity"], &told["generation"]), (&json!("export:/data"), &json!(1)));
    kept.set("client:192.0.2.7", json!({ "read_operations_per_second": 10 }), None).unwrap();
    let told =
        kept.set("export:/data", json!({ "weight": null, "write_bytes_per_second": 500 }), Some(1)).unwrap();
    assert_eq!(
        (told["bytes_per_second"].as_u64(), told.get("weight")),
        (Some(1000), None),
        "what is not named stays"
    );
    let (limit, parent) = kept.in_force("export:/data").unwrap();
    assert_eq!((limit.bytes.together, limit.bytes.write), (NonZeroU64::new(1000), NonZeroU64::new(500)));
    assert_eq!(parent, Some(Limited::Server.entity()));

    let after = kept.after_a_crash();
    assert_eq!(after.list(), kept.keeper.list());
    assert_eq!(after.limiting.table.list(), kept.keeper.limiting.table.list());
    assert_eq!(after.list()["generation"], 3);
    drop(after);

    kept.remove("client:192.0.2.7", Some(2)).unwrap();
    assert_eq!(kept.in_force("client:192.0.2.7"), None);
    assert_eq!(kept.after_a_crash().list(), kept.keeper.list());
    assert_eq!(kept.keeper.list()["generation"], 4, "generations are never given twice");
}

#[test]
fn mistakes_change_nothing_and_tell_what_is_in_force() {
    let mut kept = Kept::new();
    let told = kept.set("server", json!({ "bytes_per_second": 1000 }), Some(0)).unwrap();
    let before = kept.after_a_crash().list();
    let rate = || json!({ "bytes_per_second": 7 });
    for (name, patch, if_generation, cause, words) in [
        ("server", rate(), Some(0), Cause::Conflict, "has generation 1, not 0"),
        ("server", rate(), Some(9), Cause::Conflict, "has generation 1, not 9"),
        ("server", json!({}), None, Cause::Wrong, "nothing is said"),
        ("server", json!({ "bytes_per_second": "7" }), None, Cause::Wrong, "bytes_per_second is \"7\""),
        ("server", json!({ "weight": 7, "speed": 1 }), None, Cause::Wrong, "\"speed\" is no field"),
        ("server", json!({ "ttl_seconds": 0 }), None, Cause::Wrong, "ttl_seconds is 0"),
        ("server", json!({ "bytes_per_second": null }), None, Cause::Wrong, "take the limit away"),
    ] {
        let refused = kept.set(name, patch, if_generation).unwrap_err();
        assert!(refused.cause == cause && refused.reason.contains(words), "{refused:?}");
        assert_eq!(refused.in_force.as_ref(), Some(&told));
    }
    let refused = kept.set("export:/nowhere", rate(), None).unwrap_err();
    assert!(refused.cause == Cause::Unknown && refused.reason.contains("there are /data"), "{refused:?}");
    let refused = kept.remove("client:192.0.2.7", None).unwrap_err();
    assert!(refused.cause == Cause::Unknown && refused.reason.contains("has no limit"), "{refused:?}");
    assert_eq!(kept.remove("server", Some(2)).unwrap_err().cause, Cause::Conflict);
    assert_eq!(kept.keeper.list(), before);
    assert_eq!(kept.after_a_crash().list(), before);
}

#[test]
fn of_a_list_all_is_changed_or_nothing() {
    let mut kept = Kept::new();
    let told = kept.set("server", json!({ "bytes_per_second": 1000 }), None).unwrap();
    let mut set = |list: &[(&str, Value)]| {
        let list: Vec<_> = list
            .iter()
            .map(|(name, patch)| ((*name).to_owned(), patch.as_object().unwrap().clone()))
            .collect();
        kept.runtime.block_on(kept.keeper.change_all(&list))
    };
    let rate = || json!({ "bytes_per_second": 7 });
    for (second, patch, cause, words) in [
        ("export:/nowhere", rate(), Cause::Unknown, "there are /data"),
        ("server", json!({ "weight": 0 }), Cause::Wrong, "weight is 0"),
        (
            "client:192.0.2.8",
            json!({ "reserve_bytes_per_second": 900 }),
            Cause::Wrong,
            "beside the 1 of others",
        ),
    ] {
        let first = json!({ "weight": 5, "reserve_bytes_per_second": 1 });
        let refused = set(&[("client:192.0.2.7", first), (second, patch)]).unwrap_err();
        assert!(refused.cause == cause && refused.reason.contains(words), "{refused:?}");
    }
    let changed = set(&[
        ("client:192.0.2.7", rate()),
        ("server", rate()),
        ("client:192.0.2.7", json!({ "weight": 5 })),
    ]);
    assert_eq!(changed.unwrap(), json!({ "generation": 2, "changed": 3 }));
    assert_eq!(kept.keeper.list()["limits"].as_array().unwrap().len(), 3, "the group's tier, and these");
    let (limit, _) = kept.in_force("client:192.0.2.7").unwrap();
    assert_eq!((limit.bytes.together, limit.weight), (NonZeroU64::new(7), NonZeroU32::new(5)));
    assert_eq!(kept.keeper.get("server").unwrap()["bytes_per_second"], 7);
    assert_eq!(told["generation"], 1);
    assert_eq!(kept.after_a_crash().list(), kept.keeper.list());
}

#[test]
fn the_server_stands_above_its_exports_as_long_as_one_needs_it() {
    let mut kept = Kept::new();
    let rate = || json!({ "operations_per_second": 7 });
    kept.set("export:/data", rate(), None).unwrap();
    assert_eq!(kept.in_force("server"), Some((Limit { scarce: true, ..Limit::default() }, None)));
    assert_eq!(kept.keeper.list()["limits"].as_array().unwrap().len(), 2, "the group's tier, and the export");
    kept.set("server", rate(), None).unwrap();
    kept.remove("server", None).unwrap();
    assert_eq!(kept.in_force("server"), Some((Limit { scarce: true, ..Limit::default() }, None)));
    kept.set("server", rate(), None).unwrap();
    kept.remove("export:/data", None).unwrap();
    assert!(kept.in_force("server").unwrap().0.operations.together.is_some());
    kept.remove("server", None).unwrap();
    kept.set("export:/data", rate(), None).unwrap();
    kept.remove("export:/data", None).unwrap();
    assert_eq!((kept.in_force("server"), kept.in_force("export:/data")), (None, None));
}

#[test]
fn a_group_has_the_tier_of_its_rule_until_told_otherwise() {
    let mut kept = Kept::new();
    let tier = |kept: &Kept| kept.in_force("group:batch").unwrap().0.tier;
    assert_eq!(tier(&kept), Some(Tier::Background));
    let told = kept.set("group:batch", json!({ "weight": 3 }), None).unwrap();
    assert_eq!((&told["tier"], &told["weight"]), (&json!("background"), &json!(3)));
    kept.set("group:batch", json!({ "tier": "protected" }), None).unwrap();
    assert_eq!(tier(&kept), Some(Tier::Protected));
    kept.set("group:batch", json!({ "tier": null }), None).unwrap();
    assert_eq!(kept.after_a_crash().limiting.table.list(), kept.keeper.limiting.table.list());
    assert_eq!(tier(&kept), Some(Tier::Background));
    kept.remove("group:batch", None).unwrap();
    let (limit, _) = kept.in_force("group:batch").unwrap();
    assert_eq!((limit.tier, limit.weight), (Some(Tier::Background), None::<NonZeroU32>));
}

#[test]
fn no_more_is_reserved_than_there_is_to_have() {
    let mut kept = Kept::new();
    let reserve = |rate: u64| json!({ "reserve_bytes_per_second": rate });
    // While the server is not limited nobody knows how much there is.
    let refused = kept.set("client:192.0.2.7", reserve(500), None).unwrap_err();
    assert!(refused.reason.contains("set that first"), "{refused:?}");
    kept.set("server", json!({ "bytes_per_second": 1000 }), None).unwrap();
    kept.set("client:192.0.2.7", reserve(500), None).unwrap();
    for (rate, is_taken) in [(555, false), (556, true)] {
        let outcome = kept.set("server", json!({ "bytes_per_second": rate }), None);
        assert_eq!(outcome.is_ok(), is_taken, "{outcome:?}");
    }
    let told = kept.set("server", json!({ "bytes_per_second": 1000 }), None).unwrap();
    for (name, patch, words) in [
        (
            "export:/data",
            reserve(401),
            "at most nine tenths can be reserved, 900: 401 are more than is left beside the 500",
        ),
        ("client:192.0.2.7", reserve(901), "901 are more than is left beside the 0"),
        ("server", json!({ "bytes_per_second": 555 }), "499, and 500 are reserved already"),
        ("server", reserve(1), "nothing can be reserved for the server"),
    ] {
        let refused = kept.set(name, patch, None).unwrap_err();
        assert!(refused.cause == Cause::Wrong && refused.reason.contains(words), "{refused:?}");
    }
    assert_eq!(kept.keeper.get("server").unwrap(), told);
    kept.set("export:/data", reserve(400), None).unwrap();
    kept.set("client:192.0.2.7", reserve(200), None).unwrap();
    let (limit, _) = kept.in_force("export:/data").unwrap();
    assert_eq!(limit.reserved, NonZeroU64::new(400));
    let after = kept.after_a_crash();
    assert_eq!(after.list(), kept.keeper.list());
    assert_eq!(after.limiting.table.list(), kept.keeper.limiting.table.list());
}

#[test]
fn where_work_is_paced_a_reservation_needs_no_limit() {
    let mut kept = Kept::new();
    kept.keeper.limiting.table = qos::limits::Limits::paced();
    kept.set("client:192.0.2.7", json!({ "reserve_bytes_per_second": 500 }), None).unwrap();
    let refused = kept.set("server", json!({ "bytes_per_second": 555 }), None).unwrap_err();
    assert!(refused.reason.contains("499, and 500 are reserved already"), "{refused:?}");
}

#[test]
fn what_a_rule_reserves_is_promised_for_good() {
    let mut kept = Kept::new();
    kept.set("server", json!({ "bytes_per_second": 1000 }), None).unwrap();
    kept.set("client:192.0.2.7", json!({ "reserve_bytes_per_second": 300 }), None).unwrap();
    let refused = load_exporting("/srv".into(), kept.copied(), 601).err().unwrap().to_string();
    assert!(
        refused.contains("900, and 901 are reserved already") && refused.contains("[[qos.rule]]"),
        "{refused}"
    );
    kept.keeper = load_exporting("/srv".into(), kept.copied(), 600).unwrap();
    let (limit, _) = kept.in_force("group:batch").unwrap();
    assert_eq!(limit.reserved, NonZeroU64::new(600));
    // It is in force again when the limit of the group goes.
    kept.set("group:batch", json!({ "reserve_bytes_per_second": 1 }), None).unwrap();
    let refused = kept.set("export:/data", json!({ "reserve_bytes_per_second": 1 }), None).unwrap_err();
    assert!(refused.reason.contains("beside the 900"), "{refused:?}");
    kept.remove("group:batch", None).unwrap();
    let (limit, _) = kept.in_force("group:batch").unwrap();
    assert_eq!(limit.reserved, NonZeroU64::new(600));
}

#[test]
fn a_path_leads_from_the_client_to_the_server() {
    let mut kept = Kept::new();
    kept.set("client:192.0.2.7", json!({ "weight": 3 }), None).unwrap();
    let route = |client: Option<&str>, user, export: Option<&str>| {
        let asked =
            Asked { client: client.map(Into::into), user, export: export.map(Into::into), file: None };
        kept.keeper.route(&asked)
    };
    let names = |route: &Route, waiting: &[u64]| -> (Vec<String>, Value) {
        let spans = vec![Span::default(); route.watched.len()];
        let told = kept.keeper.show_route(route, &spans, 7, waiting);
        let names = told["path"].as_array().unwrap().iter();
        (names.map(|limit| limit["entity"].as_str().unwrap().to_owned()).collect(), told["binds"].clone())
    };
    let mapped = Some("::ffff:192.0.2.7");
    for (client, user, export, path) in [
        (mapped, None, None, &["client:192.0.2.7", "server"][..]),
        (mapped, Some(1), Some("/data"), &["client:192.0.2.7", "group:batch", "export:/data", "server"]),
        (mapped, Some(2), Some("/srv"), &["client:192.0.2.7", "export:/data", "server"]),
        (None, None, Some("/srv"), &["export:/data", "server"]),
    ] {
        let route = route(client, user, export).unwrap();
        assert_eq!(
            names(&route, &vec![0; route.watched.len()]),
            (path.iter().map(|name| (*name).to_owned()).collect(), Value::Null)
        );
    }
    // The client, who alone has a limit, and the group, to which some of its requests may belong.
    let of_client = route(mapped, None, None).unwrap();
    assert_eq!(of_client.leaves, [Limited::client("192.0.2.7".parse().unwrap()).unwrap().entity()]);
    let (path, binds) = names(&of_client, &[2, 5]);
    assert_eq!(
        (path, binds),
        (["client:192.0.2.7", "group:batch", "server"].map(str::to_owned).to_vec(), json!("group:batch"))
    );
    for (client, export, cause) in [
        (Some("filer"), None, Cause::Wrong),
        (Some("192.0.2.7"), Some("/"), Cause::Unknown),
        (None, None, Cause::Wrong),
    ] {
        assert_eq!(route(client, None, export).unwrap_err().cause, cause);
    }
}

#[test]
fn who_uses_most_of_a_limit_is_told_first() {
    let mut kept = Kept::new();
    kept.set("client:192.0.2.1", json!({ "bytes_per_second": 1000 }), None).unwrap();
    kept.set("client:192.0.2.2", json!({ "bytes_per_second": 100 }), None).unwrap();
    kept.set("client:192.0.2.3", json!({ "weight": 5 }), None).unwrap();
    let watched = kept.keeper.watched(None).unwrap();
    // In the order of the keys: the clients, and the group.
    let spans = [500, 60, 7000, 8000].map(|read_bytes| Span {
        after: Usage { read_bytes, ..Usage::default() },
        time: Duration::from_secs(1),
        ..Span::default()
    });
    let told = kept.keeper.show_usage(&watched, &spans, 3);
    let names: Vec<_> = told["usage"].as_array().unwrap().iter().map(|one| &one["entity"]).collect();
    assert_eq!(names, ["client:192.0.2.2", "client:192.0.2.1", "group:batch"]);
    assert_eq!((&told["counted"], &told["usage"][0]["usage"]["used"]), (&json!(4), &json!(0.6)));
    let refused = kept.keeper.watched(Some("client:192.0.2.9")).unwrap_err();
    assert!(
        refused.cause == Cause::Unknown && refused.reason.contains("only what is limited"),
        "{refused:?}"
    );
    assert_eq!(kept.keeper.watched(Some("client:192.0.2.2")).unwrap(), watched[1..2]);
}

#[test]
fn the_oldest_limits_have_metrics() {
    let mut kept = Kept::new();
    for name in ["client:192.0.2.2", "client:192.0.2.1", "export:/data", "server"] {
        kept.set(name, json!({ "weight": 5 }), None).unwrap();
    }
    let (count, first) = kept.keeper.first(4);
    let names: Vec<&str> = first.iter().map(|(name, _)| &name[..]).collect();
    assert_eq!((count, names), (5, vec!["server", "export:/data", "group:batch", "client:192.0.2.2"]));
}

#[test]
fn a_limit_whose_time_was_up_before_the_start_is_not_in_force_and_goes() {
    let mut kept = Kept::new();
    kept.set("server", json!({ "weight": 3, "ttl_seconds": 3600 }), None).unwrap();
    let left = kept.runtime.block_on(kept.keeper.expire()).unwrap();
    assert!((3590..=3600).contains(&left.as_secs()), "{left:?}");
    assert_eq!(kept.keeper.get("server").unwrap()["weight"], 3);

    let entity = Limited::Server.entity();
    let over = record::Kept { expires_unix_ms: Some(1), ..kept.keeper.kept[&entity].clone() };
    let (done, stored) = channel();
    let change = LimitChange { records: vec![(entity.0, Some(over.encode()))], generation: 9 };
    kept.keeper.store.submit_limit(change, Box::new(move |outcome| done.send(outcome).unwrap()));
    stored.recv().unwrap().unwrap();
    let mut after = kept.after_a_crash();
    assert_eq!(after.limiting.table.get(entity), None);
    assert_eq!(kept.runtime.block_on(after.expire()), None);
    assert_eq!((after.kept.len(), after.generation), (0, 10));
}

#[test]
fn who_is_gone_can_still_be_named() {
    let mut kept = Kept::new();
    kept.set("export:/data", json!({ "weight": 3 }), None).unwrap();
    kept.keeper.names.replace_exports(&[]);
    assert_eq!(kept.keeper.get("export:/data").unwrap()["weight"], 3);
    assert_eq!(kept.keeper.list()["limits"][0]["entity"], "export:/data");
    kept.remove("export:/data", None).unwrap();
    assert_eq!(kept.keeper.get("export:/data").unwrap_err().cause, Cause::Unknown);
}

#[test]
fn a_directory_is_a_file_set_where_it_is_one() {
    let mut kept = Kept::new();
    let folder = kept.scratch.path().join("export");
    std::fs::create_dir_all(folder.join("a/b")).unwrap();
    std::fs::write(folder.join("file"), b"").unwrap();
    std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("/usr", folder.join("out")).unwrap();
    let store = Arc::clone(&kept.keeper.store);
    kept.keeper = load_exporting(folder.clone(), store, 0).unwrap();

    let limit = json!({ "bytes_per_second": 1000 });
    for (name, words) in [
        ("fileset:/data", "write export:/data"),
        ("fileset:/data/", "write export:/data"),
        ("fileset:/elsewhere/a", "below no export; there are /data"),
        ("fileset:/database/a", "below no export; there are /data"),
        ("fileset:/data/nowhere", "No such file"),
        ("fileset:/data/file", "it is a file"),
        ("fileset:/data/link", "it is called a"),
        ("fileset:/data/a/../a", "it is called a"),
        ("fileset:/data/out", "leads out"),
    ] {
        let refused = kept.set(name, limit.clone(), None).unwrap_err();
        assert!(refused.reason.contains(words), "{name}: {}", refused.reason);
        assert_eq!(refused.cause, Cause::Unknown);
    }
    let told = kept.set("fileset:/data//a/", limit.clone(), None).unwrap();
    assert_eq!(told["entity"], json!("fileset:/data/a"));
    let sets = kept.keeper.limiting.file_sets.clone();
    let set = sets.find(ExportId(7), b"a/b/c").expect("it is in force");
    let (_, parent) = kept.in_force("fileset:/data/a").unwrap();
    assert_eq!(parent, Some(Limited::Export(ExportId(7)).entity()));
    assert!(kept.in_force("export:/data").is_some() && kept.in_force("server").is_some());

    let nested = kept.set("fileset:/data/a/b", limit, None).unwrap_err();
    assert!(nested.reason.contains("do not nest, and fileset:/data/a"), "{}", nested.reason);
    assert_eq!(nested.in_force.unwrap()["bytes_per_second"], json!(1000));

    let (client, place) = (Some("192.0.2.7".to_owned()), Some("/data/a/b/c".to_owned()));
    for asked in [
        Asked { client: client.clone(), export: place.clone(), ..Asked::default() },
        Asked { client, file: place, ..Asked::default() },
    ] {
        let route = kept.keeper.route(&asked).unwrap();
        let (spans, waiting) = (vec![Span::default(); route.watched.len()], vec![0; route.watched.len()]);
        let explained = kept.keeper.show_route(&route, &spans, 0, &waiting);
        let levels: Vec<_> = explained["path"].as_array().unwrap().iter().map(|one| &one["entity"]).collect();
        assert_eq!(levels, ["client:192.0.2.7", "fileset:/data/a", "export:/data", "server"]);
    }

    std::fs::remove_dir_all(folder.join("a")).unwrap();
    let copy = kept.scratch.path().join("copy.redb");
    std::fs::copy(file(&kept.scratch), &copy).unwrap();
    let store = Arc::new(RecordStore::open(&copy).unwrap());
    kept.keeper = load_exporting(folder, store, 0).unwrap();
    assert_eq!(
        kept.keeper.limiting.file_sets.find(ExportId(7), b"a/b"),
        Some(set),
        "a directory may come again"
    );
    kept.remove("fileset:/data/a", None).unwrap();
    assert_eq!(kept.keeper.limiting.file_sets.find(ExportId(7), b"a/b"), None);
    let left: Vec<_> = kept.keeper.limiting.table.list().into_iter().map(|(entity, ..)| entity).collect();
    let group = kept.keeper.find("group:batch").unwrap();
    assert_eq!(left, [group.entity()], "nothing stands there for it any more");
}
