//! One thread of a run, from its sessions to its figures.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::arguments::Send;
use super::figures::ThreadFigures;
use super::load::Load;
use super::plan::{Plan, Prepared, wait_for, wait_until};
use super::prepare;
use super::target::Target;
use crate::fatal::Fatal;
use client::{
    Client, Compound, Files, Network, OpenFile,
    pipeline::{Pipeline, Sending},
};
use engine::Shard;

/// What a thread tells the main one.
pub enum Report {
    /// It can begin.
    Ready,
    /// It has measured.
    Measured(Box<ThreadFigures>),
    /// What was made is removed.
    Cleaned,
    /// It cannot go on.
    Failed(Fatal),
}

/// Runs the thread on its shard. The first one prepares and cleans up for all.
pub async fn run(shard: Shard, plan: Arc<Plan>, reports: Sender<Report>) {
    // The main thread listens as long as any thread may report.
    let report = |report| drop(reports.send(report));
    match measure(&shard, &plan, &report).await {
        Ok(()) => {}
        Err(fatal) => report(Report::Failed(fatal)),
    }
}

async fn measure(shard: &Shard, plan: &Arc<Plan>, report: &impl Fn(Report)) -> Result<(), Fatal> {
    let arguments = &plan.arguments;
    let (connections, calls) = (arguments.connections_of_thread(), arguments.calls_of_connection());
    let network = crate::tool::network(shard, &arguments.url, connections, calls)?;
    let is_first = shard.index() == 0;
    let maker = if is_first { make(shard, &network, plan).await? } else { None };
    let Some(prepared) = wait_for(shard, plan, &plan.prepared).await else { return Ok(()) };
    match connect(shard, &network, plan, prepared).await {
        Ok(connected) => call(shard, plan, connected, report).await,
        // What was made is removed all the same.
        Err(fatal) => report(Report::Failed(fatal)),
    }
    wait_until(shard, &plan.finish).await;
    if let Some(maker) = maker {
        let cleaned = prepare::clean_up(shard, &maker, plan, prepared).await;
        cleaned.map_err(|error| {
            let url = &plan.arguments.url;
            let reason = format!("{url}: what was made cannot be removed: {error}");
            Fatal::new(reason, "remove penstock-bench there by hand")
        })?;
        ended(maker.end().await);
    }
    if is_first {
        report(Report::Cleaned);
    }
    Ok(())
}

/// Calls from the moment when all threads are ready, and ends the sessions when all have been measured.
async fn call(shard: &Shard, plan: &Arc<Plan>, connected: Connected, report: &impl Fn(Report)) {
    let (pipeline, clients, targets) = connected;
    report(Report::Ready);
    if let Some(go) = wait_for(shard, plan, &plan.go).await {
        shard.sleep_until(*go).await;
        let load = pipeline.run(Load::new(plan, shard.index(), targets, *go)).await;
        report(Report::Measured(Box::new(load.into_figures())));
    }
    wait_until(shard, &plan.finish).await;
    for (client, opened) in clients {
        end(client, &opened).await;
    }
}

/// Prepares for all threads. NULL needs nothing.
async fn make(shard: &Shard, network: &Network, plan: &Plan) -> Result<Option<Files>, Fatal> {
    if plan.arguments.workload.is_null() {
        plan.prepared.set(Prepared::default()).expect("set once");
        return Ok(None);
    }
    let version = plan.arguments.url.version;
    let files = Files::connect(network, plan.address, version, plan.client("maker")).await;
    let files = files.map_err(|error| unreachable(plan, &error))?;
    let prepared = prepare::prepare(shard, &files, plan).await?;
    plan.prepared.set(prepared).expect("set once");
    Ok(Some(files))
}

/// What calls, the clients with the files that they hold open, and what is called.
type Connected = (Pipeline, Vec<(Client, Vec<OpenFile>)>, Vec<(Target, usize)>);

/// Makes the thread's share of sessions and connections.
async fn connect(
    shard: &Shard,
    network: &Network,
    plan: &Plan,
    prepared: &Prepared,
) -> Result<Connected, Fatal> {
    let arguments = &plan.arguments;
    let failed = |error: client::Error| unreachable(plan, &error);
    let sending = Sending { single: arguments.send == Send::Single, fragment_bulk: arguments.annotate };
    let mut pipeline = Pipeline::new(network, sending);
    let (mut clients, mut targets) = (Vec::new(), Vec::new());
    let sessions = arguments.sessions();
    for index in (shard.index() as u32..sessions).step_by(arguments.threads as usize) {
        let share = |total: u32| (total / sessions + u32::from(index < total % sessions)) as usize;
        let (places, connections) = (share(arguments.depth), share(arguments.connections()));
        let version = arguments.url.version;
        let target = if arguments.workload.is_null() {
            let added = pipeline.add_null(version.major(), plan.address, places, connections).await;
            added.map_err(failed)?;
            Target::none()
        } else if let Some(minor) = version.minor() {
            let options = plan.client(&index.to_string()).minor_version(minor);
            let client = Client::connect(network, plan.address, options).await.map_err(failed)?;
            check_slots(&client, plan, places)?;
            let (target, opened) = Target::open(&client, plan, prepared).await.map_err(failed)?;
            // Only the pipeline's own connections are to be there while it is measured.
            client.session().channels().iter().for_each(|channel| channel.connection().close());
            let session = client.session();
            pipeline.add_session(session, plan.address, places, connections).await.map_err(failed)?;
            clients.push((client, opened));
            target
        } else {
            let identity = arguments.identity();
            let added = pipeline.add_nfs3(&identity, plan.address, places, connections).await;
            added.map_err(failed)?;
            Target::unopened(plan, prepared)
        };
        targets.push((target, places));
    }
    Ok((pipeline, clients, targets))
}

/// Whether the server grants as many slots as the run needs.
fn check_slots(client: &Client, plan: &Plan, places: usize) -> Result<(), Fatal> {
    let slots = client.session().granted().fore_channel.requests_max;
    if (slots as usize) >= places {
        return Ok(());
    }
    let depth = plan.arguments.depth;
    Err(Fatal::new(
        format!("--depth {depth} needs {places} slots per session, and the server grants {slots}"),
        format!("give --sessions {} or more", depth.div_ceil(slots.max(1))),
    ))
}

/// Closes the files, and lets the server forget the client: one that has files open stays, and they with it.
async fn end(client: Client, opened: &[OpenFile]) {
    // Its connection was closed: this opens another.
    let mut outcome = client.session().call(Compound::new().put_root()).await.map(drop);
    for file in opened {
        outcome = outcome.and(client.session().close(file).await);
    }
    ended(outcome.and(client.destroy().await));
}

fn ended(outcome: client::Result<()>) {
    if let Err(error) = outcome {
        tracing::debug!("a client of the run stays until its lease ends: {error}");
    }
}

/// A server that does not answer as it should.
fn unreachable(plan: &Plan, error: &client::Error) -> Fatal {
    crate::tool::unreachable(&plan.arguments.url, plan.address, error)
}
