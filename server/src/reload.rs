//! Other exports while the server runs: on SIGHUP, and when names of clients change their addresses.
//!
//! Runs on a thread of its own, as name service and file systems may take their time. Each shard gets a whole new
//! table; calls that run finish with the one they began with.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use engine::{Remote, Shard};
use nfs_ops::{ExportId, Shared};
use vfs_local::File;

use crate::announce;
use crate::cli::ServeArguments;
use crate::config::{self, Limits, Settings};
use crate::environment::nanoseconds_since;
use crate::exports::{self, OpenExport};
use crate::fatal::Fatal;
use crate::hosts::Hosts;
use crate::limits::Names;
use crate::rpcbind::Registration;
use crate::shard;

/// The exports in force and what is needed to change them.
pub struct Reloader {
    /// Where the configuration is.
    pub arguments: ServeArguments,
    /// What is in force.
    pub settings: Settings,
    /// Addresses of clients' names.
    pub hosts: Hosts,
    /// The exports, open.
    pub exports: Vec<OpenExport>,
    /// The bounds in force.
    pub limits: Limits,
    /// What operators call those that can be limited.
    pub names: Arc<Names>,
    /// The shards.
    pub remote: Remote,
    /// State, which may hold files of exports that go.
    pub shared: Arc<Shared<File>>,
    /// Zero of the monotonic clock.
    pub origin: Instant,
    /// What rpcbind is told.
    pub registration: Registration,
}

impl Reloader {
    /// Reloads whenever `requests` says so, and looks after the addresses of names between. Ends when the other end
    /// of `requests` is gone.
    pub fn run(mut self, requests: &Receiver<()>) {
        let period = Duration::from_secs(self.settings.server.resolve_seconds.into());
        loop {
            match requests.recv_timeout(period) {
                Ok(()) => self.reload(),
                Err(RecvTimeoutError::Timeout) => self.refresh_hosts(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn reload(&mut self) {
        announce::notify_reloading();
        match self.try_reload() {
            Ok(()) => tracing::info!(exports = self.exports.len(), "the exports are reloaded"),
            Err(error) => tracing::error!("the exports stay as they are: {error}"),
        }
        announce::notify(&[sd_notify::NotifyState::Ready]);
    }

    fn try_reload(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let settings = config::for_serving(&self.arguments)?;
        let (new, old) = (&settings, &self.settings);
        for (section, same) in [
            ("[server]", new.server == old.server),
            ("[limits]", new.limits == old.limits),
            ("[log]", new.log == old.log),
            ("[qos]", new.qos == old.qos),
        ] {
            if !same {
                tracing::warn!("{section} has changed; that takes effect with a restart");
            }
        }
        let hosts = Hosts::resolve(&settings.exports, &self.hosts);
        self.put_in_force(&settings.exports, hosts)?;
        self.registration.offer(&settings.exports);
        self.settings.exports = settings.exports;
        Ok(())
    }

    fn refresh_hosts(&mut self) {
        if self.hosts.is_empty() {
            return;
        }
        let hosts = Hosts::resolve(&self.settings.exports, &self.hosts);
        if hosts == self.hosts {
            return;
        }
        tracing::info!("clients' host names have other addresses now");
        let plans = self.settings.exports.clone();
        if let Err(error) = self.put_in_force(&plans, hosts) {
            tracing::error!("the exports stay as they are: {error}");
        }
    }

    fn put_in_force(&mut self, plans: &[config::ExportPlan], hosts: Hosts) -> Result<(), Fatal> {
        let opened = exports::open(plans, &hosts, &self.exports, &self.limits, self.remote.shards())?;
        self.on_every_shard(&opened)?;
        let stays: HashSet<ExportId> = opened.iter().map(|export| export.settings.id).collect();
        let gone: Vec<ExportId> = self
            .exports
            .iter()
            .filter(|old| !opened.iter().any(|new| Arc::ptr_eq(&new.storage, &old.storage)))
            .map(|old| old.settings.id)
            .collect();
        self.hosts = hosts;
        self.exports = opened;
        self.names.replace_exports(plans);
        self.let_go(&gone, &stays);
        Ok(())
    }

    /// Gives every shard its table. All make theirs before any puts it in force, so that a failure changes nothing.
    fn on_every_shard(&self, opened: &[OpenExport]) -> Result<(), Fatal> {
        let for_all = opened.to_vec();
        self.collect(move |shard| async move { shard::prepare_exports(&shard, &for_all) })?;
        self.collect(|shard| async move {
            shard::use_prepared_exports(&shard).await;
            Ok(())
        })
    }

    /// Runs a task on every shard and waits for all; the first failure of them.
    fn collect<S, F>(&self, start: S) -> Result<(), Fatal>
    where
        S: FnOnce(Shard) -> F + Clone + Send + 'static,
        F: Future<Output = Result<(), Fatal>> + 'static,
    {
        let (report, reports) = channel();
        for number in 0..self.remote.shards() {
            let (start, report) = (start.clone(), report.clone());
            let taken = self.remote.spawn_on(number, move |shard| async move {
                // Nobody listens any more when another shard has failed.
                let _ = report.send(start(shard).await);
            });
            taken.map_err(|error| Fatal::new(error.to_string(), "try again when the server is less busy"))?;
        }
        drop(report);
        reports.iter().collect()
    }

    /// Takes the opens of exports that are gone away from their clients, so that nothing keeps the file systems.
    fn let_go(&self, gone: &[ExportId], stays: &HashSet<ExportId>) {
        for id in gone {
            let now = nanoseconds_since(self.origin, Instant::now());
            self.shared.state.revoke_files(|file| file.as_bytes().starts_with(&id.0.to_be_bytes()), now);
            tracing::info!(export = id.0, replaced = stays.contains(id), "an export is gone");
        }
        // What state has let go of is dropped on a shard, as all files are.
        let dropped = self.remote.spawn_on(0, |_| async {
            if let Some(server) = shard::server() {
                nfs_ops::send_pending(&server);
            }
        });
        if dropped.is_err() {
            tracing::debug!("the files of exports that are gone are dropped with the next sweep");
        }
    }
}
