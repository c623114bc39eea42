//! Where a server is administered: its socket on this machine, or an address that speaks TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::fatal::Fatal;

/// The socket of a server that is not told otherwise.
const SOCKET: &str = "/var/lib/penstock/admin.sock";

/// How long a server is waited for: a change is on a disk before it is answered.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Where the server is, and how to say what it answers.
#[derive(Args, Debug)]
pub struct Server {
    /// The socket of the server, `admin` in its configuration.
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Instead of the socket a server that is administered over TCP: https://HOST:PORT, `admin_tcp` in its configuration.
    #[arg(long, value_name = "URL", conflicts_with = "socket", requires_all = ["token_file", "ca"])]
    server: Option<Url>,
    /// The file with the token of that server.
    #[arg(long, value_name = "PATH", requires = "server")]
    token_file: Option<PathBuf>,
    /// The certificate of that server, or of who signed it, in PEM.
    #[arg(long, value_name = "PATH", requires = "server")]
    ca: Option<PathBuf>,
    /// Say it in JSON, as the server does.
    #[arg(long)]
    pub json: bool,
}

/// `https://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    host: String,
    port: u16,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.strip_prefix("https://").and_then(|rest| rest.trim_end_matches('/').rsplit_once(':'));
        let url = parts.and_then(|(host, port)| {
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            Some(Self { host: host.to_owned(), port: port.parse().ok()? })
        });
        url.filter(|url| ServerName::try_from(&url.host[..]).is_ok())
            .ok_or_else(|| "write https://HOST:PORT, of IPv6 https://[ADDRESS]:PORT".to_owned())
    }
}

/// A connection over which one question is asked.
pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Server {
    /// What the server is called in messages.
    pub fn name(&self) -> String {
        match &self.server {
            Some(Url { host, port }) => format!("{host} port {port}"),
            None => self.socket.display().to_string(),
        }
    }

    /// A connection, and what its requests must say beside what they ask.
    ///
    /// # Errors
    /// When there is no server, or when a file cannot be used.
    pub fn connect(&self) -> Result<(Box<dyn Stream>, String), Fatal> {
        let (Some(url), Some(file), Some(ca)) = (&self.server, &self.token_file, &self.ca) else {
            let connected = UnixStream::connect(&self.socket).and_then(|stream| {
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                stream.set_write_timeout(Some(ANSWER_MAX))?;
                Ok(stream)
            });
            let stream = connected.map_err(|error| self.silent(&error))?;
            return Ok((Box::new(stream), String::new()));
        };
        let token = String::from_utf8_lossy(&read(file, "--token-file")?).trim().to_owned();
        if token.is_empty() || token.contains(|letter: char| !letter.is_ascii_graphic()) {
            let reason = format!("{} has no token", file.display());
            return Err(Fatal::new(reason, "it is the line that `token_file` of the server has"));
        }
        let config = Arc::new(config(ca)?);
        let name = ServerName::try_from(url.host.clone()).expect("the address was read");
        let stream = url.connect().map_err(|error| self.silent(&error))?;
        let failed = |error: rustls::Error| self.silent(&std::io::Error::new(ErrorKind::InvalidData, error));
        let connection = ClientConnection::new(config, name).map_err(failed)?;
        Ok((Box::new(StreamOwned::new(connection, stream)), format!("Authorization: Bearer {token}\r\n")))
    }

    /// No answer comes.
    pub fn silent(&self, error: &std::io::Error) -> Fatal {
        let remedy = match (error.kind(), &self.server) {
            (ErrorKind::InvalidData, Some(_)) => {
                "give --ca the certificate of the server or of who signed it; the host in --server is one of its names"
            }
            (_, Some(_)) => {
                "start the server, or correct --server: it logs `administered at https://` when it starts"
            }
            (ErrorKind::NotFound | ErrorKind::ConnectionRefused, None) => {
                "start the server, or name its socket with --socket: it logs `administered at` when it starts"
            }
            (ErrorKind::PermissionDenied, None) => "run it as root, or as who runs the server",
            _ => "see the server's log",
        };
        Fatal::new(format!("no answer at {}: {error}", self.name()), remedy)
    }
}

impl Url {
    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut failed = ErrorKind::NotFound.into();
        for address in (&self.host[..], self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(ANSWER_MAX))?;
                    stream.set_write_timeout(Some(ANSWER_MAX))?;
                    return Ok(stream);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// Trusts what the certificates at `path` have signed, and nobody else.
fn config(path: &Path) -> Result<ClientConfig, Fatal> {
    let pem = read(path, "--ca")?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(&pem).flatten();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        let reason = format!("--ca {} has no certificate in PEM", path.display());
        return Err(Fatal::new(reason, "it begins with -----BEGIN CERTIFICATE-----"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("the provider has what TLS needs");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn read(path: &Path, option: &str) -> Result<Vec<u8>, Fatal> {
    std::fs::read(path).map_err(|error| {
        Fatal::new(
            format!("{option} {} cannot be read: {error}", path.display()),
            "name a file that you may read",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_host_and_port() {
        let url = |text: &str| text.parse::<Url>().map(|url| (url.host, url.port));
        assert_eq!(url("https://filer.example.org:9470"), Ok(("filer.example.org".to_owned(), 9470)));
        assert_eq!(url("https://192.0.2.1:1/"), Ok(("192.0.2.1".to_owned(), 1)));
        assert_eq!(url("https://[2001:db8::1]:9470"), Ok(("2001:db8::1".to_owned(), 9470)));
        for text in
            ["http://filer:1", "https://filer", "https://filer:0x1", "https://:1", "https://a b:1", "filer:1"]
        {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
