//! What happened to a tenant's operations, and the figures that are made of it.

use hdrhistogram::Histogram;

/// The unit of time of the log. Windows begin at every one.
pub const BIN_NS: u64 = 1_000_000;

/// Times that are told apart: 1 ns to 100 s, to three digits.
const LATENCY_MAX_NS: u64 = 100_000_000_000;
const LATENCY_DIGITS: u8 = 3;

/// One tenant's log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Bytes that were asked for in each bin.
    asked: Vec<u64>,
    /// Bytes that went on in each bin.
    begun: Vec<u64>,
    /// Bins in which, for some time, nothing was wanted.
    slack: Vec<bool>,
    /// Operations that wait, and connections that ask for the next as soon as one is done.
    wanted: usize,
    /// Operations that began, and those that were refused.
    begun_count: u64,
    refused_count: u64,
    slack_since_ns: u64,
    /// Of each limit there was, one after the other.
    envelopes: Vec<Envelope>,
    /// From asking to the end, of operations asked for after the warm-up.
    latency: Histogram<u64>,
    counted_from_ns: u64,
}

/// How much more went on, in any time whatsoever, than its limit has for that time.
#[derive(Clone, Copy, Debug)]
struct Envelope {
    limit: f64,
    since_ns: u64,
    excess: f64,
    excess_max: f64,
}

/// Achieved rates beside the limit, of many windows: achieved / limit - 1.
#[derive(Clone, Copy, Debug)]
pub struct Errors {
    /// How many windows.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// A hundredth is below.
    pub p1: f64,
    /// A hundredth is above.
    pub p99: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Errors {
    /// Of errors; `None` of none.
    pub fn of(mut errors: Vec<f64>) -> Option<Self> {
        errors.sort_by(f64::total_cmp);
        let (first, last) = (*errors.first()?, *errors.last()?);
        let at = |share: f64| errors[((errors.len() - 1) as f64 * share).round() as usize];
        let count = errors.len();
        let mean = errors.iter().sum::<f64>() / count as f64;
        Some(Self { count, mean, p1: at(0.01), p99: at(0.99), min: first, max: last })
    }

    /// The greatest in either direction.
    pub fn worst(&self) -> f64 {
        self.max.max(-self.min)
    }
}

impl Log {
    /// An empty one of a run of `duration_ns`, beside a limit if there is one.
    pub fn new(duration_ns: u64, counted_from_ns: u64, limit: Option<u64>) -> Self {
        let bins = duration_ns.div_ceil(BIN_NS) as usize;
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_NS, LATENCY_DIGITS).expect("sound bounds");
        let mut log = Self {
            asked: vec![0; bins],
            begun: vec![0; bins],
            slack: vec![false; bins],
            wanted: 0,
            begun_count: 0,
            refused_count: 0,
            slack_since_ns: 0,
            envelopes: Vec::new(),
            latency,
            counted_from_ns,
        };
        if let Some(limit) = limit {
            log.limited(0, limit);
        }
        log
    }

    /// The limit from then on; until then what goes on is held against none.
    pub fn limited(&mut self, from_ns: u64, limit: u64) {
        self.envelopes.push(Envelope {
            limit: limit as f64,
            since_ns: from_ns,
            excess: 0.0,
            excess_max: 0.0,
        });
    }

    /// Bytes were asked for.
    pub fn ask(&mut self, now_ns: u64, bytes: u64) {
        self.asked[bin(now_ns)] += bytes;
        self.want(now_ns);
    }

    /// An operation waits, or a connection begins to ask for one after the other.
    pub fn want(&mut self, now_ns: u64) {
        if self.wanted == 0 && now_ns > self.slack_since_ns {
            self.slack[bin(self.slack_since_ns)..=bin(now_ns)].fill(true);
        }
        self.wanted += 1;
    }

    /// It does no longer.
    pub fn want_no_more(&mut self, now_ns: u64) {
        self.wanted -= 1;
        if self.wanted == 0 {
            self.slack_since_ns = now_ns;
        }
    }

    /// They went on.
    pub fn begin(&mut self, now_ns: u64, bytes: u64) {
        self.begun[bin(now_ns)] += bytes;
        self.begun_count += 1;
        self.want_no_more(now_ns);
        if let Some(envelope) = self.envelopes.last_mut()
            && now_ns >= envelope.since_ns
        {
            let due = envelope.limit * (now_ns - envelope.since_ns) as f64 / 1e9;
            envelope.since_ns = now_ns;
            envelope.excess = (envelope.excess - due).max(0.0) + bytes as f64;
            envelope.excess_max = envelope.excess_max.max(envelope.excess);
        }
    }

    /// They were refused.
    pub fn refuse(&mut self, now_ns: u64) {
        self.refused_count += 1;
        self.want_no_more(now_ns);
    }

    /// They were done.
    pub fn end(&mut self, now_ns: u64, asked_ns: u64) {
        if asked_ns >= self.counted_from_ns {
            self.latency.saturating_record(now_ns - asked_ns);
        }
    }

    /// The run is over.
    pub fn close(&mut self) {
        if self.wanted == 0 {
            self.slack[bin(self.slack_since_ns)..].fill(true);
        }
    }

    /// The most that went on above the limit's share of the time, in any time at all, of each limit there was.
    pub fn excess_bytes(&self) -> Vec<u64> {
        self.envelopes.iter().map(|envelope| envelope.excess_max as u64).collect()
    }

    /// Which part of the operations was refused.
    pub fn refused(&self) -> f64 {
        self.refused_count as f64 / (self.begun_count + self.refused_count).max(1) as f64
    }

    /// Errors of all windows of `bins` during which something was wanted all the time.
    pub fn errors(&self, bins: usize, limit: u64) -> Option<Errors> {
        let due = limit as f64 * (bins as u64 * BIN_NS) as f64 / 1e9;
        let slack = sums(self.slack.iter().map(|slack| u64::from(*slack)));
        let windows = self.first_bin()..(self.begun.len() + 1).saturating_sub(bins);
        let begun = sums(self.begun.iter().copied());
        let backlogged = windows.filter(|first| slack[first + bins] == slack[*first]);
        Errors::of(backlogged.map(|first| (begun[first + bins] - begun[first]) as f64 / due - 1.0).collect())
    }

    /// Bytes that went on in each of consecutive windows of `bins`, since the warm-up.
    pub fn windows(&self, bins: usize) -> Vec<u64> {
        self.begun[self.first_bin()..].chunks_exact(bins).map(|window| window.iter().sum()).collect()
    }

    /// Bytes that went on since the warm-up.
    pub fn total(&self) -> u64 {
        self.begun[self.first_bin()..].iter().sum()
    }

    /// Which part of all windows of `bins` was given less than `least` of its demand, or of what is reserved if that is
    /// less: of what a server of its own with the reserved rate would have given. That has, at every moment, either the rate
    /// from then on and all that waited at the beginning of the window or came before then, or less. What comes at the end of a
    /// window is so held against what is reserved for the rest of it, and not for all of it: no server gives that.
    pub fn shortfall(&self, bins: usize, reserved: u64, least: f64) -> f64 {
        let reserved = reserved as f64 * BIN_NS as f64 / 1e9;
        let (asked, begun) = (sums(self.asked.iter().copied()), sums(self.begun.iter().copied()));
        let windows = self.first_bin()..(self.begun.len() + 1).saturating_sub(bins);
        let count = windows.len();
        let is_short = |first: &usize| {
            let idle_from =
                |bin: usize| (asked[first + bin] - begun[*first]) as f64 + reserved * (bins - bin) as f64;
            let due = (0..=bins).map(idle_from).fold(reserved * bins as f64, f64::min);
            ((begun[first + bins] - begun[*first]) as f64) < least * due
        };
        windows.filter(is_short).count() as f64 / count as f64
    }

    /// How long all but this share of the operations took at most, in nanoseconds.
    pub fn latency_ns(&self, quantile: f64) -> u64 {
        self.latency.value_at_quantile(quantile)
    }

    fn first_bin(&self) -> usize {
        bin(self.counted_from_ns)
    }
}

/// How equal shares are: 1 if all are, 1/n if one has all (Jain's index).
pub fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) = (shares.iter().sum::<f64>(), shares.iter().map(|share| share * share).sum::<f64>());
    sum * sum / (shares.len() as f64 * squares)
}

fn bin(now_ns: u64) -> usize {
    (now_ns / BIN_NS) as usize
}

/// The sum of all before each position.
fn sums(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sum = 0;
    let mut sums = vec![0];
    sums.extend(values.map(|value| {
        sum += value;
        sum
    }));
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One operation of `bytes` at each of these times, asked for long before.
    fn log(limit: u64, bytes: u64, times_us: impl Iterator<Item = u64>) -> Log {
        let mut log = Log::new(1_000 * BIN_NS, 0, Some(limit));
        let times: Vec<u64> = times_us.collect();
        times.iter().for_each(|_| log.ask(0, bytes));
        log.ask(0, bytes);
        times.iter().for_each(|time_us| log.begin(time_us * 1000, bytes));
        log
    }

    #[test]
    fn windows_have_the_error_that_was_put_in() {
        // 1 MB/s is asked to be 1000 bytes in each ms; one in ten has 1100.
        let steady = log(1_000_000, 100, (0..1000).flat_map(|ms| (0..10).map(move |part| ms * 1000 + part)));
        let errors = steady.errors(100, 1_000_000).expect("windows");
        assert_eq!((errors.count, errors.min, errors.max), (901, 0.0, 0.0));
        let more = log(
            1_000_000,
            100,
            (0..1000).flat_map(|ms| (0..10 + u64::from(ms < 100)).map(move |part| ms * 1000 + part)),
        );
        let errors = more.errors(100, 1_000_000).expect("windows");
        assert!((errors.max - 0.1).abs() < 1e-9 && errors.min.abs() < 1e-9, "{errors:?}");
        assert!(more.excess_bytes()[0] > 100 * 100, "{:?}", more.excess_bytes());
    }

    #[test]
    fn windows_without_demand_do_not_count() {
        let mut log = Log::new(1_000 * BIN_NS, 0, Some(1_000_000));
        log.ask(300 * BIN_NS, 100);
        log.begin(800 * BIN_NS, 100);
        log.close();
        // From the bin after the one in which it came, up to the one in which it went.
        assert_eq!(log.errors(100, 1_000_000).expect("windows").count, 400);
        assert!(log.errors(600, 1_000_000).is_none());
    }

    #[test]
    fn shortfall_is_of_demand_and_no_more_than_what_is_reserved() {
        let mut log = Log::new(1_000 * BIN_NS, 0, None);
        // 100 bytes per ms are asked for, and go on at once in the first half, a ms in two in the other.
        for ms in 0..1000 {
            log.ask(ms * BIN_NS, 100);
            if ms < 500 || ms % 2 == 0 {
                log.begin(ms * BIN_NS, 100);
            }
        }
        assert!((log.shortfall(100, 1_000_000, 0.95) - 0.55).abs() < 0.05);
        assert_eq!(log.shortfall(100, 50_000, 0.95), 0.0, "half of the demand is reserved, and was given");
    }

    #[test]
    fn what_comes_late_in_a_window_has_no_more_than_the_rest_of_it() {
        let with_wait = |wait_ms: u64| {
            let mut log = Log::new(1_000 * BIN_NS, 0, None);
            // All of 10 ms is asked for at once, again and again, and goes on at the reserved rate, perhaps late.
            for burst in 0..10 {
                (0..10).for_each(|_| log.ask(burst * 100 * BIN_NS, 1000));
                (0..10).for_each(|ms| log.begin((burst * 100 + ms + wait_ms) * BIN_NS, 1000));
            }
            log.shortfall(100, 1_000_000, 0.95)
        };
        assert_eq!(with_wait(0), 0.0);
        assert!(with_wait(20) > 0.1, "{}", with_wait(20));
    }

    #[test]
    fn jain_is_one_for_equal_shares_and_the_inverse_of_their_number_for_one() {
        assert_eq!(jain(&[3.0; 8]), 1.0);
        assert_eq!(jain(&[1.0, 0.0, 0.0, 0.0]), 0.25);
    }
}
