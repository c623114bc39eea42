//! `penstock check`: what a configuration would export, or what is wrong with it.

use std::net::SocketAddr;

use serde::Serialize;

use crate::cli::CheckArguments;
use crate::config::{self, ClientPattern, Diagnostic, ExportPlan, ServerSettings, Settings};
use crate::memory::Memory;
use crate::{serve, state_directory};

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
        println!("{}", serde_json::to_string_pretty(&report).expect("a report of plain values is JSON"));
        return valid;
    }
    match &loaded {
        Ok(settings) => print(arguments, settings),
        Err(found) => eprintln!("{found}"),
    }
    valid
}

fn print(arguments: &CheckArguments, settings: &Settings) {
    println!("{} is good; it exports on {}:", arguments.config.display(), settings.server.show_ports());
    for export in &settings.exports {
        let report = export_report(export);
        println!(
            "  {} as {} (id {}), {}, squash {}, io {}\n    protocols: {}\n    clients: {}",
            report.path,
            report.pseudo,
            report.id,
            report.access,
            report.squash,
            report.io,
            report.protocols.join(" "),
            if report.clients.is_empty() { "none".to_owned() } else { report.clients.join(" ") },
        );
        if !report.read_only_clients.is_empty() {
            println!("    read-only clients: {}", report.read_only_clients.join(" "));
        }
    }
    if let Some(address) = settings.server.metrics {
        println!("metrics: http://{address}/metrics");
    }
    println!("administration: {}", settings.server.admin_socket().display());
    if let Some(tcp) = &settings.server.admin_tcp {
        println!("administration: https://{}", tcp.address);
    }
    let memory = memory(settings);
    println!("memory: {memory}");
    if let Some(excess) = memory.excess() {
        eprintln!("warning: {excess}");
    }
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
