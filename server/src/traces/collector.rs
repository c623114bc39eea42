//! Traces to a collector: one POST of HTTP/1.1 for each batch, over a connection of its own.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

use crate::config::Endpoint;

/// How long a connection, and then each piece of the answer, is waited for.
const STEP_MAX: Duration = Duration::from_secs(3);

/// Bytes of an answer that are looked at. A collector says a line or two.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A collector of OpenTelemetry.
#[derive(Debug)]
pub struct Collector {
    endpoint: Endpoint,
}

impl Collector {
    /// The collector at this address; nothing is connected yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    fn exchange(&self, request: &Request<Bytes>) -> io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(STEP_MAX))?;
        stream.set_write_timeout(Some(STEP_MAX))?;
        stream.write_all(&head(request, &self.endpoint.authority))?;
        stream.write_all(request.body())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.endpoint.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, STEP_MAX) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Called by the export's own thread only, which may block.
#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.exchange(&request)?;
        let (status, body) = read_answer(&answer).ok_or("the collector's answer is not HTTP")?;
        Ok(Response::builder().status(status).body(Bytes::copy_from_slice(body))?)
    }
}

fn head(request: &Request<Bytes>, authority: &str) -> Vec<u8> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {}\r\n",
        request.body().len()
    )
    .into_bytes();
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Status and body. A body in chunks is not put together: what is in it is of no consequence when the status is good, and
/// for people when it is not.
fn read_answer(answer: &[u8]) -> Option<(u16, &[u8])> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5)?;
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((status, &answer[end + 4..]))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with `answer`; what it was, head and body.
    fn serve_once(listener: &TcpListener, answer: &str) -> (Vec<String>, Vec<u8>) {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(&stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            if line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        reader.read_exact(&mut body).expect("the body");
        (&stream).write_all(answer.as_bytes()).expect("an answer");
        (head, body)
    }

    #[test]
    fn a_batch_is_posted_and_the_status_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let authority = listener.local_addr().expect("an address").to_string();
        let url = format!("http://{authority}/v1/traces");
        let collector = Collector::new(Endpoint { url: url.clone(), authority });
        for (answer, status) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some(200)),
            ("HTTP/1.1 503 Busy\r\n\r\n", Some(503)),
            ("SSH-2.0\r\n\r\n", None),
            ("HTTP/1.1 2", None),
        ] {
            let request = Request::post(&url).header("content-type", "application/json");
            let request = request.body(Bytes::from_static(b"{\"spans\":1}")).expect("a request");
            let (got, (head, body)) = std::thread::scope(|scope| {
                let server = scope.spawn(|| serve_once(&listener, answer));
                let got = collector.exchange(&request).expect("an exchange");
                (got, server.join().expect("a request"))
            });
            assert_eq!(read_answer(&got).map(|(status, _)| status), status);
            assert_eq!(head[0], "POST /v1/traces HTTP/1.1");
            assert!(head.contains(&"content-type: application/json".to_owned()), "{head:?}");
            assert_eq!(body, b"{\"spans\":1}");
        }
    }
}
