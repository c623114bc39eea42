//! The control plane: what operators ask and change while the server runs.
//!
//! One thread of its own with a runtime of its own. Shards take part only where they are asked, by jobs.

mod admin;
mod ask;
mod http;
mod metrics;
mod usage;

use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use engine::Remote;
use nfs_ops::Shared;
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, oneshot};
use tokio::task::LocalSet;
use vfs_local::File;

use crate::fatal::Fatal;
use crate::limits::Keeper;
use admin::Admin;
use metrics::Gatherer;
use usage::Meter;

/// How long one who asks for the metrics may take.
const METRICS_MAX: Duration = Duration::from_secs(5);

/// How long one who asks for administration may take: a change is on a disk before it is answered.
const ADMIN_MAX: Duration = Duration::from_secs(60);

/// Where the control plane is asked.
pub struct Listeners {
    admin: UnixListener,
    path: PathBuf,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// The socket for administration at `path`, for this user alone, and that for `metrics`. Before there are threads: how
    /// files are made is the same for all.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn open(path: PathBuf, metrics: Option<SocketAddr>) -> Result<Self, Fatal> {
        let admin = bind(&path).map_err(|error| no_socket(&path, &error))?;
        let metrics = metrics.map(listen).transpose()?;
        Ok(Self { admin, path, metrics })
    }
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    // Where nobody listens any more, a server has died.
    if is_socket && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn no_socket(path: &Path, error: &std::io::Error) -> Fatal {
    let remedy = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another server listens there, or it is something else than a socket: choose another path with `admin` in [server]"
        }
        std::io::ErrorKind::InvalidInput => {
            "a socket's path has at most 107 bytes: choose a shorter one with `admin` in [server]"
        }
        _ => "make its directory, or choose another path with `admin` in [server]",
    };
    Fatal::new(format!("no socket for administration at {}: {error}", path.display()), remedy)
}

fn listen(address: SocketAddr) -> Result<TcpListener, Fatal> {
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

/// The thread of the control plane. Dropping it ends it, and takes the socket for administration away.
pub struct ControlPlane {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl ControlPlane {
    /// Begins to answer.
    ///
    /// # Errors
    /// When there is no thread or runtime for it.
    pub fn start(
        listeners: Listeners,
        remote: Remote,
        shared: Arc<Shared<File>>,
        keeper: Keeper,
    ) -> Result<Self, Fatal> {
        let failed = |error: std::io::Error| {
            Fatal::new(format!("no thread for the control plane: {error}"), "raise the limit on tasks")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let Listeners { admin, path, metrics } = listeners;
        let (admin, metrics) = {
            let _inside = runtime.enter();
            let metrics = metrics.map(tokio::net::TcpListener::from_std).transpose().map_err(failed)?;
            (tokio::net::UnixListener::from_std(admin).map_err(failed)?, metrics)
        };
        tracing::info!("administered at {}", path.display());
        if let Some(listener) = &metrics {
            tracing::info!("metrics at http://{}/metrics", listener.local_addr().map_err(failed)?);
        }
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let keeper = Rc::new(Mutex::new(keeper));
            let gatherer = Gatherer::new(remote.clone(), shared, Rc::clone(&keeper));
            run(&runtime, admin, metrics, Admin::new(keeper, Meter::new(&remote)), gatherer, stopped);
        };
        let thread = std::thread::Builder::new().name("control".into()).spawn(serve).map_err(failed)?;
        Ok(Self { stop: Some(stop), thread: Some(thread), path })
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the process.
            let _ = thread.join();
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("{}: {error}", self.path.display());
        }
    }
}

/// Answers until `stopped` says so.
fn run(
    runtime: &Runtime,
    admin: tokio::net::UnixListener,
    metrics: Option<tokio::net::TcpListener>,
    administration: Admin,
    gatherer: Gatherer,
    stopped: oneshot::Receiver<()>,
) {
    LocalSet::new().block_on(runtime, async {
        tokio::task::spawn_local(administration.clone().expire());
        tokio::task::spawn_local(async move {
            let accept = async || admin.accept().await.map(|(stream, _)| stream);
            http::serve(accept, ADMIN_MAX, async move |request| administration.answer(request).await).await;
        });
        if let Some(listener) = metrics {
            tokio::task::spawn_local(async move {
                let accept = async || listener.accept().await.map(|(stream, _)| stream);
                http::serve(accept, METRICS_MAX, async move |request| gatherer.answer(request).await).await;
            });
        }
        let _ = stopped.await;
    });
}
