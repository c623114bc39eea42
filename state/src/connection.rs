//! Which connections carry which channels of which sessions (RFC 8881 §2.10.3.1, §18.34).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use wire::nfs4::{SessionId, Status};

use crate::session::Session;
use crate::state::State;
use crate::stripes::{KeyedHash, KeyedMap, lock};

/// A connection, by a number that the caller chooses and never uses twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// Channels that a connection carries for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The fore channel.
    Fore,
    /// The backchannel.
    Back,
    /// Both.
    Both,
}

/// A connection bound to a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) connection: ConnectionId,
    pub(crate) back: bool,
}

/// One stripe of "which sessions does this connection carry".
pub(crate) struct ConnectionTable {
    sessions: KeyedMap<ConnectionId, Vec<Weak<Session>>>,
}

impl ConnectionTable {
    pub(crate) fn new(hash: KeyedHash) -> Self {
        Self { sessions: KeyedMap::with_hasher(hash) }
    }
}

impl<F: Clone + Send + Sync> State<F> {
    /// BIND_CONN_TO_SESSION: binds the connection as asked and answers what it carries now. A connection that
    /// carries both channels keeps both; "fore or both" is asked with [`Direction::Both`].
    ///
    /// # Errors
    ///
    /// NFS4ERR_BADSESSION; NFS4ERR_DELAY at the bound on a session's connections.
    pub fn bind_connection(
        &self,
        session: &SessionId,
        connection: ConnectionId,
        asked: Direction,
    ) -> Result<Direction, Status> {
        let session = self.session(session)?;
        self.attach(&session, connection, asked != Direction::Fore)?;
        Ok(asked)
    }

    /// Associates a connection with the fore channel of the session whose SEQUENCE arrived on it, as RFC 8881
    /// §2.10.3.1 has it without state protection. To be called once per connection and session; more often
    /// is harmless.
    ///
    /// # Errors
    ///
    /// NFS4ERR_DELAY at the bound on a session's connections; NFS4ERR_BADSESSION.
    pub fn connection_seen(&self, session: &Arc<Session>, connection: ConnectionId) -> Result<(), Status> {
        self.attach(session, connection, false)
    }

    /// The connection is gone: no session uses it any more. To be called when the last request that came on it
    /// has ended, for a request may still bind it.
    pub fn connection_lost(&self, connection: ConnectionId) {
        let stripe = self.inner.hash.stripe(&connection);
        let sessions = self.inner.connections.lock(stripe).sessions.remove(&connection);
        for session in sessions.iter().flatten().filter_map(Weak::upgrade) {
            session.detach(connection);
        }
    }

    pub(crate) fn attach(
        &self,
        session: &Arc<Session>,
        connection: ConnectionId,
        back: bool,
    ) -> Result<(), Status> {
        if session.attach(connection, back, self.inner.config.limits.connections_per_session_max)? {
            let stripe = self.inner.hash.stripe(&connection);
            let mut table = self.inner.connections.lock(stripe);
            let sessions = table.sessions.entry(connection).or_default();
            sessions.retain(|session| session.strong_count() > 0);
            sessions.push(Arc::downgrade(session));
        }
        Ok(())
    }
}

impl Session {
    /// Whether the connection carries any of the session's channels.
    pub fn is_bound_to(&self, connection: ConnectionId) -> bool {
        lock(&self.channels).connections.iter().any(|bound| bound.connection == connection)
    }

    /// Binds a connection; true when it was not bound before.
    fn attach(&self, connection: ConnectionId, back: bool, connections_max: u32) -> Result<bool, Status> {
        let mut channels = lock(&self.channels);
        if !self.is_alive() {
            return Err(Status::Badsession);
        }
        let known = channels.connections.iter_mut().find(|bound| bound.connection == connection);
        let (is_new, gains_back) = match known {
            Some(bound) => {
                let gains = back && !bound.back;
                bound.back |= back;
                (false, gains)
            }
            None => {
                if channels.connections.len() >= connections_max as usize {
                    return Err(Status::Delay);
                }
                channels.connections.push(Bound { connection, back });
                (true, back)
            }
        };
        if gains_back {
            self.client().back_wanted.store(true, Ordering::Release);
            self.client().back_paths.fetch_add(1, Ordering::AcqRel);
            self.back_paths.fetch_add(1, Ordering::AcqRel);
            self.back_wanted.store(true, Ordering::Release);
        }
        Ok(is_new)
    }

    fn detach(&self, connection: ConnectionId) {
        let mut channels = lock(&self.channels);
        if let Some(index) = channels.connections.iter().position(|bound| bound.connection == connection) {
            let bound = channels.connections.swap_remove(index);
            self.count_lost(&bound);
        }
    }

    pub(crate) fn detach_all(&self) {
        let mut channels = lock(&self.channels);
        for bound in std::mem::take(&mut channels.connections) {
            self.count_lost(&bound);
        }
    }

    fn count_lost(&self, bound: &Bound) {
        if bound.back {
            self.client().back_paths.fetch_sub(1, Ordering::AcqRel);
            self.back_paths.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
