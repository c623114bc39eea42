//! Signals, as events of the main thread.

use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::fatal::Fatal;

/// What the main thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGHUP: take over changed exports.
    Reload,
    /// SIGTERM or SIGINT: stop.
    Stop,
    /// All shards have ended.
    Ended,
}

/// Status of a program that was told a second time to stop.
const IMPATIENT_STATUS: i32 = 130;

/// Turns signals into events from now on. The second signal to stop ends the process at once.
///
/// # Errors
/// When the kernel refuses the handlers.
pub fn watch(events: Sender<Event>) -> Result<(), Fatal> {
    let failed =
        |error: std::io::Error| Fatal::new(format!("signals cannot be watched: {error}"), "raise the limits");
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(failed)?;
    let watch = move || {
        let mut stopping = false;
        for signal in signals.forever() {
            let event = if signal == SIGHUP { Event::Reload } else { Event::Stop };
            if event == Event::Stop && std::mem::replace(&mut stopping, true) {
                tracing::warn!("told to stop a second time; ending at once");
                std::process::exit(IMPATIENT_STATUS);
            }
            if events.send(event).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).map_err(failed)?;
    Ok(())
}
