//! Whom operators watch, and what they are told of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use nfs_ops::ExportId;
use nfs_ops::limits::Limited;
use qos::limits::{Entity, Seat};
use serde_json::{Value, json};

use super::{Cause, Keeper, Refused, Span, refuse};

/// One whose usage is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    limited: Limited,
    /// By this the shards are asked.
    pub seat: Seat,
}

/// Requests that an operator asks about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The address that they come from.
    pub client: Option<String>,
    /// Who makes them.
    pub user: Option<u32>,
    /// Where they go to.
    pub export: Option<String>,
    /// A file that they are for.
    pub file: Option<String>,
}

/// What requests are charged to.
#[derive(Clone, Debug)]
pub struct Route {
    /// The most particular first.
    levels: Vec<Limited>,
    /// What all of them are charged to, by which they are found among those that wait.
    pub leaves: Vec<Entity>,
    /// Where they may wait: the levels, and what else some of them belong to.
    pub watched: Vec<Watched>,
}

impl Keeper {
    /// Who is called `name`, or all whose usage is counted.
    ///
    /// # Errors
    /// Nobody is called so, or nothing is counted for who is.
    pub fn watched(&self, name: Option<&str>) -> Result<Vec<Watched>, Refused> {
        let Some(name) = name else {
            let all = self.limiting.table.list().into_iter();
            return Ok(all.filter_map(|(entity, ..)| self.watch(Limited::of(entity)?)).collect());
        };
        let limited = self.find(name)?;
        self.watch(limited).map(|one| vec![one]).ok_or_else(|| {
            let reason =
                format!("{} has no limit, and only what is limited is counted", self.name_of(limited));
            self.refuse(Cause::Unknown, reason, limited)
        })
    }

    /// What is in force for those of `watched` that use most of it, and what they use; at most for `most`.
    pub fn show_usage(&self, watched: &[Watched], spans: &[Span], most: usize) -> Value {
        let mut all: Vec<(&Watched, &Span, f64)> = watched
            .iter()
            .zip(spans)
            .filter_map(|(one, span)| {
                let (limit, _) = self.limiting.table.get(one.limited.entity())?;
                Some((one, span, span.used(&limit)))
            })
            .collect();
        all.sort_by(|(_, one, one_used), (_, other, other_used)| {
            let by_bytes = || other.bytes_per_second().total_cmp(&one.bytes_per_second());
            other_used.total_cmp(one_used).then_with(by_bytes)
        });
        let shown = all.iter().take(most).map(|(one, span, _)| self.describe_used(one.limited, span));
        json!({ "counted": all.len(), "usage": shown.collect::<Vec<_>>() })
    }

    /// What the requests that are `asked` about are charged to.
    ///
    /// # Errors
    /// What is asked about is nobody's name, or nothing.
    pub fn route(&self, asked: &Asked) -> Result<Route, Refused> {
        let client = asked.client.as_deref().map(client).transpose()?;
        let (export, path) = match (&asked.export, &asked.file) {
            (Some(_), Some(_)) => {
                let reason = "a file says of which export it is: leave one of them out";
                return Err(refuse(Cause::Wrong, reason, None));
            }
            (Some(name), None) => self.export_at(name)?,
            (None, Some(file)) => {
                let found = self.names.export_of(file);
                let (id, path) = found.map_err(|reason| refuse(Cause::Unknown, reason, None))?;
                (Some(id), path)
            }
            (None, None) => (None, String::new()),
        };
        if client.is_none() && export.is_none() {
            return Err(refuse(Cause::Wrong, "no client, export or file is asked about", None));
        }
        let files = export.and_then(|id| self.limiting.file_sets.find(id, path.as_bytes()));
        let rule = client.and_then(|(address, _)| self.limiting.rule(address, asked.user, export));
        let client = client.map(|(_, limited)| limited);
        let group = rule.map(|rule| Limited::Group(rule.group()));
        let (files, export) = (files.map(Limited::Files), export.map(Limited::Export));
        let leaves = [client, files.or(export)].into_iter().flatten().map(Limited::entity).collect();
        let levels: Vec<Limited> =
            [client, group, files, export, Some(Limited::Server)].into_iter().flatten().collect();
        let exports = self.limiting.table.list().into_iter().filter_map(|(entity, ..)| Limited::of(entity));
        let exports = exports.filter(|limited| matches!(limited, Limited::Export(_) | Limited::Files(_)));
        let beside: Vec<Limited> =
            self.groups().chain(exports).filter(|limited| !levels.contains(limited)).collect();
        let watched = levels.iter().chain(&beside).filter_map(|limited| self.watch(*limited)).collect();
        Ok(Route { levels, leaves, watched })
    }

    /// The levels of a route, and every other one that requests wait at: what is in force and used, and how many wait.
    pub fn show_route(&self, route: &Route, spans: &[Span], all: u64, waiting: &[u64]) -> Value {
        let found = route.watched.iter().zip(spans.iter().zip(waiting));
        let found: BTreeMap<Limited, (&Span, u64)> =
            found.map(|(one, (span, waiting))| (one.limited, (span, *waiting))).collect();
        let looked = |limited: Limited| found.get(&limited).copied();
        let beside = route.watched.iter().map(|one| one.limited).filter(|limited| {
            !route.levels.contains(limited) && looked(*limited).is_some_and(|(_, waiting)| waiting > 0)
        });
        let mut shown: Vec<Limited> = route.levels.iter().copied().chain(beside).collect();
        shown.sort_by_key(|limited| rank(*limited));
        let path = shown.iter().map(|limited| {
            let Some((span, waiting)) = looked(*limited) else { return self.describe(*limited) };
            let mut level = self.describe_used(*limited, span);
            level["waiting"] = waiting.into();
            level
        });
        let path: Vec<Value> = path.collect();
        let most = shown.iter().filter_map(|limited| Some((looked(*limited)?.1, *limited)));
        let binds = most.filter(|(waiting, _)| *waiting > 0).max_by_key(|(waiting, _)| *waiting);
        json!({ "path": path, "waiting": all, "binds": binds.map(|(_, limited)| self.name_of(limited)) })
    }

    /// How many have a limit, and the first `most` of them: those that are no clients, then clients whose limit is the oldest.
    pub fn first(&self, most: usize) -> (usize, Vec<(String, Seat)>) {
        let groups = self
            .groups()
            .filter(|group| !self.kept.contains_key(&group.entity()) && self.limit_of(*group).is_some());
        let mut all: Vec<Limited> =
            self.kept.keys().filter_map(|entity| Limited::of(*entity)).chain(groups).collect();
        all.sort_by_cached_key(|limited| (Reverse(rank(*limited)), self.generation_of(*limited)));
        let first = all
            .iter()
            .take(most)
            .filter_map(|limited| Some((self.name_of(*limited), self.watch(*limited)?.seat)));
        (all.len(), first.collect())
    }

    /// The export that is called so, or that holds what is, and the way there from its root.
    fn export_at(&self, name: &str) -> Result<(Option<ExportId>, String), Refused> {
        match self.find(&format!("export:{name}")) {
            Ok(Limited::Export(id)) => Ok((Some(id), String::new())),
            Ok(_) => Ok((None, String::new())),
            Err(refused) => {
                let (id, path) = self.names.export_of(name).map_err(|_| refused)?;
                Ok((Some(id), path))
            }
        }
    }

    fn watch(&self, limited: Limited) -> Option<Watched> {
        let seat = self.limiting.table.seat(limited.entity())?;
        Some(Watched { limited, seat })
    }

    fn describe_used(&self, limited: Limited, span: &Span) -> Value {
        let mut shown = self.describe(limited);
        if let Some((limit, _)) = self.limiting.table.get(limited.entity()) {
            shown["usage"] = span.show(&limit);
        }
        shown
    }
}

/// From the most particular up.
fn rank(limited: Limited) -> u8 {
    match limited {
        Limited::Client(_) => 0,
        Limited::Group(_) => 1,
        Limited::Files(_) => 2,
        Limited::Export(_) => 3,
        Limited::Server => 4,
    }
}

fn client(text: &str) -> Result<(IpAddr, Limited), Refused> {
    let address: Option<IpAddr> = text.parse().ok();
    let found = address.and_then(|address| Some((address, Limited::client(address)?)));
    found.ok_or_else(|| refuse(Cause::Wrong, format!("{text:?} is no address of a client"), None))
}
