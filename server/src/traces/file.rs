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
        let mut line = Vec::with_capacity(request.body().len() + 1);
        line.extend_from_slice(request.body());
        line.push(b'\n');
        (&self.0).write_all(&line)?;
        Ok(Response::new(Bytes::from_static(b"{}")))
    }
}
