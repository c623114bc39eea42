//! The control plane: what operators ask and change while the server runs.
//!
//! One thread of its own with a runtime of its own. Shards take part only where they are asked, by jobs.

mod admin;
mod ask;
mod http;
mod metrics;
mod tls;
mod usage;

use std::fs::Permissions;
use std::future::ready;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use engine::Remote;
use hyper::Request;
use hyper::body::Incoming;
use nfs_ops::Shared;
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, oneshot};
use tokio::task::LocalSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use vfs_local::File;

use crate::config::ServerSettings;
use crate::fatal::Fatal;
use crate::limits::Keeper;
use admin::Admin;
pub use admin::CHANGES_MAX;
use metrics::Gatherer;
use tls::{Refusals, Secured, Token};
use usage::Meter;

/// How long one who asks for the metrics may take.
const METRICS_MAX: Duration = Duration::from_secs(5);

/// How long one who asks for administration may take: a change is on a disk before it is answered.
const ADMIN_MAX: Duration = Duration::from_secs(60);

/// How long one who asks over TCP may take until both have agreed on keys.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Where the control plane is asked.
pub struct Listeners {
    admin: UnixListener,
    path: PathBuf,
    metrics: Option<TcpListener>,
    secured: Option<Secured>,
}

impl Listeners {
    /// The socket for administration, for this user alone, that for the metrics, and what is administered over TCP. Before
    /// there are threads: how files are made is the same for all.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn open(settings: &ServerSettings) -> Result<Self, Fatal> {
        let secured = settings.admin_tcp.as_ref().map(Secured::open).transpose()?;
        let path = settings.admin_socket();
        let admin = bind(&path).map_err(|error| no_socket(&path, &error))?;
        let metrics = settings.metrics.map(|address| listen(address, "metrics")).transpose()?;
        Ok(Self { admin, path, metrics, secured })
    }
}

/// What [`Listeners::open`] would find wrong in files, for one who may read them.
///
/// # Errors
/// As its.
pub fn check(settings: &ServerSettings) -> Result<(), Fatal> {
    let secured = settings.admin_tcp.as_ref().filter(|_| geteuid().is_root());
    secured.map_or(Ok(()), |secured| tls::check(secured).map(drop))
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
        ErrorKind::AddrInUse => {
            "another server listens there, or it is something else than a socket: choose another path with `admin` in [server]"
        }
        ErrorKind::InvalidInput => {
            "a socket's path has at most 107 bytes: choose a shorter one with `admin` in [server]"
        }
        _ => "make its directory, or choose another path with `admin` in [server]",
    };
    Fatal::new(format!("no socket for administration at {}: {error}", path.display()), remedy)
}

fn listen(address: SocketAddr, name: &str) -> Result<TcpListener, Fatal> {
    TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| no_listener(address, name, &error))
}

fn no_listener(address: SocketAddr, name: &str, error: &std::io::Error) -> Fatal {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => {
            format!("another program has it; stop that, or choose another port with `{name}` in [server]")
        }
        ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address: correct `{name}` in [server]")
        }
        _ => format!("choose another address with `{name}` in [server], or leave it out"),
    };
    Fatal::new(format!("cannot listen on {address} (`{name}`): {error}"), remedy)
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
        let path = listeners.path.clone();
        tracing::info!("administered at {}", path.display());
        if let Some(secured) = &listeners.secured {
            tracing::info!("administered at https://{}", secured.listener.local_addr().map_err(failed)?);
        }
        if let Some(listener) = &listeners.metrics {
            tracing::info!("metrics at http://{}/metrics", listener.local_addr().map_err(failed)?);
        }
        let listeners = {
            let _inside = runtime.enter();
            Listening::new(listeners).map_err(failed)?
        };
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let keeper = Rc::new(Mutex::new(keeper));
            let gatherer = Gatherer::new(remote.clone(), shared, Rc::clone(&keeper));
            run(&runtime, listeners, Admin::new(keeper, Meter::new(&remote)), gatherer, stopped);
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

/// The listeners within the runtime.
struct Listening {
    admin: tokio::net::UnixListener,
    metrics: Option<tokio::net::TcpListener>,
    secured: Option<(tokio::net::TcpListener, TlsAcceptor, Token)>,
}

impl Listening {
    fn new(listeners: Listeners) -> std::io::Result<Self> {
        let tcp = tokio::net::TcpListener::from_std;
        let secured = listeners.secured.map(|Secured { listener, acceptor, token }| {
            Ok::<_, std::io::Error>((tcp(listener)?, acceptor, token))
        });
        Ok(Self {
            admin: tokio::net::UnixListener::from_std(listeners.admin)?,
            metrics: listeners.metrics.map(tcp).transpose()?,
            secured: secured.transpose()?,
        })
    }
}

/// Answers until `stopped` says so.
fn run(
    runtime: &Runtime,
    listeners: Listening,
    administration: Admin,
    gatherer: Gatherer,
    stopped: oneshot::Receiver<()>,
) {
    let Listening { admin, metrics, secured } = listeners;
    LocalSet::new().block_on(runtime, async {
        tokio::task::spawn_local(administration.clone().expire());
        if let Some((listener, acceptor, token)) = secured {
            tokio::task::spawn_local(serve_secured(listener, acceptor, token, administration.clone()));
        }
        tokio::task::spawn_local(async move {
            let accept = async || admin.accept().await.map(|(stream, _)| (ready(Ok(stream)), None));
            let answer = async move |request, _| administration.answer(request).await;
            http::serve(accept, ADMIN_MAX, answer).await;
        });
        if let Some(listener) = metrics {
            tokio::task::spawn_local(async move {
                let accept =
                    async || listener.accept().await.map(|(stream, peer)| (ready(Ok(stream)), Some(peer)));
                let answer = async move |request, _| gatherer.answer(request).await;
                http::serve(accept, METRICS_MAX, answer).await;
            });
        }
        let _ = stopped.await;
    });
}

/// Administration over TCP, for those who have the token.
async fn serve_secured(
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
    token: Token,
    administration: Admin,
) {
    let accept = async || {
        let (stream, peer) = listener.accept().await?;
        let begun = timeout(HANDSHAKE_MAX, acceptor.accept(stream));
        let begun = async move { begun.await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) };
        Ok::<_, std::io::Error>((begun, Some(peer)))
    };
    let refusals = Refusals::default();
    let answer = async move |request: Request<Incoming>, peer| {
        if token.is_in(request.headers()) {
            administration.answer(request).await
        } else {
            refusals.note(peer);
            admin::without_token()
        }
    };
    http::serve(accept, ADMIN_MAX, answer).await;
}
