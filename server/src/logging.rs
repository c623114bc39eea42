//! Log lines on standard error. Their targets are the crates' names.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::config::LogSettings;

/// Environment variable that stands over the configured filter.
const FILTER_VARIABLE: &str = "PENSTOCK_LOG";

/// Starts logging for the whole process.
pub fn start(settings: &LogSettings) {
    let filter =
        EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(&settings.filter));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        // The journal has its own time stamps.
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            lines.without_time().with_ansi(false).init();
        }
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}
