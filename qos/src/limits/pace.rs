//! How much work is done in a second by what all compete for, found out while it is done: from how long requests take.
//!
//! What is behind the limits (disks, memory, processors) takes longer when more is asked of it than it can do, and by how much
//! longer says how much too much it is. So the rate of work goes up until requests take too long beside what they take when
//! little is asked for, and down when they do. What they take then is looked at anew every other second, at a quarter of the
//! rate for some milliseconds; it is no constant, for what is read may be in memory now and on disk later.
//!
//! Protected requests beside others may take a sixth longer in the mean. Where there are none, requests may take twice as long:
//! then there is always something to be done next, and nothing is left unused.
//!
//! What is found out so may be wrong by far: where cores come round late, how long requests take says little of what they wait for.
//! So a few requests of each core are at work whatever the rate is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use super::limit::{Cost, WRITE_COST_FIRST, WRITE_COST_ONE};

/// Sizes that are told apart: below 4 KiB, below 12 KiB, and so on, up to 4 MiB.
const SIZES: usize = 12;
/// Reads of each size, then writes.
const CLASSES: usize = 2 * SIZES;

/// What a rate is counted in: thousandths of a read of 4 KiB.
const UNIT: f64 = 1e3;
/// Reads of 4 KiB per second: where to begin with a device of which nothing is known, and what no device is beyond.
const RATE_FIRST: f64 = 1e5 * UNIT;
const RATE_MIN: f64 = 100.0 * UNIT;
const RATE_MAX: f64 = 1e8 * UNIT;

/// The rate is looked at so often, where so many requests were done since; after the longer time with fewer.
const STEP_NS: u64 = 5_000_000;
const SAMPLES_MIN: u64 = 16;
const STEP_NS_MAX: u64 = 50_000_000;
/// A core tells what it has seen so often.
const REPORT_NS: u64 = 1_000_000;
const REPORT_SAMPLES: u64 = 32;

/// By which part requests may take longer, in the mean, than when little is asked for: protected ones beside others, and any.
const PROTECTED_MAX: f64 = 0.15;
const ANY_MAX: f64 = 1.0;
/// So many nanoseconds longer cannot be told from a turn of a core's loop.
const PROTECTED_MAX_NS: f64 = 10e3;
const ANY_MAX_NS: f64 = 50e3;

/// A step up, where requests take no longer than they need, and how much faster in the beginning.
const STEP_UP: f64 = 0.03;
const STEP_UP_FIRST: f64 = 0.5;
/// A step down for taking too long by as much as is allowed, and how often that at most. Where requests may take twice as long that
/// is as much as stands in the way in a step of flash: with more there would be nothing left to do.
const STEP_DOWN_PROTECTED: f64 = 0.02;
const STEP_DOWN_ANY: f64 = 0.01;
const EXCESS_MAX: f64 = 5.0;
/// A rate of which so much is not used says nothing, and does not go up.
const USED_MIN: f64 = 0.7;

/// A quarter of the rate is tried so often; earlier, if the rate has come down to half and nothing is better for it.
const PROBE_EVERY_NS: u64 = 2_000_000_000;
const PROBE_PART: f64 = 0.25;
/// It is measured once that changes by no more than so much from one step to the next, and some time in any case.
const SETTLED_PART: u64 = 5;
const SETTLE_NS_MAX: u64 = 100_000_000;
const PROBE_AGAIN_NS: u64 = 200_000_000;
/// Where that leaves more of the strain than this, it is not for the rate that requests take long.
const STRAIN_LEFT_MAX: f64 = 0.7;
/// Requests that then take so much longer than they used to are others, and nothing is to be learnt of before.
const OTHERS_MIN: f64 = 1.5;

/// Whatever the rate is, so many requests of each core may be at work. Of those beside protected ones one may, of all cores.
pub(super) const AT_WORK_MIN: u32 = 10;
/// Protected ones that were there so lately may come again, in nanoseconds; and for so long nobody knows who comes.
const GUARDED_NS: u64 = 200_000_000;

/// What was done: how long requests of each class took, and how many there were; protected ones apart from the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    taken_ns: [[u64; CLASSES]; 2],
    counts: [[u64; CLASSES]; 2],
    work: u64,
    samples: u64,
    since_ns: u64,
}

impl Report {
    /// Adds a request that has taken `taken_ns`. One without payload says nothing about time.
    pub(super) fn add(&mut self, cost: Cost, is_protected: bool, taken_ns: u64) {
        if cost.bytes > 0 {
            let size = (cost.bytes / 4096 + 1).ilog2() as usize;
            let class = size.min(SIZES - 1) + if cost.kind.mutates() { SIZES } else { 0 };
            self.taken_ns[usize::from(!is_protected)][class] += taken_ns;
            self.counts[usize::from(!is_protected)][class] += 1;
        }
        self.samples += 1;
    }

    /// Adds work that goes on.
    pub(super) fn add_work(&mut self, cost: Cost) {
        self.work += cost.work();
    }

    /// Whether it is time to tell it.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        self.samples >= REPORT_SAMPLES || self.since_ns + REPORT_NS <= now_ns
    }

    fn count(&self, group: usize) -> u64 {
        self.counts[group].iter().sum()
    }

    fn mean_ns_of_all(&self) -> u64 {
        let sum = |of: &[[u64; CLASSES]; 2]| of.as_flattened().iter().sum::<u64>();
        sum(&self.taken_ns) / sum(&self.counts).max(1)
    }

    /// How long requests of a class took in the mean, where there were some.
    fn mean_ns(&self, class: usize) -> Option<f64> {
        let count: u64 = self.counts.iter().map(|counts| counts[class]).sum();
        let taken_ns: u64 = self.taken_ns.iter().map(|taken_ns| taken_ns[class]).sum();
        (count >= SAMPLES_MIN / 4).then(|| taken_ns as f64 / count as f64)
    }
}

/// What all cores have told, and what came of it.
#[derive(Debug)]
pub(super) struct Pace {
    told: Told,
    control: Mutex<Control>,
    due_ns: AtomicU64,
    /// What a write costs beside a read, see [`Cost::at`].
    write_cost: AtomicU16,
    is_guarded: AtomicBool,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Told {
    taken_ns: [[AtomicU64; CLASSES]; 2],
    counts: [[AtomicU64; CLASSES]; 2],
    work: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            told: Told::default(),
            control: Mutex::default(),
            due_ns: AtomicU64::new(0),
            write_cost: AtomicU16::new(WRITE_COST_FIRST),
            is_guarded: AtomicBool::new(true),
        }
    }
}

impl Pace {
    /// The rate to begin with, in thousandths of a read of 4 KiB per second: that of before, if there was one.
    pub(super) fn rate(&self) -> u64 {
        self.control.lock().map_or(RATE_FIRST as u64, |control| control.rate as u64)
    }

    pub(super) fn write_cost(&self) -> u16 {
        self.write_cost.load(Ordering::Relaxed)
    }

    /// Whether there are protected requests beside others.
    pub(super) fn is_guarded(&self) -> bool {
        self.is_guarded.load(Ordering::Relaxed)
    }

    /// Takes over what a core has seen, and answers the rate where it becomes another. No core waits for another one here.
    /// `is_wanted` says whether somebody waits for work.
    pub(super) fn tell(&self, report: &mut Report, is_wanted: bool, now_ns: u64) -> Option<u64> {
        self.told.add(report);
        *report = Report { since_ns: now_ns, ..Report::default() };
        if now_ns < self.due_ns.load(Ordering::Relaxed) {
            return None;
        }
        let mut control = self.control.try_lock().ok()?;
        self.told.take(&mut control.report);
        let rate = control.step(is_wanted, now_ns);
        self.due_ns.store(now_ns + if rate.is_some() { STEP_NS } else { REPORT_NS }, Ordering::Relaxed);
        self.write_cost.store((control.write_cost * f64::from(WRITE_COST_ONE)) as u16, Ordering::Relaxed);
        let is_guarded = now_ns < control.guarded_ns + GUARDED_NS;
        self.is_guarded.store(is_guarded, Ordering::Relaxed);
        rate.map(|rate| rate as u64)
    }
}

impl Told {
    fn add(&self, report: &Report) {
        let add = |word: &AtomicU64, more: u64| {
            if more > 0 {
                word.fetch_add(more, Ordering::Relaxed);
            }
        };
        for (words, more) in [(&self.taken_ns, &report.taken_ns), (&self.counts, &report.counts)] {
            words.as_flattened().iter().zip(more.as_flattened()).for_each(|(word, more)| add(word, *more));
        }
        add(&self.work, report.work);
    }

    fn take(&self, report: &mut Report) {
        for (words, sums) in [(&self.taken_ns, &mut report.taken_ns), (&self.counts, &mut report.counts)] {
            for (word, sum) in words.as_flattened().iter().zip(sums.as_flattened_mut()) {
                *sum += word.swap(0, Ordering::Relaxed);
            }
        }
        report.work += self.work.swap(0, Ordering::Relaxed);
    }
}

/// Finds the rate, step by step.
#[derive(Debug)]
struct Control {
    /// What was done since the last step.
    report: Report,
    stepped_ns: u64,
    /// When there were last protected requests beside others, or may have been.
    guarded_ns: u64,
    rate: f64,
    /// Nothing has ever taken too long.
    is_first: bool,
    /// A quarter of the rate was tried once.
    is_known: bool,
    /// How long requests of each class take when little is asked for; 0 is not known.
    least_ns: [f64; CLASSES],
    /// What a write costs beside a read of the same size.
    write_cost: f64,
    /// As of the last step that was none of a probe.
    strain: f64,
    probe: Probe,
    probed_ns: u64,
    /// The rate at that time, half of which it does not go below.
    probed_rate: f64,
}

/// A quarter of the rate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    No,
    /// What was there before has first to be done; requests took so long in the mean at the last look.
    Settling {
        /// In nanoseconds.
        mean_ns: u64,
    },
    Measuring,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            report: Report::default(),
            stepped_ns: 0,
            guarded_ns: 0,
            rate: RATE_FIRST,
            is_first: true,
            is_known: false,
            least_ns: [0.0; CLASSES],
            write_cost: f64::from(WRITE_COST_FIRST) / f64::from(WRITE_COST_ONE),
            strain: 0.0,
            probe: Probe::No,
            probed_ns: 0,
            probed_rate: RATE_FIRST,
        }
    }
}

impl Control {
    /// Makes of what was done since the last step the rate until the next. `None`: too little was done to say anything.
    fn step(&mut self, is_wanted: bool, now_ns: u64) -> Option<f64> {
        let elapsed_ns = now_ns.saturating_sub(self.stepped_ns);
        let [protected, others] = [0, 1].map(|group| self.report.count(group));
        let is_guarded = protected > 0 && others > 0;
        let judged = if is_guarded { protected } else { protected + others };
        if elapsed_ns < STEP_NS || (judged < SAMPLES_MIN && elapsed_ns < STEP_NS_MAX) {
            return None;
        }
        let report = std::mem::take(&mut self.report);
        self.stepped_ns = now_ns;
        let is_beginning = elapsed_ns > 2 * STEP_NS_MAX;
        if is_guarded || is_beginning {
            self.guarded_ns = now_ns;
        }
        if is_beginning {
            // Nobody asked for some time: what is there is the end of that.
            self.probe = Probe::No;
            return Some(self.rate);
        }
        let done = report.work as f64 * 1e9 / elapsed_ns as f64;
        // Where cores come round seldom, less is done than the rate allows, and somebody waits all the same.
        let is_used = is_wanted || done >= USED_MIN * self.rate;
        let strain = self.strain(&report, is_guarded);
        self.learn(&report);
        match self.probe {
            Probe::Settling { mean_ns: before_ns } => {
                let mean_ns = report.mean_ns_of_all();
                // What is done now has begun so long ago; what had begun before the probe is none of it.
                let has_begun = self.probed_ns + STEP_NS + mean_ns <= now_ns;
                let is_settled = has_begun && mean_ns.abs_diff(before_ns) * SETTLED_PART <= before_ns;
                let is_late = self.probed_ns + SETTLE_NS_MAX <= now_ns;
                self.probe =
                    if is_settled || is_late { Probe::Measuring } else { Probe::Settling { mean_ns } };
                return Some(self.probe_rate(done));
            }
            Probe::Measuring => self.end_probe(strain),
            Probe::No => {
                let step_down = if is_guarded { STEP_DOWN_PROTECTED } else { STEP_DOWN_ANY };
                self.adapt(strain, (!is_wanted).then_some(done), is_used, step_down);
            }
        }
        let since_ns = now_ns.saturating_sub(self.probed_ns);
        let is_due = since_ns >= if self.is_stuck() { PROBE_AGAIN_NS } else { PROBE_EVERY_NS };
        // Once it is known what requests take there is nothing to be found out where nobody waits and nothing takes too long.
        if !self.is_known || (is_due && (is_wanted || self.strain > 1.0)) {
            (self.probe, self.probed_ns) = (Probe::Settling { mean_ns: report.mean_ns_of_all() }, now_ns);
            return Some(self.probe_rate(done));
        }
        Some(self.rate)
    }

    /// Whether the rate has come down to half since the last probe.
    fn is_stuck(&self) -> bool {
        self.rate <= self.probed_rate / 2.0
    }

    /// A quarter of the rate was tried. Where nothing is better for it that the rate has come down, it goes back up.
    fn end_probe(&mut self, strain: f64) {
        (self.probe, self.is_known) = (Probe::No, true);
        if self.is_stuck() && strain > STRAIN_LEFT_MAX * self.strain {
            self.rate = self.probed_rate;
        }
        self.probed_rate = self.rate;
    }

    /// By how much requests take longer than they need, as a part of what they may: 0 for not at all, 1 for as much as they may.
    fn strain(&self, report: &Report, is_guarded: bool) -> f64 {
        let (groups, part, most_ns) =
            if is_guarded { (0..1, PROTECTED_MAX, PROTECTED_MAX_NS) } else { (0..2, ANY_MAX, ANY_MAX_NS) };
        let (mut taken_ns, mut least_ns, mut count) = (0.0, 0.0, 0.0);
        for group in groups {
            for class in (0..CLASSES).filter(|class| self.least_ns[*class] > 0.0) {
                taken_ns += report.taken_ns[group][class] as f64;
                least_ns += report.counts[group][class] as f64 * self.least_ns[class];
                count += report.counts[group][class] as f64;
            }
        }
        let most_ns = f64::max(part * least_ns, most_ns * count);
        if count > 0.0 { (taken_ns - least_ns).max(0.0) / most_ns } else { 0.0 }
    }

    /// `done` is what was done where that was all that was asked for. While somebody waits it says little: cores may come late.
    fn adapt(&mut self, strain: f64, done: Option<f64>, is_used: bool, step_down: f64) {
        self.strain = strain;
        if strain > 1.0 {
            self.is_first = false;
            let excess = (strain - 1.0).min(EXCESS_MAX);
            let least = (self.probed_rate / 2.0).min(self.rate);
            let done = done.filter(|_| excess > 1.0).map_or(self.rate, |done| done.max(self.rate / 2.0));
            let rate = self.rate.min(done);
            self.rate = (rate * (1.0 - step_down * excess)).max(least);
        } else if is_used {
            self.rate *= 1.0 + if self.is_first { STEP_UP_FIRST } else { STEP_UP } * (1.0 - strain);
        }
        self.rate = self.rate.clamp(RATE_MIN, RATE_MAX);
        if self.is_first {
            self.probed_rate = self.rate;
        }
    }

    /// Learns how long requests take when little is asked for.
    fn learn(&mut self, report: &Report) {
        for class in 0..CLASSES {
            let Some(mean_ns) = report.mean_ns(class) else { continue };
            let least_ns = &mut self.least_ns[class];
            *least_ns += match self.probe {
                _ if *least_ns == 0.0 => mean_ns,
                Probe::Measuring if mean_ns > OTHERS_MIN * *least_ns => mean_ns - *least_ns,
                Probe::Measuring => (mean_ns - *least_ns) / 2.0,
                _ => (mean_ns - *least_ns).min(0.0) / 8.0,
            };
        }
        for size in 0..SIZES {
            if let (Some(read_ns), Some(write_ns)) = (report.mean_ns(size), report.mean_ns(SIZES + size)) {
                self.write_cost += ((write_ns / read_ns).clamp(1.0, 20.0) - self.write_cost) / 8.0;
            }
        }
    }

    fn probe_rate(&self, done: f64) -> f64 {
        (self.rate.min(done) * PROBE_PART).max(RATE_MIN)
    }
}
