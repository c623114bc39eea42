//! HTTP/1.1 for few who ask seldom: one request for each connection, which has its time, and a bound on connections.

use std::convert::Infallible;
use std::future::Future;
use std::io::Result;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

/// Connections at a time. Further ones wait in the socket's queue until the time of one of these has passed.
const CONNECTIONS_MAX: usize = 32;

/// Bytes of a request's head, and of what hyper collects of the connection; the least that it takes.
const HEAD_BYTES_MAX: usize = 8192;

/// Time for a request's head: who says nothing holds a place no longer.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted, so that a lack of descriptors does not keep the thread busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An answer, all of it.
pub type Answer = Response<Full<Bytes>>;

/// Where one who asks does so from; `None`: from this machine, by a socket.
pub type Peer = Option<SocketAddr>;

/// Gives everybody who connects an answer. What is accepted becomes a connection in its own time. `connection_max` is from
/// accepting to the last byte: then, or when who asked has gone, `answer` ends where it waits.
pub async fn serve<F, S, A>(accept: impl AsyncFn() -> Result<(F, Peer)>, connection_max: Duration, answer: A)
where
    F: Future<Output = Result<S>> + 'static,
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: AsyncFn(Request<Incoming>, Peer) -> Answer + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let answer = Rc::new(answer);
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
        match accept().await {
            Ok((begun, peer)) => {
                let answer = Rc::clone(&answer);
                tokio::task::spawn_local(async move {
                    // Who has not taken the answer by then is not waited for.
                    let _ = tokio::time::timeout(connection_max, converse(begun, peer, answer)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("a connection to the control plane is not accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse<S, A>(begun: impl Future<Output = Result<S>>, peer: Peer, answer: Rc<A>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: AsyncFn(Request<Incoming>, Peer) -> Answer + 'static,
{
    let stream = match begun.await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!("a connection to the control plane does not begin: {error}");
            return;
        }
    };
    let service = service_fn(|request| {
        let answer = Rc::clone(&answer);
        async move { Ok::<_, Infallible>((*answer)(request, peer).await) }
    });
    let mut connection = http1::Builder::new();
    connection.keep_alive(false).max_buf_size(HEAD_BYTES_MAX);
    connection.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("a connection to the control plane ended: {error}");
    }
}

/// An answer of this kind.
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// The answer says that a token is asked for (RFC 6750 §3).
pub fn asking_for_token(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

/// The answer says which methods there are.
pub fn allowing(mut answer: Answer, methods: &str) -> Answer {
    answer.headers_mut().insert(ALLOW, HeaderValue::from_str(methods).expect("names of methods"));
    answer
}
