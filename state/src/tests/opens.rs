//! Opens, share reservations and the stateids of both.

use wire::nfs4::{Stateid, Status};

use super::Random;
use super::fixture::{File, Peer, Server, file, files};
use crate::{Access, Deny, IoGrant, IoWant, OpenClaim, OpenFiles, OpenRequest};

const ACCESSES: [Access; 3] = [Access::Read, Access::Write, Access::Both];
const DENIALS: [Deny; 4] = [Deny::None, Deny::Read, Deny::Write, Deny::Both];

fn io(server: &Server, peer: &Peer, stateid: &Stateid, want: IoWant) -> Result<Option<File>, Status> {
    let granted = server.state.check_io(&peer.client, &file("file"), stateid, want, server.now)?;
    Ok(match granted {
        IoGrant::Open(grant) => {
            assert!(grant.is_valid());
            Some(*grant.begin().expect("a valid grant has a file").file())
        }
        IoGrant::Special => None,
    })
}

/// Opens by the naive model: per owner the list of what was opened.
#[derive(Default)]
struct Model {
    opened: Vec<Vec<(Access, Deny)>>,
}

impl Model {
    fn is_denied(&self, access: Access, deny: Deny) -> bool {
        self.opened
            .iter()
            .flatten()
            .any(|held| access as u8 & held.1 as u8 != 0 || deny as u8 & held.0 as u8 != 0)
    }

    /// Every subset of what the owner opened is tried.
    fn may_downgrade(&self, owner: usize, access: Access, deny: Deny) -> bool {
        let opened = &self.opened[owner];
        (1..1u32 << opened.len()).any(|subset| {
            let chosen = opened.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1);
            let union =
                chosen.fold((0, 0), |union, (_, held)| (union.0 | held.0 as u8, union.1 | held.1 as u8));
            union == (access as u8, deny as u8)
        })
    }

    fn downgrade(&mut self, owner: usize, access: Access, deny: Deny) {
        self.opened[owner]
            .retain(|held| held.0 as u8 & !(access as u8) == 0 && held.1 as u8 & !(deny as u8) == 0);
    }
}

#[test]
fn shares_agree_with_a_list_of_opens() {
    const OWNERS: [&str; 4] = ["a1", "a2", "b1", "b2"];
    for seed in 1..30 {
        let mut random = Random::new(seed);
        let server = Server::new();
        let peers = [server.peer("a"), server.peer("b")];
        let mut model = Model { opened: vec![Vec::new(); OWNERS.len()] };
        let mut stateids: [Option<Stateid>; OWNERS.len()] = [None; OWNERS.len()];
        for step in 0..300 {
            let owner = random.below(OWNERS.len() as u64) as usize;
            let peer = &peers[owner / 2];
            let access = ACCESSES[random.below(3) as usize];
            // Mostly without denial, so that files do get opened several times.
            let deny = if random.below(3) == 0 { DENIALS[random.below(4) as usize] } else { Deny::None };
            match (random.below(4), stateids[owner]) {
                (0, Some(stateid)) => {
                    server.close(peer, "file", &stateid).unwrap();
                    model.opened[owner].clear();
                    stateids[owner] = None;
                }
                (1, Some(stateid)) => {
                    let name = file("file");
                    let downgraded = server.state.open_downgrade(&peer.client, &name, &stateid, access, deny);
                    let expected = model.may_downgrade(owner, access, deny);
                    assert_eq!(downgraded.is_ok(), expected, "seed {seed} step {step}: {access:?} {deny:?}");
                    if let Ok(stateid) = downgraded {
                        model.downgrade(owner, access, deny);
                        stateids[owner] = Some(stateid);
                    }
                }
                _ => {
                    let opened = server.open_as(peer, OWNERS[owner], "file", access, deny, OpenClaim::New);
                    let denied = model.is_denied(access, deny);
                    assert_eq!(
                        opened.err(),
                        denied.then_some(Status::ShareDenied),
                        "seed {seed} step {step}"
                    );
                    if let Ok(stateid) = opened {
                        model.opened[owner].push((access, deny));
                        // At most 8, so that the model's subsets stay few.
                        let excess = model.opened[owner].len().saturating_sub(8);
                        if excess > 0 {
                            server.close(peer, "file", &stateid).unwrap();
                            model.opened[owner].clear();
                            stateids[owner] = None;
                        } else {
                            stateids[owner] = Some(stateid);
                        }
                    }
                }
            }
            for (want, access) in [(IoWant::Read, Access::Read), (IoWant::Write, Access::Write)] {
                let anonymous = server.state.check_anonymous_io(&file("file"), want, 0);
                let denied = model.is_denied(access, Deny::None).then_some(Status::Locked);
                assert_eq!(anonymous.err(), denied, "seed {seed} step {step}: {want:?}");
            }
            let held = model.opened.iter().filter(|opened| !opened.is_empty()).count();
            assert_eq!(server.state.totals().opens, held as u64, "seed {seed} step {step}");
        }
    }
}

#[test]
fn a_reservation_is_in_others_way_until_it_ends() {
    let server = Server::new();
    let (first, second) = (server.peer("a"), server.peer("b"));
    let asked = OpenRequest {
        file: file("file"),
        owner: b"owner",
        access: Access::Write,
        deny: Deny::Write,
        claim: OpenClaim::New,
    };
    let reservation = server.state.open_reserve(&first.client, &asked, 0).unwrap();
    assert_eq!(server.open(&second, "file", Access::Write, Deny::None), Err(Status::ShareDenied));
    assert_eq!(io(&server, &second, &Stateid::ANONYMOUS, IoWant::Write), Err(Status::Locked));
    reservation.abandon();
    let stateid = server.open(&second, "file", Access::Write, Deny::None).unwrap();
    server.close(&second, "file", &stateid).unwrap();
    drop(server.state.open_reserve(&first.client, &asked, 0).unwrap());
    assert_eq!(server.state.totals().opens, 0);
}

#[test]
fn an_upgrade_keeps_the_stateid_and_ends_grants() {
    let server = Server::new();
    let peer = server.peer("a");
    let first = server.open(&peer, "file", Access::Read, Deny::None).unwrap();
    assert_eq!(io(&server, &peer, &first, IoWant::Read), Ok(Some("read")));
    assert_eq!(io(&server, &peer, &first, IoWant::Write), Err(Status::Openmode));
    let Ok(IoGrant::Open(grant)) =
        server.state.check_io(&peer.client, &file("file"), &first, IoWant::Read, 0)
    else {
        panic!("no grant")
    };
    let second = server.open(&peer, "file", Access::Write, Deny::None).unwrap();
    assert_eq!((second.other, second.seqid), (first.other, first.seqid + 1));
    assert!(!grant.is_valid());
    assert_eq!(io(&server, &peer, &first, IoWant::Read), Err(Status::OldStateid));
    assert_eq!(io(&server, &peer, &Stateid { seqid: 0, ..first }, IoWant::Write), Ok(Some("write")));
    assert_eq!(server.state.totals().opens, 1);
    let closed = server.state.close_file(&peer.client, &file("file"), &second, 0).unwrap();
    assert_eq!(closed.stateid, Stateid::INVALID);
    assert_eq!(closed.files, files(Access::Both));
    assert_eq!(io(&server, &peer, &second, IoWant::Read), Err(Status::BadStateid));
}

#[test]
fn what_is_there_already_need_not_be_opened_again() {
    let server = Server::new();
    let peer = server.peer("a");
    server.open(&peer, "file", Access::Read, Deny::None).unwrap();
    let asked = OpenRequest {
        file: file("file"),
        owner: b"owner",
        access: Access::Both,
        deny: Deny::None,
        claim: OpenClaim::New,
    };
    let reservation = server.state.open_reserve(&peer.client, &asked, 0).unwrap();
    assert_eq!(*reservation.existing(), files(Access::Read));
    let stateid = reservation.commit(OpenFiles { read: None, write: Some("later") }).unwrap();
    assert_eq!(io(&server, &peer, &stateid, IoWant::Write), Ok(Some("later")));
    let downgraded =
        server.state.open_downgrade(&peer.client, &file("file"), &stateid, Access::Read, Deny::None).unwrap();
    assert_eq!(server.state.take_effects().files, [OpenFiles { read: None, write: Some("later") }]);
    assert_eq!(io(&server, &peer, &downgraded, IoWant::Write), Err(Status::Openmode));
}

#[test]
fn stateids_are_checked_against_all_that_they_name() {
    let server = Server::new();
    let (peer, other) = (server.peer("a"), server.peer("b"));
    let open = server.open(&peer, "file", Access::Both, Deny::None).unwrap();
    let check = |peer: &Peer, name: &str, stateid: Stateid, expected: Status| {
        let granted = server.state.check_io(&peer.client, &file(name), &stateid, IoWant::Read, 0);
        assert_eq!(granted.err(), Some(expected), "{stateid:?}");
    };
    check(&other, "file", open, Status::BadStateid);
    check(&peer, "elsewhere", open, Status::BadStateid);
    check(&peer, "file", Stateid { seqid: 2, ..open }, Status::BadStateid);
    check(&peer, "file", Stateid::INVALID, Status::BadStateid);
    check(&peer, "file", Stateid::CURRENT, Status::BadStateid);
    check(&peer, "file", Stateid { seqid: 7, other: [0xff; 12] }, Status::BadStateid);
    check(&peer, "file", Stateid { seqid: 1, other: [7; 12] }, Status::BadStateid);
    let mut of_another_instance = open;
    of_another_instance.other[2] ^= 1;
    check(&peer, "file", of_another_instance, Status::BadStateid);
    assert_eq!(server.state.test_stateid(&peer.client, &open), Status::Ok);
    assert_eq!(server.state.test_stateid(&other.client, &open), Status::BadStateid);
    assert_eq!(server.state.test_stateid(&peer.client, &Stateid::ANONYMOUS), Status::BadStateid);
    assert_eq!(server.state.free_stateid(&peer.client, &open, 0), Err(Status::LocksHeld));
}

#[test]
fn special_stateids_obey_denials_but_bypass_reads() {
    let server = Server::new();
    let (peer, other) = (server.peer("a"), server.peer("b"));
    let cases = [
        (Deny::None, [Ok(None), Ok(None), Ok(None), Ok(None)]),
        (Deny::Read, [Err(Status::Locked), Ok(None), Ok(None), Ok(None)]),
        (Deny::Write, [Ok(None), Err(Status::Locked), Ok(None), Err(Status::Locked)]),
    ];
    for (deny, expected) in cases {
        let open = server.open(&peer, "file", Access::Read, deny).unwrap();
        let requests = [
            (Stateid::ANONYMOUS, IoWant::Read),
            (Stateid::ANONYMOUS, IoWant::Write),
            (Stateid::BYPASS, IoWant::Read),
            (Stateid::BYPASS, IoWant::Write),
        ];
        let met = requests.map(|(stateid, want)| io(&server, &other, &stateid, want));
        assert_eq!(met, expected, "{deny:?}");
        server.close(&peer, "file", &open).unwrap();
    }
}

#[test]
fn opens_are_bounded() {
    let server = Server::with(|config| {
        config.limits.opens_per_client_max = 2;
        config.limits.opens_per_file_max = 3;
    });
    let peers = [server.peer("a"), server.peer("b")];
    let open = |peer: usize, owner: &str, name: &str| {
        server.open_as(&peers[peer], owner, name, Access::Read, Deny::None, OpenClaim::New)
    };
    let first = open(0, "1", "file").unwrap();
    open(0, "2", "file").unwrap();
    assert_eq!(open(0, "3", "elsewhere"), Err(Status::Delay), "the client's bound");
    open(1, "1", "file").unwrap();
    assert_eq!(open(1, "2", "file"), Err(Status::Delay), "the file's bound");
    open(1, "2", "elsewhere").unwrap();
    server.close(&peers[0], "file", &first).unwrap();
    open(0, "3", "elsewhere").unwrap();
}
