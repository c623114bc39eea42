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
    /// So many seeds, from that on, are tried where the worst of all is judged.
    pub seeds: u64,
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
    /// The worst of each further figure of ours, of all [`CORES`] and all seeds.
    pub worst: Vec<Worst>,
}

/// A figure, and where it was so bad.
#[derive(Clone, Debug)]
pub struct Worst {
    /// The figure.
    pub figure: Figure,
    /// On so many cores.
    pub cores: usize,
    /// With this seed.
    pub seed: u64,
}

impl Plan {
    /// How many steps [`Plan::run`] has.
    pub fn steps(&self) -> usize {
        let judged = CORES.len() * self.seeds as usize * GROUPS.len();
        Kind::ALL.len() * Pattern::ALL.len()
            + CORES.len() * SIZES.len()
            + COMPARED.len() * GROUPS.len()
            + judged
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
        let figures = COMPARED.map(|scheme| self.figures(scheme, self.cores, self.seed, step));
        let worst = self.worst(step);
        Results { plan: *self, schemes, ours, figures, worst }
    }

    fn worst(&self, step: &mut dyn FnMut(&str)) -> Vec<Worst> {
        let mut worst: Vec<Worst> = Vec::new();
        for cores in CORES {
            for seed in self.seed..self.seed + self.seeds {
                let figures = self.figures(Kind::Penstock, cores, seed, step).into_iter();
                for (number, figure) in figures.enumerate() {
                    match worst.get_mut(number) {
                        None => worst.push(Worst { figure, cores, seed }),
                        Some(other) if figure.is_worse_than(&other.figure) => {
                            *other = Worst { figure, cores, seed };
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        worst
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

    fn figures(&self, scheme: Kind, cores: usize, seed: u64, step: &mut dyn FnMut(&str)) -> Vec<Figure> {
        let measured = |(name, measure): (&str, Measure)| {
            step(&format!("{}, {name}, {cores} cores, seed {seed}", scheme.name()));
            measure(scheme, cores, seed)
        };
        GROUPS.into_iter().flat_map(measured).collect()
    }

    fn case(&self, scheme: Kind, pattern: Pattern) -> Case {
        let Self { cores, seconds, seed, .. } = *self;
        Case { scheme, cores, operation_bytes: 65_536, pattern, seconds, seed }
    }
}
