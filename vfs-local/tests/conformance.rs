//! What every storage must do, on the file systems at hand.

mod rig;

use rig::Mounted;

fn conforms(mounted: Option<Mounted>) {
    let Some(mounted) = mounted.filter(|_| rig::is_root()) else {
        return;
    };
    let storage = rig::storage(&mounted.path);
    println!("{}", storage.summary());
    rig::with(storage, |local, shard| async move {
        vfs::conformance::run(&local, shard.pool()).await;
    });
}

#[test]
fn tmpfs_conforms() {
    conforms(Mounted::tmpfs());
}

#[test]
fn ext4_conforms() {
    conforms(Mounted::ext4());
}

#[test]
fn xfs_conforms() {
    conforms(Mounted::xfs());
}

#[test]
fn btrfs_conforms() {
    conforms(Mounted::image("btrfs", &["-q", "-f"], ""));
}
