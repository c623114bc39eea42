//! Sides on threads of their own.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use verbs::loopback::{Adapter, Control, Fabric};
use verbs::{Completion, CompletionKind, Event, EventKind, PairId, Status, Verbs, Work, WorkKind};

use crate::side::{Side, any, pattern};

/// Calls of one client.
const CALLS: usize = 500;

/// Clients, each on its thread.
const CLIENTS: usize = 3;

/// Bytes that a call moves each way.
const PAYLOAD_BYTES: u32 = 3000;

/// Waits until there is something, as a core does: arming, looking once more, sleeping.
fn wait(side: &Side, completions: &mut Vec<Completion>, events: &mut Vec<Event>) {
    loop {
        side.adapter.completions(completions);
        side.adapter.events(events);
        if !completions.is_empty() || !events.is_empty() {
            return;
        }
        side.adapter.arm().unwrap();
        side.adapter.completions(completions);
        if completions.is_empty() {
            let descriptor = side.adapter.descriptor();
            poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], None).unwrap();
        }
    }
}

/// What a call says: where the client's payload is, and its key.
fn call(side: &Side) -> Vec<u8> {
    let remote = side.remote(0);
    [&remote.address.to_ne_bytes()[..], &remote.key.to_ne_bytes()].concat()
}

/// Reads what the call points to, turns it round, writes it back, and ends the client's key with the reply.
struct Server {
    side: Side,
    /// The slots of the calls whose payload is being read, by the work's number.
    gone: usize,
}

/// Bytes of a slot: a message, then the payload.
const SLOT_BYTES: u32 = 4096;

impl Server {
    fn run(side: Side) {
        for slot in 0..8 {
            side.receive(slot, slot as u32 * SLOT_BYTES, 64).unwrap();
        }
        let mut server = Self { side, gone: 0 };
        while server.gone < CLIENTS {
            let (mut completions, mut events) = (Vec::new(), Vec::new());
            wait(&server.side, &mut completions, &mut events);
            events.iter().for_each(|event| server.happened(event));
            completions.iter().for_each(|completion| server.completed(completion));
        }
    }

    fn happened(&mut self, event: &Event) {
        let adapter = &self.side.adapter;
        match event.kind {
            EventKind::Request => drop(adapter.accept(event.request, 4, b"").unwrap()),
            EventKind::Established => {}
            EventKind::Disconnected => adapter.disconnect(event.pair),
            EventKind::Ended => {
                adapter.destroy(event.pair);
                self.gone += 1;
            }
            EventKind::Refused | EventKind::DeviceRemoved => panic!("{event:?}"),
        }
    }

    fn completed(&self, completion: &Completion) {
        assert_eq!(completion.status, Status::SUCCESS);
        let (side, pair, slot) = (&self.side, completion.pair, completion.id % 8);
        let at = slot as u32 * SLOT_BYTES;
        let message = side.content(at, 12);
        let remote = verbs::Remote {
            address: u64::from_ne_bytes(message[..8].try_into().unwrap()),
            key: u32::from_ne_bytes(message[8..].try_into().unwrap()),
        };
        if completion.kind == CompletionKind::Receive {
            side.post(pair, &[side.read(slot + 8, remote, at + 64, PAYLOAD_BYTES)]).unwrap();
        } else if completion.id < 16 {
            let turned: Vec<u8> = side.content(at + 64, PAYLOAD_BYTES as usize).into_iter().rev().collect();
            side.fill(at + 64, &turned);
            let write = side.write(0, remote, at + 64, PAYLOAD_BYTES);
            let reply = side.send(slot + 16, at, 4);
            let reply = Work { kind: WorkKind::SendInvalidate, invalidate: remote.key, ..reply };
            side.post(pair, &[Work { signaled: false, ..write }, reply]).unwrap();
        } else {
            side.receive(slot, at, 64).unwrap();
        }
    }
}

fn established(side: &Side) -> PairId {
    let (mut completions, mut events) = (Vec::new(), Vec::new());
    wait(side, &mut completions, &mut events);
    assert_eq!((events.len(), events[0].kind), (1, EventKind::Established));
    events[0].pair
}

fn client(fabric: &Fabric, address: SocketAddr, number: usize) {
    let side = Side::new(fabric);
    side.adapter.connect(address, 4, b"").unwrap();
    let pair = established(&side);
    for index in 0..CALLS {
        side.adapter.register_again(side.memory).unwrap();
        let (key, payload) = (side.key(), pattern(number * CALLS + index, PAYLOAD_BYTES as usize));
        side.fill(0, &payload);
        side.fill(5000, &call(&side));
        side.receive(1, 6000, 4).unwrap();
        side.post(pair, &[side.send(2, 5000, 12)]).unwrap();
        let (mut ended, mut completions) = (0, Vec::new());
        while ended < 2 {
            wait(&side, &mut completions, &mut Vec::new());
            assert!(completions.iter().all(|completion| completion.status.is_success()));
            ended += completions.drain(..).count();
        }
        let turned: Vec<u8> = payload.into_iter().rev().collect();
        assert!(side.content(0, turned.len()) == turned, "call {index} of client {number}");
        assert!(!side.adapter.is_open(key));
    }
    assert_eq!(side.adapter.accesses().len(), 2 * CALLS);
    side.adapter.disconnect(pair);
    assert_eq!(side.happened(), [(EventKind::Ended, pair)]);
}

#[test]
fn a_server_and_its_clients_work_on_threads_of_their_own() {
    let fabric = Fabric::new();
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let network = fabric.clone();
        scope.spawn(move || {
            let side = Side::new(&network);
            tell.send(side.adapter.listen(any()).unwrap()).unwrap();
            Server::run(side);
        });
        let address = told.recv().unwrap();
        for number in 0..CLIENTS {
            let fabric = &fabric;
            scope.spawn(move || client(fabric, address, number));
        }
    });
}

#[test]
fn networks_and_controls_go_to_other_threads() {
    fn goes<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Fabric>();
    is_shared::<Control>();
    goes::<Adapter>();
}
