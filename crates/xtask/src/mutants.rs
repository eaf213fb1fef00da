//! Mutants: the code made wrong in every way that cargo-mutants knows, one at a time, and whether a test
//! notices.
//!
//! The [planted bugs](crate::planted) are those that somebody thought of. These are the others. What survives,
//! and why it may, is told in `survivors.md`.

mod results;
mod scratch;
mod subject;
mod tool;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, bail};

use self::results::{Outcome, Outcomes, Results, Score, file_of};
use self::scratch::Scratch;
use self::subject::Subject;
use self::tool::{Tests, Tool};
use crate::system_packages;
use crate::workspace::Workspace;

/// Mutants whose outcomes are kept together: what an interrupt loses.
const BATCH: usize = 5;

/// Runs the mutants of one crate that have no outcome yet, and prints the score and what survived.
#[derive(Debug, clap::Args)]
pub(crate) struct Mutants {
    /// What to mutate
    subject: Subject,
    /// Only files whose paths end so; may be given several times
    #[arg(long = "file")]
    files: Vec<String>,
    /// No files whose paths end so; may be given several times
    #[arg(long = "except")]
    except: Vec<String>,
    /// Only every Nth mutant, beginning with the Kth: a sample of all files
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// So many at a time, each in a copy of its own
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Also those that survived or hung before
    #[arg(long)]
    again: bool,
    /// Nothing; print what is known
    #[arg(long, conflicts_with_all = ["again", "unchanged"])]
    known: bool,
    /// Run the tests of the code as it is, so many times; one failure ends it
    #[arg(long, default_value_t = 1)]
    unchanged: u32,
    /// Where outcomes are kept; below the target directory by default
    #[arg(long)]
    results: Option<PathBuf>,
}

impl Mutants {
    pub(crate) fn run(&self, workspace: &Workspace) -> anyhow::Result<()> {
        let tool = Tool::find(workspace)?;
        // A copy in which nothing is made wrong: what is known can be asked for while others are.
        let sound = Scratch::assemble(workspace, self.subject, "sound")?;
        let all = tool.mutants(&sound)?;
        let all: Vec<_> = all.into_iter().filter(|name| self.wants(name)).collect();
        if all.is_empty() {
            bail!("no mutants there");
        }
        let results = self.results.clone();
        let results = results.unwrap_or_else(|| workspace.target().join("mutants").join("results"));
        let results = Results::in_folder(results.join(self.subject.name()));
        if !self.known {
            let known = results.of(sound.root(), &all)?;
            let is_due = |name: &String| match known.get(name) {
                Some(outcome) => self.again && !outcome.is_settled(),
                None => true,
            };
            let due = self.sampled(&all).into_iter().filter(is_due).collect();
            self.make(workspace, &tool, &results, spread(due))?;
        }
        // Anew, as another run may have added to them.
        print(&all, &results.of(sound.root(), &all)?);
        Ok(())
    }

    fn wants(&self, mutant: &str) -> bool {
        let ends = |wanted: &str| file_of(mutant).ends_with(wanted);
        (self.files.is_empty() || self.files.iter().any(|file| ends(file)))
            && !self.except.iter().any(|file| ends(file))
            && self.subject.only().is_none_or(ends)
            && !self.subject.except().is_some_and(ends)
    }

    fn sampled(&self, all: &[String]) -> Vec<String> {
        let Shard { first, step } = self.shard.unwrap_or(Shard { first: 0, step: 1 });
        all.iter().skip(first).step_by(step).cloned().collect()
    }

    /// Makes these mutants, in as many copies as wanted.
    fn make(
        &self,
        workspace: &Workspace,
        tool: &Tool<'_>,
        results: &Results,
        due: Vec<String>,
    ) -> anyhow::Result<()> {
        if due.is_empty() {
            return Ok(());
        }
        system_packages::ensure(workspace, &[system_packages::REDIS])?;
        let copy = |nth: usize| Scratch::assemble(workspace, self.subject, &nth.to_string());
        let copies: Vec<_> = (0..self.jobs).map(copy).collect::<Result<_, _>>()?;
        for copy in &copies {
            tool.check_unchanged(copy, self.unchanged)?;
        }
        let queue = Mutex::new(VecDeque::from(due));
        let writing = Mutex::new(());
        thread::scope(|scope| {
            let work = |copy| {
                let (queue, writing) = (&queue, &writing);
                scope.spawn(move || {
                    while let Some(batch) = next(queue) {
                        let outcomes = run_batch(tool, &copy, &batch)?;
                        let _alone = lock(writing);
                        results.add(copy.root(), &outcomes)?;
                    }
                    Ok(())
                })
            };
            let workers: Vec<_> = copies.into_iter().map(work).collect();
            let ends = workers
                .into_iter()
                .map(|worker| worker.join().expect("no worker panics"));
            ends.collect()
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next(queue: &Mutex<VecDeque<String>>) -> Option<Vec<String>> {
    let mut queue = lock(queue);
    let count = BATCH.min(queue.len());
    let batch: Vec<_> = queue.drain(..count).collect();
    (!batch.is_empty()).then_some(batch)
}

/// First with the quick tests, then what they let pass with all.
fn run_batch(tool: &Tool<'_>, copy: &Scratch, batch: &[String]) -> anyhow::Result<Outcomes> {
    let mut outcomes = tool.run(copy, batch, Tests::Quick)?;
    let missed: Vec<_> = outcomes
        .iter()
        .filter(|(_, outcome)| **outcome == Outcome::Missed)
        .map(|(mutant, _)| mutant.clone())
        .collect();
    if !missed.is_empty() {
        outcomes.extend(tool.run(copy, &missed, Tests::All)?);
    }
    Ok(outcomes)
}

/// In an order in which any beginning is a sample of the whole, so that a run can end at any time.
fn spread(mutants: Vec<String>) -> Vec<String> {
    let mut keyed: Vec<_> = mutants.into_iter().enumerate().collect();
    // The multiples of the golden ratio, without what is before the point, are spread evenly.
    keyed.sort_by_key(|(nth, _)| (*nth as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    keyed.into_iter().map(|(_, mutant)| mutant).collect()
}

fn print(all: &[String], outcomes: &Outcomes) {
    println!("{}", Score::new(all.len(), outcomes));
    for outcome in [Outcome::Hung, Outcome::Missed] {
        for (mutant, _) in outcomes.iter().filter(|(_, of)| **of == outcome) {
            println!("{outcome:?}  {mutant}");
        }
    }
}

/// Every `step`th, beginning with that of the number `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    first: usize,
    step: usize,
}

impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (first, step) = text.split_once('/').context("a shard is K/N")?;
        let (first, step) = (first.parse()?, step.parse()?);
        if first >= step {
            bail!("a shard of {step} is less than {step}");
        }
        Ok(Self { first, step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_beginning_is_a_sample_of_the_whole() {
        let all: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
        let spread = spread(all.clone());
        for quarter in [0..250, 250..500, 500..750, 750..1000] {
            let begun = &spread[..100];
            let within = |name: &&String| quarter.contains(&name.parse().unwrap());
            let count = begun.iter().filter(within).count();
            assert!((20..=30).contains(&count), "{count} of {quarter:?}");
        }
        let mut sorted = spread;
        sorted.sort_by_key(|name| name.parse::<usize>().unwrap());
        assert_eq!(sorted, all);
    }

    #[test]
    fn a_shard_is_one_of_a_number() {
        assert_eq!("1/4".parse::<Shard>().unwrap(), Shard { first: 1, step: 4 });
        assert!("4/4".parse::<Shard>().is_err());
        assert!("0/0".parse::<Shard>().is_err());
        assert!("quarter".parse::<Shard>().is_err());
    }
}
