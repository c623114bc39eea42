//! One thread's calls: which comes when, and what became of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::pipeline::{Answer, Call, Next, Source};
use fastrand::Rng;
use wire::nfs4::FileHandle;

use super::arguments::Span;
use super::figures::ThreadFigures;
use super::plan::{Plan, Window};
use super::target::{READ_OFFSET_FROM_END, Target, name};
use super::workload::Workload;

/// What calls are counted under whose connection broke.
pub const LOST: &str = "lost";

/// The source of a thread's calls.
pub struct Load {
    plan: Arc<Plan>,
    thread: usize,
    directory: Option<FileHandle>,
    targets: Vec<Target>,
    places: Vec<Place>,
    window: Window,
    /// In the open loop: when the next operation is due, and the time between two.
    schedule: Option<(Instant, Duration)>,
    /// Operations that may still begin.
    left: u64,
    weights: u64,
    random: Rng,
    /// Block at which the next sequential access of each file is.
    positions: Vec<u64>,
    blocks: u64,
    payload: Bytes,
    /// Names made, or removed, so far.
    names: u64,
    now: Instant,
    done: (u64, u64),
    figures: ThreadFigures,
}

/// What one place does.
#[derive(Clone, Debug)]
struct Place {
    target: usize,
    part: usize,
    begun: Instant,
    /// Of an operation of two calls.
    pair: Pair,
}

/// How far an operation of two calls is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pair {
    /// The next call is an operation's first, or only one.
    First,
    /// The first of two is under way, about the name or the file with this number.
    Half(u64),
    /// The second is next, or under way.
    Second(u64),
}

impl Load {
    /// The source for these targets, each with so many places.
    pub fn new(plan: &Arc<Plan>, thread: usize, targets: Vec<(Target, usize)>, go: Instant) -> Self {
        let arguments = &plan.arguments;
        let threads = u64::from(arguments.threads);
        let block = arguments.block_size.0;
        let blocks = arguments.file_size.0 / block;
        let place = |target| Place { target, part: 0, begun: go, pair: Pair::First };
        let counts = targets.iter().enumerate();
        let places =
            counts.flat_map(|(index, (_, count))| std::iter::repeat_n(place(index), *count)).collect();
        let interval = arguments.rate.map(|rate| Duration::from_secs_f64(threads as f64 / rate));
        let share = |total: u64| total / threads + u64::from((thread as u64) < total % threads);
        let mut random =
            Rng::with_seed(arguments.seed.wrapping_add(thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let writes = arguments.workload.any(Workload::writes);
        let prepared = plan.prepared.get();
        Self {
            thread,
            directory: prepared.and_then(|prepared| prepared.directories.get(thread).copied()),
            targets: targets.into_iter().map(|(target, _)| target).collect(),
            places,
            window: plan.window(go),
            // The threads take turns.
            schedule: interval
                .map(|interval| (go + interval.mul_f64(thread as f64 / threads as f64), interval)),
            left: match arguments.span() {
                Span::Operations(count) => share(count),
                Span::Time { .. } => u64::MAX,
            },
            weights: arguments.workload.parts.iter().map(|(_, weight)| u64::from(*weight)).sum(),
            positions: vec![blocks * thread as u64 / threads; arguments.files as usize],
            blocks,
            payload: if writes { noise(&mut random, block as usize) } else { Bytes::new() },
            names: 0,
            now: go,
            done: (0, 0),
            figures: ThreadFigures::new(arguments.workload.parts.len()),
            random,
            plan: Arc::clone(plan),
        }
    }

    /// What was measured.
    pub fn into_figures(self) -> ThreadFigures {
        self.figures
    }

    fn workload(&self, place: usize) -> Workload {
        self.plan.arguments.workload.parts[self.places[place].part].0
    }

    /// Chooses by weight.
    fn part(&mut self) -> usize {
        let parts = &self.plan.arguments.workload.parts;
        if parts.len() == 1 {
            return 0;
        }
        let mut left = self.random.u64(..self.weights);
        let chosen = parts.iter().position(|(_, weight)| {
            let here = left < u64::from(*weight);
            left = left.saturating_sub(u64::from(*weight));
            here
        });
        chosen.expect("the weights add up")
    }

    /// A file of the place's own as far as there are enough.
    fn own_file(&self, place: usize) -> usize {
        (place * self.plan.arguments.threads as usize + self.thread) % self.positions.len()
    }

    /// File and offset of the next access.
    fn block(&mut self, place: usize, workload: Workload) -> (usize, u64) {
        let (file, block) = match workload {
            Workload::RandomRead | Workload::RandomWrite => {
                let file = self.random.usize(..self.positions.len());
                (file, self.random.u64(..self.blocks))
            }
            _ => {
                let file = self.own_file(place);
                let block = self.positions[file];
                self.positions[file] = (block + 1) % self.blocks;
                (file, block)
            }
        };
        (file, block * self.plan.arguments.block_size.0)
    }

    fn write_data(&mut self, place: usize, workload: Workload, call: &mut Call<'_>) {
        if let Pair::Second(file) = self.places[place].pair {
            self.target(place).files[file as usize].commit.write(call);
            return;
        }
        let (file, offset) = self.block(place, workload);
        let target = &self.targets[self.places[place].target];
        let calls = &target.files[file];
        match workload {
            Workload::Read | Workload::RandomRead => {
                calls.read.write(call);
                call.patch_u64(READ_OFFSET_FROM_END, offset);
                call.expects(self.plan.arguments.block_size.0 as u32);
            }
            _ => {
                calls.write.write(call);
                call.patch_u64(target.write_offset_from_end(), offset);
                call.payload(&self.payload);
            }
        }
        if target.takes_two(workload) {
            self.places[place].pair = Pair::Half(file as u64);
        } else if workload == Workload::Commit {
            calls.commit.write(call);
        }
    }

    fn write_name(&mut self, place: usize, workload: Workload, call: &mut Call<'_>) {
        let directory = self.directory.expect("made for workloads that make names");
        let target = &self.targets[self.places[place].target];
        if let Pair::Second(number) = self.places[place].pair {
            target.remove(directory, &name(number), call);
            return;
        }
        let number = self.names;
        match workload {
            Workload::Remove => target.remove(directory, &name(number), call),
            Workload::MakeDirectory => target.make_directory(directory, &name(number), call),
            _ => target.create(directory, &name(number), call),
        }
        if target.takes_two(workload) {
            self.places[place].pair = Pair::Half(number);
        }
        self.names += 1;
    }

    fn target(&self, place: usize) -> &Target {
        &self.targets[self.places[place].target]
    }

    fn over(&mut self, place: usize, outcome: Result<u64, &'static str>) {
        let Place { begun, part, .. } = self.places[place];
        if let Ok(bytes) = outcome {
            self.done = (self.done.0 + 1, self.done.1 + bytes);
        }
        let part = &mut self.figures.parts[part];
        match outcome {
            // A place may have ended with it, and the measurement miss what it would have done.
            Err(status) => part.failed(status),
            Ok(_) if begun < self.window.start => return,
            Ok(bytes) => part.succeeded(self.now.saturating_duration_since(begun), bytes),
        }
        self.figures.last = Some(self.now);
    }

    /// When the next operation begins, unless it is too late for any.
    fn begin(&mut self, now: Instant) -> Result<Instant, Next> {
        if let Some((due, _)) = &mut self.schedule
            && *due < self.window.start
            && now >= self.window.start
        {
            // What the warm-up did not get to is no debt of the measurement.
            *due = self.window.start;
        }
        let begun = match self.schedule {
            Some((due, _)) if due > now => return Err(Next::NotBefore(due)),
            Some((due, _)) => due,
            None => now,
        };
        if self.left == 0 || self.plan.stop.load(Ordering::Relaxed) {
            return Err(Next::Ended);
        }
        if let Some(end) = self.window.end.filter(|end| now >= *end) {
            self.miss_until(end);
            return Err(Next::Ended);
        }
        if let Some((due, interval)) = &mut self.schedule {
            *due += *interval;
        }
        self.left -= 1;
        Ok(begun)
    }

    /// Counts what was due before `end` and will never begin.
    fn miss_until(&mut self, end: Instant) {
        if let Some((due, interval)) = &mut self.schedule {
            let late = end.saturating_duration_since(*due).as_secs_f64();
            let missed = (late / interval.as_secs_f64()).ceil();
            self.figures.missed += missed as u64;
            *due = (*due).max(end);
        }
    }
}

impl Source for Load {
    fn next(&mut self, place: usize) -> Next {
        if let Pair::Second(_) = self.places[place].pair {
            return Next::Call;
        }
        match self.begin(Instant::now()) {
            Ok(begun) => {
                let part = self.part();
                self.places[place].part = part;
                self.places[place].begun = begun;
                Next::Call
            }
            Err(next) => next,
        }
    }

    fn write(&mut self, place: usize, call: &mut Call<'_>) {
        let workload = self.workload(place);
        match workload {
            Workload::Null => {}
            Workload::GetAttributes | Workload::Open => {
                let file = self.random.usize(..self.positions.len());
                let calls = &self.target(place).files[file];
                if workload == Workload::Open { &calls.open } else { &calls.attributes }.write(call);
            }
            _ if workload.has_data() => self.write_data(place, workload, call),
            _ => self.write_name(place, workload, call),
        }
    }

    fn answered(&mut self, place: usize, answer: Answer<'_>) {
        let workload = self.workload(place);
        let pair = std::mem::replace(&mut self.places[place].pair, Pair::First);
        let outcome = match answer {
            Answer::Results(_) if !workload.has_data() => Ok(0),
            Answer::Results(mut results) => {
                let block = self.plan.arguments.block_size.0;
                let is_second = matches!(pair, Pair::Second(_));
                match self.target(place).moved(workload, is_second, block, &mut results) {
                    Ok(bytes) if bytes < block => Err("short"),
                    Ok(bytes) => Ok(bytes),
                    Err(_) => Err("malformed"),
                }
            }
            Answer::Failed(status) => Err(status),
            Answer::Refused => Err("refused"),
            Answer::Lost => Err(LOST),
        };
        match (pair, outcome) {
            (Pair::Half(number), Ok(_)) => self.places[place].pair = Pair::Second(number),
            _ => self.over(place, outcome),
        }
    }

    fn arriving(&mut self) {
        self.now = Instant::now();
        self.plan.done[self.thread].set(self.done.0, self.done.1);
    }
}

/// So many bytes that look like nothing.
fn noise(random: &mut Rng, count: usize) -> Bytes {
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes.into()
}
