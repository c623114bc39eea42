//! The server as a function of a call: RPC dispatch, compounds, one file per operation, exports and callbacks.
//!
//! Everything is generic over the storage ([`vfs::Vfs`]) and the world ([`Env`], [`Backchannel`]), and nothing here
//! knows of sockets or rings, so the same operations run under any engine and under a simulator.

#![forbid(unsafe_code)]

mod annotation;
mod attributes;
mod callback;
mod charges;
mod common;
mod compound;
mod copies;
mod dispatch;
mod env;
mod export;
mod failure;
pub mod file_sets;
mod grants;
mod handle;
mod identity;
pub mod limits;
mod maintain;
mod mount;
mod name;
mod object;
mod offload;
mod operation;
mod procedure;
mod program;
mod pseudo;
mod request;
mod sequence;
mod server;
mod settable;
mod table;
mod trace;

pub use annotation::{AnnotationCounters, AnnotationCounts};
pub use callback::{recall_slots, send_pending, sweep};
pub use common::attributes::Rights;
pub use copies::{Copies, CopiesSnapshot};
pub use dispatch::NfsService;
pub use env::{Backchannel, BackchannelError, Env, LoggedAdmission};
pub use export::{
    Export, ExportSettings, ExportTable, Network, Permission, PlaceConflict, Protocol, Protocols, Squash,
};
pub use handle::{ExportId, FILE_HANDLE_BYTES, HandleContent, HandleKey, PseudoId};
pub use mount::Mounts;
pub use offload::{OFFLOADS_MAX, OFFLOADS_PER_CLIENT_MAX, Offloads};
pub use procedure::anonymous::FILES_MAX as KEPT_OPEN_MAX;
pub use server::{Server, Settings, Shared};
