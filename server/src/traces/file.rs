//! Traces in a file: one line of OTLP JSON for each batch.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

use crate::fatal::Fatal;

/// For the owner to write and the group to read: names of commands are nobody else's business.
const MODE: u32 = 0o640;

/// A file that takes what would be sent to a collector.
#[derive(Debug)]
pub struct LineFile(File);

impl LineFile {
    /// Opens the file to append to it.
    ///
    /// # Errors
    /// When that is refused.
    pub fn open(path: &Path) -> Result<Self, Fatal> {
        let opened = OpenOptions::new().create(true).append(true).mode(MODE).open(path);
        opened.map(Self).map_err(|error| {
            Fatal::new(
                format!("{} cannot be written: {error}", path.display()),
                "correct `otlp_file` in [tracing]",
            )
        })
    }
}

/// Called by the export's own thread only, which may block.
#[async_trait]
impl HttpClient for LineFile {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        (&self.0).write_all(&one_line(request.body()))?;
        Ok(Response::new(Bytes::from_static(b"{}")))
    }
}

/// The exporter's JSON, which has a line for each value, on one line. No line ends within a string of JSON.
fn one_line(json: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(json.len() + 1);
    json.split(|byte| *byte == b'\n').for_each(|piece| line.extend_from_slice(piece.trim_ascii_start()));
    line.push(b'\n');
    line
}
