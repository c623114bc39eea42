//! `nfs://host[:port]/path?version=4.2`: where something is.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use crate::fatal::Fatal;

/// The port of NFS.
const PORT: u16 = 2049;

/// Minor versions that the client speaks.
const MINORS: [(&str, u32); 2] = [("4.1", 1), ("4.2", 2)];

/// An object on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Name or address, an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Names from the server's root on.
    pub path: Vec<String>,
    /// 1 or 2.
    pub minor_version: u32,
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
    pub fn below(&self, name: &str) -> Self {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Self { path, ..self.clone() }
    }

    /// The server alone: `nfs://host[:port]`.
    pub fn server_text(&self) -> String {
        let text = Self { path: Vec::new(), ..self.clone() }.to_string();
        text.trim_end_matches('/').to_owned()
    }

    /// The path as people write it.
    pub fn path_text(&self) -> String {
        format!("/{}", self.path.join("/"))
    }
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("nfs://").ok_or("locations are written nfs://host[:port]/path")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_authority(authority)?;
        let mut location = Self { host, port, path: Vec::new(), minor_version: MINORS[MINORS.len() - 1].1 };
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match decoded(name)?.as_str() {
                "." | ".." => return Err("`.` and `..` mean nothing here: write the whole path".to_owned()),
                name => location.path.push(name.to_owned()),
            }
        }
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            if name != "version" {
                return Err(format!("`{name}` is no setting of a location; `version` is the only one"));
            }
            let known = MINORS.iter().find(|(text, _)| *text == value);
            location.minor_version =
                known.ok_or(format!("version `{value}`: only 4.1 and 4.2 are spoken"))?.1;
        }
        Ok(location)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = self.host.contains(':');
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        write!(formatter, "nfs://{open}{}{close}", self.host)?;
        if self.port != PORT {
            write!(formatter, ":{}", self.port)?;
        }
        write!(formatter, "{}", self.path_text())
    }
}

/// Host and port.
fn split_authority(text: &str) -> Result<(String, u16), String> {
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
    let port = match port {
        None => PORT,
        Some(port) => {
            port.parse().ok().filter(|port| *port != 0).ok_or("ports are numbers from 1 to 65535")?
        }
    };
    Ok((host.to_owned(), port))
}

/// A name with its `%20` and the like resolved.
fn decoded(name: &str) -> Result<String, String> {
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
    let name = String::from_utf8(bytes).map_err(|_| "names are UTF-8")?;
    if name.contains(['/', '\0']) { Err("no name contains `/` or NUL".to_owned()) } else { Ok(name) }
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
        assert_eq!((plain.host.as_str(), plain.port, plain.minor_version), ("server", 2049, 2));
        assert_eq!(plain.path, ["a b", "c%25"]);
        let other = parsed("nfs://[::1]:20490?version=4.1");
        assert_eq!((other.host.as_str(), other.port, other.minor_version), ("::1", 20490, 1));
        assert!(other.path.is_empty());
        assert_eq!(parsed("nfs://10.0.0.1:111/x").to_string(), "nfs://10.0.0.1:111/x");
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
            "nfs://server/?version=3",
            "nfs://server/?vers=4.2",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
