//! cargo-mutants, and the cargo-nextest that it runs tests with.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::results::{Outcome, Outcomes, file_of};
use super::scratch::Scratch;
use crate::command;
use crate::workspace::Workspace;

/// Each with the version that is installed below the target directory when no other is found.
const TOOLS: [(&str, &str); 2] = [("mutants", "27.1.0"), ("nextest", "0.9.143")];

/// For all tests of a mutant, in seconds; each of them has less. Far above what they take, as a loaded machine
/// may take far longer.
const LIMIT: &str = "300";

/// Mutants that compile endlessly are not known; a machine that stands still is.
const BUILD_LIMIT: &str = "900";

/// Which tests a mutant meets, by the profiles of nextest.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tests {
    Quick,
    All,
}

impl Tests {
    fn profile(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::All => "default",
        }
    }
}

/// The two programs, which are installed.
#[derive(Debug)]
pub(super) struct Tool<'a> {
    workspace: &'a Workspace,
    path: OsString,
}

impl<'a> Tool<'a> {
    pub(super) fn find(workspace: &'a Workspace) -> anyhow::Result<Self> {
        let tool = Self {
            workspace,
            path: search_path(workspace)?,
        };
        for (name, version) in TOOLS {
            if !tool.is_installed(name) {
                let tools = workspace.target().join("tools");
                println!("cargo-{name} is not installed; building {version} once, in some minutes");
                command::run(
                    command::cargo(workspace)
                        .args(["install", &format!("cargo-{name}"), "--locked"])
                        .args(["--version", version, "--root"])
                        .arg(tools),
                )?;
            }
        }
        Ok(tool)
    }

    fn is_installed(&self, name: &str) -> bool {
        command::cargo(self.workspace)
            .env("PATH", &self.path)
            .args([name, "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn cargo_mutants(&self, scratch: &Scratch) -> Command {
        let mut cargo = scratch.cargo(self.workspace);
        cargo.env("PATH", &self.path);
        cargo.args([
            "mutants",
            "--colors",
            "never",
            "--package",
            scratch.subject.package(),
        ]);
        for name in scratch.subject.excluded() {
            cargo.args(["--exclude-re", name]);
        }
        cargo
    }

    /// The names of all mutants, in the order of the sources.
    pub(super) fn mutants(&self, scratch: &Scratch) -> anyhow::Result<Vec<String>> {
        let output = self.cargo_mutants(scratch).arg("--list").output()?;
        if !output.status.success() {
            bail!(
                "cargo-mutants found no mutants: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let names = String::from_utf8(output.stdout).context("a name is not UTF-8")?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Builds the tests of the copy as it is and runs them, all of them, so often. Failing here, they would
    /// 'catch' anything.
    pub(super) fn check_unchanged(&self, scratch: &Scratch, times: u32) -> anyhow::Result<()> {
        for tests in [Tests::Quick]
            .into_iter()
            .cycle()
            .take(times as usize - 1)
            .chain([Tests::All])
        {
            let mut cargo = scratch.cargo(self.workspace);
            cargo.env("PATH", &self.path).args(["nextest", "run"]);
            cargo.args([
                "--package",
                "vacancy",
                "--package",
                scratch.subject.package(),
            ]);
            cargo.args(["--profile", tests.profile(), "--failure-output", "final"]);
            command::run(&mut cargo)?;
        }
        Ok(())
    }

    /// Makes these mutants, one after the other, and runs the tests.
    pub(super) fn run(
        &self,
        scratch: &Scratch,
        mutants: &[String],
        tests: Tests,
    ) -> anyhow::Result<Outcomes> {
        let output = scratch.output();
        let mut cargo = self.cargo_mutants(scratch);
        // In place, since the copy is there for nothing else and its build is warm.
        cargo.args(["--in-place", "--baseline", "skip", "--no-times", "--output"]);
        cargo.arg(output);
        cargo.args(["--timeout", LIMIT, "--build-timeout", BUILD_LIMIT]);
        cargo.args(["--test-tool", "nextest", "--test-package", "vacancy"]);
        cargo.args(["--test-package", scratch.subject.package()]);
        cargo.env("NEXTEST_PROFILE", tests.profile());
        // By file too, since the mutants that leave out a field of a structure match whatever the name.
        let files: BTreeSet<_> = mutants.iter().map(|mutant| file_of(mutant)).collect();
        for file in files {
            cargo.args(["--file", file]);
        }
        for mutant in mutants {
            cargo.args(["--re", &format!("^{}$", escaped(mutant))]);
        }
        let status = cargo.stderr(Stdio::inherit()).status()?;
        // The others are for what survives, and for what takes too long.
        if !matches!(status.code(), Some(0 | 2 | 3)) {
            bail!("cargo-mutants ended with {status}");
        }
        read(&output.join("mutants.out"))
    }
}

/// Cargo finds its subcommands by `PATH`, so our own installation goes in front.
fn search_path(workspace: &Workspace) -> anyhow::Result<OsString> {
    let ours = workspace.target().join("tools").join("bin");
    let theirs = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(ours).chain(env::split_paths(&theirs)))
        .context("the target directory cannot be part of PATH")
}

/// The name as a regular expression.
fn escaped(name: &str) -> String {
    let mut pattern = String::new();
    for character in name.chars() {
        if character.is_ascii_punctuation() && !"<>_-/:,!&='\"%#@`~;".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// Reads the lists that cargo-mutants leaves, and the logs of what it takes for caught: tests that nextest had to
/// end are a failure to it.
fn read(folder: &Path) -> anyhow::Result<Outcomes> {
    let lists = [
        ("caught.txt", Outcome::Caught),
        ("missed.txt", Outcome::Missed),
        ("timeout.txt", Outcome::Hung),
        ("unviable.txt", Outcome::Unviable),
    ];
    let mut outcomes = Outcomes::new();
    for (list, outcome) in lists {
        let names = fs::read_to_string(folder.join(list))
            .with_context(|| format!("cargo-mutants left no {list}"))?;
        outcomes.extend(names.lines().map(|name| (name.to_owned(), outcome)));
    }
    for (mutant, log) in logs(&folder.join("log"))? {
        let outcome = outcomes.get_mut(&mutant);
        if let Some(outcome @ Outcome::Caught) = outcome
            && log.contains(" TIMEOUT [")
        {
            *outcome = Outcome::Hung;
        }
    }
    Ok(outcomes)
}

/// By the names of the mutants, which are in the first line that has any.
fn logs(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut logs = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let path: PathBuf = file?.path();
        let log = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        let name = log.lines().find_map(|line| line.strip_prefix("*** "));
        if let Some(name) = name {
            logs.insert(name.trim().to_owned(), log);
        }
    }
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_itself_alone() {
        let name = "src/cover.rs:129:49: replace * with + in <impl Sum<(u8, [T; 2])>>::add";
        let pattern =
            r"src/cover\.rs:129:49: replace \* with \+ in <impl Sum<\(u8, \[T; 2\]\)>>::add";
        assert_eq!(escaped(name), pattern);
    }
}
