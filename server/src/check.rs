//! `penstock check`: what a configuration would export, or what is wrong with it.

use std::net::SocketAddr;

use serde::Serialize;

use crate::cli::CheckArguments;
use crate::config::{self, ClientPattern, Diagnostic, ExportPlan, ServerSettings, Settings};
use crate::memory::Memory;
use crate::{control, serve, state_directory, tool};

#[derive(Serialize)]
struct Report {
    valid: bool,
    problems: Vec<ProblemReport>,
    #[serde(flatten)]
    server: Option<ServerReport>,
    exports: Vec<ExportReport>,
}

#[derive(Serialize)]
struct ServerReport {
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    nfs3_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    admin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_tcp: Option<SocketAddr>,
    memory_bytes_max: u64,
}

#[derive(Serialize)]
struct ProblemReport {
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    reason: String,
    remedy: String,
}

#[derive(Serialize)]
struct ExportReport {
    path: String,
    pseudo: String,
    id: u32,
    access: &'static str,
    clients: Vec<String>,
    read_only_clients: Vec<String>,
    squash: String,
    io: &'static str,
    protocols: Vec<&'static str>,
}

/// Checks and reports; whether the configuration is good.
pub fn run(arguments: &CheckArguments) -> bool {
    let loaded = config::load(&arguments.config).and_then(|settings| {
        let checked = state_directory::check(&settings.server.state_directory);
        let checked = checked.and_then(|()| control::check(&settings.server));
        checked.map_err(|fatal| Diagnostic::new(fatal.reason, fatal.remedy))?;
        Ok(settings)
    });
    let valid = loaded.is_ok();
    if arguments.json {
        let report = match &loaded {
            Ok(settings) => Report {
                valid,
                problems: Vec::new(),
                server: Some(server_report(settings)),
                exports: settings.exports.iter().map(export_report).collect(),
            },
            Err(found) => Report {
                valid,
                problems: found.0.iter().map(problem_report).collect(),
                server: None,
                exports: Vec::new(),
            },
        };
        let report = serde_json::to_string_pretty(&report).expect("a report of plain values is JSON");
        tool::print(&(report + "\n"));
        return valid;
    }
    match &loaded {
        Ok(settings) => {
            tool::print(&(describe(arguments, settings).join("\n") + "\n"));
            if let Some(excess) = memory(settings).excess() {
                eprintln!("warning: {excess}");
            }
        }
        Err(found) => eprintln!("{found}"),
    }
    valid
}

fn describe(arguments: &CheckArguments, settings: &Settings) -> Vec<String> {
    let file = arguments.config.display();
    let mut lines = vec![format!("{file} is good; it exports on {}:", settings.server.show_ports())];
    for export in &settings.exports {
        let report = export_report(export);
        lines.push(format!(
            "  {} as {} (id {}), {}, squash {}, io {}",
            report.path, report.pseudo, report.id, report.access, report.squash, report.io,
        ));
        lines.push(format!("    protocols: {}", report.protocols.join(" ")));
        let clients = if report.clients.is_empty() { "none".to_owned() } else { report.clients.join(" ") };
        lines.push(format!("    clients: {clients}"));
        if !report.read_only_clients.is_empty() {
            lines.push(format!("    read-only clients: {}", report.read_only_clients.join(" ")));
        }
    }
    lines.extend(settings.server.metrics.map(|address| format!("metrics: http://{address}/metrics")));
    lines.push(format!("administration: {}", settings.server.admin_socket().display()));
    let admin_tcp = settings.server.admin_tcp.as_ref();
    lines.extend(admin_tcp.map(|tcp| format!("administration: https://{}", tcp.address)));
    lines.push(format!("memory: {}", memory(settings)));
    lines
}

fn memory(settings: &Settings) -> Memory {
    Memory::of(&settings.limits, serve::engine_config(settings).shard_count(), settings.exports.len())
}

fn server_report(settings: &Settings) -> ServerReport {
    let ServerSettings { port, nfs3_port, mount_port, metrics, .. } = settings.server;
    let admin = settings.server.admin_socket().display().to_string();
    let admin_tcp = settings.server.admin_tcp.as_ref().map(|tcp| tcp.address);
    let memory_bytes_max = memory(settings).total();
    ServerReport { port, nfs3_port, mount_port, metrics, admin, admin_tcp, memory_bytes_max }
}

fn export_report(export: &ExportPlan) -> ExportReport {
    let list = |patterns: &[ClientPattern]| patterns.iter().map(ClientPattern::to_string).collect();
    ExportReport {
        path: export.path.display().to_string(),
        pseudo: export.pseudo_path(),
        id: export.id.0,
        access: if export.read_only { "ro" } else { "rw" },
        clients: list(&export.clients),
        read_only_clients: list(&export.read_only_clients),
        squash: match export.squash {
            nfs_ops::Squash::Nobody => "none",
            nfs_ops::Squash::Root => "root",
            nfs_ops::Squash::All => "all",
        }
        .to_owned(),
        io: match export.io {
            vfs_local::Io::Auto => "auto",
            vfs_local::Io::Buffered => "buffered",
            vfs_local::Io::Direct => "direct",
        },
        protocols: export.protocol_names(),
    }
}

fn problem_report(problem: &Diagnostic) -> ProblemReport {
    let place = problem.place.as_ref();
    let position = place.and_then(|(_, position)| *position);
    ProblemReport {
        file: place.map(|(file, _)| file.display().to_string()),
        line: position.map(|(line, _)| line),
        column: position.map(|(_, column)| column),
        reason: problem.reason.clone(),
        remedy: problem.remedy.clone(),
    }
}
