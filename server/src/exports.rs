//! Exports as they are served: plans whose names are resolved and whose directories are open.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use nfs_ops::{Export, ExportSettings, ExportTable};
use vfs_local::{Local, LocalStorage, Options};

use crate::config::{ExportPlan, Limits};
use crate::environment::Environment;
use crate::fatal::Fatal;
use crate::hosts::Hosts;

/// The server on one shard.
pub type NfsServer = nfs_ops::Server<Local, Environment>;

/// One export, open.
#[derive(Clone)]
pub struct OpenExport {
    /// What its storage was opened for.
    plan: ExportPlan,
    /// Device and inode of the directory when it was opened; another directory at the path is another storage.
    directory: (u64, u64),
    /// What the operations go by.
    pub settings: Arc<ExportSettings>,
    /// The storage.
    pub storage: Arc<LocalStorage>,
}

/// Opens every directory in `plans`; one that is open in `before` and still the same directory stays open.
///
/// # Errors
/// The first directory that cannot be exported, and the remedy.
pub fn open(
    plans: &[ExportPlan],
    hosts: &Hosts,
    before: &[OpenExport],
    limits: &Limits,
    shards: usize,
) -> Result<Vec<OpenExport>, Fatal> {
    let mut exports = Vec::with_capacity(plans.len());
    for plan in plans {
        let metadata = std::fs::metadata(&plan.path).map_err(|error| {
            Fatal::new(
                format!("cannot export {}: {error}", plan.path.display()),
                "correct `path`, or mount it",
            )
        })?;
        let directory = (metadata.dev(), metadata.ino());
        let same = |open: &&OpenExport| {
            open.plan.id == plan.id
                && open.plan.cross_mounts == plan.cross_mounts
                && open.plan.io == plan.io
                && open.directory == directory
        };
        let storage = match before.iter().find(same) {
            Some(open) => Arc::clone(&open.storage),
            None => open_storage(plan, limits, shards)?,
        };
        exports.push(OpenExport {
            plan: plan.clone(),
            directory,
            settings: Arc::new(settings(plan, hosts)),
            storage,
        });
    }
    Ok(exports)
}

/// The table of one shard. Storage that `server` has already stays in use there.
///
/// # Errors
/// When no helper threads are left for an export.
pub fn table(
    exports: &[OpenExport],
    server: Option<&NfsServer>,
    shard: &engine::Shard,
) -> Result<ExportTable<Local>, Fatal> {
    let before = server.map(NfsServer::exports);
    let mut served = Vec::with_capacity(exports.len());
    for export in exports {
        let known = before.as_ref().and_then(|table| {
            table.iter().find(|known| Arc::ptr_eq(known.storage.storage(), &export.storage)).cloned()
        });
        let storage = match known {
            Some(known) => known.storage.clone(),
            None => Local::new(Arc::clone(&export.storage), shard.clone()).map_err(|error| {
                Fatal::new(
                    format!("cannot export {}: {error}", export.plan.path.display()),
                    "raise `helper_threads` or lower `helper_threads_per_export` in [limits], and restart",
                )
            })?,
        };
        served.push(Export { settings: Arc::clone(&export.settings), storage });
    }
    ExportTable::new(served)
        .map_err(|error| Fatal::new(error.to_string(), "give one of them another `pseudo`"))
}

fn open_storage(plan: &ExportPlan, limits: &Limits, shards: usize) -> Result<Arc<LocalStorage>, Fatal> {
    let options = Options {
        cross_mounts: plan.cross_mounts,
        io: plan.io,
        shards,
        cached_objects_max: limits.cached_objects as usize,
        helper_jobs_max: limits.helper_threads_per_export as usize,
        ring_workers_max: limits.kernel_workers_per_export as usize,
        ..Options::new(&plan.path, plan.id.0)
    };
    let storage = LocalStorage::open(options)
        .map_err(|error| Fatal::new(format!("cannot export {}", plan.path.display()), error.to_string()))?;
    tracing::info!("{}", storage.summary());
    tracing::info!("{}", storage.io_summary());
    Ok(storage)
}

fn settings(plan: &ExportPlan, hosts: &Hosts) -> ExportSettings {
    ExportSettings {
        id: plan.id,
        pseudo_path: plan.pseudo.clone(),
        clients: hosts.networks(&plan.clients),
        read_only_clients: hosts.networks(&plan.read_only_clients),
        read_only: plan.read_only,
        squash: plan.squash,
        anonymous_uid: plan.anonymous_uid,
        anonymous_gid: plan.anonymous_gid,
        privileged_port: plan.privileged_port,
        lookup_groups: plan.lookup_groups,
        read_plus: plan.read_plus,
        protocols: plan.protocols,
    }
}
