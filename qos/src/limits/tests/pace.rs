//! What does the work is divided though nobody has limited it, at the rate that it turns out to have.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::world::{MS, SECOND, ran, read_of, waits, woken};
use crate::Kind;
use crate::limits::{
    Charged, Core, Cost, Decision, Entity, IO_UNIT_BYTES_DEFAULT, Limit, Limits, Path, Tier, Turn, Woken,
    Worked,
};

/// One that does its work in order: so much for every read of 4 KiB, and a time that all take besides.
struct Worker {
    read_4k_ns: u64,
    latency_ns: u64,
    free_ns: u64,
}

/// Clients that ask one core for the same again and again.
struct Clients {
    core: Core,
    worker: Worker,
    now_ns: u64,
    clients: Vec<Client>,
    parked: Vec<(Turn, usize)>,
    /// When each is done, the first to be so first; whose it is; as it was charged; and since when it is at work.
    begun: VecDeque<(u64, usize, Charged, u64)>,
    /// The core comes round so often, in nanoseconds.
    every_ns: u64,
}

struct Client {
    path: Path,
    cost: Cost,
    depth: usize,
    /// Nanoseconds from one request to the next, 0 where the next comes when one is done.
    every_ns: u64,
    next_ns: u64,
    outstanding: usize,
    done: u64,
    taken_ns: u64,
}

impl Clients {
    fn new(limits: &Limits, worker: Worker) -> Self {
        let core = Core::new(limits, 0);
        let (clients, parked, begun) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { core, worker, now_ns: 0, clients, parked, begun, every_ns: 1000 }
    }

    fn add(&mut self, entity: u128, cost: Cost, depth: usize, every_ns: u64) {
        let path = Path::new(&[Entity(entity)]);
        let (next_ns, outstanding, done, taken_ns) = (0, 0, 0, 0);
        self.clients.push(Client { path, cost, depth, every_ns, next_ns, outstanding, done, taken_ns });
    }

    /// Goes on until `end_ns`, as often as the core comes round. Answers of each client how many requests were done in a second, and what
    /// they took in the mean, in nanoseconds.
    fn run_until(&mut self, end_ns: u64) -> Vec<(f64, f64)> {
        self.clients.iter_mut().for_each(|client| (client.done, client.taken_ns) = (0, 0));
        let from_ns = self.now_ns;
        while self.now_ns < end_ns {
            while let Some((_, number, charged, begun_ns)) =
                self.begun.pop_front_if(|(at_ns, ..)| *at_ns <= self.now_ns)
            {
                self.clients[number].outstanding -= 1;
                self.clients[number].done += 1;
                let worked = Worked { cost: self.clients[number].cost, taken_ns: self.now_ns - begun_ns };
                self.core.done(charged, Some(worked), self.now_ns);
            }
            if self.core.next_deadline_ns().is_some_and(|due_ns| due_ns <= self.now_ns) {
                let mut woken = Vec::new();
                self.core.advance(self.now_ns, &mut woken);
                for Woken { turn, charged } in woken {
                    let at = self.parked.iter().position(|parked| parked.0 == turn).expect("it was parked");
                    let (_, number) = self.parked.swap_remove(at);
                    self.begin(number, charged.expect("nobody waits for long"));
                }
            }
            (0..self.clients.len()).for_each(|number| self.ask(number));
            self.now_ns += self.every_ns;
        }
        let seconds = (end_ns - from_ns) as f64 / 1e9;
        let figures =
            |one: &Client| (one.done as f64 / seconds, one.taken_ns as f64 / one.done.max(1) as f64);
        self.clients.iter().map(figures).collect()
    }

    fn ask(&mut self, number: usize) {
        loop {
            let client = &mut self.clients[number];
            if client.outstanding >= client.depth || client.next_ns > self.now_ns {
                return;
            }
            client.next_ns += client.every_ns;
            client.outstanding += 1;
            match self.core.offer(&mut client.path, client.cost, self.now_ns, self.now_ns) {
                Decision::Run(charged) => self.begin(number, charged),
                Decision::Wait { turn, .. } => self.parked.push((turn, number)),
                Decision::Refuse => panic!("nobody waits for long"),
            }
        }
    }

    fn begin(&mut self, number: usize, charged: Charged) {
        let Client { cost, .. } = self.clients[number];
        let begun_ns = self.worker.free_ns.max(self.now_ns);
        let length_ns = cost.work() * self.worker.read_4k_ns / 1000;
        self.worker.free_ns = begun_ns + length_ns;
        let done_ns = self.worker.free_ns + self.worker.latency_ns;
        self.clients[number].taken_ns += done_ns - self.now_ns;
        self.begun.push_back((done_ns, number, charged, self.now_ns));
    }
}

/// 100 000 reads of 4 KiB per second, 50 us each.
const FLASH: Worker = Worker { read_4k_ns: 10_000, latency_ns: 50_000, free_ns: 0 };

/// Limits that have none, and are paced because somebody has a weight.
fn paced() -> Limits {
    let limits = Limits::paced();
    limits.set(Entity(1), None, weight(300), 0).unwrap();
    limits
}

fn weight(weight: u32) -> Limit {
    Limit { weight: NonZeroU32::new(weight), ..Limit::default() }
}

#[test]
fn weights_count_where_nobody_has_limited_anything() {
    let limits = paced();
    let mut clients = Clients::new(&limits, FLASH);
    // The second has no entity, and the weight of those who have none.
    clients.add(1, read_of(16 << 10), 64, 0);
    clients.add(2, read_of(16 << 10), 64, 0);
    clients.run_until(SECOND);
    let figures = clients.run_until(4 * SECOND);
    let (one, other) = (figures[0].0, figures[1].0);
    let all = 1e8 / read_of(16 << 10).work() as f64;
    assert!((one / (one + other) - 0.75).abs() < 0.01, "{figures:?}");
    assert!((one + other) / all > 0.98, "{figures:?} of {all}");
}

#[test]
fn who_is_protected_does_not_notice_the_others() {
    let limits = Limits::paced();
    let protected = Limit { tier: Some(Tier::Protected), ..Limit::default() };
    limits.set(Entity(1), None, protected, 0).unwrap();
    let mut clients = Clients::new(&limits, FLASH);
    clients.add(1, read_of(4096), 64, 50_000);
    clients.add(2, read_of(16 << 10), 64, 0);
    clients.run_until(SECOND);
    let figures = clients.run_until(4 * SECOND);
    assert!((figures[0].0 - 20_000.0).abs() < 100.0 && figures[0].1 < 1.3 * 60_000.0, "{figures:?}");
    // What the other gets is most of what is left.
    let left = (1e8 - 20_000.0 * 1034.0) / read_of(16 << 10).work() as f64;
    assert!(figures[1].0 > 0.6 * left, "{figures:?} of {left}");
}

#[test]
fn who_takes_longer_for_other_reasons_is_not_slowed_down() {
    let limits = paced();
    let mut clients = Clients::new(&limits, FLASH);
    clients.add(1, read_of(4096), 40, 0);
    clients.run_until(2 * SECOND);
    // What was in memory is on a disk now, that does as many at a time but each takes long.
    clients.worker.latency_ns = 2 * MS;
    clients.run_until(3 * SECOND);
    let figures = clients.run_until(5 * SECOND);
    let all = 40.0 / 0.002;
    assert!(figures[0].0 > 0.9 * all, "{figures:?} of {all}");
}

#[test]
fn half_of_what_does_the_work_is_found_out_and_its_return_too() {
    let limits = paced();
    let mut clients = Clients::new(&limits, FLASH);
    clients.add(1, read_of(4096), 400, 0);
    for (read_4k_ns, rate) in [(10_000, 1e5), (40_000, 2.5e4), (10_000, 1e5)] {
        clients.worker.read_4k_ns = read_4k_ns;
        let since_ns = clients.now_ns;
        clients.run_until(since_ns + SECOND);
        let figures = clients.run_until(since_ns + 3 * SECOND);
        let all = rate / 1.034;
        assert!(figures[0].0 > 0.95 * all, "{figures:?} of {all}");
        assert!(figures[0].1 < 1e9 * 100.0 / all, "no more than 100 at a time: {figures:?}");
    }
}

/// A core that comes round every few milliseconds: each request then takes as long, however few there are.
#[test]
fn a_core_that_comes_round_late_loses_nothing() {
    let limits = paced();
    let mut clients = Clients::new(&limits, FLASH);
    clients.add(1, read_of(4096), 64, 0);
    clients.run_until(SECOND);
    clients.every_ns = 3 * MS;
    let figures = clients.run_until(5 * SECOND);
    let all = 64.0 / 0.003;
    assert!(figures[0].0 > 0.9 * all, "{figures:?} of {all}");
}

/// Whatever has been found out, some requests are at work on each core, and those that came to nothing are so no longer.
#[test]
fn a_few_are_at_work_whatever_the_rate_is() {
    let limits = paced();
    let mut core = Core::new(&limits, 0);
    let mut path = Path::new(&[Entity(1)]);
    // Until some time has gone by protected ones may come.
    for now_ns in (0..300).map(|step| step * MS) {
        let charged = ran(core.offer(&mut path, read_of(4096), now_ns, now_ns));
        core.done(charged, None, now_ns);
    }
    let (now_ns, much) = (300 * MS, read_of(64 << 20));
    let at_work: Vec<Charged> = (0..10).map(|_| ran(core.offer(&mut path, much, now_ns, now_ns))).collect();
    let (turn, _) = waits(core.offer(&mut path, much, now_ns, now_ns));
    assert!(woken(&mut core, now_ns).is_empty());
    core.done(at_work[0], None, now_ns + MS);
    assert_eq!(core.next_deadline_ns(), Some(0));
    let next = woken(&mut core, now_ns + MS);
    assert!(next.len() == 1 && next[0].turn == turn && next[0].charged.is_some(), "{next:?}");
}

#[test]
fn nothing_is_paced_where_nothing_is_divided() {
    let cost = Cost::new(Kind::Read, 4096, IO_UNIT_BYTES_DEFAULT);
    let begins = |limits: &Limits| {
        ran(Core::new(limits, 0).offer(&mut Path::new(&[Entity(1)]), cost, 0, 0)).is_paced()
    };
    let limits = Limits::paced();
    limits.set(Entity(1), None, Limit::default(), 0).unwrap();
    assert!(!begins(&limits));
    limits.set(Entity(2), None, weight(5), 0).unwrap();
    assert!(begins(&limits));
    limits.set(Entity(2), None, weight(6), 0).unwrap();
    assert!(begins(&limits));
    limits.set(Entity(2), None, Limit::default(), 0).unwrap();
    assert!(!begins(&limits));
    limits.set(Entity(2), None, weight(5), 0).unwrap();
    limits.remove(Entity(2), 0).unwrap();
    assert!(!begins(&limits));
}

#[test]
fn a_write_costs_as_many_reads_as_it_takes_longer() {
    let limits = Limits::paced();
    limits.set(Entity(1), None, weight(5), 0).unwrap();
    let mut core = Core::new(&limits, 0);
    let mut path = Path::new(&[Entity(1)]);
    assert_eq!(limits.write_cost(), 3 * 16);
    for (write_ns, expected) in [(100_000, 1), (700_000, 7), (100_000_000, 20)] {
        for step in 0..3000_u64 {
            let now_ns = write_ns * SECOND + step * MS;
            for (kind, taken_ns) in [(Kind::Read, 100_000), (Kind::Write, write_ns)] {
                for _ in 0..8 {
                    let cost = Cost::new(kind, 4096, IO_UNIT_BYTES_DEFAULT);
                    let charged = ran(core.offer(&mut path, cost, now_ns, now_ns));
                    core.done(charged, Some(Worked { cost, taken_ns }), now_ns);
                }
            }
        }
        let found = limits.write_cost();
        assert!(found.abs_diff(expected * 16) <= 1, "{found} of {}", expected * 16);
    }
}
