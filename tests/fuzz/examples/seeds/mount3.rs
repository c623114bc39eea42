//! Arguments and results of MOUNT.

use wire::mount3::*;
use wire::nfs3::FileHandle;
use wire::xdr::{Chain, Encode, List};

use crate::{encoded, encoder};

/// One of each: name, what the target takes it for, bytes.
pub fn messages() -> Vec<(&'static str, u8, Vec<u8>)> {
    let handle = FileHandle::new(&[5; 32]).expect("a handle");
    let mounts = ["node-17", "node-18"].map(|host| Mount { host: host.into(), directory: "/srv".into() });
    let groups = Chain(vec!["192.0.2.0/24".into(), "@trusted".into()]);
    let exports = [
        Export { directory: "/srv".into(), groups },
        Export { directory: "/pub".into(), groups: Chain(Vec::new()) },
    ];
    vec![
        ("path", 0, encoded(&Path::from("/srv"))),
        ("mounted", 1, encoded(&MountOutcome::Ok(MountResult { handle, flavors: List(vec![1, 0]) }))),
        ("denied", 1, encoded(&MountOutcome::Err(Status::Acces))),
        ("dump", 2, list(&mounts)),
        ("export", 3, list(&exports)),
    ]
}

fn list(items: &[impl Encode]) -> Vec<u8> {
    let mut encoder = encoder();
    let writer = ListWriter::begin(&encoder).expect("seeds are short");
    items.iter().for_each(|item| writer.item(&mut encoder, item).expect("seeds are short"));
    writer.finish(&mut encoder).expect("seeds are short");
    encoder.finish().head.to_vec()
}
