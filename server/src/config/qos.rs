//! `[qos]`: what groups requests, and how operations are counted. Limits themselves are not configuration.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use nfs_ops::limits::Rule;
use nfs_ops::{ExportId, Network};
use qos::limits::{IO_UNIT_BYTES_DEFAULT, Tier};
use serde::Deserialize;
use toml::Spanned;

use super::client::ClientPattern;
use super::diagnostic::Source;
use super::export::ExportPlan;
use super::server::{absolute, number};

/// Most rules: they are tried in turn.
const RULES_MAX: usize = 64;

/// Longest name of a group.
const NAME_BYTES_MAX: usize = 64;

/// Weights that can be given, so that no group is forgotten beside another.
pub const WEIGHTS: (u32, u32) = (1, 10_000);

/// Rates that can be given. What is more than a terabyte each second is no limit but a mistake.
pub const RATES: (u64, u64) = (1, 1_000_000_000_000);

const IO_UNIT_KIB: u32 = (IO_UNIT_BYTES_DEFAULT >> 10) as u32;

/// Whether requests are let go on no faster than they turn out to be done, where weights, tiers or reservations are set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// They are not: those shares count where a limit binds.
    #[default]
    Off,
    /// They are, by how long they take.
    Latency,
}

/// `[qos]`, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QosSettings {
    /// For so many KiB of payload begun, a request counts as one operation.
    pub io_unit_kib: u32,
    /// How fast requests go on where nothing is limited.
    pub pace: Pace,
    /// Which requests belong to which group.
    pub rules: Vec<Rule>,
    /// The directory that admissions are logged in, if they are.
    pub admission_log: Option<PathBuf>,
}

impl Default for QosSettings {
    fn default() -> Self {
        Self { io_unit_kib: IO_UNIT_KIB, pace: Pace::Off, rules: Vec::new(), admission_log: None }
    }
}

/// `[qos]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QosSection {
    io_unit_kib: Option<Spanned<i64>>,
    pace: Pace,
    admission_log: Option<Spanned<PathBuf>>,
    #[serde(rename = "rule")]
    rules: Vec<Spanned<RuleSection>>,
}

/// One `[[qos.rule]]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSection {
    name: Spanned<String>,
    #[serde(default)]
    clients: Vec<Spanned<String>>,
    #[serde(default)]
    users: Vec<Spanned<i64>>,
    #[serde(default)]
    exports: Vec<Spanned<String>>,
    tier: Option<TierWord>,
    weight: Option<Spanned<i64>>,
    reserve_bytes_per_second: Option<Spanned<i64>>,
}

/// A tier as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TierWord {
    Protected,
    Normal,
    Background,
}

impl From<TierWord> for Tier {
    fn from(word: TierWord) -> Self {
        match word {
            TierWord::Protected => Self::Protected,
            TierWord::Normal => Self::Normal,
            TierWord::Background => Self::Background,
        }
    }
}

/// What `[qos]` says.
pub fn resolve(section: &QosSection, exports: &[ExportPlan], source: &mut Source<'_>) -> QosSettings {
    let io_unit = section.io_unit_kib.as_ref();
    let io_unit_kib = number("io_unit_kib", io_unit, IO_UNIT_KIB, (1, 1 << 20), source);
    if let Some(beyond) = section.rules.get(RULES_MAX) {
        source.wrong(
            beyond.span(),
            format!("there are {} rules", section.rules.len()),
            format!("give at most {RULES_MAX}"),
        );
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(section.rules.len());
    for written in &section.rules {
        let rule = rule(written, exports, source);
        if rules.iter().any(|other| other.group() == rule.group()) {
            source.wrong(
                written.get_ref().name.span(),
                format!("two rules make the group {:?}", rule.name),
                "give each its own `name`, or make them one",
            );
        }
        rules.push(rule);
    }
    let admission_log =
        section.admission_log.as_ref().map(|written| absolute("admission_log", written, source));
    QosSettings { io_unit_kib, pace: section.pace, rules, admission_log }
}

fn rule(written: &Spanned<RuleSection>, exports: &[ExportPlan], source: &mut Source<'_>) -> Rule {
    let section = written.get_ref();
    if section.clients.is_empty() && section.users.is_empty() && section.exports.is_empty() {
        source.wrong(
            written.span(),
            "the rule does not say whom it is for",
            "give `clients`, `users` or `exports`; clients = [\"*\"] is everybody",
        );
    }
    Rule {
        name: name(&section.name, source),
        clients: section.clients.iter().flat_map(|entry| networks(entry, source)).collect(),
        users: section.users.iter().map(|entry| user(entry, source)).collect(),
        exports: section.exports.iter().map(|entry| export(entry, exports, source)).collect(),
        weight: section.weight.as_ref().and_then(|written| weight(written, source)),
        tier: section.tier.map(Tier::from),
        reserved: section.reserve_bytes_per_second.as_ref().and_then(|written| reserve(written, source)),
    }
}

fn name(written: &Spanned<String>, source: &mut Source<'_>) -> String {
    let text = written.get_ref();
    if text.is_empty()
        || text.len() > NAME_BYTES_MAX
        || text.contains(|c: char| c.is_control() || c.is_whitespace())
    {
        source.wrong(
            written.span(),
            format!("`name` is {text:?}, which cannot name a group"),
            format!("give 1 to {NAME_BYTES_MAX} bytes without spaces, for example \"batch\""),
        );
    }
    text.clone()
}

fn networks(written: &Spanned<String>, source: &mut Source<'_>) -> Vec<Network> {
    let (reason, remedy) = match ClientPattern::parse(written.get_ref()) {
        Ok(ClientPattern::Everybody) => return Network::EVERYBODY.to_vec(),
        Ok(ClientPattern::Network(network)) => return vec![network],
        Ok(ClientPattern::Host(name)) => {
            (format!("`{name}` is a host name, which rules do not have"), "write its address or network")
        }
        Err(problem) => problem,
    };
    source.wrong(written.span(), reason, remedy);
    Vec::new()
}

fn user(written: &Spanned<i64>, source: &mut Source<'_>) -> u32 {
    u32::try_from(*written.get_ref()).unwrap_or_else(|_| {
        source.wrong(
            written.span(),
            format!("`users` has {}, which is no user id", written.get_ref()),
            "give numbers from 0 to 4294967295",
        );
        0
    })
}

fn export(written: &Spanned<String>, exports: &[ExportPlan], source: &mut Source<'_>) -> ExportId {
    let text = written.get_ref();
    let found = exports.iter().find(|export| export.pseudo_path() == *text);
    found.map_or_else(
        || {
            source.wrong(
                written.span(),
                format!("`exports` has {text:?}, and no export has this place in the name space"),
                "give places as `pseudo` has them and `penstock check` shows them",
            );
            ExportId(0)
        },
        |export| export.id,
    )
}

fn reserve(written: &Spanned<i64>, source: &mut Source<'_>) -> Option<NonZeroU64> {
    let (least, greatest) = RATES;
    let rate = u64::try_from(*written.get_ref()).ok().filter(|rate| (least..=greatest).contains(rate));
    if rate.is_none() {
        source.wrong(
            written.span(),
            format!("`reserve_bytes_per_second` is {}, out of range", written.get_ref()),
            format!("give a number from {least} to {greatest}, or leave it out"),
        );
    }
    rate.and_then(NonZeroU64::new)
}

fn weight(written: &Spanned<i64>, source: &mut Source<'_>) -> Option<NonZeroU32> {
    NonZeroU32::new(number("weight", Some(written), WEIGHTS.0, WEIGHTS, source))
}
