//! Clients, sessions and connections (RFC 8881 §2.10, §18.33 to §18.37, §18.50).

use state::Limits;
use wire::nfs4::*;
use wire::xdr::{List, Opaque};

use crate::support::*;

#[test]
fn a_client_gets_a_session_and_says_goodbye() {
    let world = World::new();
    let client = world.client("one");
    let told = client.run(&[putrootfh(), getattr(&[attribute::LEASE_TIME])]).ok();
    assert_eq!(told.attributes().lease_time, Some(90));
    assert_eq!(told.sequence().status_flags, 0);
    let connection = client.connection();
    connection.compound(1, &[destroy_clientid(client.client_id())]).fails(Status::ClientidBusy);
    connection.compound(1, &[destroy_session(client.session())]).ok();
    client.run(&[]).fails(Status::Badsession);
    connection.compound(1, &[destroy_clientid(client.client_id())]).ok();
    connection.compound(1, &[destroy_clientid(client.client_id())]).fails(Status::StaleClientid);
}

#[test]
fn exchange_id_tells_new_clients_from_known_ones() {
    let world = World::new();
    let connection = world.connection();
    let update = exchange_flags::UPD_CONFIRMED_REC_A;
    connection.compound(1, &[exchange_id("one", 1, update)]).fails(Status::Noent);
    let client = connection.client("one", 2);
    let (known, _, flags) = connection.exchange_id("one", 1);
    assert_eq!(
        (known, flags & exchange_flags::CONFIRMED_R),
        (client.client_id(), exchange_flags::CONFIRMED_R)
    );
    assert_eq!(flags & exchange_flags::MASK_PNFS, exchange_flags::USE_NON_PNFS);
    connection.compound(1, &[exchange_id("one", 1, update)]).ok();
    connection.compound(1, &[exchange_id("one", 2, update)]).fails(Status::NotSame);
    connection.user(9, 9, &[]).compound(1, &[exchange_id("one", 1, update)]).fails(Status::Perm);
    for flag in [exchange_flags::CONFIRMED_R, 0x0020_0000, exchange_flags::SUPP_FENCE_OPS] {
        for minor in [1, 2] {
            connection.compound(minor, &[exchange_id("one", 1, flag)]).fails(Status::Inval);
        }
    }
}

#[test]
fn a_restarted_client_loses_its_session_when_the_new_one_is_made() {
    let world = World::new();
    let client = world.client("one");
    let (handle, _) = client.open_new("a");
    let connection = world.connection();
    let (client_id, sequence, flags) = connection.exchange_id("one", 2);
    assert_eq!(flags & exchange_flags::CONFIRMED_R, 0);
    client.run(&[putfh(handle)]).ok();
    connection.compound(1, &[create_session(client_id, sequence, CHANNEL, 0)]).ok();
    client.run(&[putfh(handle)]).fails(Status::Badsession);
    let other = world.client("two");
    other.open(handle, Open::handle().deny(share_deny::BOTH)).ok();
}

#[test]
fn another_principal_may_not_take_a_name_in_use() {
    let world = World::new();
    let client = world.client("one");
    client.open_new("a");
    let stranger = world.connection().user(9, 9, &[]);
    stranger.compound(1, &[exchange_id("one", 1, 0)]).fails(Status::ClidInuse);
    let (client_id, sequence, _) = world.connection().exchange_id("two", 1);
    stranger.compound(1, &[create_session(client_id, sequence, CHANNEL, 0)]).fails(Status::ClidInuse);
}

#[test]
fn create_session_is_replayed_by_its_sequence_id() {
    let world = World::new();
    let connection = world.connection();
    let (client_id, first, _) = connection.exchange_id("one", 1);
    let all = create_session_flags::PERSIST | create_session_flags::CONN_BACK_CHAN;
    let make =
        |sequence, flags| connection.compound(1, &[create_session(client_id, sequence, CHANNEL, flags)]);
    make(first.next(), all).fails(Status::SeqMisordered);
    let made = make(first, all).ok();
    let created: CreateSessionResult = made.body(Operation::CreateSession);
    assert_eq!(created.flags, create_session_flags::CONN_BACK_CHAN, "PERSIST is cleared");
    assert_eq!(make(first, all), made);
    let second: CreateSessionResult = make(first.next(), 0).ok().body(Operation::CreateSession);
    assert_ne!(second.session_id, created.session_id);
    make(first, all).fails(Status::SeqMisordered);
    make(first.next().next(), 0x8).fails(Status::Inval);
    let unknown = create_session(ClientId(99), first, CHANNEL, 0);
    connection.compound(1, &[unknown]).fails(Status::StaleClientid);
}

#[test]
fn channels_are_negotiated_down_and_refused_when_useless() {
    let world = World::new();
    let connection = world.connection();
    let (client_id, sequence, _) = connection.exchange_id("one", 1);
    let tiny = ChannelAttributes { request_size_max: 10, ..CHANNEL };
    connection.compound(1, &[create_session(client_id, sequence, tiny, 0)]).fails(Status::Toosmall);
    let greedy = ChannelAttributes {
        request_size_max: u32::MAX,
        response_size_max: u32::MAX,
        response_size_max_cached: u32::MAX,
        operations_max: u32::MAX,
        requests_max: u32::MAX,
        ..CHANNEL
    };
    let made = connection.compound(1, &[create_session(client_id, sequence, greedy, 0)]).ok();
    let granted = made.body::<CreateSessionResult>(Operation::CreateSession).fore_channel;
    assert!(granted.request_size_max >= 1 << 20 && granted.request_size_max < 2 << 20, "{granted:?}");
    assert!(granted.response_size_max_cached <= 64 << 10 && granted.requests_max <= 1024, "{granted:?}");
}

#[test]
fn state_protection_is_refused() {
    let world = World::new();
    let none = || StateProtectOperations { must_enforce: Bitmap::EMPTY, must_allow: Bitmap::EMPTY };
    let ssv = SsvParameters {
        operations: none(),
        hash_algorithms: List(vec![Opaque(b"x")]),
        encryption_algorithms: List(vec![Opaque(b"x")]),
        window: 1,
        gss_handles: 1,
    };
    for (state_protect, status) in [
        (StateProtectArgs::MachineCredential(none()), Status::Inval),
        (StateProtectArgs::Ssv(ssv), Status::EncrAlgUnsupp),
    ] {
        let client_owner = ClientOwner { verifier: Verifier([1; 8]), owner_id: "one".into() };
        let exchange = op(ExchangeIdArgs { client_owner, flags: 0, state_protect, implementation: None });
        world.connection().compound(1, &[exchange]).fails(status);
    }
}

#[test]
fn operations_stand_where_they_may() {
    let world = World::new();
    let client = world.client("one");
    let (id, session) = (client.client_id(), client.session());
    let alone = |operations: &[Op]| client.connection().compound(2, operations);
    let next = || client.sequence_on(1);
    for (operations, status) in [
        (vec![putrootfh()], Status::OpNotInSession),
        (vec![reclaim_complete()], Status::OpNotInSession),
        (vec![exchange_id("one", 1, 0), putrootfh()], Status::NotOnlyOp),
        (vec![create_session(id, SequenceId(9), CHANNEL, 0), putrootfh()], Status::NotOnlyOp),
        (vec![destroy_session(session), putrootfh()], Status::NotOnlyOp),
        (vec![destroy_clientid(id), putrootfh()], Status::NotOnlyOp),
        (vec![bind(session, ChannelDirectionArgs::Fore), putrootfh()], Status::NotOnlyOp),
        (vec![next(), putrootfh(), client.sequence_on(0)], Status::SequencePos),
        // RFC 8881 §18.34.3: alone means without SEQUENCE too.
        (vec![next(), bind(session, ChannelDirectionArgs::Fore)], Status::NotOnlyOp),
        // RFC 8881 §18.37.3: nothing may follow when its own session goes.
        (vec![next(), destroy_session(session), putrootfh()], Status::NotOnlyOp),
        (vec![next(), exchange_id("one", 1, 0)], Status::Ok),
        (vec![next(), destroy_session(session)], Status::Ok),
    ] {
        let numbers: Vec<_> = operations.iter().map(|op| op.operation).collect();
        assert_eq!(alone(&operations).status, status, "{numbers:?}");
    }
    client.run(&[]).fails(Status::Badsession);
}

#[test]
fn minor_versions_have_their_operations_and_no_others() {
    let world = World::new();
    let client = world.client("one");
    for minor in [0, 3, u32::MAX] {
        let reply = client.connection().compound(minor, &[putrootfh()]).fails(Status::MinorVersMismatch);
        assert_eq!(reply.results.len(), 0);
    }
    let stateid = Stateid::ANONYMOUS;
    for operation in [allocate(stateid, 0, 1), seek(stateid, 0, DataContent::Data), getxattr("a")] {
        let reply = client.minor(1).run(&[putrootfh(), operation.clone()]).fails(Status::OpIllegal);
        assert_eq!(reply.results.len(), 3);
        assert_ne!(client.run(&[putrootfh(), operation]).status, Status::OpIllegal);
    }
    for gone in [
        Operation::OpenConfirm,
        Operation::Renew,
        Operation::Setclientid,
        Operation::SetclientidConfirm,
        Operation::ReleaseLockowner,
    ] {
        client.run(&[putrootfh(), bare(gone)]).fails(Status::Notsupp);
    }
    for undefined in [0, 1, 2, 77, 9999, Operation::Illegal.number()] {
        let reply = client.run(&[putrootfh(), raw(undefined, |_| ())]).fails(Status::OpIllegal);
        assert_eq!(reply.results[2].operation, Operation::Illegal.number());
    }
}

#[test]
fn frames_are_echoed_and_checked() {
    let world = World::new();
    let client = world.client("one");
    let connection = client.connection();
    let tagged = connection.call(b"hello, \xffworld", 2, 2, &[client.sequence_on(0), putrootfh()]);
    assert_eq!(connection.start_call(tagged).finish().ok().tag, b"hello, \xffworld");
    let short = connection.call(b"", 2, 3, &[client.sequence_on(0), putrootfh()]);
    let reply = connection.start_call(short).finish().fails(Status::Badxdr);
    assert_eq!(reply.results.len(), 3);
    assert_eq!(connection.start_call(connection.call(b"", 2, 0, &[])).finish().ok().results, []);
    let long_tag = connection.call(&[b'x'; 1025], 2, 0, &[]);
    assert!(received(connection.outcome(long_tag)).is_err_and(|error| error.contains("GarbageArgs")));
}

#[test]
fn connections_are_bound_and_a_lost_back_channel_is_told() {
    let world = World::new();
    let client = world.client("one");
    assert_eq!(client.run(&[]).ok().sequence().status_flags, 0);
    client.connection().lose();
    let second = world.connection();
    let flags = client.over(&second).run(&[]).ok().sequence().status_flags;
    assert_eq!(flags, sequence_status::CB_PATH_DOWN | sequence_status::CB_PATH_DOWN_SESSION);
    for (asked, given) in [
        (ChannelDirectionArgs::Fore, ChannelDirectionResult::Fore),
        (ChannelDirectionArgs::ForeOrBoth, ChannelDirectionResult::Both),
        (ChannelDirectionArgs::BackOrBoth, ChannelDirectionResult::Both),
        (ChannelDirectionArgs::Back, ChannelDirectionResult::Back),
    ] {
        let bound = world.connection().compound(1, &[bind(client.session(), asked)]).ok();
        let bound: BindConnToSessionResult = bound.body(Operation::BindConnToSession);
        assert_eq!(bound.direction, given, "{asked:?}");
    }
    assert_eq!(client.over(&second).run(&[]).ok().sequence().status_flags, 0);
    second.compound(1, &[bind(SessionId([9; 16]), ChannelDirectionArgs::Fore)]).fails(Status::Badsession);
    let unbound = world.connection();
    unbound.compound(1, &[destroy_session(client.session())]).fails(Status::ConnNotBoundToSession);
}

#[test]
fn the_callback_program_can_be_changed() {
    let world = World::new();
    let client = world.client("one");
    let control =
        |security| op(BackchannelCtlArgs { callback_program: 77, callback_security: List(security) });
    let gss = GssCallbackHandles {
        service: GssService::None,
        handle_from_server: Opaque(b"a"),
        handle_from_client: Opaque(b"b"),
    };
    client.run(&[control(vec![CallbackSecurity::Gss(gss)])]).fails(Status::EncrAlgUnsupp);
    client.run(&[control(vec![CallbackSecurity::None])]).ok();
    let session = world.server().shared.state.session(&client.session()).unwrap();
    world.env().set_manner(client.connection().id(), Manner::Answers(Status::Ok));
    let server = world.server();
    session.set_target_slots(3);
    world.executor().start(async move { nfs_ops::recall_slots(&server, &session).await }).finish();
    let callbacks = world.callbacks();
    assert_eq!((callbacks.len(), callbacks[0].program, callbacks[0].minor), (1, 77, 2));
    let CallbackArguments::RecallSlot(recall) = callbacks[0].operation() else { panic!("{callbacks:?}") };
    assert_eq!(recall.target_highest_slot_id, SlotId(2));
    assert_eq!(client.run(&[]).ok().sequence().target_highest_slot_id, SlotId(2));
}

#[test]
fn callbacks_carry_the_minor_version_of_their_session() {
    let world = World::new();
    for minor in [1, 2] {
        let client = world.connection().client(&format!("client {minor}"), minor);
        let session = world.server().shared.state.session(&client.session()).unwrap();
        let server = world.server();
        world.executor().start(async move { nfs_ops::recall_slots(&server, &session).await }).finish();
        assert_eq!(world.callbacks()[0].minor, minor);
    }
}

#[test]
fn a_callback_takes_another_connection_when_its_own_breaks() {
    let world = World::new();
    let client = world.client("one");
    let second = world.connection();
    second.compound(2, &[bind(client.session(), ChannelDirectionArgs::BackOrBoth)]).ok();
    let session = world.server().shared.state.session(&client.session()).unwrap();
    let recall = |slots| {
        let (server, session) = (world.server(), session.clone());
        session.set_target_slots(slots);
        world.executor().start(async move { nfs_ops::recall_slots(&server, &session).await }).finish();
        world.callbacks()
    };
    world.set_manner(client.connection().id(), Manner::Breaks);
    let callbacks = recall(4);
    assert_eq!((callbacks.len(), callbacks[0].connection), (1, second.id()));
    assert_eq!(callbacks[0].sequence.sequence_id, SequenceId(1));
    world.set_manner(client.connection().id(), Manner::Answers(Status::Delay));
    assert_eq!(recall(3)[0].sequence.sequence_id, SequenceId(2));
    world.set_manner(client.connection().id(), Manner::Answers(Status::Ok));
    assert_eq!(recall(2)[0].sequence.sequence_id, SequenceId(2), "a refused callback did not count");
    world.set_manner(client.connection().id(), Manner::IsSilent);
    for slots in 1..=8 {
        recall(slots);
    }
    let flags = client.run(&[]).ok().sequence().status_flags;
    assert_eq!(flags & sequence_status::BACKCHANNEL_FAULT, sequence_status::BACKCHANNEL_FAULT);
}

#[test]
fn a_session_is_one_on_every_core() {
    let world = World::new();
    let client = world.client("one").cache_this(true);
    let elsewhere = client.over(&world.on_another_core().connection());
    let operations = [putrootfh(), lookup(EXPORT), mkdir("a")];
    let first = client.run(&operations).ok();
    assert_eq!(elsewhere.retry(&operations), first);
    elsewhere.run(&[putrootfh()]).ok();
    client.run(&[putrootfh()]).ok();
    client.connection().compound(1, &[destroy_session(client.session())]).ok();
    elsewhere.run(&[putrootfh()]).fails(Status::Badsession);
}

/// Clients from this many addresses, each with a session.
fn crowd(world: &World, count: u8) -> Vec<Client> {
    let connection = |number| world.connection_from(&format!("10.0.1.{number}:800"));
    (0..count).map(|number| connection(number).client(&format!("client {number}"), 2)).collect()
}

#[test]
fn slots_are_recalled_when_they_run_short() {
    let world = World::with_limits(Limits { reply_cache_bytes_max: 1 << 20, ..Limits::default() });
    let server = world.server();
    let _maintaining = world.executor().start(async move { server.maintain(true).await });
    let clients = crowd(&world, 20);
    let highest = |client: &Client| client.run(&[]).ok().sequence().highest_slot_id.0;
    let before = highest(&clients[0]);
    assert!(world.callbacks().is_empty());
    world.advance_seconds(2);
    let callbacks = world.callbacks();
    assert!(!callbacks.is_empty(), "nobody is asked for slots");
    let first = clients[0].connection().id();
    let asked = callbacks.iter().find(|callback| callback.connection == first).expect("the first has most");
    let CallbackArguments::RecallSlot(recall) = asked.operation() else { panic!("{asked:?}") };
    assert!(recall.target_highest_slot_id.0 < before, "{recall:?} of {before}");
    // Its replies tell the same, and when it has seen one the slots are gone.
    let told = clients[0].run(&[]).ok().sequence().target_highest_slot_id;
    assert_eq!(told, recall.target_highest_slot_id);
    clients[0].run(&[]).ok();
    assert_eq!(highest(&clients[0]), told.0);
    clients[0].send(sequence(clients[0].session(), before, 1, false), &[]).fails(Status::Badslot);
    world.connection_from("10.0.2.1:800").client("newcomer", 2).make_file("a", b"it works");
}

#[test]
fn a_host_with_many_names_leaves_sessions_for_others() {
    let world = World::with_limits(Limits { reply_cache_bytes_max: 1 << 20, ..Limits::default() });
    let greedy = world.connection_from("10.0.1.1:800");
    let mut refused = 0;
    for name in 0..200 {
        let (client_id, mut sequence, _) = greedy.exchange_id(&format!("name {name}"), 1);
        loop {
            let reply = greedy.compound(2, &[create_session(client_id, sequence, CHANNEL, 0)]);
            if reply.status != Status::Ok {
                assert_eq!(reply.status, Status::Nospc);
                refused += 1;
                break;
            }
            sequence = sequence.next();
        }
    }
    assert_eq!(refused, 200);
    let before = world.server().shared.state.totals().reply_cache_bytes;
    assert!((400 << 10..=600 << 10).contains(&before), "{before} bytes for one host");
    world.connection_from("10.0.2.1:800").client("newcomer", 2).make_file("a", b"it works");
}
