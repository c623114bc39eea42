//! `[rdma]`.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use wire::rdma::PORT;

use super::diagnostic::Source;
use super::file::RdmaSection;
use super::server::{absolute, number};

/// Receives that the connections of a core share: 16 MiB.
const RECEIVES: u32 = 4096;

/// `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RdmaMode {
    /// Where there is an adapter.
    #[default]
    Auto,
    /// In any case: without an adapter the server does not start.
    On,
    /// Never.
    Off,
}

/// `[rdma]`, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdmaSettings {
    /// Whether NFS is served over RDMA.
    pub mode: RdmaMode,
    /// At which port.
    pub port: u16,
    /// The library for it; `None` is where it was installed.
    pub library: Option<PathBuf>,
    /// Whether cores look for messages without pause.
    pub busy_poll: bool,
    /// Receives of one core and adapter.
    pub receives: u32,
}

impl Default for RdmaSettings {
    fn default() -> Self {
        Self { mode: RdmaMode::Auto, port: PORT, library: None, busy_poll: false, receives: RECEIVES }
    }
}

/// What `[rdma]` says.
pub fn resolve(section: &RdmaSection, source: &mut Source<'_>) -> RdmaSettings {
    let whole = |name, written: &Option<Spanned<i64>>, default, range, source: &mut Source<'_>| {
        number(name, written.as_ref(), default, range, source)
    };
    RdmaSettings {
        mode: section.mode,
        port: whole("port", &section.port, PORT.into(), (1, u16::MAX.into()), source) as u16,
        library: section.library.as_ref().map(|written| absolute("library", written, source)),
        busy_poll: section.busy_poll,
        receives: whole("receives", &section.receives, RECEIVES, (64, 32768), source),
    }
}
