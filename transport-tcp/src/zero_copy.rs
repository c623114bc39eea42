//! Which payload leaves from where it lies, without the kernel's copy.
//!
//! It pays on a route that leaves the machine, for payloads of some size, if the device can gather. The first two are known;
//! the third the kernel tells with every such send, so that a connection finds out with its first ones.

use std::{cell::Cell, io, net::SocketAddr, rc::Rc};

use buf::{Counted, Piece, Slice};
use engine::ZeroCopyReports;
use rustix::io::Errno;

use crate::{Connection, limits, stats::add};

/// The state of one connection.
pub(crate) struct ZeroCopy {
    /// Whether it still may pay.
    useful: Cell<bool>,
    reports: Rc<ZeroCopyReports>,
    /// Bytes of batches that the kernel holds, of all connections of the core.
    held_by_all: Rc<Cell<usize>>,
}

/// What became of a batch.
pub(crate) enum Sent {
    /// It left.
    All,
    /// Kernel or socket know no such sends: nothing left, and here it is again.
    Refused(Vec<Piece>),
}

impl ZeroCopy {
    /// Of a connection to `peer` from `local`. `held_by_all` counts the bytes of all connections that the kernel holds.
    pub(crate) fn new(
        peer: SocketAddr,
        local: Option<SocketAddr>,
        on_local_routes: bool,
        held_by_all: &Rc<Cell<usize>>,
    ) -> Self {
        let peer = peer.ip().to_canonical();
        let stays = peer.is_loopback() || local.is_none_or(|local| local.ip().to_canonical() == peer);
        Self {
            useful: Cell::new(on_local_routes || !stays),
            reports: Rc::default(),
            held_by_all: Rc::clone(held_by_all),
        }
    }

    /// Whether payload of so many bytes should leave so, where all connections of the core may have `held_max` held.
    fn pays(&self, bytes: usize, held_max: usize) -> bool {
        if self.reports.spared() == 0 && self.reports.copied() >= limits::ZERO_COPY_TRIES {
            self.useful.set(false);
        }
        self.useful.get() && bytes >= limits::ZERO_COPY_MIN && self.held_by_all.get() + bytes <= held_max
    }
}

impl Connection {
    /// Whether a batch with so many bytes of payload should leave without the kernel's copy.
    pub(crate) fn spares_copy(&self, payload_bytes: usize) -> bool {
        let held_max = self.shared.shard.pool().bytes() / limits::ZERO_COPY_HELD_PART;
        self.zero_copy.pays(payload_bytes, held_max)
    }

    /// Sends a batch so, in steps that are noticed as progress. The kernel may hold its memory for longer.
    ///
    /// # Errors
    /// Of the socket.
    pub(crate) async fn send_sparing_copy(
        &self,
        pieces: Vec<Piece>,
        length: usize,
        more: bool,
    ) -> io::Result<Sent> {
        // The kernel holds all of it until it lets go of the last step.
        let pieces = Rc::new(Counted::new(pieces, Rc::clone(&self.zero_copy.held_by_all)));
        let mut sent = 0;
        while sent < length {
            let end = length.min(sent + limits::SEND_STEP);
            self.sending.wait(self.shared.shard.now(), true);
            let slice = Slice::new(Rc::clone(&pieces), sent..end);
            let more = end < length || more;
            let (result, slice) = self.socket.send_zero_copy(slice, more, &self.zero_copy.reports).await;
            if let Err(error) = result {
                drop(slice);
                return match Rc::try_unwrap(pieces) {
                    Ok(pieces) if sent == 0 && is_unknown(&error) => {
                        self.zero_copy.useful.set(false);
                        Ok(Sent::Refused(pieces.into_inner()))
                    }
                    _ => Err(error),
                };
            }
            self.sending.moved(end - sent);
            add(&self.shared.stats.sent_bytes, end - sent);
            add(&self.shared.stats.sends, 1);
            add(&self.shared.stats.sends_sparing_copy, 1);
            sent = end;
        }
        Ok(Sent::All)
    }
}

fn is_unknown(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::OPNOTSUPP))
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
            let zero_copy = ZeroCopy::new(peer.parse().expect("an address"), local, false, &held);
            assert_eq!(zero_copy.pays(limits::ZERO_COPY_MIN, usize::MAX), pays, "{peer}");
            assert!(!zero_copy.pays(limits::ZERO_COPY_MIN - 1, usize::MAX));
            assert!(!zero_copy.pays(limits::ZERO_COPY_MIN, limits::ZERO_COPY_MIN - 1));
        }
    }
}
