//! `cargo xtask test`: all tests of the workspace, counted over all test binaries.

use std::fmt;

use thiserror::Error;

use crate::workspace::Workspace;
use crate::{command, system_packages};

/// The end of a `cargo test`: what it counted, and whether that is good enough.
#[derive(Debug)]
pub(crate) struct TestRun {
    pub(crate) tally: Tally,
    pub(crate) verdict: Result<(), TestError>,
}

impl TestRun {
    fn new(tally: Tally, succeeded: bool) -> Self {
        let verdict = match tally {
            Tally { failed: 1.., .. } => Err(TestError::Failed {
                failed: tally.failed,
            }),
            _ if !succeeded => Err(TestError::Broken),
            Tally { passed: 0, .. } => Err(TestError::NoneRan),
            Tally { .. } => Ok(()),
        };
        Self { tally, verdict }
    }
}

/// Why a test run is not good enough.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum TestError {
    /// The output names them.
    #[error("{failed} of the tests failed")]
    Failed { failed: usize },
    /// Something did not compile, or a test took its process down before it could be counted.
    #[error("cargo test failed, and not because of a test that could be counted")]
    Broken,
    /// A filter or a feature that matches nothing looks like success to cargo.
    #[error("no test ran")]
    NoneRan,
}

/// Sums over the `test result:` lines of a `cargo test`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Tally {
    /// Reads the output of any number of test binaries.
    pub(crate) fn of(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            let Some(result) = line.strip_prefix("test result: ") else {
                continue;
            };
            tally.passed += count(result, "passed");
            tally.failed += count(result, "failed");
        }
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; 1 ignored`.
fn count(result: &str, what: &str) -> usize {
    let mut before = "";
    for word in result.split([' ', ';']) {
        if word == what {
            return before.parse().unwrap_or(0);
        }
        before = word;
    }
    0
}

/// Runs unit, integration and documentation tests with every feature, and sees to it that there are
/// the programs that they need.
///
/// `arguments` go to `cargo test`. Without a package among them, all packages are tested.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<TestRun> {
    system_packages::ensure(workspace, system_packages::ALL)?;
    let mut cargo = command::cargo(workspace);
    cargo.arg("test");
    if !selects_packages(arguments) {
        cargo.arg("--workspace");
    }
    // Without --no-fail-fast, the count ends at the first binary with a failure.
    cargo
        .args(["--all-features", "--no-fail-fast"])
        .args(arguments);
    count_tests(&mut cargo)
}

/// Runs a `cargo test` and counts.
pub(crate) fn count_tests(cargo_test: &mut std::process::Command) -> anyhow::Result<TestRun> {
    let (status, output) = command::run_and_read(cargo_test)?;
    Ok(TestRun::new(Tally::of(&output), status.success()))
}

fn selects_packages(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 3 tests
test fence::a ... ok
test fence::b ... FAILED
test fence::c ... ok

failures:

---- fence::b stdout ----
assertion failed: 7 passed

failures:
    fence::b

test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 40 tests

test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.20s
";

    #[test]
    fn the_tally_sums_all_test_binaries() {
        assert_eq!(
            Tally::of(OUTPUT),
            Tally {
                passed: 42,
                failed: 1
            }
        );
        assert_eq!(Tally::of(OUTPUT).to_string(), "42 passed, 1 failed");
    }

    #[test]
    fn a_failed_test_fails_the_run() {
        let run = TestRun::new(
            Tally {
                passed: 42,
                failed: 1,
            },
            false,
        );
        assert_eq!(run.verdict, Err(TestError::Failed { failed: 1 }));
    }

    #[test]
    fn a_run_in_which_something_did_not_compile_fails() {
        let run = TestRun::new(
            Tally {
                passed: 42,
                failed: 0,
            },
            false,
        );
        assert_eq!(run.verdict, Err(TestError::Broken));
    }

    #[test]
    fn a_run_without_tests_fails() {
        assert_eq!(
            TestRun::new(Tally::default(), true).verdict,
            Err(TestError::NoneRan)
        );
        assert_eq!(
            TestRun::new(
                Tally {
                    passed: 1,
                    failed: 0
                },
                true
            )
            .verdict,
            Ok(())
        );
    }

    #[test]
    fn a_package_among_the_arguments_replaces_the_workspace() {
        let selects =
            |line: &str| selects_packages(&line.split(' ').map(String::from).collect::<Vec<_>>());
        assert!(selects("-p vacancy-cache"));
        assert!(selects("--release --package=vacancy-cache"));
        assert!(!selects("--release --doc"));
        assert!(!selects("fence -- -p"));
    }
}
