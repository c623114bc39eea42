//! Whether NFS is served over RDMA here, and with what.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use engine::Shard;
use transport_rdma::{Endpoint, Intake, Limits, MESSAGE_BYTES, WORKS_MAX};
use verbs::{Device, Library, Options, Unavailable, Verbs};

use crate::config::{RdmaMode, RdmaSettings};
use crate::fatal::Fatal;

/// The library's name.
const LIBRARY: &str = "libpenstock_verbs.so";

/// Where it may have been installed besides the program's own folder.
const FOLDERS: [&str; 2] = ["/usr/local/lib/penstock", "/usr/lib/penstock"];

/// Connections of one core that completion queues are made for.
const CONNECTIONS_THOUGHT_OF: u32 = 256;

const OFF_REMEDY: &str =
    "build the library with `make rdma` if it is missing, or set `mode = \"off\"` in [rdma]";

const LOCKED_MEMORY: &str = "RDMA adapters cannot use the memory for payload";

/// What every shard needs to serve over RDMA.
pub struct Rdma {
    library: PathBuf,
    options: Options,
    limits: Limits,
    addresses: Vec<SocketAddr>,
    /// The way of accepted connections to their shards.
    pub intake: Intake,
    mode: RdmaMode,
}

/// Where the library is.
pub fn library(settings: &RdmaSettings) -> PathBuf {
    if let Some(path) = &settings.library {
        return path.clone();
    }
    let own = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned()));
    let folders = own.into_iter().chain(FOLDERS.map(PathBuf::from));
    let mut places = folders.map(|folder| folder.join(LIBRARY));
    places.find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(FOLDERS[0]).join(LIBRARY))
}

fn options(settings: &RdmaSettings) -> Options {
    Options { receives_max: settings.receives, works_max: WORKS_MAX, connections_max: CONNECTIONS_THOUGHT_OF }
}

/// The adapters' ports that are there.
///
/// # Errors
/// When the library cannot be used, or finds none.
pub fn devices(settings: &RdmaSettings) -> Result<Vec<Device>, Unavailable> {
    // As few resources as can be, for a look.
    let options = Options { receives_max: 1, works_max: 1, connections_max: 1 };
    Library::open(&library(settings), &options).map(|library| library.devices())
}

/// Says whether there is RDMA, and if so what shards need for it.
///
/// # Errors
/// When there is none and the configuration wants it.
pub fn prepare(settings: &RdmaSettings, addresses: &[IpAddr], shards: usize) -> Result<Option<Rdma>, Fatal> {
    if settings.mode == RdmaMode::Off {
        return Ok(None);
    }
    match devices(settings) {
        Ok(devices) => {
            for Device { name, link, state, mtu_bytes, .. } in &devices {
                tracing::info!(name, link, state, mtu_bytes, "RDMA adapter");
            }
            // As many that leave as come from one adapter.
            let messages = (devices.len() + 1) * shards * settings.receives as usize;
            let mib = (messages * MESSAGE_BYTES) >> 20;
            tracing::info!("memory: besides {mib} MiB for messages of RDMA, taken and locked at start");
        }
        Err(why) if settings.mode == RdmaMode::On => {
            return Err(Fatal::new(format!("RDMA is wanted and not to be had: {why}"), OFF_REMEDY));
        }
        Err(why) => {
            tracing::info!("RDMA is off: {why}");
            return Ok(None);
        }
    }
    let all = [Ipv6Addr::UNSPECIFIED.into()];
    let addresses = if addresses.is_empty() { &all[..] } else { addresses };
    Ok(Some(Rdma {
        library: library(settings),
        options: options(settings),
        limits: Limits {
            receives_max: settings.receives,
            busy_poll: settings.busy_poll,
            ..Limits::default()
        },
        addresses: addresses.iter().map(|address| SocketAddr::new(*address, settings.port)).collect(),
        intake: Intake::new(shards),
        mode: settings.mode,
    }))
}

/// The transport of a core that calls servers over RDMA, over so many connections at a time, of which each is to have so many calls
/// outstanding.
///
/// # Errors
/// When there is no RDMA here, or too little memory may be locked.
pub fn for_calls(shard: &Shard, connections: u32, calls: u32) -> Result<Endpoint, Fatal> {
    let limits = Limits::for_calls(connections, calls);
    let settings = RdmaSettings { receives: limits.receives_max, ..RdmaSettings::default() };
    let library = Library::open(&library(&settings), &options(&settings)).map_err(|why| {
        let remedy = "build the library with `make rdma` if it is missing, or leave out transport=rdma";
        Fatal::new(format!("there is no RDMA here: {why}"), remedy)
    })?;
    Endpoint::for_calls(shard, Box::new(library), limits).map_err(|error| {
        Fatal::new(format!("{LOCKED_MEMORY}: {error}"), "raise the limit on locked memory (ulimit -l)")
    })
}

impl Rdma {
    /// The transport of the calling shard, if there can be one. The first one listens.
    ///
    /// # Errors
    /// When RDMA must be served, and adapters cannot be told of the shard's memory or nobody can listen.
    pub fn endpoint(&self, shard: &Shard) -> Result<Option<Endpoint>, Fatal> {
        match self.try_endpoint(shard) {
            Ok(endpoint) => Ok(Some(endpoint)),
            Err(fatal) if self.mode == RdmaMode::On => Err(fatal),
            Err(fatal) => {
                tracing::warn!(shard = shard.index(), "RDMA is off on this shard: {fatal}");
                self.intake.leave(shard.index());
                Ok(None)
            }
        }
    }

    fn try_endpoint(&self, shard: &Shard) -> Result<Endpoint, Fatal> {
        let library = Library::open(&self.library, &self.options)
            .map_err(|why| Fatal::new(format!("RDMA cannot be used: {why}"), OFF_REMEDY))?;
        let endpoint = Endpoint::new(shard, Box::new(library), self.limits.clone()).map_err(|error| {
            let reason = format!("{LOCKED_MEMORY}: {error}");
            Fatal::new(
                reason,
                "raise the limit on locked memory (LimitMEMLOCK=infinity), or set `mode = \"off\"` in [rdma]",
            )
        })?;
        if shard.index() == 0 {
            self.addresses.iter().try_for_each(|address| self.listen(&endpoint, *address))?;
        }
        Ok(endpoint)
    }

    fn listen(&self, endpoint: &Endpoint, address: SocketAddr) -> Result<(), Fatal> {
        match endpoint.listen(address) {
            Ok(address) => tracing::info!(%address, "RDMA is served"),
            Err(error) if self.mode == RdmaMode::On => {
                let reason = format!("cannot listen for RDMA on {address}: {error}");
                return Err(Fatal::new(reason, "give `port` in [rdma] another number, or stop who has it"));
            }
            // An address may be of an interface without an adapter.
            Err(error) => tracing::warn!(%address, "RDMA is not served there: {error}"),
        }
        Ok(())
    }
}
