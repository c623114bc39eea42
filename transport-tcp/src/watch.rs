//! Looks over a core's connections for peers that stopped half way.

use std::{
    rc::{Rc, Weak},
    time::Instant,
};

use wire::origin::origin;

use crate::{
    Connection,
    endpoint::Shared,
    limits::{CROWD, CROWD_PRESSURE, RECEIVE_PRESSURE, SEND_PRESSURE, WATCH_PERIOD},
    progress::Progress,
    share::Standing,
    stats::add,
};

/// Runs as long as the core's transport exists; sleeps while it has no connection.
pub(crate) async fn watch(shared: Weak<Shared>) {
    // Its room is kept from one look to the next.
    let mut connections = Vec::new();
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let shard = strong.shard.clone();
        strong.watched.until(|| strong.has_connections() || strong.is_finished()).await;
        if strong.is_finished() {
            return;
        }
        drop(strong);
        shard.sleep(WATCH_PERIOD).await;
        let Some(strong) = shared.upgrade() else { return };
        strong.collect_connections(&mut connections);
        look(&strong, &connections, Instant::now());
        connections.clear();
    }
}

fn look(shared: &Shared, connections: &[Rc<Connection>], now: Instant) {
    connections.iter().for_each(|connection| connection.look_after_unread(now));
    close_stalled(shared, connections, now);
    evict(shared, connections, now);
}

/// Closes connections whose peer has made no progress for the time that is always allowed.
fn close_stalled(shared: &Shared, connections: &[Rc<Connection>], now: Instant) {
    let timeout = shared.limits.progress_timeout;
    for connection in connections {
        let stalled = connection.receiving.stalled_for(now).max(connection.sending.stalled_for(now));
        if stalled >= timeout {
            tracing::debug!(peer = %connection.address(), "closed: no progress for {} s", stalled.as_secs());
            add(&shared.stats.stalled, 1);
            connection.close();
        }
    }
}

/// Closes, while others wait for memory, as many of those that hold some without making progress: longest
/// without progress first. Who waits for what others of its address hold has none but those closed.
fn evict(shared: &Shared, connections: &[Rc<Connection>], now: Instant) {
    let (mut of_all, mut of_addresses) = (shared.waiting_for_memory(), shared.waiting_by_address());
    if of_all == 0 && of_addresses.is_empty() {
        return;
    }
    let over = |progress: &Progress, limit| {
        let stalled = progress.stalled_for(now);
        (progress.holds_memory() && stalled >= limit).then_some(stalled)
    };
    let receive_limit = |connection: &Connection| {
        let of_address = of_addresses.get(&origin(connection.address().ip()));
        match connection.standing.get() {
            Standing::Newcomer if of_all + of_address.unwrap_or(&0) >= CROWD => CROWD_PRESSURE,
            _ => RECEIVE_PRESSURE,
        }
    };
    let mut stalled: Vec<_> = connections
        .iter()
        .filter_map(|connection| {
            let receiving = over(&connection.receiving, receive_limit(connection));
            let sending = over(&connection.sending, SEND_PRESSURE);
            Some((receiving.max(sending)?, connection))
        })
        .collect();
    stalled.sort_by_key(|(stalled, _)| std::cmp::Reverse(*stalled));
    for (stalled, connection) in stalled {
        let of_address =
            of_addresses.get_mut(&origin(connection.address().ip())).filter(|waiting| **waiting > 0);
        let waiting = of_address.unwrap_or(&mut of_all);
        if *waiting == 0 {
            continue;
        }
        *waiting -= 1;
        tracing::debug!(peer = %connection.address(), "evicted: no progress for {} ms", stalled.as_millis());
        add(&shared.stats.evicted, 1);
        connection.close();
    }
}
