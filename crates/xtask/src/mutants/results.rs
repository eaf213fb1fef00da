//! What became of each mutant, kept per source file, so that a run can go on where another ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::{Context, bail};

/// The end of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// A test failed.
    Caught,
    /// A test did not end.
    Hung,
    /// All tests passed.
    Missed,
    /// It does not compile.
    Unviable,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Caught, Self::Hung, Self::Missed, Self::Unviable];

    fn name(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Hung => "hung",
            Self::Missed => "missed",
            Self::Unviable => "unviable",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether it would be a pity to run it again.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::Caught | Self::Unviable)
    }
}

/// Outcomes by the names of the mutants, `src/cover.rs:129:49: replace < with <= in Span::contains`.
pub(super) type Outcomes = BTreeMap<String, Outcome>;

/// The source file that a mutant is in.
pub(super) fn file_of(mutant: &str) -> &str {
    mutant.split(':').next().unwrap_or(mutant)
}

/// A folder with two files for each source file: the outcomes, and the source that they are of. The name of
/// a mutant has a line and a column, so outcomes of any other source would be of other mutants.
#[derive(Debug)]
pub(super) struct Results {
    folder: PathBuf,
}

impl Results {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Those that are still true of the sources below `root`.
    pub(super) fn of(&self, root: &Path, mutants: &[String]) -> anyhow::Result<Outcomes> {
        let mut known = Outcomes::new();
        let mut files: Vec<_> = mutants.iter().map(|mutant| file_of(mutant)).collect();
        files.dedup();
        for file in files {
            known.extend(self.of_file(root, file)?);
        }
        known.retain(|mutant, _| mutants.contains(mutant));
        Ok(known)
    }

    fn of_file(&self, root: &Path, file: &str) -> anyhow::Result<Outcomes> {
        let present = fs::read(root.join(file)).with_context(|| format!("there is no {file}"))?;
        let (source, outcomes) = self.places(file);
        if !fs::read(source).is_ok_and(|mutated| mutated == present) {
            return Ok(Outcomes::new());
        }
        let text = fs::read_to_string(&outcomes).unwrap_or_default();
        parse(&text).with_context(|| format!("{} is spoilt", outcomes.display()))
    }

    /// Adds these to what is known of the sources below `root`, in place of earlier outcomes of the same mutants.
    pub(super) fn add(&self, root: &Path, new: &Outcomes) -> anyhow::Result<()> {
        let mut by_file = BTreeMap::<&str, Outcomes>::new();
        for (mutant, outcome) in new {
            let of_file = by_file.entry(file_of(mutant)).or_default();
            of_file.insert(mutant.clone(), *outcome);
        }
        for (file, new) in by_file {
            let mut outcomes = self.of_file(root, file)?;
            outcomes.extend(new);
            let (source, kept) = self.places(file);
            let folder = kept.parent().context("results are in a folder")?;
            fs::create_dir_all(folder)?;
            fs::copy(root.join(file), source)?;
            fs::write(kept, text_of(&outcomes))?;
        }
        Ok(())
    }

    fn places(&self, file: &str) -> (PathBuf, PathBuf) {
        let outcomes = self.folder.join(format!("{file}.outcomes"));
        (self.folder.join(file), outcomes)
    }
}

fn parse(text: &str) -> anyhow::Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    for line in text.lines() {
        let parts = line.split_once('\t');
        let parts = parts.and_then(|(name, mutant)| Some((Outcome::named(name)?, mutant)));
        let Some((outcome, mutant)) = parts else {
            bail!("no outcome: {line}");
        };
        outcomes.insert(mutant.to_owned(), outcome);
    }
    Ok(outcomes)
}

fn text_of(outcomes: &Outcomes) -> String {
    let line = |(mutant, outcome): (&String, &Outcome)| format!("{}\t{mutant}\n", outcome.name());
    outcomes.iter().map(line).collect()
}

/// How many mutants ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    of: usize,
    caught: usize,
    hung: usize,
    missed: usize,
    unviable: usize,
}

impl Score {
    /// The score of `outcomes`, of `of` mutants in all.
    pub(super) fn new(of: usize, outcomes: &Outcomes) -> Self {
        let count = |wanted| {
            outcomes
                .values()
                .filter(|outcome| **outcome == wanted)
                .count()
        };
        Self {
            of,
            caught: count(Outcome::Caught),
            hung: count(Outcome::Hung),
            missed: count(Outcome::Missed),
            unviable: count(Outcome::Unviable),
        }
    }

    /// How many in a hundred of those that compile were noticed, and how many at least would be of all, at 95 %,
    /// when these are a sample: the lower bound of Wilson.
    fn percent(&self) -> Option<(f64, f64)> {
        const Z: f64 = 1.645;
        let viable = (self.caught + self.hung + self.missed) as f64;
        if viable == 0.0 {
            return None;
        }
        let noticed = (self.caught + self.hung) as f64 / viable;
        let known = (self.caught + self.hung + self.missed + self.unviable) as f64;
        // The less is left of the whole, the more a sample tells.
        let count = viable / (1.0 - known / self.of as f64);
        let spread = (noticed * (1.0 - noticed) / count + (Z / count / 2.0).powi(2)).sqrt();
        let least = (noticed + Z * Z / count / 2.0 - Z * spread) / (1.0 + Z * Z / count);
        Some((noticed * 100.0, least * 100.0))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            of,
            caught,
            hung,
            missed,
            unviable,
        } = self;
        let known = caught + hung + missed + unviable;
        match self.percent() {
            Some((score, least)) if known < *of => {
                write!(f, "{score:.1} %, of all at least {least:.1} %")?
            }
            Some((score, _)) => write!(f, "{score:.1} %")?,
            None => f.write_str("no score")?,
        }
        write!(
            f,
            ": {known} of {of} mutants, {caught} caught, {hung} hung, "
        )?;
        write!(f, "{missed} missed, {unviable} not viable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUTANT: &str = "src/cover.rs:129:49: replace < with <= in Span::contains";

    fn outcomes(caught: usize, hung: usize, missed: usize, unviable: usize) -> Outcomes {
        let times = [
            (Outcome::Caught, caught),
            (Outcome::Hung, hung),
            (Outcome::Missed, missed),
            (Outcome::Unviable, unviable),
        ];
        let mut outcomes = Outcomes::new();
        for (outcome, times) in times {
            for n in 0..times {
                outcomes.insert(format!("{}{n}", outcome.name()), outcome);
            }
        }
        outcomes
    }

    #[test]
    fn what_hangs_is_noticed_and_what_does_not_compile_does_not_count() {
        let score = Score::new(12, &outcomes(7, 1, 2, 2));
        let expected = "80.0 %: 12 of 12 mutants, 7 caught, 1 hung, 2 missed, 2 not viable";
        assert_eq!(score.to_string(), expected);
    }

    #[test]
    fn a_sample_tells_more_the_less_is_left() {
        let least = |of| Score::new(of, &outcomes(80, 0, 20, 0)).percent().unwrap().1;
        assert!((least(1_000_000) - 72.67).abs() < 0.01);
        assert!((least(200) - 74.96).abs() < 0.01);
        assert!((least(100) - 80.0).abs() < 0.01);
        let none_missed = Score::new(1_000_000, &outcomes(16, 0, 0, 0));
        assert!(none_missed.percent().unwrap().1 < 86.0);
    }

    #[test]
    fn outcomes_are_read_back() {
        let outcomes = Outcomes::from([(MUTANT.to_owned(), Outcome::Hung)]);
        assert_eq!(parse(&text_of(&outcomes)).unwrap(), outcomes);
        assert!(parse("escaped\tsrc/cover.rs:1:1: x").is_err());
    }

    #[test]
    fn outcomes_are_void_when_their_source_has_changed() {
        let folder = std::env::temp_dir().join(format!("mutants-results-{}", std::process::id()));
        let root = folder.join("root");
        fs::create_dir_all(root.join("src")).unwrap();
        fs::write(root.join("src/cover.rs"), "fn a() {}").unwrap();
        let results = Results::in_folder(folder.join("results"));
        let missed = Outcomes::from([(MUTANT.to_owned(), Outcome::Missed)]);
        results.add(&root, &missed).unwrap();
        let mutants = [MUTANT.to_owned()];
        assert_eq!(results.of(&root, &mutants).unwrap(), missed);

        let caught = Outcomes::from([(MUTANT.to_owned(), Outcome::Caught)]);
        results.add(&root, &caught).unwrap();
        assert_eq!(results.of(&root, &mutants).unwrap(), caught);

        fs::write(root.join("src/cover.rs"), "fn b() {}").unwrap();
        assert_eq!(results.of(&root, &mutants).unwrap(), Outcomes::new());
        fs::remove_dir_all(folder).unwrap();
    }
}
