//! Planted bugs: wrong variants of the code, each of which a named test must catch.
//!
//! A test that cannot fail proves nothing. So every rule that the code rests on has an entry in the
//! [catalogue](catalogue::CATALOGUE) that breaks it, and this module shows on a copy of the
//! workspace that the tests pass with the code as it is, and that one of them fails with the bug.

mod catalogue;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use anyhow::{Context, bail};

use self::catalogue::CATALOGUE;
use self::verdict::Verdict;
use crate::workspace::Workspace;
use crate::{command, model, simulate, system_packages, tree};

/// One wrong variant of one file.
struct Planted {
    /// What is wrong, in snake case: `cargo xtask planted NAME` plants this one only.
    name: &'static str,
    /// The file that it changes, from the root of the workspace.
    file: &'static str,
    /// What to replace. It occurs in the file exactly once.
    from: &'static str,
    /// What to put there. It must compile.
    to: &'static str,
    /// The tests of which one must fail.
    tests: Tests,
}

/// A file of the copy, as it is and with the bug.
struct Plant {
    path: PathBuf,
    sound: String,
    wrong: String,
}

impl Planted {
    fn plant(&self, tree: &Path) -> anyhow::Result<Plant> {
        let Self {
            name,
            file,
            from,
            to,
            ..
        } = self;
        let path = tree.join(file);
        let sound = fs::read_to_string(&path)
            .with_context(|| format!("the planted bug {name} is to be in {file}"))?;
        match replace_once(&sound, from, to) {
            Some(wrong) => Ok(Plant { path, sound, wrong }),
            None => bail!("the planted bug {name} no longer matches {file}"),
        }
    }
}

/// Which tests run against a planted bug. They must pass without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tests {
    /// `cargo test` with these arguments. Naming the package and the target (`--lib`,
    /// `--test fenced_invalidation`) saves building the others.
    Cargo(&'static [&'static str]),
    /// The loom models of the cache whose names contain this.
    Model(&'static str),
    /// The tests that simulate nodes and Redis, and whose names contain this.
    Simulation(&'static str),
}

impl fmt::Display for Tests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cargo(arguments) => write!(f, "cargo test {}", arguments.join(" ")),
            Self::Model(filter) => write!(f, "the loom models `{filter}`"),
            Self::Simulation(filter) => write!(f, "the simulations `{filter}`"),
        }
    }
}

/// Keeps apart what is built of the copy in a directory that it shares with the workspace, for the sake of the
/// dependencies: cargo takes the copy's crates for the workspace's own, and would later run its models with the bug
/// that was planted last. Another setting makes them others, and leaves the dependencies as they are.
const APART: [&str; 4] = [
    "--config",
    "profile.release.overflow-checks=true",
    "--config",
    "profile.release.package.\"*\".overflow-checks=false",
];

/// A test run that takes longer hangs. Building the dependencies counts too.
const LIMIT: Duration = Duration::from_secs(600);

/// Plants every bug of the catalogue, one at a time; if it is to be `quick`, without those for the
/// simulation.
pub(crate) fn check_all(workspace: &Workspace, quick: bool) -> anyhow::Result<()> {
    let wanted = |planted: &&Planted| !quick || !matches!(planted.tests, Tests::Simulation(_));
    check(
        workspace,
        &CATALOGUE.iter().filter(wanted).collect::<Vec<_>>(),
    )
}

/// Plants the bug of this name only.
pub(crate) fn check_one(workspace: &Workspace, name: &str) -> anyhow::Result<()> {
    let Some(planted) = CATALOGUE.iter().find(|planted| planted.name == name) else {
        let names: Vec<_> = CATALOGUE.iter().map(|planted| planted.name).collect();
        bail!(
            "no planted bug is named {name}; there are: {}",
            names.join(", ")
        );
    };
    check(workspace, &[planted])
}

fn check(workspace: &Workspace, bugs: &[&Planted]) -> anyhow::Result<()> {
    let tree = workspace.target().join("planted").join("tree");
    tree::write(&tree::files(workspace)?, &tree)?;
    // A catalogue that lags behind the code is told of before anything is built.
    for planted in bugs {
        planted.plant(&tree)?;
    }
    system_packages::ensure(workspace, &[system_packages::REDIS])?;
    check_unchanged(workspace, &tree, bugs)?;

    let title = "planted bug";
    let names = bugs.iter().map(|planted| planted.name.len());
    let width = names.fold(title.len(), usize::max);
    println!("\n{title:width$}  caught by");
    let mut uncaught = Vec::new();
    for planted in bugs {
        match check_planted(workspace, &tree, planted)? {
            Verdict::Caught(by) => println!("{:width$}  {by}", planted.name),
            missed => {
                println!("{:width$}  NOT CAUGHT", planted.name);
                uncaught.push(format!("{}: {missed}", planted.name));
            }
        }
    }
    if !uncaught.is_empty() {
        bail!(
            "{} of {} planted bugs not caught\n{}",
            uncaught.len(),
            bugs.len(),
            uncaught.join("\n")
        );
    }
    Ok(())
}

/// Runs all the tests on the code as it is. Failing here, they would 'catch' anything.
fn check_unchanged(workspace: &Workspace, tree: &Path, bugs: &[&Planted]) -> anyhow::Result<()> {
    let mut checked = Vec::new();
    for Planted { name, tests, .. } in bugs {
        if checked.contains(tests) {
            continue;
        }
        let begun = Instant::now();
        match run(workspace, tree, *tests)? {
            Verdict::Passed { tests: count } => {
                let seconds = begun.elapsed().as_secs_f64();
                println!("{tests}: {count} pass without a planted bug ({seconds:.1} s)");
            }
            verdict => bail!("{name}: without the planted bug, {tests}: {verdict}"),
        }
        checked.push(*tests);
    }
    Ok(())
}

/// Runs the tests with the bug in place, and takes it out again.
fn check_planted(workspace: &Workspace, tree: &Path, planted: &Planted) -> anyhow::Result<Verdict> {
    let Plant { path, sound, wrong } = planted.plant(tree)?;
    fs::write(&path, wrong)?;
    let verdict = run(workspace, tree, planted.tests);
    // An interrupt gets past this; the next copy puts the file right.
    fs::write(&path, sound)?;
    verdict
}

fn run(workspace: &Workspace, tree: &Path, tests: Tests) -> anyhow::Result<Verdict> {
    let mut cargo = command::cargo(workspace);
    cargo.current_dir(tree);
    match tests {
        Tests::Cargo(arguments) => {
            let target = workspace.target().join("planted").join("build");
            cargo
                .env("CARGO_TARGET_DIR", target)
                // Whatever else builds once only: here each bug builds the same crates again.
                .env("CARGO_INCREMENTAL", "1")
                .arg("test")
                .args(arguments);
        }
        Tests::Model(filter) => model::cargo_test(cargo.args(APART), workspace, filter),
        Tests::Simulation(filter) => simulate::cargo_test(cargo.args(APART), workspace, filter),
    }
    Ok(Verdict::of(&command::run_within(LIMIT, &mut cargo)?))
}

/// `None` unless `from` occurs exactly once, overlapping occurrences included.
fn replace_once(text: &str, from: &str, to: &str) -> Option<String> {
    let at = text.find(from)?;
    if from.is_empty() || text.rfind(from)? != at {
        return None;
    }
    Some([&text[..at], to, &text[at + from.len()..]].concat())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_occurs_once_is_replaced() {
        assert_eq!(replace_once("a < b", "<", "<=").as_deref(), Some("a <= b"));
        assert_eq!(
            replace_once("a\n  < b\n", "a\n  <", "").as_deref(),
            Some(" b\n")
        );
    }

    #[test]
    fn what_occurs_never_or_twice_is_not_replaced() {
        assert_eq!(replace_once("a < b", ">", ">="), None);
        assert_eq!(replace_once("a < b < c", "<", "<="), None);
        assert_eq!(replace_once("aaa", "aa", "b"), None);
        assert_eq!(replace_once("a", "", "b"), None);
    }

    #[test]
    fn each_planted_bug_has_a_name_of_its_own_and_changes_something() {
        let names: BTreeSet<_> = CATALOGUE.iter().map(|planted| planted.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        assert!(CATALOGUE.iter().all(|planted| planted.from != planted.to));
    }

    /// Also for those that `--quick` leaves out.
    #[test]
    fn each_planted_bug_has_its_place_in_the_code() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for planted in CATALOGUE {
            let text = fs::read_to_string(root.join(planted.file)).unwrap();
            let planted_text = replace_once(&text, planted.from, planted.to);
            assert!(planted_text.is_some(), "{}", planted.name);
        }
    }
}
