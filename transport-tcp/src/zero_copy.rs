//! Which payload leaves from where it lies, without the kernel's copy.
//!
//! It pays on a route that leaves the machine, for payloads of some size, if the device can gather. The first two are known;
//! the third the kernel tells with every such send, so that a connection finds out with its first ones.

use std::{cell::Cell, net::SocketAddr, ops::Range, rc::Rc};

use engine::ZeroCopyUsage;

use crate::{Connection, Limits, limits, pieces::Pieces, stats::add};

/// The state of one connection.
pub(crate) struct ZeroCopy {
    /// Sends that the kernel may yet copy all the same; with none left it is not asked any more.
    tries: Cell<u64>,
    /// Bytes of batches that the kernel holds, of all connections of the core.
    held_by_all: Rc<Cell<usize>>,
}

impl ZeroCopy {
    /// Of a connection to `peer` from `local`. `held_by_all` counts the bytes of all connections that the kernel holds.
    pub(crate) fn new(
        peer: SocketAddr,
        local: Option<SocketAddr>,
        limits: &Limits,
        held_by_all: &Rc<Cell<usize>>,
    ) -> Rc<Self> {
        let peer = peer.ip().to_canonical();
        let stays = peer.is_loopback() || local.is_none_or(|local| local.ip().to_canonical() == peer);
        let tries = if stays && !limits.zero_copy_on_local_routes { 0 } else { limits.zero_copy_tries };
        Rc::new(Self { tries: Cell::new(tries), held_by_all: Rc::clone(held_by_all) })
    }

    /// Whether payload of so many bytes should leave so, where all connections of the core may have `held_max` held.
    fn pays(&self, bytes: usize, held_max: usize) -> bool {
        self.tries.get() > 0 && bytes >= limits::ZERO_COPY_MIN && self.held_by_all.get() + bytes <= held_max
    }

    /// Takes in what became of a send.
    fn note(&self, usage: ZeroCopyUsage) {
        match usage {
            // The device can: what is copied now and then is so for other reasons.
            ZeroCopyUsage::Spared => self.tries.set(u64::MAX),
            ZeroCopyUsage::Copied => self.tries.update(|tries| tries.saturating_sub(1)),
            ZeroCopyUsage::Refused => {}
        }
    }
}

impl Connection {
    /// Whether a batch with so many bytes of payload should leave without the kernel's copy. If so, its bytes are counted until
    /// the kernel has let go of all of them.
    pub(crate) fn spares_copy(&self, payload_bytes: usize, pieces: &mut Pieces) -> bool {
        let held_max = self.shared.shard.pool().bytes() / limits::ZERO_COPY_HELD_PART;
        let pays = self.zero_copy.pays(payload_bytes, held_max);
        if pays {
            pieces.count(&self.zero_copy.held_by_all);
        }
        pays
    }

    /// Sends a range of a batch so; answers how much of it has left. What has not goes by an ordinary send, which says why when
    /// it cannot go at all.
    pub(crate) async fn send_sparing_copy(&self, pieces: &Pieces, range: Range<usize>, more: bool) -> usize {
        let (held, zero_copy) = (pieces.clone(), Rc::clone(&self.zero_copy));
        let release = move |part, usage| {
            drop(part);
            drop(held);
            zero_copy.note(usage);
        };
        let sent = self.socket.send_zero_copy(pieces.part(range), more, release).await;
        match sent {
            Ok(bytes) => {
                add(&self.shared.stats.sends_sparing_copy, 1);
                bytes
            }
            Err(error) => {
                tracing::debug!(peer = %self.peer.address, "a send is not spared its copy: {error}");
                self.zero_copy.tries.set(0);
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_routes_that_leave_the_machine_count() {
        let address = |text: &str| Some(text.parse::<SocketAddr>().expect("an address"));
        let held = Rc::default();
        for (peer, local, pays) in [
            ("127.0.0.1:700", address("127.0.0.1:2049"), false),
            ("[::1]:700", address("[::1]:2049"), false),
            ("192.0.2.7:700", address("192.0.2.7:2049"), false),
            ("[::ffff:192.0.2.7]:700", address("192.0.2.7:2049"), false),
            ("192.0.2.7:700", None, false),
            ("192.0.2.7:700", address("192.0.2.1:2049"), true),
        ] {
            let zero_copy =
                ZeroCopy::new(peer.parse().expect("an address"), local, &Limits::default(), &held);
            assert_eq!(zero_copy.pays(limits::ZERO_COPY_MIN, usize::MAX), pays, "{peer}");
            assert!(!zero_copy.pays(limits::ZERO_COPY_MIN - 1, usize::MAX));
            assert!(!zero_copy.pays(limits::ZERO_COPY_MIN, limits::ZERO_COPY_MIN - 1));
        }
    }
}
