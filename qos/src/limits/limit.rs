//! What an entity is allowed, and what a request costs.

use std::num::{NonZeroU32, NonZeroU64};

use crate::Kind;

/// How long an entity may save up what it did not use, where its limit does not say: enough for a core that comes
/// round late, too short to be seen in a window of a tenth of a second.
pub const BURST_NS_DEFAULT: u64 = 1_000_000;

/// One operation in the count of operations stands for so much payload, where nothing else is configured.
pub const IO_UNIT_BYTES_DEFAULT: u64 = 64 << 10;

/// How much of `rate` can be reserved: a tenth of what is scarce is left for those for whom nothing is.
pub fn reservable(rate: u64) -> u64 {
    rate / 10 * 9 + rate % 10 * 9 / 10
}

/// Names an entity: a client, an export, a set of files, a group, the server. The caller chooses the keys; nothing here
/// knows what kinds there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity(pub u128);

/// In which order the parked of one entity are served. Limits bind in all tiers alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// First.
    Protected,
    /// By weight.
    #[default]
    Normal,
    /// What the others leave, but never less than a fiftieth.
    Background,
}

/// So much per second, `None` without bound. Reads and writes are bounded apart, together, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// What only looks.
    pub read: Option<NonZeroU64>,
    /// What changes something.
    pub write: Option<NonZeroU64>,
    /// All of it.
    pub together: Option<NonZeroU64>,
}

/// What one entity is allowed. Without anything set it bounds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Payload in bytes per second.
    pub bytes: Rates,
    /// Operations per second, as [`Cost::operations`] counts them.
    pub operations: Rates,
    /// How long what was not used is saved up, in nanoseconds of the rate.
    pub burst_ns: u64,
    /// Whether this is what all compete for, as the server as a whole: cores then take from it by the weights of those
    /// who wait on them, and not in turn.
    pub scarce: bool,
    /// Payload in bytes per second that it gets of what is scarce whatever others want. Limits bind all the same.
    pub reserved: Option<NonZeroU64>,
    /// The share of what is scarce beside others, `None` for what stands above it on the path.
    pub weight: Option<NonZeroU32>,
    /// The order of service, `None` for what stands above it on the path.
    pub tier: Option<Tier>,
}

impl Default for Limit {
    fn default() -> Self {
        let (bytes, operations) = (Rates::default(), Rates::default());
        Self {
            bytes,
            operations,
            burst_ns: BURST_NS_DEFAULT,
            scarce: false,
            reserved: None,
            weight: None,
            tier: None,
        }
    }
}

/// How many meters an entity has: bytes and operations, each read, written and together, what is reserved, and work.
pub(super) const METERS: usize = 8;

/// The meter of what is reserved, which only those run through who need it.
pub(super) const RESERVED: usize = 6;

/// The meter of work, which what all compete for has that nobody has given a limit.
pub(super) const WORK: usize = 7;

/// The first meter that counts operations.
const OPERATIONS: usize = 3;

/// The meters that a read runs through, a bit each.
const READ_METERS: u8 = 0b1010_1101;

/// The meters that a write runs through.
const WRITE_METERS: u8 = 0b1011_0110;

impl Limit {
    /// Whether it says how what all compete for is divided.
    pub(super) fn divides(&self) -> bool {
        self.weight.is_some() || self.tier.is_some() || self.reserved.is_some()
    }

    /// The rates in the order of the meters.
    pub(super) fn rates(&self) -> [Option<NonZeroU64>; METERS] {
        let Self { bytes, operations, reserved, .. } = self;
        [
            bytes.read,
            bytes.write,
            bytes.together,
            operations.read,
            operations.write,
            operations.together,
            *reserved,
            None,
        ]
    }
}

/// What a request takes from every entity on its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Whether it is charged as a read or as a write.
    pub kind: Kind,
    /// Payload in bytes: what a READ asks for, what a WRITE brings.
    pub bytes: u64,
    /// Operations, where large ones count as several.
    pub operations: u64,
    /// See [`Cost::work`].
    work: u64,
}

/// What a write costs that costs as much as a read of the same size.
pub(super) const WRITE_COST_ONE: u16 = 16;

/// What a write costs as long as nothing is known: three reads.
pub(super) const WRITE_COST_FIRST: u16 = 3 * WRITE_COST_ONE;

impl Cost {
    /// The cost of one operation with `bytes` of payload: one operation for every `io_unit_bytes` begun, one at least.
    pub fn new(kind: Kind, bytes: u64, io_unit_bytes: u64) -> Self {
        let operations = bytes.div_ceil(io_unit_bytes.max(1)).max(1);
        Self { kind, bytes, operations, work: 0 }.at(WRITE_COST_FIRST)
    }

    /// So many operations that only look.
    pub fn looks(operations: u64) -> Self {
        let one = Self::new(Kind::Look, 0, 1);
        Self { operations, work: one.work.saturating_mul(operations), ..one }
    }

    /// The same where a write costs `write_cost` beside a read that costs [`WRITE_COST_ONE`]. The fixed part of a read and what
    /// grows with the payload are those of published curves of flash arrays.
    #[must_use]
    pub(super) fn at(self, write_cost: u16) -> Self {
        let read = match self.kind {
            Kind::Read | Kind::Write => self.bytes.saturating_mul(584) / 4096 + 450,
            Kind::Look | Kind::Change => 1000,
        };
        let write = || read.saturating_mul(write_cost.into()) / u64::from(WRITE_COST_ONE);
        Self { work: if self.kind.mutates() { write() } else { read }, ..self }
    }

    /// A part of a cost, where a write was charged `write_cost`.
    #[must_use]
    pub(super) fn part_at(self, write_cost: u16) -> Self {
        if !self.kind.mutates() {
            return self;
        }
        self.with_work(self.work.saturating_mul(write_cost.into()) / u64::from(WRITE_COST_FIRST))
    }

    /// What is left of it when only `done` took place, for a refund.
    #[must_use]
    pub fn less(self, done: Self) -> Self {
        let bytes = self.bytes.saturating_sub(done.bytes);
        let operations = self.operations.saturating_sub(done.operations);
        Self { bytes, operations, work: self.work.saturating_sub(done.work), ..self }
    }

    /// How much work it is beside others, in thousandths of a read of 4 KiB.
    pub fn work(self) -> u64 {
        self.work
    }

    /// The same with so much work.
    pub(super) fn with_work(self, work: u64) -> Self {
        Self { work, ..self }
    }

    /// The meters it runs through: what has no payload takes nothing from those of bytes, and waits for none there.
    pub(super) fn meters(self) -> u8 {
        let meters = if self.kind.mutates() { WRITE_METERS } else { READ_METERS };
        if self.bytes == 0 { meters >> OPERATIONS << OPERATIONS } else { meters }
    }

    /// What it takes from `meter`.
    pub(super) fn tokens(self, meter: usize) -> u64 {
        match meter {
            WORK => self.work,
            RESERVED | ..OPERATIONS => self.bytes,
            _ => self.operations,
        }
    }
}
