//! The engine: one shard per core, each with its own io_uring, executor, timers and payload memory.
//!
//! It knows no protocol. What is built on it are plain `async fn`s that take a [`Shard`]:
//!
//! ```
//! use std::net::TcpListener;
//! use std::rc::Rc;
//!
//! let greeting = engine::block_on(engine::EngineConfig::small(), |shard| async move {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let mut accepts = shard.accept(Rc::new(listener));
//!
//!     // The server: one connection, answered by a task of its own.
//!     let server = shard.clone();
//!     let answered = shard.spawn(async move {
//!         let socket = Rc::new(accepts.next().await?);
//!         server.send(socket, b"hello".to_vec(), false).await.0
//!     });
//!
//!     // The client: operations take a buffer by value and give it back.
//!     let socket = Rc::new(shard.connect_tcp(address).await?);
//!     let (received, buffer) = shard.recv_exact(socket, vec![0; 5], 0..5).await;
//!     received?;
//!     answered.await.expect("the task has run to its end")?;
//!     std::io::Result::Ok(buffer)
//! });
//! assert_eq!(greeting.unwrap().unwrap(), b"hello");
//! ```
//!
//! Memory and descriptors that an operation uses belong to the shard's in-flight table until the kernel is done with
//! them. Dropping a future cancels its operation and never frees what the kernel may still use.
//!
//! Shards share nothing but what passes through [`Remote`], [`sync::cross`] and [`Helpers`]:
//!
//! ```
//! let sum = engine::block_on(engine::EngineConfig::small(), |shard| async move {
//!     let cap = shard.helpers().cap(2, 16).unwrap();
//!     let slow = shard.helpers().run(&cap, || 40);
//!     let here = shard.remote().call_on(0, |_shard| async { 2 });
//!     slow.await.unwrap() + here.await.unwrap()
//! });
//! assert_eq!(sum.unwrap(), 42);
//! ```

mod engine;
mod executor;
mod helpers;
mod operation;
mod personality;
mod port;
mod probe;
mod recycle;
mod remote;
mod ring;
mod shard;
pub mod sync;
mod table;
mod timer;
mod turn;

pub use engine::{Engine, EngineConfig, ReceiveMode, ShardFailed, block_on};
pub use executor::{Aborted, JoinHandle};
pub use helpers::{Cap, HelperError, Helpers, HelpersExhausted};
pub use operation::{Accepts, Done, IoOptions, Receives, SyncMode, ZeroCopyUsage};
pub use personality::Personality;
pub use port::Stats;
pub use probe::{KERNEL_MIN, Probe, StartError, probe};
pub use remote::{CallError, Remote, ShardBusy};
pub use ring::buffers::{Loan, RECEIVE_BUFFER_BYTES, RECEIVE_POOL_BYTES};
pub use ring::kernel::raise_file_limit;
pub use shard::{Shard, Work};
pub use timer::Sleep;
