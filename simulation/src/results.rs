//! All that is tried, one after the other.

use crate::experiment::accuracy::{Accuracy, Case, Pattern};
use crate::experiment::{Figure, change, isolation, sharing};
use crate::scheme::Kind;

/// Whose further figures are held beside each other.
pub const COMPARED: [Kind; 2] = [Kind::SharedWord, Kind::Penstock];

/// Groups of further figures.
const GROUPS: [(&str, Measure); 5] = [
    ("a change", change::figures),
    ("equal tenants", sharing::equality),
    ("idle reservations", sharing::use_of_all),
    ("reservations", sharing::reservations),
    ("isolation", isolation::figures),
];

/// The figures of a scheme on so many cores, with a seed.
type Measure = fn(Kind, usize, u64) -> Vec<Figure>;

/// The cores and the operations that ours is tried with, all with all. Runs with many operations are shorter.
pub const CORES: [usize; 4] = [1, 2, 16, 64];
/// See [`CORES`]; bytes, and simulated seconds.
pub const SIZES: [(u64, u64); 3] = [(4096, 2), (65_536, 4), (1 << 20, 8)];

/// What to try.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// On so many cores, where schemes are held beside each other.
    pub cores: usize,
    /// How long each run is.
    pub seconds: u64,
    /// Of the random choices.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Results {
    /// What was tried.
    pub plan: Plan,
    /// Every scheme and every pattern of demand.
    pub schemes: Vec<(Case, Accuracy)>,
    /// Ours with more and fewer cores, larger and smaller operations, and every pattern of demand.
    pub ours: Vec<(Case, Accuracy)>,
    /// The same further figures of each of [`COMPARED`].
    pub figures: [Vec<Figure>; COMPARED.len()],
}

impl Plan {
    /// How many steps [`Plan::run`] has.
    pub fn steps(&self) -> usize {
        Kind::ALL.len() * Pattern::ALL.len() + CORES.len() * SIZES.len() + COMPARED.len() * GROUPS.len()
    }

    /// Tries everything; tells of each step before it is done.
    pub fn run(&self, step: &mut dyn FnMut(&str)) -> Results {
        let mut schemes = Vec::new();
        for scheme in Kind::ALL {
            for pattern in Pattern::ALL {
                step(&format!("{}, {}", scheme.name(), pattern.name()));
                let case = self.case(scheme, pattern);
                schemes.push((case, case.run()));
            }
        }
        let ours = self.ours(step);
        let figures = COMPARED.map(|scheme| self.figures(scheme, step));
        Results { plan: *self, schemes, ours, figures }
    }

    fn ours(&self, step: &mut dyn FnMut(&str)) -> Vec<(Case, Accuracy)> {
        let mut ours = Vec::new();
        for cores in CORES {
            for (operation_bytes, seconds) in SIZES {
                step(&format!("{cores} cores, operations of {} KiB", operation_bytes >> 10));
                let case =
                    |pattern| Case { cores, operation_bytes, seconds, ..self.case(Kind::Penstock, pattern) };
                ours.extend(Pattern::ALL.map(case).map(|case| (case, case.run())));
            }
        }
        ours
    }

    fn figures(&self, scheme: Kind, step: &mut dyn FnMut(&str)) -> Vec<Figure> {
        let measured = |(name, measure): (&str, Measure)| {
            step(&format!("{}, {name}", scheme.name()));
            measure(scheme, self.cores, self.seed)
        };
        GROUPS.into_iter().flat_map(measured).collect()
    }

    fn case(&self, scheme: Kind, pattern: Pattern) -> Case {
        let Self { cores, seconds, seed } = *self;
        Case { scheme, cores, operation_bytes: 65_536, pattern, seconds, seed }
    }
}
