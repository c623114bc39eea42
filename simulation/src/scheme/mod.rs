//! What decides when an operation may go on: what the server does, and what others do.

mod naive;
mod penstock;

use naive::{Divided, Held, Rebalanced, SharedWord, Unlimited};
use penstock::Penstock;

use crate::world::Setup;

/// An operation of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// Position of its connection among all of the run.
    pub connection: usize,
    /// Position of its tenant.
    pub tenant: usize,
    /// What it reads.
    pub bytes: u64,
    /// When it was asked for.
    pub asked_ns: u64,
    /// When it was let go on.
    pub begun_ns: u64,
}

/// What somebody may have.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Bytes per second at most.
    pub limit: Option<u64>,
    /// What may be saved up while nothing is asked for, as time at the limit.
    pub burst_ns: u64,
    /// Bytes per second that are there whatever others ask for.
    pub reserved: Option<u64>,
    /// Whether it goes first as far as its reservation reaches.
    pub is_protected: bool,
}

impl Policy {
    /// Nothing of it all.
    pub const NONE: Self = Self { limit: None, burst_ns: 1_000_000, reserved: None, is_protected: false };

    /// A limit with a burst of 1 ms.
    pub fn limited(limit: u64) -> Self {
        Self { limit: Some(limit), ..Self::NONE }
    }

    /// A reservation.
    pub fn reserved(reserved: u64) -> Self {
        Self { reserved: Some(reserved), ..Self::NONE }
    }
}

/// What became of operations.
#[derive(Debug, Default)]
pub struct Decided {
    /// They go on.
    pub run: Vec<Operation>,
    /// Their clients are told to come again.
    pub refused: Vec<Operation>,
}

/// Decides when operations go on. What becomes of them is added to `decided`; the others are held.
pub trait Scheme {
    /// `operation` asks on `core`.
    fn offer(&mut self, core: usize, now_ns: u64, operation: Operation, decided: &mut Decided);

    /// Lets those held on `core` go on whose time has come.
    fn advance(&mut self, core: usize, now_ns: u64, decided: &mut Decided);

    /// When `core` has to be advanced next.
    fn due_ns(&self, core: usize, now_ns: u64) -> Option<u64>;

    /// Cores that have to be advanced now because of what happened on others, a bit each. They are told once.
    fn rung(&mut self) -> u64 {
        0
    }

    /// `operation` was done on `core`.
    fn done(&mut self, core: usize, now_ns: u64, operation: &Operation);

    /// The limit of `tenant` is another.
    fn change(&mut self, now_ns: u64, tenant: usize, limit: u64);
}

/// The schemes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No limit at all.
    Unlimited,
    /// The limit divided by the number of cores, on each core.
    Divided,
    /// The whole limit on each core.
    Full,
    /// The limit divided by demand every 10 ms.
    Rebalanced,
    /// One word that all cores share.
    SharedWord,
    /// The limits tree of the server.
    Penstock,
}

impl Kind {
    /// In the order of the tables.
    pub const ALL: [Self; 5] =
        [Self::Divided, Self::Full, Self::Rebalanced, Self::SharedWord, Self::Penstock];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unlimited => "no limit",
            Self::Divided => "rate/cores per core",
            Self::Full => "full rate per core",
            Self::Rebalanced => "rebalanced each 10 ms",
            Self::SharedWord => "one shared word",
            Self::Penstock => "penstock",
        }
    }

    /// Where there is little room.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Unlimited => "no limit",
            Self::Divided => "rate/cores",
            Self::Full => "full rate",
            Self::Rebalanced => "rebalanced",
            Self::SharedWord => "shared word",
            Self::Penstock => "penstock",
        }
    }

    /// The scheme, ready for a run.
    pub fn build(self, setup: &Setup) -> Box<dyn Scheme> {
        let cores = setup.cores;
        match (self, setup.single_limit()) {
            (Self::Penstock, _) => Box::new(Penstock::new(setup)),
            (Self::Unlimited, _) | (_, None) => Box::new(Held::new(cores, Unlimited)),
            (Self::Divided, Some(limit)) => Box::new(Held::new(cores, Divided::new(limit, cores, cores))),
            (Self::Full, Some(limit)) => Box::new(Held::new(cores, Divided::new(limit, cores, 1))),
            (Self::Rebalanced, Some(limit)) => Box::new(Held::new(cores, Rebalanced::new(limit, cores))),
            (Self::SharedWord, Some(limit)) => Box::new(Held::new(cores, SharedWord::new(limit))),
        }
    }
}
