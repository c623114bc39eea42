//! The control plane: what operators ask while the server runs.
//!
//! One thread of its own with a runtime of its own. Shards take part only where they are asked, by jobs.

mod ask;
mod http;
mod metrics;

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use engine::Remote;
use nfs_ops::Shared;
use tokio::task::LocalSet;
use vfs_local::File;

use crate::fatal::Fatal;
use metrics::Gatherer;

/// What its answers are made of.
struct Control {
    metrics: Gatherer,
}

/// The socket that is listened on at the address of `metrics`.
///
/// # Errors
/// When the address cannot be had.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Fatal> {
    TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| no_listener(address, &error))
}

fn no_listener(address: SocketAddr, error: &std::io::Error) -> Fatal {
    let remedy = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program has it; stop that, or choose another port with `metrics` in [server]"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: correct `metrics` in [server]"
        }
        _ => "choose another address with `metrics` in [server], or leave it out",
    };
    Fatal::new(format!("cannot listen on {address} (`metrics`): {error}"), remedy)
}

/// Begins to answer, until the process ends.
///
/// # Errors
/// When there is no thread or runtime for it.
pub fn start(listener: TcpListener, remote: Remote, shared: Arc<Shared<File>>) -> Result<(), Fatal> {
    let failed = |error: std::io::Error| {
        Fatal::new(format!("no thread for metrics: {error}"), "raise the limit on tasks")
    };
    let address = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(failed)?
    };
    let serve = move || {
        let control = Rc::new(Control { metrics: Gatherer::new(remote, shared) });
        LocalSet::new().block_on(&runtime, http::serve(listener, control));
    };
    std::thread::Builder::new().name("control".into()).spawn(serve).map_err(failed)?;
    tracing::info!("metrics at http://{address}/metrics");
    Ok(())
}
