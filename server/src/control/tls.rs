//! The admin API over TCP: within TLS, and for those who have the token.

use std::cell::Cell;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use subtle::ConstantTimeEq;
use tokio_rustls::TlsAcceptor;

use super::http::Peer;
use super::listen;
use crate::config::AdminTcp;
use crate::fatal::Fatal;

/// Least length of a token: what is shorter can be guessed.
const TOKEN_BYTES_MIN: usize = 32;

/// Most bytes of a file that are looked at, far beyond any chain of certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Between two lines of the log about who had no token.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// Where the admin API is asked over TCP.
pub struct Secured {
    /// Takes connections.
    pub listener: TcpListener,
    /// What they are encrypted with.
    pub acceptor: TlsAcceptor,
    /// What those who ask must have.
    pub token: Token,
}

/// What whoever asks must know.
pub struct Token(Vec<u8>);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

impl Secured {
    /// Reads the files, and listens. While the process may still read what only root may.
    ///
    /// # Errors
    /// When a file cannot be used, when others could read what is secret, or when the address cannot be had.
    pub fn open(settings: &AdminTcp) -> Result<Self, Fatal> {
        let (acceptor, token) = check(settings)?;
        Ok(Self { listener: listen(settings.address, "admin_tcp")?, acceptor, token })
    }
}

/// What the files say.
///
/// # Errors
/// When one of them cannot be used, or when others could read what is secret.
pub fn check(settings: &AdminTcp) -> Result<(TlsAcceptor, Token), Fatal> {
    let AdminTcp { certificate, key, token_file, .. } = settings;
    let token = Token::of(&secret(token_file, "token_file")?, token_file)?;
    Ok((TlsAcceptor::from(Arc::new(tls(certificate, key)?)), token))
}

fn tls(certificate: &Path, key: &Path) -> Result<ServerConfig, Fatal> {
    let (chain, _) = read(certificate, "certificate")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
        let reason = format!("`certificate` {} is no certificate in PEM", certificate.display());
        Fatal::new(
            reason,
            "it begins with -----BEGIN CERTIFICATE-----; those who signed it follow in the same file",
        )
    })?;
    let secret = PrivateKeyDer::from_pem_slice(&secret(key, "key")?).map_err(|_| {
        let reason = format!("`key` {} is no private key in PEM", key.display());
        Fatal::new(reason, "it begins with -----BEGIN PRIVATE KEY-----, and is not encrypted")
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|error| {
        let reason = format!(
            "`certificate` {} and `key` {} do not serve TLS: {error}",
            certificate.display(),
            key.display()
        );
        Fatal::new(reason, "give the key that belongs to the certificate in [server.admin_tcp]")
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What only some may read.
fn secret(path: &Path, name: &str) -> Result<Vec<u8>, Fatal> {
    let (bytes, metadata) = read(path, name)?;
    if metadata.permissions().mode() & 0o007 != 0 {
        let reason = format!("`{name}` {} can be read by everybody on this machine", path.display());
        return Err(Fatal::new(
            reason,
            format!("chmod 0600 {0}, and make a new one, for it may be known", path.display()),
        ));
    }
    Ok(bytes)
}

fn read(path: &Path, name: &str) -> Result<(Vec<u8>, Metadata), Fatal> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let metadata = file.metadata()?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(metadata)
    });
    let metadata = read.map_err(|error| {
        let reason = format!("`{name}` {} cannot be read: {error}", path.display());
        Fatal::new(reason, "correct it in [server.admin_tcp], or leave the section out")
    })?;
    Ok((bytes, metadata))
}

impl Token {
    /// What is in the file: one line.
    fn of(bytes: &[u8], path: &Path) -> Result<Self, Fatal> {
        let token = bytes.trim_ascii();
        if token.len() >= TOKEN_BYTES_MIN && token.iter().all(u8::is_ascii_graphic) {
            return Ok(Self(token.to_vec()));
        }
        let reason = format!("`token_file` {} has no token that is safe", path.display());
        let remedy = format!(
            "it is one line of {TOKEN_BYTES_MIN} letters and digits or more: (umask 077; openssl rand -hex 32 > {})",
            path.display()
        );
        Err(Fatal::new(reason, remedy))
    }

    /// Whether who sends these heads has it (RFC 6750 §2.1). How long that takes tells nobody how much of a wrong one is right.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        sent.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(self.0.ct_eq(token))
        })
    }
}

/// Those who had no token. They are told of so seldom that they do not fill the log.
#[derive(Debug, Default)]
pub struct Refusals {
    told: Cell<Option<Instant>>,
    untold: Cell<u64>,
}

impl Refusals {
    /// One more.
    pub fn note(&self, peer: Peer) {
        if let Some(untold) = self.tell(Instant::now()) {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(peer, untold, "administration is refused to one without the token");
        }
    }

    /// If one is to be told of now: how many were not since the last.
    fn tell(&self, now: Instant) -> Option<u64> {
        if self.told.get().is_some_and(|told| now < told + REFUSAL_PAUSE) {
            self.untold.update(|untold| untold + 1);
            return None;
        }
        self.told.set(Some(now));
        Some(self.untold.take())
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_who_has_the_token_may_ask() {
        let text = "0123456789abcdef0123456789abcdef";
        let token = Token::of(format!("{text}\n").as_bytes(), Path::new("token")).unwrap();
        let is_taken = |value: Option<String>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
            }
            token.is_in(&headers)
        };
        assert!(is_taken(Some(format!("Bearer {text}"))) && is_taken(Some(format!("bearer {text}"))));
        for wrong in ["", "Bearer", "Bearer ", "Bearer 0", &format!("Basic {text}"), text] {
            assert!(!is_taken(Some(wrong.to_owned())), "{wrong}");
        }
        assert!(!is_taken(None) && !is_taken(Some(format!("Bearer {text}0"))));
        assert!(!is_taken(Some(format!("Bearer {}1", &text[..31]))));
    }

    #[test]
    fn who_is_refused_does_not_fill_the_log() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let told = [0, 1, 999, 1000, 1500, 2000].map(|ms| refusals.tell(now + Duration::from_millis(ms)));
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn what_can_be_guessed_is_no_token() {
        for text in
            ["", "\n", "secret", "0123456789abcdef0123456789abcde", "0123456789abcdef 0123456789abcdef"]
        {
            let refused = Token::of(text.as_bytes(), Path::new("token")).unwrap_err().to_string();
            assert!(refused.contains("no token that is safe"), "{refused}");
        }
    }
}
