//! Charges requests by the limits tree, and does nothing else: `benches/instructions` counts what that takes.

#![forbid(unsafe_code)]

use benches::limits::{Case, Charger};
use clap::Parser;

/// Charge requests by the limits tree.
#[derive(Parser)]
#[command(name = "charges")]
struct Settings {
    /// What there is for the tree to do.
    #[arg(value_enum)]
    case: Case,
    /// How many requests.
    operations: u64,
    /// So many clients have limits.
    #[arg(long, default_value_t = 1)]
    entities: u32,
    /// So many of them ask, in turn.
    #[arg(long, default_value_t = 1)]
    active: u32,
}

fn main() {
    let Settings { case, operations, entities, active } = Settings::parse();
    let mut charger = Charger::new(case, entities, active);
    (0..operations).for_each(|_| charger.charge());
}
