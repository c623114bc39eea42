//! All that is tried, one after the other.

use crate::experiment::accuracy::{Accuracy, Case, Pattern};
use crate::experiment::{Figure, change, isolation, sharing};
use crate::scheme::Kind;

/// Whose further figures are held beside each other.
pub const COMPARED: [Kind; 1] = [Kind::SharedWord];

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
    /// The same further figures of each of [`COMPARED`].
    pub figures: [Vec<Figure>; COMPARED.len()],
}

impl Plan {
    /// How many steps [`Plan::run`] has.
    pub fn steps(&self) -> usize {
        Kind::ALL.len() * Pattern::ALL.len() + COMPARED.len() * 3
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
        let figures = COMPARED.map(|scheme| self.figures(scheme, step));
        Results { plan: *self, schemes, figures }
    }

    fn figures(&self, scheme: Kind, step: &mut dyn FnMut(&str)) -> Vec<Figure> {
        let mut measured = |name: &str, figures: fn(Kind, usize, u64) -> Vec<Figure>| {
            step(&format!("{}, {name}", scheme.name()));
            figures(scheme, self.cores, self.seed)
        };
        let mut figures = measured("a change", change::figures);
        figures.extend(measured("sharing", sharing::figures));
        figures.extend(measured("isolation", isolation::figures));
        figures
    }

    fn case(&self, scheme: Kind, pattern: Pattern) -> Case {
        let Self { cores, seconds, seed } = *self;
        Case { scheme, cores, operation_bytes: 65_536, pattern, seconds, seed }
    }
}
