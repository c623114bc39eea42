//! Questions to the admin API of a server, over its socket.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::fatal::Fatal;

/// How long a server is waited for: a change is on a disk before it is answered.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Bytes of the longest answer: that of all limits there can be.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// What a server answers.
pub struct Answer {
    /// Whether it did what was asked.
    pub is_good: bool,
    /// What it says.
    pub body: Value,
}

/// Asks the server whose socket is at `socket`.
///
/// # Errors
/// When no answer comes.
pub fn ask(socket: &Path, method: &str, target: &str, body: Option<&Value>) -> Result<Answer, Fatal> {
    let text = exchange(socket, method, target, body).map_err(|error| silent(socket, &error))?;
    understood(&text).ok_or_else(|| {
        let reason = format!("what answers at {} is no server of this release", socket.display());
        Fatal::new(reason, "name the socket of a server with --socket")
    })
}

/// `text` as a part of an address.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn exchange(socket: &Path, method: &str, target: &str, body: Option<&Value>) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: penstock\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn understood(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status: u16 = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { is_good: status == 200, body: serde_json::from_str(body).ok()? })
}

fn silent(socket: &Path, error: &std::io::Error) -> Fatal {
    let remedy = match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            "start the server, or name its socket with --socket: it logs `administered at` when it starts"
        }
        ErrorKind::PermissionDenied => "run it as root, or as who runs the server",
        _ => "see the server's log",
    };
    Fatal::new(format!("no answer at {}: {error}", socket.display()), remedy)
}
