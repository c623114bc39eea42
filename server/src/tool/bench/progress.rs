//! What is shown while it runs: one line that changes on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::arguments::Span;
use super::plan::Plan;
use crate::tool::unit::{bytes_text, count_text};

/// Between two lines where there is no terminal, and between two changes where there is one.
const LINES: Duration = Duration::from_secs(2);
const CHANGES: Duration = Duration::from_millis(500);

/// Units of the bar.
const BAR_STEPS: u64 = 1000;

/// Shows how far the run is.
pub struct Progress {
    plan: Arc<Plan>,
    begun: Instant,
    shown: Instant,
    /// Operations and bytes when it was last shown.
    done: (u64, u64),
    bar: Option<ProgressBar>,
}

impl Progress {
    /// From now on.
    pub fn new(plan: &Arc<Plan>, begun: Instant) -> Self {
        let is_shown = !plan.arguments.quiet && stderr().is_terminal();
        let bar = is_shown.then(|| {
            let style = ProgressStyle::with_template("{bar:20} {msg}").expect("a sound template");
            ProgressBar::new(BAR_STEPS).with_style(style)
        });
        Self { plan: Arc::clone(plan), begun, shown: begun, done: (0, 0), bar }
    }

    /// Shows it if it is time.
    pub fn show(&mut self) {
        let now = Instant::now();
        let pause = if self.bar.is_some() { CHANGES } else { LINES };
        let passed = now.saturating_duration_since(self.shown);
        if self.plan.arguments.quiet || passed < pause {
            return;
        }
        let done = self.plan.done();
        let seconds = passed.as_secs_f64();
        let rate = |now: u64, before: u64| (now - before) as f64 / seconds;
        let elapsed = now.saturating_duration_since(self.begun);
        let mut text = format!(
            "{:>5.1} s  {:>11} op/s",
            elapsed.as_secs_f64(),
            count_text(rate(done.0, self.done.0) as u64)
        );
        if self.plan.arguments.workload.any(super::workload::Workload::has_data) {
            text = format!("{text}  {:>10}/s", bytes_text(rate(done.1, self.done.1)));
        }
        (self.shown, self.done) = (now, done);
        match &self.bar {
            Some(bar) => {
                bar.set_position((self.share(elapsed, done.0) * BAR_STEPS as f64) as u64);
                bar.set_message(text);
            }
            None => crate::tool::tell(&text),
        }
    }

    /// Leaves the terminal as it was.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn share(&self, elapsed: Duration, operations: u64) -> f64 {
        let share = match self.plan.arguments.span() {
            Span::Operations(total) => operations as f64 / total as f64,
            Span::Time { warm_up, measured } => elapsed.as_secs_f64() / (warm_up + measured).as_secs_f64(),
        };
        share.min(1.0)
    }
}
