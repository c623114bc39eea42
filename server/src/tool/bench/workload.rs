//! The workloads and their mixture.

use std::fmt;
use std::str::FromStr;

/// What one operation is; `docs/BENCH.md` says it in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// The procedure that does nothing.
    Null,
    /// GETATTR.
    GetAttributes,
    /// READ of the next block.
    Read,
    /// READ of a random block.
    RandomRead,
    /// WRITE of the next block.
    Write,
    /// WRITE of a random block.
    RandomWrite,
    /// WRITE and COMMIT.
    Commit,
    /// OPEN and CLOSE.
    Open,
    /// OPEN of a new file, and CLOSE; in NFSv3 CREATE.
    Create,
    /// The same, and REMOVE.
    CreateRemove,
    /// REMOVE.
    Remove,
    /// CREATE of a directory, or MKDIR.
    MakeDirectory,
}

/// Names on the command line and in results.
const NAMES: [(Workload, &str); 12] = [
    (Workload::Null, "null"),
    (Workload::GetAttributes, "getattr"),
    (Workload::Read, "read"),
    (Workload::RandomRead, "randread"),
    (Workload::Write, "write"),
    (Workload::RandomWrite, "randwrite"),
    (Workload::Commit, "commit"),
    (Workload::Open, "open"),
    (Workload::Create, "create"),
    (Workload::CreateRemove, "create-remove"),
    (Workload::Remove, "remove"),
    (Workload::MakeDirectory, "mkdir"),
];

impl Workload {
    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(workload, _)| *workload == self).expect("all are in the table").1
    }

    /// Whether it reads or writes file data.
    pub fn has_data(self) -> bool {
        self.writes() || matches!(self, Self::Read | Self::RandomRead)
    }

    /// Whether it writes file data.
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::RandomWrite | Self::Commit)
    }

    /// Whether it works on the prepared files.
    pub fn needs_files(self) -> bool {
        self.has_data() || matches!(self, Self::GetAttributes | Self::Open)
    }

    /// Whether it makes or removes names.
    pub fn needs_directory(self) -> bool {
        matches!(self, Self::Create | Self::CreateRemove | Self::Remove | Self::MakeDirectory)
    }
}

/// Workloads with weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    /// In the order given; no workload twice.
    pub parts: Vec<(Workload, u32)>,
}

impl Mix {
    /// Whether all of it is NULL, so that no session is needed.
    pub fn is_null(&self) -> bool {
        self.parts.iter().all(|(workload, _)| *workload == Workload::Null)
    }

    /// Whether it uses up what is prepared, so that a count is needed.
    pub fn needs_count(&self) -> bool {
        self.any(|workload| workload == Workload::Remove)
    }

    /// Whether any workload is such a one.
    pub fn any(&self, is_such: impl Fn(Workload) -> bool) -> bool {
        self.parts.iter().any(|(workload, _)| is_such(*workload))
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts: Vec<(Workload, u32)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let known = NAMES.iter().find(|(_, known)| *known == name);
            let workload = known.ok_or_else(|| format!("there is no workload `{name}`; see --help"))?.0;
            let weight = weight.parse().ok().filter(|weight| (1..=1_000_000).contains(weight));
            let weight =
                weight.ok_or_else(|| format!("the weight of {name} is a number from 1 to 1000000"))?;
            if parts.iter().any(|(other, _)| *other == workload) {
                return Err(format!("{name} twice"));
            }
            parts.push((workload, weight));
        }
        let mix = Self { parts };
        let alone =
            [(Workload::Null, "null has no session"), (Workload::Remove, "remove uses up what was prepared")];
        match alone.iter().find(|(alone, _)| mix.parts.len() > 1 && mix.any(|workload| workload == *alone)) {
            Some((_, reason)) => Err(format!("{reason}: it cannot be mixed with others")),
            None => Ok(mix),
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(workload, _)] = self.parts[..] {
            return formatter.write_str(workload.name());
        }
        for (index, (workload, weight)) in self.parts.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(formatter, "{comma}{}={weight}", workload.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixtures_are_read_as_written() {
        let mix: Mix = "randread=70,randwrite=30".parse().expect("a mixture");
        assert_eq!(mix.parts, [(Workload::RandomRead, 70), (Workload::RandomWrite, 30)]);
        assert_eq!(mix.to_string(), "randread=70,randwrite=30");
        assert_eq!("null".parse::<Mix>().expect("one").to_string(), "null");
        for text in ["", "reed", "read=0", "read=x", "read,read", "null,read", "remove,create"] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }
}
