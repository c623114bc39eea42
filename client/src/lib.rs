//! A client of NFSv4.1 and NFSv4.2: sessions, compounds, callbacks, and the operations of a data path; and of NFSv3 ([`nfs3`]).
//! Who cares only for files uses either through [`Files`].
//!
//! Three layers for NFSv4, each usable alone. A [`Channel`] sends compounds over one connection and knows nothing of
//! sessions. A [`Session`] adds slots, SEQUENCE, further connections and the retry of what a broken connection
//! left unanswered. On top are functions for whole tasks ([`Session::open`], [`Session::read`], ...). For load
//! there is a way beside them that spends next to nothing on a call: [`pipeline`].
//!
//! ```no_run
//! # async fn example(endpoint: transport_tcp::Endpoint) -> Result<(), client::Error> {
//! use client::{Client, ClientOptions, Compound};
//! use wire::nfs4::{GetFhResult, RawAttributes, attribute};
//!
//! let address = "127.0.0.1:2049".parse().expect("an address");
//! let client = Client::connect(&endpoint, address, ClientOptions::default()).await?;
//! let compound = Compound::new().put_root().lookup("a").get_handle().get_attributes(&[attribute::SIZE]);
//! let reply = client.session().call(compound).await?;
//! reply.skip(2)?;
//! let handle = reply.next::<GetFhResult>()?.object;
//! let size = reply.next::<RawAttributes<'_>>()?;
//! # let _ = (handle, size);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod annotate;
mod attributes;
mod callback;
mod channel;
mod client;
mod compound;
mod copy;
mod details;
mod directory;
mod error;
mod expected;
mod file;
mod files;
mod lock;
mod network;
pub mod nfs3;
mod operations;
mod options;
mod origin;
pub mod pipeline;
mod reply;
mod session;
mod slots;

pub use annotate::{Trace, in_same_trace, within_trace};
pub use attributes::{ObjectAttributes, OwnedAttributes};
pub use callback::{CallbackEvent, Callbacks};
pub use channel::Channel;
pub use client::Client;
pub use compound::Compound;
pub use details::Details;
pub use directory::DirectoryEntry;
pub use error::{Error, Result};
pub use file::{OpenFile, OpenHow};
pub use files::{Files, Version};
pub use lock::LockOutcome;
pub use network::{Link, Network};
pub use options::{ClientOptions, Identity, Patience};
pub use reply::CompoundReply;
pub use session::Session;
pub use slots::Slot;

/// A number that nobody can know before.
fn random() -> u32 {
    getrandom::u32().expect("the kernel gives random numbers")
}
