//! The server's admission log, read back.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use nfs_ops::limits::Limited;

/// Nanoseconds between two ticks of a core.
pub const TICK_NS: u64 = 1_000_000;

/// A request that went on.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// When, by the clock that limits go by, in nanoseconds of CLOCK_MONOTONIC.
    pub time_ns: u64,
    /// How much later it was in truth.
    pub late_ns: u64,
    /// On which core.
    pub core: usize,
    /// What it was charged.
    pub bytes: u64,
    /// What it was charged.
    pub operations: u64,
    /// How many still waited on that core.
    pub parked: u64,
}

/// A time during which a core did nothing although its clock went off, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// When it began at the earliest.
    pub from_ns: u64,
    /// When it was over.
    pub to_ns: u64,
}

/// What was logged of requests that are charged to one entity, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Admissions {
    /// The requests.
    pub admissions: Vec<Admission>,
    /// The stalls of all cores.
    pub stalls: Vec<Stall>,
    /// How many cores have logged.
    pub cores: usize,
}

impl Admissions {
    /// The log in `directory`, as far as it is about `limited`; a stall is more than `stall_ns`.
    ///
    /// # Errors
    /// What is wrong with it; when lines were dropped, for nothing can be judged then.
    pub fn read(directory: &Path, limited: Limited, stall_ns: u64) -> Result<Self, String> {
        let mut read = Self::default();
        loop {
            let path = directory.join(format!("core-{}", read.cores));
            if read.cores > 0 && !path.exists() {
                break;
            }
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let mut core = Core { number: read.cores, limited, stall_ns, concerned: HashMap::new() };
            // The last line may be written only in part.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            for (number, line) in text[..whole].lines().enumerate() {
                core.take(line, &mut read)
                    .map_err(|error| format!("{}:{}: {error}: {line}", path.display(), number + 1))?;
            }
            read.cores += 1;
        }
        read.admissions.sort_by_key(|admission| admission.time_ns);
        read.stalls.sort_by_key(|stall| stall.from_ns);
        Ok(read)
    }
}

/// One core's log while it is read.
struct Core {
    number: usize,
    limited: Limited,
    stall_ns: u64,
    /// The numbers of the paths that `limited` stands on.
    concerned: HashMap<u64, bool>,
}

impl Core {
    fn take(&mut self, line: &str, read: &mut Admissions) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| {
            let word: &&str = words.get(index).ok_or("a word is missing")?;
            word.parse::<u64>().map_err(|_| format!("{word:?} is no number"))
        };
        match words[0] {
            "path" => {
                let key = format!("{:032x}", self.limited.entity().0);
                self.concerned.insert(number(1)?, words[2..].contains(&key.as_str()));
            }
            "admit" => {
                let is_concerned = self.concerned.get(&number(3)?).ok_or("its path was not said")?;
                if *is_concerned {
                    read.admissions.push(Admission {
                        time_ns: number(1)?,
                        late_ns: number(2)?,
                        core: self.number,
                        bytes: number(5)?,
                        operations: number(6)?,
                        parked: number(7)?,
                    });
                }
            }
            "tick" => {
                let (due_ns, late_ns) = (number(1)?, number(2)?);
                if late_ns > self.stall_ns {
                    // It may have begun just after the tick before.
                    read.stalls
                        .push(Stall { from_ns: due_ns.saturating_sub(TICK_NS), to_ns: due_ns + late_ns });
                }
            }
            "dropped" => return Err("lines were dropped, nothing can be judged".to_owned()),
            _ => return Err("no line of this log".to_owned()),
        }
        Ok(())
    }
}
