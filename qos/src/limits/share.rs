//! A core's share of what is scarce: its part of the weights that wait for it on all cores.
//!
//! A core may take as fast as its share of the rate, so that weights count and not the number of cores on which somebody
//! waits. What one core leaves for a while goes to whoever asks.

use super::bucket::SLICE_NS;

/// A share counts in so many parts.
const WHOLE: u64 = 1 << 16;

/// Of what is scarce, background has one part in so many, wherever others wait.
pub(super) const BACKGROUND_PART: u64 = 50;

/// What nobody has taken for so long goes to whoever asks first: well within a burst, so that it is not lost.
const IDLE_NS: u64 = SLICE_NS / 4;

/// A core looks so often whether somebody leaves something.
const LOOK_NS: u64 = SLICE_NS / 2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// In parts of [`WHOLE`].
    part: u64,
    /// Until when this core has used its share.
    used_until_ns: u64,
    /// The weights that wait on this core, as others know them.
    pub(super) weights: [u64; 2],
    /// When the share was last looked at.
    divided_ns: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self { part: WHOLE, used_until_ns: 0, weights: [0; 2], divided_ns: 0 }
    }
}

impl Share {
    /// Whether it is time to look at the share again: others come and go.
    pub(super) fn is_stale(&self, now_ns: u64) -> bool {
        !self.is_wanted() || self.divided_ns + LOOK_NS <= now_ns
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
        self.used_until_ns <= now_ns || ready_ns.saturating_add(IDLE_NS) <= now_ns
    }

    /// When this core may take what is to be had from `ready_ns` on.
    pub(super) fn ready_ns(&self, ready_ns: u64, now_ns: u64) -> u64 {
        if self.may_take(ready_ns, now_ns) {
            ready_ns
        } else {
            ready_ns.max(self.used_until_ns.min(now_ns + LOOK_NS))
        }
    }

    /// Charges what lasts `length_ns` at the whole rate. What others left is not charged.
    pub(super) fn charge(&mut self, length_ns: u64, now_ns: u64) {
        if self.used_until_ns <= now_ns {
            let begin_ns = self.used_until_ns.max(now_ns.saturating_sub(SLICE_NS));
            self.used_until_ns = begin_ns.saturating_add(length_ns.saturating_mul(WHOLE) / self.part);
        }
    }

    /// Whether somebody waits on this core.
    pub(super) fn is_wanted(&self) -> bool {
        self.weights != [0; 2]
    }

    /// This core's part of a slice. It is taken in small pieces, so that the order among those who wait counts and not
    /// how many requests each of them has at a time.
    pub(super) fn slice_ns(&self) -> u64 {
        SLICE_NS / 4 * self.part / WHOLE
    }
}
