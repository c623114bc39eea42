//! A server that answers whatever a test wants.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use verbs::loopback::Fabric;
use verbs::{EventKind, Verbs};

use super::client::LINUX;
use super::machine::Machine;

/// How often it looks whether it shall end.
const LOOK: Duration = Duration::from_millis(20);

/// A thread that accepts whoever comes.
pub struct Peer {
    pub fabric: Fabric,
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Sends to each message what `answers` makes of it.
    pub fn start(answers: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let (fabric, stop) = (Fabric::seeded(11), Arc::new(AtomicBool::new(false)));
        let (started, starts) = mpsc::channel();
        let (network, stopped) = (fabric.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let machine = Machine::new(&network, 4096);
            let address = machine.adapter.listen("127.0.0.1:0".parse().expect("an address"));
            started.send(address.expect("a free port")).expect("the test waits");
            serve(&machine, &stopped, answers);
        });
        let address = starts.recv().expect("it starts");
        Self { fabric, address, stop, thread: Some(thread) }
    }
}

fn serve(machine: &Machine, stop: &AtomicBool, mut answers: impl FnMut(&[u8]) -> Vec<Vec<u8>>) {
    while !stop.load(Ordering::Relaxed) {
        machine.adapter.arm().expect("it can be waited for");
        let (messages, events) = machine.take();
        if messages.is_empty() && events.is_empty() {
            machine.wait(LOOK);
        }
        for event in events {
            match event.kind {
                EventKind::Request => {
                    machine.adapter.accept(event.request, 16, &LINUX.to_bytes()).expect("it is there");
                }
                EventKind::Disconnected => machine.adapter.disconnect(event.pair),
                EventKind::Ended => machine.adapter.destroy(event.pair),
                _ => {}
            }
        }
        for (pair, message) in messages {
            for answer in answers(&message) {
                // Who called may have gone.
                let _ = machine.send(pair, &answer);
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("dropped once");
        if !std::thread::panicking() {
            thread.join().expect("it does not fail");
        }
    }
}
