//! `nfs://host[:port]/path?version=4.2&transport=tcp`: where something is, and how it is spoken to.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use client::Version;

use super::display::escaped;
use crate::fatal::Fatal;

/// The port of NFS.
const PORT: u16 = 2049;

/// What carries the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// RDMA.
    Rdma,
}

impl Transport {
    /// As locations name it.
    pub fn name(self) -> &'static str {
        if self == Self::Tcp { "tcp" } else { "rdma" }
    }

    /// The port of NFS over it.
    fn port(self) -> u16 {
        if self == Self::Tcp { PORT } else { wire::rdma::PORT }
    }
}

/// An object on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Name or address, an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Names from the server's root on: any bytes, but no `/`.
    pub path: Vec<Vec<u8>>,
    /// Of NFS.
    pub version: Version,
    /// What carries the calls.
    pub transport: Transport,
    /// Port of MOUNT, where NFSv3 needs it and it is another one.
    pub mount_port: Option<u16>,
}

impl Location {
    /// The server's address: the first that its name has.
    ///
    /// # Errors
    /// When the name is not known.
    pub fn address(&self) -> Result<SocketAddr, Fatal> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found = found.map_err(|error| error.to_string());
        found.and_then(|mut all| all.next().ok_or_else(|| "it has no address".to_owned())).map_err(|error| {
            Fatal::new(format!("host {}: {error}", self.host), "correct the name, or give the address")
        })
    }

    /// Whether another location is on the same server.
    pub fn is_same_server(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }

    /// An object below this one.
    #[must_use]
    pub fn below(&self, name: &[u8]) -> Self {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Self { path, ..self.clone() }
    }

    /// The path as the server has it.
    pub fn path_bytes(&self) -> Vec<u8> {
        [b"/", &self.path.join(&b'/')[..]].concat()
    }
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("nfs://").ok_or("locations are written nfs://host[:port]/path")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, mut port) = split_authority(authority)?;
        let mut location = Self {
            host,
            port: PORT,
            path: Vec::new(),
            version: Version::V4_2,
            transport: Transport::Tcp,
            mount_port: None,
        };
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match &decoded(name)?[..] {
                b"." | b".." => return Err("`.` and `..` mean nothing here: write the whole path".to_owned()),
                name => location.path.push(name.to_owned()),
            }
        }
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            match name {
                "version" => location.version = version(value)?,
                "transport" => location.transport = transport(value)?,
                "nfsport" => port = Some(port_number(value)?),
                "mountport" => location.mount_port = Some(port_number(value)?),
                _ => {
                    return Err(format!(
                        "`{name}` is no setting of a location: version, transport, nfsport and mountport are"
                    ));
                }
            }
        }
        if location.mount_port.is_some() && location.version != Version::V3 {
            return Err("only NFSv3 has a use for mountport: add version=3".to_owned());
        }
        if location.mount_port.is_some() && location.transport == Transport::Rdma {
            return Err(
                "over RDMA, MOUNT is asked over the connection of NFSv3: leave out mountport".to_owned()
            );
        }
        location.port = port.unwrap_or_else(|| location.transport.port());
        Ok(location)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = self.host.contains(':');
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        write!(formatter, "nfs://{open}{}{close}", self.host)?;
        if self.port != self.transport.port() {
            write!(formatter, ":{}", self.port)?;
        }
        // What means something else in a location is escaped: it can be read back, but for the version.
        formatter.write_str(&escaped(&self.path_bytes(), "%", |letter| matches!(letter, '%' | '?')))?;
        formatter.write_str(if self.transport == Transport::Tcp { "" } else { "?transport=rdma" })
    }
}

/// Host, and port if there is one.
fn split_authority(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("an IPv6 address ends with `]`")?;
            (host, port.strip_prefix(':'))
        }
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("no host: locations are written nfs://host[:port]/path".to_owned());
    }
    Ok((host.to_owned(), port.map(port_number).transpose()?))
}

fn port_number(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| "ports are numbers from 1 to 65535".to_owned())
}

fn version(text: &str) -> Result<Version, String> {
    let known = Version::ALL.into_iter().find(|version| version.to_string() == text);
    known.ok_or_else(|| format!("version `{text}`: only 3, 4.1 and 4.2 are spoken"))
}

fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "tcp" => Ok(Transport::Tcp),
        "rdma" => Ok(Transport::Rdma),
        _ => Err(format!("transport `{text}`: there are tcp and rdma")),
    }
}

/// A name with its `%20` and the like resolved.
fn decoded(name: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(value.ok_or("`%` is followed by two hexadecimal digits; the sign itself is `%25`")?);
        rest = &behind[2..];
    }
    if bytes.contains(&b'/') || bytes.contains(&0) {
        return Err("no name contains `/` or NUL".to_owned());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Location {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn locations_are_read_as_written() {
        let plain = parsed("nfs://server/a%20b//c%2525/");
        assert_eq!((plain.host.as_str(), plain.port, plain.version), ("server", 2049, Version::V4_2));
        assert_eq!(plain.path, [&b"a b"[..], b"c%25"]);
        let other = parsed("nfs://[::1]:20490?version=4.1");
        assert_eq!((other.host.as_str(), other.port, other.version), ("::1", 20490, Version::V4_1));
        assert!(other.path.is_empty());
        let old = parsed("nfs://server/a?version=3&nfsport=20490&mountport=20048");
        assert_eq!((old.version, old.port, old.mount_port), (Version::V3, 20490, Some(20048)));
        assert_eq!(parsed("nfs://10.0.0.1:111/x").to_string(), "nfs://10.0.0.1:111/x");
        let rdma = parsed("nfs://server/a?transport=rdma");
        assert_eq!((rdma.transport, rdma.port), (Transport::Rdma, 20049));
        assert_eq!(rdma.to_string(), "nfs://server/a?transport=rdma");
        assert_eq!(parsed("nfs://server:7/a?transport=rdma").to_string(), "nfs://server:7/a?transport=rdma");
        assert_eq!(parsed("nfs://server/a?transport=tcp"), parsed("nfs://server/a"));
    }

    #[test]
    fn any_name_can_be_written_and_read_back() {
        let every: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        let root = parsed("nfs://server/");
        for name in [&every[..], b"%41", b"a?version=3", b"\xff", "\u{e4}".as_bytes(), b"\xc3"] {
            let below = root.below(name).below(b"x");
            assert_eq!(parsed(&below.to_string()), below);
        }
        assert_eq!(parsed("nfs://server/%ff").path, [b"\xff"]);
        assert_eq!(root.below(b"a\xff\n").to_string(), "nfs://server/a%ff%0a");
    }

    #[test]
    fn mistakes_are_named() {
        for text in [
            "/local",
            "http://server/",
            "nfs://",
            "nfs://:2049/",
            "nfs://server:0/",
            "nfs://server:port/",
            "nfs://[::1/",
            "nfs://server/a/../b",
            "nfs://server/%2fetc",
            "nfs://server/%zz",
            "nfs://server/?version=2",
            "nfs://server/?mountport=20048",
            "nfs://server/?version=3&mountport=0",
            "nfs://server/?vers=4.2",
            "nfs://server/?transport=udp",
            "nfs://server/?version=3&transport=rdma&mountport=20048",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
