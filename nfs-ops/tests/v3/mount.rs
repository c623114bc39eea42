//! MOUNT (RFC 1813 §5).

use nfs_ops::{Network, Protocol, Protocols};
use wire::mount3::Status;
use wire::rpc::AUTH_SYS;

use super::world;
use crate::support::*;

#[test]
fn a_path_leads_to_the_same_handle_as_lookups_do() {
    let world = World::with(vec![export_settings(1, "a/b"), export_settings(2, "c")]);
    let connection = world.connection();
    let client = connection.nfs3();
    let root = connection.mount("/a/b").unwrap();
    assert_eq!(*root.flavors, [AUTH_SYS]);
    let root = root.handle;
    for path in ["a/b", "/a/b/", "//a//b"] {
        assert_eq!(connection.mount(path).unwrap().handle, root, "{path}");
    }
    assert_ne!(connection.mount("/c").unwrap().handle, root);
    let directory = client.make_directory(root, "d");
    let deeper = client.make_directory(directory, "e");
    client.make_file(root, "file", b"");
    client.symlink(root, "link", "d").ok();
    assert_eq!(connection.mount("/a/b/d/e").unwrap().handle, deeper);
    for (path, status) in [
        ("/", Status::Noent),
        ("", Status::Noent),
        ("/a", Status::Noent),
        ("/b", Status::Noent),
        ("/a/bb", Status::Noent),
        ("/a/b/x", Status::Noent),
        ("/a/b/file", Status::Notdir),
        ("/a/b/file/x", Status::Notdir),
        ("/a/b/link", Status::Notdir),
        ("/a/b/link/e", Status::Notdir),
        ("/a/b/..", Status::Inval),
        ("/a/b/d/..", Status::Inval),
        ("/a/b/.", Status::Inval),
        ("/a/b/\0", Status::Inval),
        (&format!("/a/b/{}", "x".repeat(256)), Status::Nametoolong),
    ] {
        assert_eq!(connection.mount(path), Err(status), "{path}");
    }
    // A directory that only its owner may look into can be mounted: whoever then uses the handle is asked.
    client.setattr(directory, nfs3::with_mode(0o700)).ok();
    let user = connection.user(1000, 1000, &[]);
    assert_eq!(user.mount("/a/b/d/e").unwrap().handle, deeper);
    user.nfs3().lookup(directory, "e").fails(wire::nfs3::Status::Acces);
}

#[test]
fn an_export_at_the_root_is_mounted_as_the_root() {
    let mut settings = export_settings(1, "x");
    settings.pseudo_path.clear();
    let connection = World::with(vec![settings]).connection();
    let root = connection.mount("/").unwrap().handle;
    let directory = connection.nfs3().make_directory(root, "d");
    assert_eq!(connection.mount("/d").unwrap().handle, directory);
    assert_eq!(connection.exports(), [("/".to_owned(), vec![])]);
}

#[test]
fn exports_are_listed_with_who_may_mount_them() {
    let network = |address: &str, prefix_bits| Network { address: address.parse().unwrap(), prefix_bits };
    let mut some = export_settings(2, "some");
    some.clients = vec![network("10.0.0.0", 8), network("fd00::1", 128)];
    some.read_only_clients = vec![network("10.9.0.0", 16)];
    let mut newer = export_settings(3, "newer");
    newer.protocols = Protocols::NONE.with(Protocol::V42);
    let world = World::with(vec![export_settings(1, "a/all"), some, newer]);
    let connection = world.connection();
    let groups = ["10.0.0.0/8", "fd00::1", "10.9.0.0/16"].map(String::from).to_vec();
    assert_eq!(connection.exports(), [("/a/all".to_owned(), vec![]), ("/some".to_owned(), groups)]);
    assert_eq!(connection.mount("/newer"), Err(Status::Acces));
    let stranger = world.connection_from("11.0.0.1:800");
    assert_eq!(stranger.mount("/some"), Err(Status::Acces));
    assert_eq!(stranger.mount("/some/below"), Err(Status::Acces), "and hears nothing of what is there");
    stranger.mount("/a/all").unwrap();
}

#[test]
fn who_has_mounted_what_is_told_until_it_is_unmounted() {
    let (world, client, root) = world();
    client.make_directory(root, "d");
    let (one, two) = (world.connection_from("10.0.0.1:801"), world.connection_from("[fd00::2]:800"));
    // The root was mounted from the first address already, and a further time changes nothing.
    one.mount("/export").unwrap();
    one.mount("/export/d").unwrap();
    for spelled in ["export/d", "//export/d", "/export/d/"] {
        one.mount(spelled).unwrap();
    }
    assert_eq!(one.mount("/export/x"), Err(Status::Noent));
    two.mount("/export").unwrap();
    let pair = |host: &str, path: &str| (host.to_owned(), path.to_owned());
    let all = [pair("10.0.0.1", "/export"), pair("10.0.0.1", "/export/d"), pair("fd00::2", "/export")];
    assert_eq!(two.mounts(), all);
    world.connection_from("[::ffff:10.0.0.1]:5").unmount(Some("/export"));
    two.unmount(Some("/export/d"));
    two.mount("/export/d/").unwrap();
    two.unmount(Some("export/d"));
    assert_eq!(one.mounts(), all[1..]);
    two.unmount(None);
    assert_eq!(one.mounts(), all[1..2]);
    // It was only a note: the handle is as good as before.
    client.getattr(root).ok();
}

#[test]
fn mounts_are_remembered_up_to_a_bound() {
    let (world, _, _) = world();
    for number in 0..4200 {
        let [low, high, ..] = u32::to_le_bytes(number);
        world.connection_from(&format!("10.1.{high}.{low}:800")).mount("/export").unwrap();
    }
    let mounts = world.connection().mounts();
    assert!(mounts.len() <= 4096, "{} mounts", mounts.len());
    let last = mounts.last().unwrap();
    assert_eq!(last.0, "10.1.16.103", "the oldest go first");
}
