//! Limits between the operator and the table that is in force: named, changed, stored, taken away when their time is up.
//!
//! A limit is on stable storage before it is in force, and in force before whoever set it is told so. What is told to be
//! in force is read from the table.

pub mod fields;
mod names;
mod record;
#[cfg(test)]
mod tests;
mod usage;
mod watched;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nfs_ops::file_sets::{FileSet, is_within};
use nfs_ops::limits::{Limited, Limiting, Rule};
use qos::limits::{ENTITIES_MAX, Entity, Limit, Refusal, reservable};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use self::names::Files;
pub use self::names::Names;
use self::record::Kept;
pub use self::usage::Span;
pub use self::watched::Asked;
use crate::environment::nanoseconds_since;
use crate::fatal::Fatal;
use crate::store::{LimitChange, RecordStore};

/// Most limits that are kept. The table has room for more, so that what is stored can always be put in force.
const LIMITS_MAX: usize = 100_000;

const _: () = assert!(LIMITS_MAX + 1024 < ENTITIES_MAX, "room for groups, and for parents without a limit");

/// Longest time that a limit can be set for: a year.
const TTL_SECONDS_MAX: u64 = 365 * 24 * 3600;

/// In what is sent, beside the fields of a limit.
pub const TTL_SECONDS: &str = "ttl_seconds";

/// Why a request is not followed. Nothing has changed then.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// What kind of mistake it is.
    pub cause: Cause,
    /// What is wrong, for people.
    pub reason: String,
    /// What is in force for whom it is about.
    pub in_force: Option<Value>,
}

/// Who is changed, by name, and what of its limit.
pub type Change = (String, Map<String, Value>);

/// Why a request is not followed, before it is looked up what is in force.
type Wrong = (Cause, String, Option<Limited>);

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody is called so, or there is no limit.
    Unknown,
    /// It says what cannot be.
    Wrong,
    /// Somebody else was faster.
    Conflict,
    /// There are too many, or the store fails.
    Unable,
}

/// The limits that have been set, and the table that they are in force in.
pub struct Keeper {
    limiting: Limiting,
    names: Arc<Names>,
    store: Arc<RecordStore>,
    /// Zero of the table's clock.
    origin: Instant,
    kept: BTreeMap<Entity, Kept>,
    generation: u64,
}

impl Keeper {
    /// Puts in force what is stored.
    ///
    /// # Errors
    /// When this release cannot have stored it, or when the rules reserve more than can be.
    pub fn load(
        limiting: Limiting,
        names: Arc<Names>,
        store: Arc<RecordStore>,
        origin: Instant,
    ) -> Result<Self, Fatal> {
        let generation = store.limits().generation;
        let mut kept = BTreeMap::new();
        for (key, bytes) in &store.limits().records {
            let one = Kept::decode(Entity(*key), bytes).and_then(|one| match Limited::of(Entity(*key)) {
                Some(_) => Ok(one),
                None => Err(format!("nobody has the key {key:#x}")),
            });
            let one = one.map_err(|reason| {
                Fatal::new(
                    format!("the stored limits cannot be read: {reason}"),
                    "run the release that wrote them, or a later one",
                )
            })?;
            kept.insert(Entity(*key), one);
        }
        let keeper = Self { limiting, names, store, origin, kept, generation };
        let server = keeper.limit_of(Limited::Server).unwrap_or_default();
        keeper.check_reserved(Limited::Server, &server).map_err(|reason| {
            Fatal::new(
                reason,
                "lower `reserve_bytes_per_second` in [[qos.rule]]; what is set can be changed when the server runs",
            )
        })?;
        let kept = keeper.kept.keys().filter_map(|entity| Limited::of(*entity));
        keeper.groups().chain(kept).for_each(|limited| keeper.put_in_force(limited));
        tracing::info!(limits = keeper.kept.len(), generation, "limits");
        Ok(keeper)
    }

    /// What is in force for who is called `name`.
    ///
    /// # Errors
    /// Nobody is.
    pub fn get(&self, name: &str) -> Result<Value, Refused> {
        Ok(self.describe(self.find(name)?))
    }

    /// All that is in force.
    pub fn list(&self) -> Value {
        let in_force = self.limiting.table.list().into_iter();
        let is_told =
            |(entity, limit): &(Entity, Limit)| self.kept.contains_key(entity) || says_something(limit);
        let limits: Vec<Value> = in_force
            .map(|(entity, limit, _)| (entity, limit))
            .filter(is_told)
            .filter_map(|(entity, _)| Limited::of(entity))
            .map(|limited| self.describe(limited))
            .collect();
        json!({ "generation": self.generation, "limits": limits })
    }

    /// Changes what `patch` names, leaves all else, and tells what is in force then.
    ///
    /// # Errors
    /// Nothing has changed.
    pub async fn change(
        &mut self,
        name: &str,
        patch: &Map<String, Value>,
        if_generation: Option<u64>,
    ) -> Result<Value, Refused> {
        let limited = self.find(name)?;
        self.check_generation(limited, if_generation)?;
        self.change_all(&[(name.to_owned(), patch.clone())]).await?;
        Ok(self.describe(limited))
    }

    /// Changes many limits as [`Keeper::change`] does one: all of them or none.
    ///
    /// # Errors
    /// Nothing has changed; the reason is that of the first that cannot be.
    pub async fn change_all(&mut self, patches: &[Change]) -> Result<Value, Refused> {
        let mut before = Vec::new();
        let staged = patches.iter().try_for_each(|(name, patch)| {
            let limited = self.find(name).map_err(|refused| (refused.cause, refused.reason, None))?;
            let new = self.staged(name, limited, patch)?;
            before.push((limited, self.kept.insert(limited.entity(), new)));
            Ok(())
        });
        let stored = match (staged, before.first()) {
            (Ok(()), Some((first, _))) => {
                let (first, changed) = (*first, before.iter().map(|(limited, _)| *limited));
                self.store(changed).await.map_err(|reason| (Cause::Unable, reason, Some(first)))
            }
            (staged, _) => staged,
        };
        if let Err((cause, reason, limited)) = stored {
            before.into_iter().rev().for_each(|(limited, kept)| self.keep(limited, kept));
            return Err(refuse(cause, reason, limited.map(|limited| self.describe(limited))));
        }
        for (limited, _) in &before {
            self.put_in_force(*limited);
        }
        let first = before.first().map(|(limited, _)| self.describe(*limited).to_string());
        tracing::info!(changed = patches.len(), first, "limits are set");
        Ok(json!({ "generation": self.generation, "changed": patches.len() }))
    }

    /// What is to be kept of `limited`, called `name`, when `patch` is done.
    fn staged(&self, name: &str, limited: Limited, patch: &Map<String, Value>) -> Result<Kept, Wrong> {
        let wrong = |reason| (Cause::Wrong, reason, Some(limited));
        let files = self.names.files(name).filter(|files| limited == Limited::Files(files.set));
        if let Some(other) = files.as_ref().and_then(|files| self.akin(files)) {
            let reason = format!(
                "file sets do not nest, and {} has a limit already: take that away, or limit the directories beside it",
                self.name_of(other)
            );
            return Err((Cause::Wrong, reason, Some(other)));
        }
        let before = self.kept.get(&limited.entity());
        if before.is_none() && self.kept.len() >= LIMITS_MAX {
            let reason = format!("{LIMITS_MAX} limits are set already: take some away");
            return Err((Cause::Unable, reason, Some(limited)));
        }
        let shown = files.as_ref().and_then(|files| self.names.show_files(files));
        let new = Kept {
            name: shown.unwrap_or_else(|| self.name_of(limited)),
            path: files.map(|files| files.path).or_else(|| before.and_then(|kept| kept.path.clone())),
            generation: self.generation + 1,
            expires_unix_ms: before.and_then(|kept| kept.expires_unix_ms),
            limit: before.map_or_else(Limit::default, |kept| kept.limit),
        };
        let new = patched(new, patch).map_err(wrong)?;
        self.check_reserved(limited, &new.limit).map_err(wrong)?;
        Ok(new)
    }

    /// Takes a limit away, and tells what is in force then.
    ///
    /// # Errors
    /// Nothing has changed.
    pub async fn remove(&mut self, name: &str, if_generation: Option<u64>) -> Result<Value, Refused> {
        let limited = self.find(name)?;
        self.check_generation(limited, if_generation)?;
        let Some(kept) = self.kept.remove(&limited.entity()) else {
            let reason = format!("{} has no limit that could be taken away", self.name_of(limited));
            return Err(self.refuse(Cause::Unknown, reason, limited));
        };
        if let Err(reason) = self.store([limited]).await {
            self.keep(limited, Some(kept));
            return Err(self.refuse(Cause::Unable, reason, limited));
        }
        self.put_in_force(limited);
        tracing::info!(entity = name, "a limit is taken away");
        Ok(self.describe(limited))
    }

    /// Takes away the limits whose time is up. Answers how long the next one has.
    pub async fn expire(&mut self) -> Option<Duration> {
        let now_unix_ms = now_unix_ms();
        let is_over = |(entity, kept): (&Entity, &Kept)| kept.is_expired(now_unix_ms).then_some(*entity);
        let over: Vec<Entity> = self.kept.iter().filter_map(is_over).collect();
        if !over.is_empty() {
            self.end(over.into_iter().filter_map(Limited::of).collect()).await;
        }
        let next = self.kept.values().filter_map(|kept| kept.expires_unix_ms).min()?;
        Some(Duration::from_millis(next.saturating_sub(now_unix_ms)))
    }

    /// Takes away limits whose time is up.
    async fn end(&mut self, over: Vec<Limited>) {
        for limited in &over {
            tracing::info!(entity = self.name_of(*limited), "the time of a limit is up");
            self.kept.remove(&limited.entity());
        }
        if let Err(reason) = self.store(over.iter().copied()).await {
            // Its record says that it has gone, whoever reads it.
            tracing::warn!("{reason}");
        }
        over.into_iter().for_each(|limited| self.put_in_force(limited));
    }

    /// Makes durable what is kept of these, as one change.
    async fn store(&mut self, changed: impl IntoIterator<Item = Limited>) -> Result<(), String> {
        let generation = self.generation + 1;
        let record = |limited: Limited| {
            let entity = limited.entity();
            (entity.0, self.kept.get(&entity).map(Kept::encode))
        };
        let records = changed.into_iter().map(record).collect();
        let (done, stored) = oneshot::channel();
        let done = Box::new(move |outcome| {
            // Nobody waits for it any more when the process ends.
            let _ = done.send(outcome);
        });
        self.store.submit_limit(LimitChange { records, generation }, done);
        let outcome = stored.await.map_err(|_| "the store has ended".to_owned());
        let outcome = outcome.and_then(|outcome| outcome.map_err(|error| error.to_string()));
        outcome.map_err(|reason| format!("it cannot be stored, so nothing has changed: {reason}"))?;
        self.generation = generation;
        Ok(())
    }

    /// Puts back what was kept.
    fn keep(&mut self, limited: Limited, kept: Option<Kept>) {
        match kept {
            Some(kept) => self.kept.insert(limited.entity(), kept),
            None => self.kept.remove(&limited.entity()),
        };
    }

    /// Makes the table say of `limited` what is kept and configured.
    fn put_in_force(&self, limited: Limited) {
        let limit = self.limit_of(limited);
        if let Limited::Files(set) = limited {
            self.put_files_in_force(set, limit.is_some());
        }
        match limit {
            Some(limit) => {
                self.stand_above(limited);
                self.set(limited, limit);
            }
            None => self.clear(limited),
        }
    }

    /// Makes objects belong to a file set, or no longer.
    fn put_files_in_force(&self, set: FileSet, is_limited: bool) {
        let sets = &self.limiting.file_sets;
        if !is_limited {
            sets.remove(set);
            return;
        }
        let path = self.kept.get(&Limited::Files(set).entity()).and_then(|kept| kept.path.as_deref());
        if let Err(other) = sets.add(set, path.unwrap_or_default().as_bytes()) {
            let other = self.name_of(Limited::Files(FileSet::at(set.export, &other)));
            tracing::warn!(
                entity = self.name_of(Limited::Files(set)),
                other,
                "file sets nest: the inner is not in force"
            );
        }
    }

    /// Sees to it that what `limited` is a part of is in the table, where it stands for its parts.
    fn stand_above(&self, limited: Limited) {
        if let Some(parent) = limited.parent()
            && self.limiting.table.get(parent.entity()).is_none()
        {
            self.stand_above(parent);
            self.set(parent, Limit::default());
        }
    }

    /// Takes it out of the table, and what stands there for it only.
    fn clear(&self, limited: Limited) {
        // What was not there need not go.
        if self.limiting.table.remove(limited.entity(), self.now_ns()) == Err(Refusal::HasChildren) {
            self.set(limited, Limit::default());
        }
        if let Some(parent) = limited.parent()
            && self.limit_of(parent).is_none()
        {
            self.clear(parent);
        }
    }

    fn set(&self, limited: Limited, limit: Limit) {
        let (parent, scarce) = (limited.parent().map(Limited::entity), limited.is_scarce());
        let set = self.limiting.table.set(limited.entity(), parent, Limit { scarce, ..limit }, self.now_ns());
        set.expect("parents are there, and room is");
    }

    /// The table's clock.
    fn now_ns(&self) -> u64 {
        nanoseconds_since(self.origin, Instant::now())
    }

    /// What is to be in force for it, if anything is.
    fn limit_of(&self, limited: Limited) -> Option<Limit> {
        let kept = self.kept.get(&limited.entity()).filter(|kept| !kept.is_expired(now_unix_ms()));
        let kept = kept.map(|kept| kept.limit);
        let Some(rule) = self.rule_of(limited) else { return kept };
        let limit = kept.unwrap_or_default();
        let limit = Limit {
            weight: limit.weight.or(rule.weight),
            tier: limit.tier.or(rule.tier),
            reserved: limit.reserved.or(rule.reserved),
            ..limit
        };
        (kept.is_some() || limit != Limit::default()).then_some(limit)
    }

    /// What the rules make.
    fn groups(&self) -> impl Iterator<Item = Limited> {
        self.limiting.rules.iter().map(|rule| Limited::Group(rule.group()))
    }

    /// What makes it, of a group.
    fn rule_of(&self, limited: Limited) -> Option<&Rule> {
        let Limited::Group(group) = limited else { return None };
        self.limiting.rules.iter().find(|rule| rule.group() == group)
    }

    /// Whether all that would be reserved can be had when `limit` is that of `limited`. A part of what the server's limit lets
    /// through is reserved, so there must be one. (When it is taken away reservations stay, and wait for the next.)
    fn check_reserved(&self, limited: Limited, limit: &Limit) -> Result<(), String> {
        let is_of_server = limited == Limited::Server;
        if is_of_server && limit.reserved.is_some() {
            return Err("nothing can be reserved for the server: it is what others share".to_owned());
        }
        let in_force = || self.limit_of(Limited::Server).and_then(|server| server.bytes.together);
        let rate = if is_of_server { limit.bytes.together } else { in_force() };
        if !is_of_server && limit.reserved.is_none() {
            return Ok(());
        }
        let Some(rate) = rate else {
            if is_of_server || self.limiting.table.is_paced() {
                // Without a limit what there is to be reserved is found out while it is used.
                return Ok(());
            }
            let reason = "a part of the server's bytes per second is reserved, and it has no limit of them: set that first \
                          (penstock qos set server --bytes RATE, a little below what it does)";
            return Err(reason.to_owned());
        };
        let own = self.reserved_by(limited, Some(limit));
        let kept = self.kept.iter().filter(|(entity, _)| **entity != limited.entity());
        let kept = kept.filter_map(|(entity, kept)| Some((Limited::of(*entity)?, Some(&kept.limit))));
        let is_other = |group: &Limited| *group != limited && !self.kept.contains_key(&group.entity());
        let of_rules = self.groups().filter(is_other);
        let others = kept.chain(of_rules.map(|group| (group, None)));
        let others: u64 = others.map(|(limited, limit)| self.reserved_by(limited, limit)).sum();
        let (rate, most) = (rate.get(), reservable(rate.get()));
        if own + others <= most {
            return Ok(());
        }
        let bound =
            format!("of the server's {rate} bytes per second at most nine tenths can be reserved, {most}");
        Err(if is_of_server {
            format!("{bound}, and {others} are reserved already")
        } else {
            format!("{bound}: {own} are more than is left beside the {others} of others")
        })
    }

    /// How much is reserved for it at most until somebody changes `limit`: what its rule reserves is in force again when
    /// the limit goes by itself.
    fn reserved_by(&self, limited: Limited, limit: Option<&Limit>) -> u64 {
        let of_rule = self.rule_of(limited).and_then(|rule| rule.reserved);
        limit.and_then(|limit| limit.reserved).max(of_rule).map_or(0, NonZeroU64::get)
    }

    /// Who is called so; also who was when the limit was set.
    fn find(&self, name: &str) -> Result<Limited, Refused> {
        self.names.find(name).or_else(|reason| {
            let gone = self.kept.iter().find(|(_, kept)| kept.name == name);
            let gone = gone.and_then(|(entity, _)| Limited::of(*entity));
            gone.ok_or_else(|| refuse(Cause::Unknown, reason, None))
        })
    }

    /// What it is called, or was.
    fn name_of(&self, limited: Limited) -> String {
        let kept = self.kept.get(&limited.entity());
        let files = || match (limited, kept?.path.clone()) {
            (Limited::Files(set), Some(path)) => self.names.show_files(&Files { set, path }),
            _ => None,
        };
        let before = || kept.map(|kept| kept.name.clone());
        self.names.show(limited).or_else(files).or_else(before).unwrap_or_default()
    }

    /// Another file set with a limit that these files are in, or that is among them.
    fn akin(&self, files: &Files) -> Option<Limited> {
        let others = self.kept.iter().filter_map(|(entity, kept)| match Limited::of(*entity)? {
            Limited::Files(set) if set.export == files.set.export && set != files.set => {
                Some((set, kept.path.as_deref()?.as_bytes()))
            }
            _ => None,
        });
        let path = files.path.as_bytes();
        let mut others = others.filter(|(_, other)| is_within(path, other) || is_within(other, path));
        others.next().map(|(set, _)| Limited::Files(set))
    }

    fn check_generation(&self, limited: Limited, expected: Option<u64>) -> Result<(), Refused> {
        let generation = self.generation_of(limited);
        if expected.is_none_or(|expected| expected == generation) {
            return Ok(());
        }
        let reason = format!(
            "the limit of {} has generation {generation}, not {}: somebody else has changed it, and nothing has changed now",
            self.name_of(limited),
            expected.unwrap_or_default()
        );
        Err(self.refuse(Cause::Conflict, reason, limited))
    }

    /// Of the last change of its limit; 0 where none is set.
    fn generation_of(&self, limited: Limited) -> u64 {
        self.kept.get(&limited.entity()).map_or(0, |kept| kept.generation)
    }

    fn refuse(&self, cause: Cause, reason: String, limited: Limited) -> Refused {
        refuse(cause, reason, Some(self.describe(limited)))
    }

    /// What is in force for it, as the table has it.
    fn describe(&self, limited: Limited) -> Value {
        let mut fields = Map::new();
        fields.insert("entity".to_owned(), self.name_of(limited).into());
        fields.insert("generation".to_owned(), self.generation_of(limited).into());
        if let Some(expires) = self.kept.get(&limited.entity()).and_then(|kept| kept.expires_unix_ms) {
            let left_ms = expires.saturating_sub(now_unix_ms());
            fields.insert("expires_in_seconds".to_owned(), left_ms.div_ceil(1000).into());
        }
        if let Some((limit, _)) = self.limiting.table.get(limited.entity())
            && (says_something(&limit) || self.kept.contains_key(&limited.entity()))
        {
            fields.append(&mut fields::show(&limit));
        }
        fields.into()
    }
}

fn refuse(cause: Cause, reason: impl Into<String>, in_force: Option<Value>) -> Refused {
    Refused { cause, reason: reason.into(), in_force }
}

/// `kept` with what `patch` says.
fn patched(mut kept: Kept, patch: &Map<String, Value>) -> Result<Kept, String> {
    if patch.is_empty() {
        return Err("nothing is said that could be changed".to_owned());
    }
    for (field, value) in patch {
        if field == TTL_SECONDS {
            let ttl = fields::whole(field, value, (1, TTL_SECONDS_MAX))?;
            kept.expires_unix_ms = ttl.map(|seconds| now_unix_ms() + seconds * 1000);
        } else {
            fields::change(&mut kept.limit, field, value)?;
        }
    }
    if kept.limit == (Limit { burst_ns: kept.limit.burst_ns, ..Limit::default() }) {
        return Err("nothing would be limited then: take the limit away instead".to_owned());
    }
    Ok(kept)
}

/// Whether a limit in force says more than what stands there.
fn says_something(limit: &Limit) -> bool {
    Limit { scarce: false, ..*limit } != Limit::default()
}

fn now_unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
