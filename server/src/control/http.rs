//! HTTP/1.1 for few who ask seldom: one request for each connection, which has its time, and a bound on connections.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Control, metrics};

/// Connections at a time. Further ones wait in the socket's queue until the time of one of these has passed.
const CONNECTIONS_MAX: usize = 32;

/// From accepting a connection to the last byte of the answer.
const CONNECTION_MAX: Duration = Duration::from_secs(5);

/// Bytes of a request's head, and of what hyper collects of the connection; the least that it takes.
const HEAD_BYTES_MAX: usize = 8192;

/// Pause after a connection could not be accepted, so that a lack of descriptors does not keep the thread busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers whoever connects.
pub async fn serve(listener: TcpListener, control: Rc<Control>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
        match listener.accept().await {
            Ok((stream, _)) => {
                let control = Rc::clone(&control);
                tokio::task::spawn_local(async move {
                    // Who has not taken the answer by then is not waited for.
                    let _ = tokio::time::timeout(CONNECTION_MAX, converse(stream, control)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("a connection for metrics is not accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, control: Rc<Control>) {
    let service = service_fn(|request| {
        let control = Rc::clone(&control);
        async move { Ok::<_, Infallible>(answer(&control, &request).await) }
    });
    let mut connection = http1::Builder::new();
    connection.keep_alive(false).max_buf_size(HEAD_BYTES_MAX);
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("a connection for metrics ended: {error}");
    }
}

async fn answer(control: &Control, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let may_read = [Method::GET, Method::HEAD].contains(request.method());
    match request.uri().path() {
        "/metrics" if may_read => {
            let mut response = Response::new(control.metrics.text().await.into());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            response
        }
        "/metrics" => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        _ => plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
