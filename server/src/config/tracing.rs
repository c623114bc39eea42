//! `[tracing]`.

use std::path::PathBuf;

use toml::Spanned;

use super::diagnostic::Source;
use super::file::TracingSection;
use super::server::{absolute, number};

/// Spans that may wait: some hundred traced calls, some megabytes.
const QUEUE_SPANS: u32 = 2048;

/// Where the spans of traced calls go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A collector, by OTLP over HTTP.
    Endpoint(Endpoint),
    /// A file, as lines of OTLP JSON.
    File(PathBuf),
}

/// A collector's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As written.
    pub url: String,
    /// Host and port, to connect to.
    pub authority: String,
}

/// `[tracing]`, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingSettings {
    /// Where spans go; `None` exports nothing.
    pub destination: Option<Destination>,
    /// Spans that may wait to be exported.
    pub queue_spans: usize,
}

impl Default for TracingSettings {
    fn default() -> Self {
        Self { destination: None, queue_spans: QUEUE_SPANS as usize }
    }
}

/// What `[tracing]` says.
pub fn resolve(section: &TracingSection, source: &mut Source<'_>) -> TracingSettings {
    let endpoint = section.otlp_endpoint.as_ref().and_then(|written| endpoint(written, source));
    let file = section.otlp_file.as_ref().map(|written| absolute("otlp_file", written, source));
    if let (Some(_), Some(written)) = (&section.otlp_endpoint, &section.otlp_file) {
        source.wrong(
            written.span(),
            "`otlp_file` is given, and `otlp_endpoint` is given too".to_owned(),
            "keep one of them: spans go to one place",
        );
    }
    let queue_spans =
        number("queue_spans", section.queue_spans.as_ref(), QUEUE_SPANS, (16, 65536), source) as usize;
    let destination = endpoint.map(Destination::Endpoint).or(file.map(Destination::File));
    TracingSettings { destination, queue_spans }
}

fn endpoint(written: &Spanned<String>, source: &mut Source<'_>) -> Option<Endpoint> {
    let url = written.get_ref();
    let authority = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    match authority {
        Some(authority) if !authority.is_empty() && url.is_ascii() => {
            let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
            Some(Endpoint { url: url.clone(), authority })
        }
        _ => {
            source.wrong(
                written.span(),
                format!("`otlp_endpoint` is {url:?}, not an address of HTTP"),
                "write it as \"http://HOST:4318/v1/traces\"; for TLS, send to a collector on this machine that does it",
            );
            None
        }
    }
}
