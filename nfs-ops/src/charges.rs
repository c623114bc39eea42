//! What requests of this core are charged to, and the task that lets those go on who wait for tokens.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use foldhash::HashMap;
use qos::Admission;
use qos::limits::Path;
use vfs::{NodeHandle, Vfs};

use crate::env::{Backchannel, Env};
use crate::file_sets::FileSet;
use crate::handle::ExportId;
use crate::limits::{Limited, Limiting};
use crate::object::Place;
use crate::server::Server;

/// Paths kept ready on one core. Beyond that they are all found again.
const PATHS_MAX: usize = 4096;

/// Objects whose file set one core remembers. Beyond that they are all found again.
const KNOWN_SETS_MAX: usize = 16_384;

/// While requests wait for tokens they are looked after at least this often, in nanoseconds: who changes a limit rings, but a
/// core that is too busy to be rung up must not be deaf for longer.
const LOOK_NS: u64 = 5_000_000;

/// Whoever waits for work for so little time goes on with what is done next, or with others, in nanoseconds: a timer costs more.
const SLEEP_NS_MIN: u64 = 30_000;

/// Whom a request is charged to: what its path is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Payer {
    client: IpAddr,
    /// Where that makes a difference to any rule.
    user: Option<u32>,
    export: ExportId,
    files: Option<FileSet>,
}

/// The file sets of objects asked for lately.
#[derive(Debug, Default)]
struct KnownSets {
    version: u64,
    /// Exports in which there are sets.
    exports: Vec<ExportId>,
    sets: HashMap<(ExportId, NodeHandle), Option<FileSet>>,
}

/// The paths of the payers of one core, and its clock for those who wait.
#[derive(Debug)]
pub struct Charges {
    limiting: Limiting,
    tells_users_apart: bool,
    paths: RefCell<HashMap<Payer, Path>>,
    known: RefCell<KnownSets>,
    /// Until when nobody need look after those who wait; nothing when none does.
    quiet_until_ns: Cell<Option<u64>>,
    is_roused: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Charges {
    /// By these rules. Nobody is charged yet.
    pub fn new(limiting: Limiting) -> Self {
        Self {
            tells_users_apart: limiting.rules.iter().any(|rule| !rule.users.is_empty()),
            limiting,
            paths: RefCell::default(),
            known: RefCell::default(),
            quiet_until_ns: Cell::default(),
            is_roused: Cell::default(),
            waker: RefCell::default(),
        }
    }

    /// Whom a request of this user from this address for what is at `place` is charged to. `None`: nobody, for nothing is
    /// limited.
    pub fn payer<V: Vfs>(&self, client: IpAddr, user: Option<u32>, place: &Place<V>) -> Option<Payer> {
        if !self.limiting.table.has_been_set() {
            return None;
        }
        let user = user.filter(|_| self.tells_users_apart);
        let (export, files) = (place.export.settings.id, self.file_set(place));
        Some(Payer { client: client.to_canonical(), user, export, files })
    }

    /// The file set that an object is in.
    fn file_set<V: Vfs>(&self, place: &Place<V>) -> Option<FileSet> {
        let sets = &self.limiting.file_sets;
        let version = sets.version();
        if version == 0 {
            return None;
        }
        let mut known = self.known.borrow_mut();
        if known.version != version {
            *known = KnownSets { version, exports: sets.exports(), sets: HashMap::default() };
        }
        let (export, storage) = (place.export.settings.id, place.storage());
        if !known.exports.contains(&export) {
            return None;
        }
        let key = (export, storage.handle(&place.node));
        if let Some(set) = known.sets.get(&key) {
            return *set;
        }
        // What cannot be told now is asked for again.
        let set = sets.find(export, &storage.path(&place.node)?);
        if known.sets.len() >= KNOWN_SETS_MAX {
            known.sets.clear();
        }
        known.sets.insert(key, set);
        set
    }

    /// Charges the path of `payer`, which is kept, or gives back to it.
    pub fn settle<T>(&self, payer: Payer, admission: &Admission, work: impl FnOnce(&mut Path) -> T) -> T {
        let mut paths = self.paths.borrow_mut();
        if paths.len() >= PATHS_MAX && !paths.contains_key(&payer) {
            paths.clear();
        }
        let done = work(paths.entry(payer).or_insert_with(|| path(&self.limiting, payer)));
        self.rouse_if_sooner(admission);
        done
    }

    /// Has those who wait looked after at once: a limit was changed, or tokens were given back.
    pub fn rouse(&self) {
        if !self.is_roused.replace(true)
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// The same, if they want it sooner than it would be done.
    fn rouse_if_sooner(&self, admission: &Admission) {
        let quiet_until_ns = self.quiet_until_ns.get().unwrap_or(u64::MAX);
        if admission.next_deadline_ns().is_some_and(|next_ns| next_ns < quiet_until_ns) {
            self.rouse();
        }
    }

    /// Lets those go on whose turn has come by `now_ns`. Answers when to look again.
    fn look(&self, admission: &Admission, now_ns: u64) -> Option<u64> {
        self.is_roused.set(false);
        // What is roused while the others are woken is looked at again.
        self.quiet_until_ns.set(None);
        admission.advance(now_ns);
        let look_ns = (admission.parked_count() > 0).then(|| now_ns.saturating_add(LOOK_NS));
        let next_ns = admission.next_deadline_ns().into_iter().chain(look_ns).min();
        self.quiet_until_ns.set(next_ns);
        next_ns
    }

    /// Completes once it is roused. One task waits for it.
    async fn roused(&self) {
        poll_fn(|context| {
            if self.is_roused.get() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// From the client up: what it is a part of is charged with it, and the first that has a tier or a weight gives it. A file set
/// brings its export with it. The server is named beside the export, which need not have a limit of its own.
fn path(limiting: &Limiting, payer: Payer) -> Path {
    let client = Limited::client(payer.client);
    let rule = limiting.rule(payer.client, payer.user, Some(payer.export));
    let group = rule.map(|rule| Limited::Group(rule.group()));
    let files = payer.files.map_or(Limited::Export(payer.export), Limited::Files);
    let above = [Some(files), Some(Limited::Server)];
    let mut leaves = [Limited::Server.entity(); 4];
    let mut count = 0;
    for limited in [client, group].into_iter().chain(above).flatten() {
        leaves[count] = limited.entity();
        count += 1;
    }
    Path::new(&leaves[..count])
}

impl<V: Vfs, E: Env + Backchannel> Server<V, E> {
    /// Runs for ever: lets requests go on that wait for tokens. To be run as one task per core.
    pub async fn serve_parked(self: Rc<Self>) {
        loop {
            let now_ns = self.env.now_ns();
            match self.charges.look(&self.admission, now_ns) {
                None => self.charges.roused().await,
                Some(next_ns) => {
                    let least_ns = if self.charges.limiting.table.is_paced() { SLEEP_NS_MIN } else { 0 };
                    let sleep = self.env.sleep(next_ns.saturating_sub(now_ns).max(least_ns));
                    either(sleep, self.charges.roused()).await;
                }
            }
        }
    }
}

/// Completes with the first of the two.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| {
        let is_over = one.as_mut().poll(context).is_ready() || other.as_mut().poll(context).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
