//! Questions to the admin API of a server.

use std::io::{Read, Write};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::place::Server;
use crate::fatal::Fatal;

/// Bytes of the longest answer: that of all limits there can be.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// What a server answers.
pub struct Answer {
    /// Whether it did what was asked.
    pub is_good: bool,
    /// What it says.
    pub body: Value,
}

/// Asks a server.
///
/// # Errors
/// When no answer comes.
pub fn ask(server: &Server, method: &str, target: &str, body: Option<&Value>) -> Result<Answer, Fatal> {
    let text = exchange(server, method, target, body)?;
    understood(&text).ok_or_else(|| {
        let reason = format!("what answers at {} is no server of this release", server.name());
        Fatal::new(reason, "name a server with --socket or --server")
    })
}

/// `text` as a part of an address.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn exchange(server: &Server, method: &str, target: &str, body: Option<&Value>) -> Result<String, Fatal> {
    let (mut stream, heads) = server.connect()?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: penstock\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {heads}Content-Length: {length}\r\n\r\n{body}"
    );
    let mut answer = String::new();
    let exchanged = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.flush())
        .and_then(|()| stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer));
    exchanged.map_err(|error| server.silent(&error))?;
    Ok(answer)
}

fn understood(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status: u16 = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { is_good: status == 200, body: serde_json::from_str(body).ok()? })
}
