//! FSSTAT, FSINFO, PATHCONF (RFC 1813 §3.3.18 to §3.3.20).

use vfs::Vfs;
use wire::nfs3::file_system_property::{CAN_SET_TIME, HOMOGENEOUS, LINK, SYMLINK};
use wire::nfs3::*;

use super::world;
use crate::support::nfs3::with_mode;

#[test]
fn space_is_what_the_storage_has_for_the_caller() {
    let (world, client, root) = world();
    let told = client.fsstat(root);
    let empty = told.ok();
    assert_eq!(empty.attributes, Some(client.attributes(root)));
    assert_eq!((empty.bytes_total, empty.bytes_free, empty.bytes_available), (1 << 30, 1 << 30, 1 << 30));
    assert_eq!((empty.files_total, empty.files_free), (1 << 20, (1 << 20) - 1));
    assert_eq!((empty.files_available, empty.unchanged_seconds), (empty.files_free, 0));
    client.setattr(root, with_mode(0o777)).ok();
    let user = client.user(1000, 1000, &[]);
    let file = user.make_file(root, "file", &[1; 10_000]);
    world.storage().set_quota(1000, Some(20_480));
    let used = user.fsstat(file).ok();
    assert_eq!(used.bytes_free, (1 << 30) - 12_288);
    assert_eq!(used.bytes_available, 8192, "what the caller's quota leaves");
    assert_eq!(used.files_free, empty.files_free - 1);
}

#[test]
fn limits_are_those_of_the_storage_and_of_the_server() {
    let (world, client, root) = world();
    let capabilities = world.storage().view().capabilities();
    let payload_bytes_max = world.server().shared.settings.payload_bytes_max;
    let file = client.make_file(root, "file", b"");
    for object in [root, file] {
        let told = client.fsinfo(object).ok();
        assert_eq!(told.attributes, Some(client.attributes(object)));
        assert_eq!((told.read_max, told.write_max), (payload_bytes_max, payload_bytes_max));
        assert_eq!((told.read_preferred, told.write_preferred), (payload_bytes_max, payload_bytes_max));
        assert_eq!((told.read_multiple, told.write_multiple), (4096, 4096));
        assert_eq!(told.file_size_max, capabilities.file_bytes_max);
        assert_eq!(told.time_delta, NfsTime { seconds: 0, nanoseconds: capabilities.time_delta_ns as u32 });
        assert_eq!(told.properties, LINK | SYMLINK | HOMOGENEOUS | CAN_SET_TIME);

        let told = client.pathconf(object).ok();
        assert_eq!(told.attributes, Some(client.attributes(object)));
        assert_eq!((told.links_max, told.name_max), (capabilities.links_max, capabilities.name_bytes_max));
        assert_eq!((told.no_truncation, told.chown_restricted), (true, true));
        assert_eq!((told.case_insensitive, told.case_preserving), (false, true));
    }
    // A listing as long as is preferred is one page.
    let preferred = client.fsinfo(root).ok().directory_preferred;
    let listing =
        ReadDirArgs { directory: root, cookie: 0, verifier: Verifier::default(), count_max: preferred };
    assert!(client.send(&listing).entries().1);
    // The longest name is one that can be had, and one more is not.
    let longest = "x".repeat(capabilities.name_bytes_max as usize);
    client.make_file(root, &longest, b"");
    client.lookup(root, &(longest + "x")).fails(Status::Nametoolong);
}
