//! One run: cores, tenants and a device under a virtual clock.

use crate::agenda::Agenda;
use crate::demand::{Activity, Load, Tenant};
use crate::device::{Device, Pipe};
use crate::log::Log;
use crate::random::Random;
use crate::scheme::{Decided, Operation, Policy, Scheme};

/// A core looks at its timers so long after they are due at most: it may be at other work.
const TURN_NS_MAX: u64 = 20_000;

/// What goes on is held against another limit so long after the change.
const EFFECTIVE_NS: u64 = 10_000_000;

/// Who is told to come again comes again after so long, as the Linux client does the first time.
const AGAIN_NS: u64 = 100_000_000;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many cores.
    pub cores: usize,
    /// What all tenants together may have.
    pub server: Policy,
    /// Who asks.
    pub tenants: Vec<Tenant>,
    /// What all use.
    pub device: Device,
    /// How long a core is away at most where cores are late, in nanoseconds: at random, and so often that they are away half
    /// of the time.
    pub away_ns_max: Option<u64>,
    /// Limits that change.
    pub changes: Vec<Change>,
    /// How long it is.
    pub duration_ns: u64,
    /// Figures are of what is asked for from then on.
    pub counted_from_ns: u64,
    /// Of the random choices.
    pub seed: u64,
}

/// A tenant's limit becomes another.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// When.
    pub at_ns: u64,
    /// Position of the tenant.
    pub tenant: usize,
    /// Bytes per second from then on.
    pub limit: u64,
}

impl Setup {
    /// The one limit that those know who know only one.
    pub fn single_limit(&self) -> Option<u64> {
        self.server.limit.or_else(|| self.tenants.first()?.policy.limit)
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A core looks at what it holds.
    Turn(usize),
    /// An operation has the device's least time behind it.
    Reached(Operation),
    /// Something may be done in the pipe, if nothing was entered since.
    Pipe(u64),
    /// The core of an operation hears that it is done.
    Done(Operation),
    /// A core goes away.
    Away(usize),
    /// An operation of a tenant's open load comes.
    Arrival(usize),
    /// It comes to its core, over a connection.
    Asked(usize),
    /// A connection was told to come again.
    Again(usize),
    /// A connection begins or ends to ask.
    Toggle(usize),
    Change(Change),
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    tenant: usize,
    core: usize,
    is_on: bool,
    outstanding: usize,
}

struct World<'a> {
    setup: &'a Setup,
    agenda: Agenda<Event>,
    random: Random,
    scheme: Box<dyn Scheme>,
    pipe: Option<Pipe>,
    /// Which of the pipe's events is the last.
    pipe_event: u64,
    connections: Vec<Connection>,
    /// When each core has its next turn; `u64::MAX` is never.
    turns_ns: Vec<u64>,
    /// Until when each core is away.
    back_ns: Vec<u64>,
    logs: Vec<Log>,
    /// What is decided at this moment.
    decided: Decided,
}

/// Runs it and answers each tenant's log.
pub fn run(setup: &Setup, scheme: Box<dyn Scheme>) -> Vec<Log> {
    let mut world = World::new(setup, scheme);
    world.begin();
    while let Some(event) = world.agenda.next_before(setup.duration_ns) {
        world.happen(event);
    }
    world.logs.iter_mut().for_each(Log::close);
    world.logs
}

impl<'a> World<'a> {
    fn new(setup: &'a Setup, scheme: Box<dyn Scheme>) -> Self {
        let of_tenant = |(tenant, asking): (usize, &'a Tenant)| {
            let connection =
                move |core: &usize| Connection { tenant, core: *core, is_on: false, outstanding: 0 };
            asking.connections.iter().map(connection)
        };
        let log = |tenant: &Tenant| Log::new(setup.duration_ns, setup.counted_from_ns, tenant.policy.limit);
        Self {
            setup,
            agenda: Agenda::new(),
            random: Random::new(setup.seed),
            scheme,
            pipe: setup.device.reads_4k_per_second.map(Pipe::new),
            pipe_event: 0,
            connections: setup.tenants.iter().enumerate().flat_map(of_tenant).collect(),
            turns_ns: vec![u64::MAX; setup.cores],
            back_ns: vec![0; setup.cores],
            logs: setup.tenants.iter().map(log).collect(),
            decided: Decided::default(),
        }
    }

    fn begin(&mut self) {
        for change in &self.setup.changes {
            self.agenda.enter(change.at_ns, Event::Change(*change));
        }
        (0..self.setup.cores).for_each(|core| self.expect_away(core));
        for connection in 0..self.connections.len() {
            match self.activity(connection) {
                Activity::Always => self.switch(connection, true),
                Activity::Never => {}
                Activity::Pulsed { .. } => self.toggle(connection),
                Activity::Moving { on_ns, off_ns } => {
                    // As many are on as will be later.
                    if self.random.unit() < on_ns as f64 / (on_ns + off_ns) as f64 {
                        self.toggle(connection);
                    } else {
                        let after_ns = self.random.exponential_ns(off_ns as f64);
                        self.agenda.enter(after_ns, Event::Toggle(connection));
                    }
                }
            }
        }
        for tenant in 0..self.setup.tenants.len() {
            if let Activity::Moving { .. } = self.setup.tenants[tenant].activity {
                self.keep_one_on(tenant);
            }
            self.expect_arrival(tenant);
        }
    }

    fn happen(&mut self, event: Event) {
        let core = match event {
            Event::Done(operation) => Some(self.connections[operation.connection].core),
            Event::Asked(connection) | Event::Again(connection) => Some(self.connections[connection].core),
            _ => None,
        };
        if let Some(core) = core.filter(|core| self.back_ns[*core] > self.agenda.now_ns()) {
            self.agenda.enter(self.back_ns[core], event);
            return;
        }
        match event {
            Event::Turn(core) => self.turn(core),
            Event::Done(operation) => self.done(operation),
            Event::Away(core) => {
                let away_ns = self.random.below(self.setup.away_ns_max.unwrap_or(1));
                self.back_ns[core] = self.agenda.now_ns() + away_ns;
                self.expect_away(core);
            }
            Event::Asked(connection) => self.ask(connection),
            Event::Reached(operation) => self.reached(operation),
            Event::Pipe(number) if number == self.pipe_event => self.pipe_moved(),
            Event::Pipe(_) => {}
            Event::Arrival(tenant) => {
                let connections = self.setup.tenants[tenant].connections.len();
                let chosen = self.random.below(connections as u64) as usize;
                self.happen(Event::Asked(self.first_connection(tenant) + chosen));
                self.expect_arrival(tenant);
            }
            Event::Again(connection) => self.again(connection),
            Event::Toggle(connection) => self.toggle(connection),
            Event::Change(change) => {
                let now_ns = self.agenda.now_ns();
                self.scheme.change(now_ns, change.tenant, change.limit);
                self.logs[change.tenant].limited(now_ns + EFFECTIVE_NS, change.limit);
                (0..self.setup.cores).for_each(|core| self.arm(core));
            }
        }
    }

    /// A connection asks for one more.
    fn ask(&mut self, connection: usize) {
        let now_ns = self.agenda.now_ns();
        let Connection { tenant, core, is_on, outstanding } = &mut self.connections[connection];
        if !*is_on {
            return;
        }
        *outstanding += 1;
        let (tenant, core) = (*tenant, *core);
        let bytes = self.setup.tenants[tenant].operation_bytes;
        self.logs[tenant].ask(now_ns, bytes);
        let operation = Operation { connection, tenant, bytes, asked_ns: now_ns, begun_ns: now_ns };
        self.scheme.offer(core, now_ns, operation, &mut self.decided);
        self.decide();
        self.arm(core);
    }

    fn turn(&mut self, core: usize) {
        let now_ns = self.agenda.now_ns();
        if self.turns_ns[core] != now_ns {
            return;
        }
        self.turns_ns[core] = u64::MAX;
        if self.back_ns[core] > now_ns {
            self.turn_at(core, self.back_ns[core]);
            return;
        }
        self.scheme.advance(core, now_ns, &mut self.decided);
        self.decide();
        self.arm(core);
    }

    /// Sees to it that the core has a turn when it needs one, and so have those that it rang for.
    fn arm(&mut self, core: usize) {
        let now_ns = self.agenda.now_ns();
        if let Some(due_ns) = self.scheme.due_ns(core, now_ns) {
            self.turn_after(core, due_ns.max(now_ns));
        }
        let mut rung = self.scheme.rung();
        while rung != 0 {
            self.turn_after(rung.trailing_zeros() as usize, now_ns);
            rung &= rung - 1;
        }
    }

    /// The core has a turn soon after `due_ns`, if it has none before.
    fn turn_after(&mut self, core: usize, due_ns: u64) {
        if due_ns >= self.turns_ns[core] {
            return;
        }
        let at_ns = due_ns + self.random.below(TURN_NS_MAX);
        self.turn_at(core, at_ns);
    }

    fn turn_at(&mut self, core: usize, at_ns: u64) {
        if at_ns < self.turns_ns[core] {
            self.turns_ns[core] = at_ns;
            self.agenda.enter(at_ns, Event::Turn(core));
        }
    }

    /// Operations that may go on go to the device, and who was refused comes again.
    fn decide(&mut self) {
        let now_ns = self.agenda.now_ns();
        let Device { latency_ns, jitter_ns, .. } = self.setup.device;
        for mut operation in self.decided.run.drain(..) {
            operation.begun_ns = now_ns;
            self.logs[operation.tenant].begin(now_ns, operation.bytes);
            let latency_ns = latency_ns + self.random.exponential_ns(jitter_ns as f64);
            self.agenda.enter(now_ns + latency_ns, Event::Reached(operation));
        }
        for operation in self.decided.refused.drain(..) {
            self.logs[operation.tenant].refuse(now_ns);
            self.connections[operation.connection].outstanding -= 1;
            self.agenda.enter(now_ns + AGAIN_NS, Event::Again(operation.connection));
        }
    }

    fn reached(&mut self, operation: Operation) {
        let now_ns = self.agenda.now_ns();
        match &mut self.pipe {
            None => self.happen(Event::Done(operation)),
            Some(pipe) => {
                pipe.enter(now_ns, operation);
                self.pipe_moved();
            }
        }
    }

    fn pipe_moved(&mut self) {
        let now_ns = self.agenda.now_ns();
        while let Some(operation) = self.pipe.as_mut().and_then(|pipe| pipe.leave(now_ns)) {
            self.happen(Event::Done(operation));
        }
        if let Some(next_ns) = self.pipe.as_ref().and_then(Pipe::next_ns) {
            self.pipe_event += 1;
            self.agenda.enter(next_ns, Event::Pipe(self.pipe_event));
        }
    }

    fn done(&mut self, operation: Operation) {
        let now_ns = self.agenda.now_ns();
        let Connection { tenant, core, outstanding, .. } = &mut self.connections[operation.connection];
        *outstanding -= 1;
        let (tenant, core) = (*tenant, *core);
        self.logs[tenant].end(now_ns, operation.asked_ns);
        self.scheme.done(core, now_ns, &operation);
        match self.setup.tenants[tenant].load {
            Load::Closed { .. } => self.ask(operation.connection),
            Load::Open { .. } => {}
        }
        self.arm(core);
    }

    /// Who was refused asks again, unless others have taken its place.
    fn again(&mut self, connection: usize) {
        let Connection { tenant, outstanding, .. } = self.connections[connection];
        match self.setup.tenants[tenant].load {
            Load::Closed { depth } if outstanding >= depth => {}
            Load::Closed { .. } | Load::Open { .. } => self.ask(connection),
        }
    }

    /// A core goes away some time after it is back, if cores do.
    fn expect_away(&mut self, core: usize) {
        if let Some(away_ns_max) = self.setup.away_ns_max {
            let after_ns = self.random.exponential_ns(away_ns_max as f64 / 2.0);
            self.agenda.enter(self.back_ns[core] + after_ns, Event::Away(core));
        }
    }

    fn expect_arrival(&mut self, tenant: usize) {
        if let Load::Open { operations_per_second } = self.setup.tenants[tenant].load {
            let after_ns = self.random.exponential_ns(1e9 / operations_per_second);
            self.agenda.enter(self.agenda.now_ns() + after_ns, Event::Arrival(tenant));
        }
    }

    /// On becomes off and off becomes on, and so it will again.
    fn toggle(&mut self, connection: usize) {
        let is_on = !self.connections[connection].is_on;
        let lasts_ns = match self.activity(connection) {
            Activity::Pulsed { on_ns, off_ns } => {
                if is_on {
                    on_ns
                } else {
                    off_ns
                }
            }
            Activity::Moving { on_ns, off_ns } => {
                let mean_ns = if is_on { on_ns } else { off_ns };
                self.random.exponential_ns(mean_ns as f64)
            }
            Activity::Always | Activity::Never => return,
        };
        self.agenda.enter(self.agenda.now_ns() + lasts_ns, Event::Toggle(connection));
        self.switch(connection, is_on);
        if let Activity::Moving { .. } = self.activity(connection)
            && !is_on
        {
            self.keep_one_on(self.connections[connection].tenant);
        }
    }

    /// Demand that moves does not stop: another connection takes over from the last.
    fn keep_one_on(&mut self, tenant: usize) {
        let first = self.first_connection(tenant);
        let count = self.setup.tenants[tenant].connections.len();
        if !self.connections[first..first + count].iter().any(|connection| connection.is_on) {
            let chosen = first + self.random.below(count as u64) as usize;
            self.switch(chosen, true);
        }
    }

    fn switch(&mut self, connection: usize, is_on: bool) {
        let Connection { tenant, outstanding, is_on: was_on, .. } = self.connections[connection];
        let Load::Closed { depth } = self.setup.tenants[tenant].load else {
            self.connections[connection].is_on = is_on;
            return;
        };
        let now_ns = self.agenda.now_ns();
        self.connections[connection].is_on = is_on;
        match (was_on, is_on) {
            (false, true) => {
                self.logs[tenant].want(now_ns);
                (outstanding..depth).for_each(|_| self.ask(connection));
            }
            (true, false) => self.logs[tenant].want_no_more(now_ns),
            (true, true) | (false, false) => {}
        }
    }

    fn activity(&self, connection: usize) -> Activity {
        self.setup.tenants[self.connections[connection].tenant].activity
    }

    fn first_connection(&self, tenant: usize) -> usize {
        self.setup.tenants[..tenant].iter().map(|tenant| tenant.connections.len()).sum()
    }
}
