//! A core's share of an entity for which requests wait: its part of the weights that wait on all cores where the entity is
//! scarce, of the work that waits where it is not.
//!
//! A core may take as fast as its share of the rate. What is scarce is so divided by weight and not by the number of cores on
//! which somebody waits; of anything else, requests on a core with many wait no longer than those on a core with few. What one
//! core leaves for a while goes to whoever asks.

/// A share counts in so many parts.
const WHOLE: u64 = 1 << 16;

/// Of what is scarce, background has one part in so many, wherever others wait.
pub(super) const BACKGROUND_PART: u64 = 50;

#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// How long what all cores take at a time lasts.
    slice_ns: u64,
    /// In parts of [`WHOLE`].
    part: u64,
    /// Until when this core has used its share.
    used_until_ns: u64,
    /// The weights that wait on this core, as others know them.
    pub(super) weights: [u64; 2],
    /// When the share was last looked at.
    divided_ns: u64,
}

impl Share {
    /// Of an entity of which all cores together take `slice_ns` at a time.
    pub(super) fn new(slice_ns: u64) -> Self {
        Self { slice_ns, part: WHOLE, used_until_ns: 0, weights: [0; 2], divided_ns: 0 }
    }

    /// Whether it is time to look at the share again: others come and go.
    pub(super) fn is_stale(&self, now_ns: u64) -> bool {
        !self.is_wanted() || self.divided_ns + self.look_ns() <= now_ns
    }

    /// Takes over what of all the weights that wait is this core's. Each pair is background's second.
    pub(super) fn divide(&mut self, weights: [u64; 2], all: [u64; 2], now_ns: u64) {
        self.divided_ns = now_ns;
        let background = if all[0] == 0 { WHOLE } else { WHOLE / BACKGROUND_PART };
        let others = if all[1] == 0 { WHOLE } else { WHOLE - background };
        let part = others * weights[0] / all[0].max(1) + background * weights[1] / all[1].max(1);
        // Who waits for nothing here takes the first of what he comes for as if he were alone.
        self.part = if weights == [0; 2] { WHOLE } else { part.clamp(1, WHOLE) };
        self.weights = weights;
    }

    /// Whether this core may take now what is to be had from `ready_ns` on: it has not used its share, or others leave
    /// something.
    pub(super) fn may_take(&self, ready_ns: u64, now_ns: u64) -> bool {
        self.used_until_ns <= now_ns || ready_ns.saturating_add(self.idle_ns()) <= now_ns
    }

    /// When this core may take what is to be had from `ready_ns` on.
    pub(super) fn ready_ns(&self, ready_ns: u64, now_ns: u64) -> u64 {
        if self.may_take(ready_ns, now_ns) {
            ready_ns
        } else {
            ready_ns.max(self.used_until_ns.min(now_ns + self.look_ns()))
        }
    }

    /// Charges what lasts `length_ns` at the whole rate. What others left is not charged.
    pub(super) fn charge(&mut self, length_ns: u64, now_ns: u64) {
        if self.used_until_ns <= now_ns {
            let begin_ns = self.used_until_ns.max(now_ns.saturating_sub(self.slice_ns));
            self.used_until_ns = begin_ns.saturating_add(self.stretched_ns(length_ns));
        }
    }

    /// How long `length_ns` at the whole rate takes on this core.
    pub(super) fn stretched_ns(&self, length_ns: u64) -> u64 {
        length_ns.saturating_mul(WHOLE) / self.part
    }

    /// Whether somebody waits on this core.
    pub(super) fn is_wanted(&self) -> bool {
        self.weights != [0; 2]
    }

    /// This core's part of a slice. It is taken in small pieces, so that the order among those who wait counts and not
    /// how many requests each of them has at a time.
    pub(super) fn slice_ns(&self) -> u64 {
        self.slice_ns / 4 * self.part / WHOLE
    }

    /// What nobody has taken for so long goes to whoever asks first: well within a burst, so that it is not lost.
    fn idle_ns(&self) -> u64 {
        self.slice_ns / 4
    }

    /// A core looks so often whether somebody leaves something.
    fn look_ns(&self) -> u64 {
        self.slice_ns / 2
    }
}
