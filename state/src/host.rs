//! Where clients come from, and how much of what is bounded one place may have.
//!
//! A host may give itself any number of names and be as many clients. So each bound over all clients is shared out by
//! source address too: who has something takes more only as long as it leaves free as much as it has. One host comes to
//! half of a table at most, the next to half of the rest, and who has nothing finds something. Hundreds of clients behind
//! one address have half of each table between them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use wire::origin::origin;

use crate::state::take_within;
use crate::stripes::{KeyedHash, KeyedMap, lock};

/// What the clients of one source address have together.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) clients: AtomicU64,
    /// Bytes of the reply cache.
    pub(crate) reply_bytes: AtomicU64,
    pub(crate) opens: AtomicU64,
    pub(crate) locks: AtomicU64,
}

/// The hosts that have clients.
pub(crate) struct Hosts {
    table: Mutex<KeyedMap<u128, Weak<Host>>>,
    /// Past it those without clients are forgotten; as many as there may be clients.
    hosts_max: usize,
}

impl Hosts {
    pub(crate) fn new(hash: KeyedHash, hosts_max: u32) -> Self {
        Self { table: Mutex::new(KeyedMap::with_hasher(hash)), hosts_max: hosts_max as usize }
    }

    /// The host of a source address.
    pub(crate) fn find(&self, address: IpAddr) -> Arc<Host> {
        let origin = origin(address);
        let mut table = lock(&self.table);
        if let Some(host) = table.get(&origin).and_then(Weak::upgrade) {
            return host;
        }
        if table.len() >= self.hosts_max {
            table.retain(|_, host| host.strong_count() > 0);
        }
        let host = Arc::<Host>::default();
        table.insert(origin, Arc::downgrade(&host));
        host
    }
}

/// Takes `amount` of what is bounded by `bound` over all hosts, `total` of it in use, for the host that has `own`.
pub(crate) fn take_share(total: &AtomicU64, own: &AtomicU64, amount: u64, bound: u64) -> bool {
    let before = own.fetch_add(amount, Ordering::AcqRel);
    let taken = take_within(total, amount, bound.saturating_sub(before));
    if !taken {
        own.fetch_sub(amount, Ordering::AcqRel);
    }
    taken
}

/// How much a host may take.
pub(crate) fn share_left(total: &AtomicU64, own: &AtomicU64, bound: u64) -> u64 {
    bound.saturating_sub(total.load(Ordering::Acquire)).saturating_sub(own.load(Ordering::Acquire))
}

/// Gives it back.
pub(crate) fn give_back(total: &AtomicU64, own: &AtomicU64, amount: u64) {
    own.fetch_sub(amount, Ordering::AcqRel);
    total.fetch_sub(amount, Ordering::AcqRel);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_host_are_one() {
        let hosts = Hosts::new(KeyedHash::default(), 2);
        let find = |address: &str| hosts.find(address.parse().unwrap());
        let held = [find("10.0.0.1"), find("2001:db8::1")];
        assert!(Arc::ptr_eq(&held[0], &find("::ffff:10.0.0.1")));
        assert!(!Arc::ptr_eq(&held[0], &find("10.0.0.2")));
        assert!(Arc::ptr_eq(&held[1], &find("2001:db8::ffff:0:1")));
        assert!(!Arc::ptr_eq(&held[1], &find("2001:db8:0:1::1")));
        assert!(lock(&hosts.table).len() <= 3, "those without clients are forgotten");
    }

    #[test]
    fn each_host_leaves_as_much_as_it_has() {
        let total = AtomicU64::new(0);
        let all = || {
            let own = AtomicU64::new(0);
            while take_share(&total, &own, 1, 1024) {}
            own.into_inner()
        };
        assert_eq!([all(), all(), all()], [512, 256, 128]);
    }
}
