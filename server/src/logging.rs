//! Log lines on standard error. Their targets are the crates' names.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::config::{self, LogSettings};
use crate::fatal::Fatal;

/// Environment variable that stands over the configured filter.
const FILTER_VARIABLE: &str = "PENSTOCK_LOG";

/// Starts logging for the whole process.
///
/// # Errors
/// When the environment variable is no filter.
pub fn start(settings: &LogSettings) -> Result<(), Fatal> {
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(text) => config::log_filter(&text).map_err(|reason| {
            Fatal::new(format!("{FILTER_VARIABLE} in the environment: {reason}"), config::LOG_LEVEL_REMEDY)
        })?,
        Err(_) => settings.filter.clone(),
    };
    let filter = EnvFilter::new(filter);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        // The journal has its own time stamps.
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            lines.without_time().with_ansi(false).init();
        }
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
    }
    Ok(())
}
