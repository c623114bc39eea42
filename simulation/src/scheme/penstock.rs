//! What the server does: the limits tree, with a core's part for each simulated core.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use qos::Kind;
use qos::limits::{
    Charged, Core, Cost, Decision, Entity, IO_UNIT_BYTES_DEFAULT, Limit, Limits, Path, Rates, Tier, Turn,
    Woken, Worked,
};

use super::{Decided, Operation, Policy, Scheme};
use crate::world::Setup;

/// The server; tenants come behind it and stand below it.
const SERVER: Entity = Entity(0);

/// The limits tree as a scheme.
pub struct Penstock {
    limits: Limits,
    cores: Vec<Part>,
    policies: Vec<Policy>,
    /// The cores whose bell was rung, a bit each.
    rung: Arc<AtomicU64>,
}

/// What there is once for each core.
struct Part {
    core: Core,
    /// Of each tenant.
    paths: Vec<Path>,
    held: BTreeMap<Turn, Operation>,
    /// Of each tenant, in no order: operations of one tenant are all the same.
    at_work: Vec<Vec<Charged>>,
    woken: Vec<Woken>,
}

impl Penstock {
    pub fn new(setup: &Setup) -> Self {
        let limits = Limits::paced();
        let policies: Vec<Policy> = setup.tenants.iter().map(|tenant| tenant.policy).collect();
        let server = Limit { scarce: true, ..limit_of(&setup.server) };
        limits.set(SERVER, None, server, 0).expect("there is room");
        for (tenant, policy) in policies.iter().enumerate() {
            limits.set(entity(tenant), Some(SERVER), limit_of(policy), 0).expect("there is room");
        }
        let rung = Arc::new(AtomicU64::new(0));
        let part = |number| {
            let bells = Arc::clone(&rung);
            let ring = move || {
                bells.fetch_or(1_u64 << number, Ordering::Relaxed);
            };
            limits.set_bell(number, Box::new(ring));
            let core = Core::new(&limits, number);
            let paths = (0..policies.len()).map(|tenant| Path::new(&[entity(tenant)])).collect();
            let at_work = vec![Vec::new(); policies.len()];
            Part { core, paths, held: BTreeMap::new(), at_work, woken: Vec::new() }
        };
        let cores = (0..setup.cores as u32).map(part).collect();
        Self { limits, cores, policies, rung }
    }
}

impl Scheme for Penstock {
    fn offer(&mut self, core: usize, now_ns: u64, operation: Operation, decided: &mut Decided) {
        let Part { core, paths, held, at_work, .. } = &mut self.cores[core];
        match core.offer(&mut paths[operation.tenant], cost(&operation), operation.asked_ns, now_ns) {
            Decision::Run(charged) => {
                at_work[operation.tenant].push(charged);
                decided.run.push(operation);
            }
            Decision::Wait { turn, .. } => {
                held.insert(turn, operation);
            }
            Decision::Refuse => decided.refused.push(operation),
        }
    }

    fn advance(&mut self, core: usize, now_ns: u64, decided: &mut Decided) {
        let Part { core, held, at_work, woken, .. } = &mut self.cores[core];
        core.advance(now_ns, woken);
        for Woken { turn, charged } in woken.drain(..) {
            let operation = held.remove(&turn).expect("who is woken was held");
            match charged {
                Some(charged) => {
                    at_work[operation.tenant].push(charged);
                    decided.run.push(operation);
                }
                None => decided.refused.push(operation),
            }
        }
    }

    fn due_ns(&self, core: usize, _now_ns: u64) -> Option<u64> {
        self.cores[core].core.next_deadline_ns()
    }

    fn rung(&mut self) -> u64 {
        self.rung.swap(0, Ordering::Relaxed)
    }

    fn done(&mut self, core: usize, now_ns: u64, operation: &Operation) {
        let Part { core, at_work, .. } = &mut self.cores[core];
        let charged = at_work[operation.tenant].pop().expect("what is done was let go on");
        let worked = Worked { cost: cost(operation), taken_ns: now_ns - operation.begun_ns };
        core.done(charged, Some(worked), now_ns);
    }

    fn change(&mut self, now_ns: u64, tenant: usize, limit: u64) {
        let policy = &mut self.policies[tenant];
        policy.limit = Some(limit);
        let changed = self.limits.set(entity(tenant), Some(SERVER), limit_of(policy), now_ns);
        changed.expect("the tenant is there");
    }
}

fn cost(operation: &Operation) -> Cost {
    Cost::new(Kind::Read, operation.bytes, IO_UNIT_BYTES_DEFAULT)
}

fn entity(tenant: usize) -> Entity {
    Entity(1 + tenant as u128)
}

fn limit_of(policy: &Policy) -> Limit {
    Limit {
        bytes: Rates { together: policy.limit.and_then(NonZeroU64::new), ..Rates::default() },
        burst_ns: policy.burst_ns,
        reserved: policy.reserved.and_then(NonZeroU64::new),
        tier: policy.is_protected.then_some(Tier::Protected),
        ..Limit::default()
    }
}
