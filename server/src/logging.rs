//! Log lines on standard error, and the way of spans to their export. The targets of lines are the crates' names.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::cli::LogFormat;
use crate::config::{self, LogSettings};
use crate::fatal::Fatal;
use crate::traces::Export;

/// Environment variable that stands over the configured filter.
const FILTER_VARIABLE: &str = "PENSTOCK_LOG";

/// Starts logging for the whole process, and tells the operations whether anybody wants their spans.
///
/// # Errors
/// When the environment variable is no filter.
pub fn start(settings: &LogSettings, export: Option<&Export>) -> Result<(), Fatal> {
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(text) => config::log_filter(&text).map_err(|reason| {
            Fatal::new(format!("{FILTER_VARIABLE} in the environment: {reason}"), config::LOG_LEVEL_REMEDY)
        })?,
        Err(_) => settings.filter.clone(),
    };
    let filter = EnvFilter::new(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        // The journal has its own time stamps.
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            lines.without_time().with_ansi(false).boxed()
        }
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    registry().with(lines.with_filter(filter)).with(export.map(Export::layer)).init();
    // What the export takes are spans, and this asks for more than that: only the filter of lines can say yes.
    let in_the_log = tracing::enabled!(target: "nfs_ops::trace", Level::DEBUG);
    vfs::trace::record(export.is_some() || in_the_log);
    Ok(())
}
