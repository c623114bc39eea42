//! `[server]` and `[log]`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use toml::Spanned;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter as Level;

use super::diagnostic::Source;
use super::file::{AdminTcpSection, LogSection, ServerSection};
use crate::cli::{LogFormat, Rpcbind};

/// The port of NFS (RFC 8881 §2.9.3).
pub const NFS_PORT: u16 = 2049;

/// Ports that can be chosen.
const PORTS: (u32, u32) = (1, u16::MAX as u32);

/// Where the state is kept when nothing is said.
const STATE_DIRECTORY: &str = "/var/lib/penstock";

/// The name of the socket for administration in the state directory.
const ADMIN_SOCKET: &str = "admin.sock";

/// Long enough to ride out a switch's restart, short enough that nobody gives up waiting for a dead client.
const LEASE_SECONDS: u32 = 60;

/// A laptop closed overnight finds its files open in the morning.
const COURTESY_SECONDS: u32 = 24 * 3600;

/// Requests that run at a stop are done within this, unless storage hangs.
const DRAIN_SECONDS: u32 = 10;

/// How old the addresses of clients' names may be.
const RESOLVE_SECONDS: u32 = 300;

/// Most shards: so many cores can share a limit.
pub const SHARDS_MAX: u32 = qos::limits::CORES_MAX;

/// What helps against a bad level.
pub const LOG_LEVEL_REMEDY: &str =
    "give error, warn, info, debug, trace, or a filter such as \"info,nfs_ops=debug\"";

/// `[server]`, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where to listen; none means all addresses.
    pub addresses: Vec<IpAddr>,
    /// The port, on which all is served.
    pub port: u16,
    /// Another one, where NFSv3 is looked for.
    pub nfs3_port: Option<u16>,
    /// Another one, where MOUNT is looked for.
    pub mount_port: Option<u16>,
    /// Whether to register with rpcbind.
    pub rpcbind: Rpcbind,
    /// How many shards; `None` is one for each core this process may run on.
    pub shards: Option<usize>,
    /// Where what must survive a restart is kept.
    pub state_directory: PathBuf,
    /// Lease period.
    pub lease_seconds: u32,
    /// Longest grace period after a start.
    pub grace_seconds: u32,
    /// How long an expired client keeps what nobody else wants.
    pub courtesy_seconds: u32,
    /// How long a stop waits for requests that run.
    pub drain_seconds: u32,
    /// How often names of clients are resolved anew.
    pub resolve_seconds: u32,
    /// The domain in names of owners that clients may send (`user@domain`).
    pub domain: Option<String>,
    /// Whether annotated calls are taken.
    pub annotations: bool,
    /// Where the metrics are served; `None` serves none.
    pub metrics: Option<SocketAddr>,
    /// The socket for administration; `None` is one in the state directory.
    pub admin: Option<PathBuf>,
    /// Administration over TCP; `None`: not at all.
    pub admin_tcp: Option<AdminTcp>,
}

/// `[server.admin_tcp]`: where the server is administered over TCP, what that is encrypted with, and who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTcp {
    /// Where to listen.
    pub address: SocketAddr,
    /// The certificate, and those that lead to one which clients know, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The token that clients must send.
    pub token_file: PathBuf,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            port: NFS_PORT,
            nfs3_port: None,
            mount_port: None,
            rpcbind: Rpcbind::Auto,
            shards: None,
            state_directory: PathBuf::from(STATE_DIRECTORY),
            lease_seconds: LEASE_SECONDS,
            grace_seconds: LEASE_SECONDS,
            courtesy_seconds: COURTESY_SECONDS,
            drain_seconds: DRAIN_SECONDS,
            resolve_seconds: RESOLVE_SECONDS,
            domain: None,
            annotations: true,
            metrics: None,
            admin: None,
            admin_tcp: None,
        }
    }
}

impl ServerSettings {
    /// The port that clients are told of NFSv3.
    pub fn port_of_nfs3(&self) -> u16 {
        self.nfs3_port.unwrap_or(self.port)
    }

    /// The port that clients are told of MOUNT.
    pub fn port_of_mount(&self) -> u16 {
        self.mount_port.unwrap_or(self.port)
    }

    /// The socket for administration.
    pub fn admin_socket(&self) -> PathBuf {
        self.admin.clone().unwrap_or_else(|| self.state_directory.join(ADMIN_SOCKET))
    }

    /// The ports to listen on, each once, with the keys they are set by.
    pub fn ports(&self) -> Vec<(&'static str, u16)> {
        let mut ports = vec![("port", self.port)];
        for (key, port) in [("nfs3_port", self.nfs3_port), ("mount_port", self.mount_port)] {
            if let Some(port) = port
                && ports.iter().all(|(_, known)| *known != port)
            {
                ports.push((key, port));
            }
        }
        ports
    }

    /// The same for people.
    pub fn show_ports(&self) -> String {
        let ports: Vec<_> = self.ports().iter().map(|(key, port)| format!("{key} {port}")).collect();
        ports.join(", ")
    }

    /// Whether the metrics and the administration over TCP have addresses of their own; else the key of the one that has not,
    /// reason and remedy.
    pub fn check_addresses(&self) -> Result<(), (&'static str, String, &'static str)> {
        let metrics = self.metrics.map(|address| ("metrics", address));
        let admin_tcp = self.admin_tcp.as_ref().map(|tcp| ("admin_tcp", tcp.address));
        let clash = |name, address, what: String| {
            let reason = format!("`{name}` is {address}, and {what}");
            Err((name, reason, "give one of them another port"))
        };
        for (name, address) in metrics.into_iter().chain(admin_tcp) {
            let is_met =
                self.addresses.is_empty() || self.addresses.iter().any(|own| meet(*own, address.ip()));
            let taken = self.ports().into_iter().find(|(_, port)| is_met && *port == address.port());
            if let Some((key, port)) = taken {
                let what = format!("NFS or MOUNT listens there too (`{key}` is {port})");
                return clash(name, address, what);
            }
        }
        // Each 0 is a port of its own.
        if let (Some((_, metrics)), Some((name, address))) = (metrics, admin_tcp)
            && metrics.port() == address.port()
            && address.port() != 0
            && meet(metrics.ip(), address.ip())
        {
            let what = format!("the metrics are served there too (`metrics` is {metrics})");
            return clash(name, address, what);
        }
        Ok(())
    }
}

/// Whether nobody else can listen on one of them where somebody does on the other.
fn meet(one: IpAddr, other: IpAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    one == other || covers(one, other) || covers(other, one)
}

/// `[log]`, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// What is logged; a valid filter.
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// `text` if it is a filter of log lines, else what is wrong with it.
pub fn log_filter(text: &str) -> Result<String, String> {
    // A word that is no level would be the name of a crate, and nothing but that crate would be logged.
    let is_unknown =
        |part: &&str| part.is_empty() || !part.contains(['=', '[']) && part.parse::<Level>().is_err();
    if let Some(part) = text.split(',').map(str::trim).find(is_unknown) {
        return Err(format!("{part:?} is no level"));
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// What `[server]` says.
pub fn resolve(section: &ServerSection, source: &mut Source<'_>) -> ServerSettings {
    let lease_seconds =
        number("lease_seconds", section.lease_seconds.as_ref(), LEASE_SECONDS, (10, 3600), source);
    let grace_seconds =
        number("grace_seconds", section.grace_seconds.as_ref(), lease_seconds, (10, 7200), source);
    if let Some(written) = &section.grace_seconds
        && grace_seconds < lease_seconds
    {
        source.wrong(
            written.span(),
            format!("`grace_seconds` is {grace_seconds}, less than the lease of {lease_seconds}"),
            "give at least `lease_seconds`: clients notice a restart only when they renew",
        );
    }
    let port = number("port", section.port.as_ref(), NFS_PORT.into(), PORTS, source);
    let mut port_beside = |name, written: &Option<Spanned<i64>>| {
        let written = written.as_ref()?;
        Some(number(name, Some(written), port, PORTS, source) as u16)
    };
    let nfs3_port = port_beside("nfs3_port", &section.nfs3_port);
    let mount_port = port_beside("mount_port", &section.mount_port);
    ServerSettings {
        addresses: section.addresses.iter().map(|address| *address.get_ref()).collect(),
        port: port as u16,
        nfs3_port,
        mount_port,
        rpcbind: section.rpcbind,
        shards: section.shards.as_ref().map(|written| shards(written, source)),
        state_directory: state_directory(section, source),
        lease_seconds,
        grace_seconds,
        courtesy_seconds: number(
            "courtesy_seconds",
            section.courtesy_seconds.as_ref(),
            COURTESY_SECONDS,
            (0, 30 * 24 * 3600),
            source,
        ),
        drain_seconds: number(
            "drain_seconds",
            section.drain_seconds.as_ref(),
            DRAIN_SECONDS,
            (0, 600),
            source,
        ),
        resolve_seconds: number(
            "resolve_seconds",
            section.resolve_seconds.as_ref(),
            RESOLVE_SECONDS,
            (10, 24 * 3600),
            source,
        ),
        domain: section.domain.as_ref().map(|domain| self::domain(domain, source)),
        annotations: section.annotations.unwrap_or(true),
        metrics: section.metrics.as_ref().and_then(|written| {
            address("metrics", written, "127.0.0.1:9469", "leave it out for no metrics", source)
        }),
        admin: section.admin.as_ref().map(|written| absolute("admin", written, source)),
        admin_tcp: section.admin_tcp.as_ref().and_then(|section| admin_tcp(section, source)),
    }
}

/// What `[log]` says.
pub fn resolve_log(section: &LogSection, source: &mut Source<'_>) -> LogSettings {
    let mut settings = LogSettings { format: section.format.unwrap_or_default(), ..LogSettings::default() };
    if let Some(level) = &section.level {
        match log_filter(level.get_ref()) {
            Ok(filter) => settings.filter = filter,
            Err(reason) => {
                source.wrong(
                    level.span(),
                    format!("`level` is {:?}: {reason}", level.get_ref()),
                    LOG_LEVEL_REMEDY,
                );
            }
        }
    }
    settings
}

fn state_directory(section: &ServerSection, source: &mut Source<'_>) -> PathBuf {
    let written = section.state_directory.as_ref();
    written.map_or_else(
        || PathBuf::from(STATE_DIRECTORY),
        |written| absolute("state_directory", written, source),
    )
}

pub(super) fn absolute(name: &str, written: &Spanned<PathBuf>, source: &mut Source<'_>) -> PathBuf {
    if !written.get_ref().is_absolute() {
        source.wrong(
            written.span(),
            format!("`{name}` is {}, which is not absolute", written.get_ref().display()),
            "write the path from / on",
        );
    }
    written.get_ref().clone()
}

fn admin_tcp(section: &AdminTcpSection, source: &mut Source<'_>) -> Option<AdminTcp> {
    let AdminTcpSection { address: written, certificate, key, token_file } = section;
    let address =
        address("address", written, "192.0.2.1:9470", "leave [server.admin_tcp] out for none", source);
    let mut file = |name, written| absolute(name, written, source);
    let (certificate, key) = (file("certificate", certificate), file("key", key));
    Some(AdminTcp { address: address?, certificate, key, token_file: file("token_file", token_file) })
}

fn address(
    name: &str,
    written: &Spanned<String>,
    example: &str,
    otherwise: &str,
    source: &mut Source<'_>,
) -> Option<SocketAddr> {
    let address = written.get_ref().parse();
    if address.is_err() {
        source.wrong(
            written.span(),
            format!("`{name}` is {:?}, which is no address with a port", written.get_ref()),
            format!("write it as {example:?}, of IPv6 with the address in [], or {otherwise}"),
        );
    }
    address.ok()
}

fn shards(written: &Spanned<i64>, source: &mut Source<'_>) -> usize {
    match u32::try_from(*written.get_ref()) {
        Ok(shards) if (1..=SHARDS_MAX).contains(&shards) => shards as usize,
        _ => {
            source.wrong(
                written.span(),
                format!("`shards` is {}, out of range", written.get_ref()),
                format!("give a number from 1 to {SHARDS_MAX}, or leave it out for one on each core"),
            );
            1
        }
    }
}

fn domain(written: &Spanned<String>, source: &mut Source<'_>) -> String {
    let text = written.get_ref();
    if text.is_empty() || text.contains(|letter: char| letter == '@' || letter.is_whitespace()) {
        source.wrong(
            written.span(),
            format!("`domain` is {text:?}, which no name of an owner can end in"),
            "give what follows the @, for example \"example.org\", or leave it out",
        );
    }
    text.clone()
}

pub(super) fn number(
    name: &str,
    written: Option<&Spanned<i64>>,
    default: u32,
    (least, greatest): (u32, u32),
    source: &mut Source<'_>,
) -> u32 {
    let Some(written) = written else { return default };
    match u32::try_from(*written.get_ref()) {
        Ok(value) if (least..=greatest).contains(&value) => value,
        _ => {
            source.wrong(
                written.span(),
                format!("`{name}` is {}, out of range", written.get_ref()),
                format!("give a number from {least} to {greatest}, or leave it out for {default}"),
            );
            default
        }
    }
}
