//! What the server is told: one TOML file in which everything has a default, and the command line over it.

mod client;
mod diagnostic;
mod example;
mod export;
mod exposure;
mod file;
mod form;
mod limits;
mod qos;
mod rdma;
mod server;
#[cfg(test)]
mod tests;
mod tracing;

use std::path::Path;

pub use client::{ClientPattern, width};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use example::example;
pub use export::{ExportPlan, directory_problem};
#[cfg(test)]
pub use limits::LIMIT_ROWS;
pub use limits::Limits;
pub use qos::{Pace, QosSettings, RATES, WEIGHTS};
pub use rdma::{RdmaMode, RdmaSettings};
pub use server::{AdminTcp, LOG_LEVEL_REMEDY, LogSettings, NFS_PORT, SHARDS_MAX, ServerSettings, log_filter};
pub use tracing::{Destination, Endpoint, TracingSettings};

use crate::cli::ServeArguments;
use diagnostic::Source;

/// Everything the server is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[server]`.
    pub server: ServerSettings,
    /// `[limits]`.
    pub limits: Limits,
    /// `[log]`.
    pub log: LogSettings,
    /// `[tracing]`.
    pub tracing: TracingSettings,
    /// `[rdma]`.
    pub rdma: RdmaSettings,
    /// `[qos]`.
    pub qos: QosSettings,
    /// Every `[[export]]`.
    pub exports: Vec<ExportPlan>,
}

/// The settings in the file at `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<Settings, Diagnostics> {
    let text = std::fs::read_to_string(path).map_err(|error| Diagnostic {
        place: Some((path.to_owned(), None)),
        reason: format!("the configuration cannot be read: {error}"),
        remedy: "name a readable file; `penstock config-example` prints one to start from".into(),
    })?;
    parse(path, &text)
}

/// The settings in `text`, which stands in `path`.
fn parse(path: &Path, text: &str) -> Result<Settings, Diagnostics> {
    let mut source = Source::new(path, text);
    let file: file::File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().trim_end();
            let has_wrong_type = ["invalid type", "wanted string"].iter().any(|say| message.starts_with(say));
            let is_unknown = message.starts_with("unknown variant");
            match form::of(text, span.start).filter(|_| has_wrong_type || is_unknown) {
                Some((key, remedy)) => {
                    let written = &text[span.clone()];
                    let what = if is_unknown { "none of its values" } else { "of another kind" };
                    source.wrong(span, format!("`{key}` is {written}, which is {what}"), remedy);
                }
                None => source.wrong(span, message, remedy_for(message)),
            }
            file::File::default()
        }
    };
    // Nothing more can be said about a file that could not be read as a whole.
    let mut source = source.finish_or_continue()?;
    let server = server::resolve(&file.server, &mut source);
    let limits = file.limits.resolve(&mut source);
    let log = server::resolve_log(&file.log, &mut source);
    let tracing = tracing::resolve(&file.tracing, &mut source);
    let rdma = rdma::resolve(&file.rdma, &mut source);
    let exports = export::resolve_all(&file.exports, &mut source);
    let qos = qos::resolve(&file.qos, &exports, &mut source);
    let settings = Settings { server, limits, log, tracing, rdma, qos, exports };
    if let Some(number) = exposure::exposing(&settings.exports, &settings.server.state_directory) {
        let (reason, remedy) = exposure::problem(&settings.exports[number], &settings.server.state_directory);
        source.wrong(file.exports[number].get_ref().path.span(), reason, remedy);
    }
    if let Err((key, reason, remedy)) = settings.server.check_addresses() {
        let of_admin = || file.server.admin_tcp.as_ref().map(|tcp| &tcp.address);
        let written = if key == "metrics" { file.server.metrics.as_ref() } else { of_admin() };
        source.wrong(written.expect("it is set").span(), reason, remedy);
    }
    source.finish(settings)
}

fn remedy_for(message: &str) -> &'static str {
    if message.starts_with("unknown field") {
        "correct the name or remove the line; `penstock config-example` lists every setting"
    } else if message.starts_with("missing field `path`") {
        "every [[export]] needs path = \"/the/directory\""
    } else if message.starts_with("missing field `name`") {
        "every [[qos.rule]] needs a name, which is that of its group: name = \"batch\""
    } else {
        "correct it; `penstock config-example` shows every setting in its form"
    }
}

/// The settings for `penstock serve`: the file's or the defaults, with the command line over them.
///
/// # Errors
/// Everything that is wrong.
pub fn for_serving(arguments: &ServeArguments) -> Result<Settings, Diagnostics> {
    let mut settings = match &arguments.config {
        Some(path) => load(path)?,
        None => for_directory(arguments.directory.as_deref().unwrap_or(Path::new("./export")))?,
    };
    let server = &mut settings.server;
    if !arguments.addresses.is_empty() {
        server.addresses.clone_from(&arguments.addresses);
    }
    server.port = arguments.port.unwrap_or(server.port);
    server.shards = arguments.shards.map(usize::from).or(server.shards);
    server.rpcbind = arguments.rpcbind.unwrap_or(server.rpcbind);
    server.check_addresses().map_err(|(_, reason, remedy)| Diagnostic::new(reason, remedy))?;
    if let Some(directory) = &arguments.state_directory {
        server.state_directory.clone_from(directory);
        if let Some(number) = exposure::exposing(&settings.exports, directory) {
            let (reason, remedy) = exposure::problem(&settings.exports[number], directory);
            return Err(Diagnostic::new(reason, remedy).into());
        }
    }
    if let Some(level) = &arguments.log_level {
        settings.log.filter = log_filter(level).map_err(|reason| {
            Diagnostic::new(format!("--log-level {level}: {reason}"), server::LOG_LEVEL_REMEDY)
        })?;
    }
    settings.log.format = arguments.log_format.unwrap_or(settings.log.format);
    Ok(settings)
}

fn for_directory(directory: &Path) -> Result<Settings, Diagnostics> {
    let path = std::path::absolute(directory)
        .map_err(|error| Diagnostic::new(format!("{}: {error}", directory.display()), "name a directory"))?;
    directory_problem(&path).map_err(|(reason, remedy)| Diagnostic::new(reason, remedy))?;
    Ok(Settings {
        server: ServerSettings::default(),
        limits: Limits::default(),
        log: LogSettings::default(),
        tracing: TracingSettings::default(),
        rdma: RdmaSettings::default(),
        qos: QosSettings::default(),
        exports: vec![ExportPlan::simple(path)],
    })
}
