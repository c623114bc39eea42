//! Asking a server with our own client, from a test that is not async.

use std::future::Future;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use client::{Client, ClientOptions, Identity, nfs3};
use engine::{EngineConfig, Shard, block_on};
use transport_tcp::{Endpoint, Limits};

/// One core's clients.
#[derive(Clone)]
pub struct Asking {
    /// The core.
    pub shard: Shard,
    endpoint: Endpoint,
    address: SocketAddr,
}

impl Asking {
    /// A client of its own name, with root's identity.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn client(&self, name: &str) -> Client {
        self.client_with(ClientOptions::named(name)).await
    }

    /// A client of its own name that acts for a user with one group of the same number.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn client_of(&self, name: &str, user: u32) -> Client {
        self.client_with(ClientOptions::named(name).identity(Identity::new(user, user))).await
    }

    /// A client of NFSv3, with root's identity.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub async fn nfs3_client(&self) -> nfs3::Client {
        let options = ClientOptions::named("nfs3");
        nfs3::Client::connect(&self.endpoint, self.address, options).await.expect("a connection")
    }

    /// What comes of something, unless it takes longer than this.
    pub async fn within<T>(&self, time: Duration, something: impl Future<Output = T>) -> Option<T> {
        let mut something = std::pin::pin!(something);
        let mut timer = std::pin::pin!(self.shard.sleep(time));
        std::future::poll_fn(|context| match something.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => timer.as_mut().poll(context).map(|_| None),
        })
        .await
    }

    /// Any client.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn client_with(&self, options: ClientOptions) -> Client {
        self.try_client_with(options).await.expect("a session")
    }

    /// Any client, unless the server refuses it.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn try_client_with(&self, options: ClientOptions) -> client::Result<Client> {
        Client::connect(&self.endpoint, self.address, options).await
    }
}

/// Runs `ask` on a core of its own, with the means to have clients of the server at `address`.
///
/// # Panics
/// When there is no ring for it.
pub fn ask<A, F>(address: SocketAddr, ask: A) -> F::Output
where
    A: FnOnce(Asking) -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    let asked = block_on(EngineConfig::small(), move |shard| async move {
        let endpoint = Endpoint::new(&shard, Limits::default());
        ask(Asking { shard, endpoint, address }).await
    });
    asked.expect("a ring for the clients")
}
