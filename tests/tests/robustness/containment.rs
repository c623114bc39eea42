//! Nobody leaves an export: not by names, not by links, not by handles.

use client::{Compound, OpenHow, Session};
use testkit::asking::ask;
use testkit::server::{Scratch, Server, ServerPlan, can_serve, export};
use wire::nfs4::{CreateType, FILE_HANDLE_MAX, FileHandle, GetFhResult, OpenArgs, Status};

/// What a name that leads elsewhere is answered with.
const NO_NAME: [Status; 3] = [Status::Badname, Status::Inval, Status::Badchar];

/// What a handle that is not ours, or no more, is answered with.
const NO_HANDLE: [Status; 2] = [Status::Badhandle, Status::Stale];

async fn status(session: &Session, compound: Compound) -> Status {
    session.call(compound).await.expect("an answer").status()
}

async fn status_of_handle(session: &Session, handle: FileHandle) -> Status {
    status(session, Compound::new().put_handle(handle).get_attributes(ATTRIBUTES)).await
}

const ATTRIBUTES: &[u32] = &[wire::nfs4::attribute::TYPE, wire::nfs4::attribute::FILEID];

#[test]
fn names_and_links_do_not_lead_out() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("names");
    let data = scratch.directory("data");
    std::fs::write(scratch.path().join("secret"), "outside").expect("a file");
    std::os::unix::fs::symlink(scratch.path(), data.join("out")).expect("a link");
    std::os::unix::fs::symlink("../secret", data.join("up")).expect("a link");
    std::fs::write(data.join("file"), "inside").expect("a file");
    let server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    ask(server.address(), |asking| async move {
        let client = asking.client("names").await;
        let session = client.session();
        let root = session.lookup("/").await.expect("the root");
        let at_root = || Compound::new().put_handle(root);
        for name in ["..", ".", "a/b", "/etc/passwd", "../secret", "a\0b", "out/secret"] {
            let found = status(session, at_root().lookup(name)).await;
            assert!(NO_NAME.contains(&found), "LOOKUP of {name:?}: {found}");
            let made =
                status(session, at_root().create(CreateType::Directory, name, &Default::default())).await;
            assert!(NO_NAME.contains(&made), "CREATE of {name:?}: {made}");
            let removed = status(session, at_root().remove(name)).await;
            assert!(NO_NAME.contains(&removed), "REMOVE of {name:?}: {removed}");
            let renamed = status(session, at_root().save_handle().rename("file", name)).await;
            assert!(NO_NAME.contains(&renamed), "RENAME to {name:?}: {renamed}");
            let linked = at_root().lookup("file").save_handle().put_handle(root).link(name);
            let linked = status(session, linked).await;
            assert!(NO_NAME.contains(&linked), "LINK as {name:?}: {linked}");
            for how in [OpenHow::read(), OpenHow::create(0o644)] {
                let opened = session.open(root, name, &how).await.expect_err("no such open").status();
                assert!(
                    opened.is_some_and(|status| NO_NAME.contains(&status)),
                    "OPEN of {name:?}: {opened:?}"
                );
            }
        }
        assert_eq!(status(session, at_root().lookup("")).await, Status::Inval);
        assert_eq!(status(session, at_root().lookup_parent()).await, Status::Noent);
        for link in ["out", "up"] {
            assert_eq!(status(session, at_root().lookup(link).lookup("secret")).await, Status::Symlink);
            for how in [OpenHow::read(), OpenHow::create(0o644)] {
                let opened = session.open(root, link, &how).await.expect_err("no such open").status();
                assert_eq!(opened, Some(Status::Symlink), "{link}");
            }
        }
    });
    assert_eq!(std::fs::read(server.scratch().path().join("secret")).expect("it is there"), b"outside");
}

#[test]
fn forged_handles_open_nothing() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("forged");
    let data = scratch.directory("data");
    std::fs::write(data.join("file"), "inside").expect("a file");
    let server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    ask(server.address(), |asking| async move {
        let client = asking.client("forged").await;
        let session = client.session();
        let handle = session.lookup("/file").await.expect("a file");
        assert_eq!(status_of_handle(session, handle).await, Status::Ok);
        let bytes = handle.as_bytes().to_vec();
        assert!(bytes.len() <= 64, "handles have {} bytes", bytes.len());
        let mut forged: Vec<Vec<u8>> = Vec::new();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            forged.push(bytes);
        }
        forged.extend((0..bytes.len()).map(|length| bytes[..length].to_vec()));
        forged.push([&bytes[..], &[0; 4]].concat());
        forged.extend([0, 0xff].map(|byte| vec![byte; FILE_HANDLE_MAX]));
        for bytes in forged {
            let handle = FileHandle::new(&bytes).expect("it is not too long");
            let found = status_of_handle(session, handle).await;
            assert!(NO_HANDLE.contains(&found), "{bytes:02x?}: {found}");
        }
    });
}

/// What OPEN by handle says.
async fn open_by_handle(session: &Session, handle: FileHandle) -> Status {
    let how = OpenHow::read();
    let arguments = OpenArgs {
        seqid: 0,
        share_access: how.access,
        share_deny: 0,
        owner: wire::nfs4::StateOwner { client_id: session.client_id(), owner: how.owner[..].into() },
        how: wire::nfs4::OpenHow::NoCreate,
        claim: wire::nfs4::OpenClaim::Handle,
    };
    status(session, Compound::new().put_handle(handle).open(arguments)).await
}

#[test]
fn handles_of_what_is_exported_no_more_are_stale() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("handles");
    let (whole, other) = (scratch.directory("whole"), scratch.directory("other"));
    let part = scratch.directory("whole/part");
    std::fs::write(whole.join("outside"), "not in the part").expect("a file");
    std::fs::write(part.join("inside"), "in the part").expect("a file");
    let mut server = Server::start(scratch, ServerPlan::exporting(&[&whole, &other]));
    ask(server.address(), move |asking| async move {
        let client = asking.client("handles").await;
        let session = client.session();
        let outside = session.lookup("/whole/outside").await.expect("a file");
        let inside = session.lookup("/whole/part/inside").await.expect("a file");
        let part_handle = session.lookup("/whole/part").await.expect("a directory");
        // The part at the place of the whole: the handles' export is known, the objects may be outside.
        server.reload(export(&part, "pseudo = \"/part\"") + &export(&other, ""));
        for handle in [outside, inside, part_handle] {
            assert_eq!(status_of_handle(session, handle).await, Status::Stale);
            assert_eq!(open_by_handle(session, handle).await, Status::Stale);
        }
        assert_eq!(session.lookup("/whole").await.expect_err("it is gone").status(), Some(Status::Noent));
        let parent = Compound::new().put_root().lookup("part").lookup_parent().lookup("outside");
        assert_eq!(status(session, parent).await, Status::Noent, "above an export is the pseudo file system");
        session.lookup("/part/inside").await.expect("a file");

        // What was exported comes back, and its handles with it.
        server.reload(export(&whole, "") + &export(&other, ""));
        for handle in [outside, inside, part_handle] {
            assert_eq!(status_of_handle(session, handle).await, Status::Ok);
        }
    });
}

#[test]
fn a_directory_that_is_moved_out_does_not_lead_out() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("moved");
    let (data, outside) = (scratch.directory("data"), scratch.directory("outside"));
    let deep = scratch.directory("data/one/two");
    std::fs::write(outside.join("secret"), "outside").expect("a file");
    let server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    ask(server.address(), move |asking| async move {
        let client = asking.client("moved").await;
        let session = client.session();
        let handle = session.lookup("/one/two").await.expect("a directory");
        std::fs::rename(deep, outside.join("two")).expect("it moves");
        let up = Compound::new().put_handle(handle).lookup_parent().get_handle();
        let reply = session.call(up).await.expect("an answer");
        if reply.skip(2).is_ok() {
            let parent = reply.next::<GetFhResult>().expect("a handle").object;
            let found = status(session, Compound::new().put_handle(parent).lookup("secret")).await;
            assert_ne!(found, Status::Ok, "LOOKUPP leads out of the export");
        }
    });
}
