//! Open-owners and lock-owners (RFC 8881 §9.1.1).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::client::Client;

/// A client's name for one of its processes or the like. Equal when client and name are equal.
#[derive(Clone)]
pub(crate) struct StateOwner {
    inner: Arc<Inner>,
}

struct Inner {
    client: Arc<Client>,
    name: Box<[u8]>,
}

impl StateOwner {
    pub(crate) fn new(client: &Arc<Client>, name: &[u8]) -> Self {
        Self { inner: Arc::new(Inner { client: Arc::clone(client), name: name.into() }) }
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.inner.client
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.inner.name
    }
}

impl PartialEq for StateOwner {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
            || (self.inner.client.id() == other.inner.client.id() && self.inner.name == other.inner.name)
    }
}

impl Eq for StateOwner {}

impl Hash for StateOwner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.client.id().hash(state);
        self.inner.name.hash(state);
    }
}

impl std::fmt::Debug for StateOwner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:x}:{}", self.inner.client.id().0, self.inner.name.escape_ascii())
    }
}
