//! The configuration file as it is written.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::limits::LimitsSection;
use super::qos::QosSection;
use super::rdma::RdmaMode;
use crate::cli::{LogFormat, Rpcbind};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub server: ServerSection,
    pub limits: LimitsSection,
    pub log: LogSection,
    pub tracing: TracingSection,
    pub rdma: RdmaSection,
    pub qos: QosSection,
    #[serde(rename = "export")]
    pub exports: Vec<Spanned<ExportSection>>,
}

/// `[server]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    pub addresses: Vec<Spanned<IpAddr>>,
    pub port: Option<Spanned<i64>>,
    pub nfs3_port: Option<Spanned<i64>>,
    pub mount_port: Option<Spanned<i64>>,
    pub rpcbind: Rpcbind,
    pub shards: Option<Spanned<i64>>,
    pub state_directory: Option<Spanned<PathBuf>>,
    pub lease_seconds: Option<Spanned<i64>>,
    pub grace_seconds: Option<Spanned<i64>>,
    pub courtesy_seconds: Option<Spanned<i64>>,
    pub drain_seconds: Option<Spanned<i64>>,
    pub resolve_seconds: Option<Spanned<i64>>,
    pub domain: Option<Spanned<String>>,
    pub annotations: Option<bool>,
    pub metrics: Option<Spanned<String>>,
    pub admin: Option<Spanned<PathBuf>>,
    pub admin_tcp: Option<AdminTcpSection>,
}

/// `[server.admin_tcp]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminTcpSection {
    pub address: Spanned<String>,
    pub certificate: Spanned<PathBuf>,
    pub key: Spanned<PathBuf>,
    pub token_file: Spanned<PathBuf>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    pub level: Option<Spanned<String>>,
    pub format: Option<LogFormat>,
}

/// `[tracing]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracingSection {
    pub otlp_endpoint: Option<Spanned<String>>,
    pub otlp_file: Option<Spanned<PathBuf>>,
    pub queue_spans: Option<Spanned<i64>>,
}

/// `[rdma]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RdmaSection {
    pub mode: RdmaMode,
    pub port: Option<Spanned<i64>>,
    pub library: Option<Spanned<PathBuf>>,
    pub busy_poll: bool,
    pub receives: Option<Spanned<i64>>,
}

/// One `[[export]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportSection {
    pub path: Spanned<PathBuf>,
    pub pseudo: Option<Spanned<String>>,
    pub id: Option<Spanned<i64>>,
    #[serde(default)]
    pub access: AccessWord,
    pub clients: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub read_only_clients: Vec<Spanned<String>>,
    #[serde(default)]
    pub squash: SquashWord,
    pub anonuid: Option<Spanned<i64>>,
    pub anongid: Option<Spanned<i64>>,
    #[serde(default)]
    pub secure: bool,
    #[serde(default)]
    pub cross_mounts: bool,
    #[serde(default)]
    pub lookup_groups: bool,
    #[serde(default)]
    pub read_plus: bool,
    #[serde(default)]
    pub io: IoWord,
    pub protocols: Option<Spanned<Vec<Spanned<String>>>>,
}

/// `io`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IoWord {
    #[default]
    Auto,
    Buffered,
    Direct,
}

/// `access`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessWord {
    #[default]
    Rw,
    Ro,
}

/// `squash`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SquashWord {
    #[default]
    Root,
    All,
    None,
}
