//! What the output of a `cargo test` says about a planted bug.

use std::fmt;

use crate::command::Ended;
use crate::test_run::Tally;

/// How a run of the tests ended. Only [`Caught`](Self::Caught) is good when a bug is planted, and
/// only [`Passed`](Self::Passed) when none is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All tests pass, and there are some.
    Passed { tests: usize },
    /// Tests fail.
    Caught(Catch),
    /// The filter matches no test.
    NoneRan,
    /// The planted text is not Rust that the compiler takes. With the end of its output.
    DoesNotCompile(String),
    /// A test waits without a limit of its own, and its name is not to be had.
    Hung,
    /// Cargo refused before compiling anything, for instance an unknown package.
    Refused(String),
}

/// What caught a bug.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Catch {
    /// These tests fail.
    Tests(Vec<String>),
    /// A test took its process down, as a panic while panicking does. With what cargo says of it.
    Crash(String),
}

impl Verdict {
    pub(super) fn of(ended: &Ended) -> Self {
        match ended.status {
            None => Self::Hung,
            Some(status) if status.success() => match Tally::of(&ended.stdout).passed {
                0 => Self::NoneRan,
                tests => Self::Passed { tests },
            },
            Some(_) => Self::of_failure(&ended.stdout, &ended.stderr),
        }
    }

    fn of_failure(stdout: &str, stderr: &str) -> Self {
        let failed = failed_tests(stdout);
        if !failed.is_empty() {
            return Self::Caught(Catch::Tests(failed));
        }
        if stderr.contains("error: could not compile `") {
            return Self::DoesNotCompile(end_of(stderr));
        }
        let crash = stderr
            .lines()
            .find(|line| line.contains("process didn't exit successfully"));
        match crash {
            Some(line) if stderr.contains("error: test failed, to rerun") => {
                Self::Caught(Catch::Crash(line.trim().to_owned()))
            }
            _ => Self::Refused(end_of(stderr)),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed { tests } => write!(f, "all {tests} tests pass"),
            Self::Caught(by) => write!(f, "failing: {by}"),
            Self::NoneRan => f.write_str("no test ran"),
            Self::DoesNotCompile(output) => write!(f, "it does not compile\n{output}"),
            Self::Hung => f.write_str("the tests hang; give the wait a time-out"),
            Self::Refused(output) => write!(f, "cargo ran no test\n{output}"),
        }
    }
}

impl fmt::Display for Catch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tests(names) => f.write_str(&names.join(", ")),
            Self::Crash(line) => write!(f, "a crash: {line}"),
        }
    }
}

/// The names that test binaries list under their last `failures:`. The lines of progress are no
/// use: what a test prints may come between a name and its `FAILED`.
fn failed_tests(stdout: &str) -> Vec<String> {
    let mut failed = Vec::new();
    let mut lines = stdout.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "failures:" {
            while let Some(name) = lines.next_if(|line| line.starts_with("    ")) {
                failed.push(name.trim().to_owned());
            }
        }
    }
    failed
}

/// The last lines, which say what is wrong.
fn end_of(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_FAIL: &str = "\
running 3 tests
test fence::a ... ok
test fence::b ... printed in between
FAILED
test fence::c ... FAILED

failures:

---- fence::b stdout ----
    not the name of a test

---- fence::c stdout ----
failed

failures:
    fence::b
    fence::c

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 1 test

failures:
    src/lib.rs - Cache (line 3)

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn failed_tests_are_named_over_all_binaries() {
        let names = ["fence::b", "fence::c", "src/lib.rs - Cache (line 3)"];
        assert_eq!(
            Verdict::of_failure(TWO_FAIL, "error: test failed, to rerun pass `--lib`"),
            Verdict::Caught(Catch::Tests(names.map(str::to_owned).to_vec()))
        );
    }

    #[test]
    fn a_compile_error_is_not_a_catch() {
        let stderr = "error[E0425]: cannot find value `x` in this scope\n\
            error: could not compile `vacancy-cache` (lib test) due to 1 previous error";
        assert_eq!(
            Verdict::of_failure("", stderr),
            Verdict::DoesNotCompile(stderr.to_owned())
        );
    }

    #[test]
    fn a_crash_of_the_test_process_is_a_catch() {
        let crash = "process didn't exit successfully: `cache-0` (signal: 6, SIGABRT)";
        let stderr =
            format!("error: test failed, to rerun pass `--lib`\n\nCaused by:\n  {crash}\n");
        assert_eq!(
            Verdict::of_failure("running 3 tests\n", &stderr),
            Verdict::Caught(Catch::Crash(crash.to_owned()))
        );
    }

    #[test]
    fn a_crash_of_the_compiler_is_not_a_catch() {
        let stderr = "error: could not compile `vacancy-cache` (lib)\n\nCaused by:\n  \
            process didn't exit successfully: `rustc` (signal: 9, SIGKILL)";
        assert!(matches!(
            Verdict::of_failure("", stderr),
            Verdict::DoesNotCompile(_)
        ));
    }

    #[test]
    fn what_cargo_refuses_is_not_a_catch() {
        let stderr = "error: package ID specification `vacancy-cash` did not match any packages";
        assert_eq!(
            Verdict::of_failure("", stderr),
            Verdict::Refused(stderr.to_owned())
        );
    }

    #[cfg(unix)]
    mod with_a_status {
        use std::os::unix::process::ExitStatusExt as _;
        use std::process::ExitStatus;

        use super::*;

        fn ended(status: Option<i32>, stdout: &str) -> Ended {
            let status = status.map(ExitStatus::from_raw);
            Ended {
                status,
                stdout: stdout.to_owned(),
                stderr: String::new(),
            }
        }

        #[test]
        fn success_counts_only_with_tests() {
            let passed = "test result: ok. 3 passed; 0 failed; 0 ignored";
            let none = "test result: ok. 0 passed; 0 failed; 9 filtered out";
            assert_eq!(
                Verdict::of(&ended(Some(0), passed)),
                Verdict::Passed { tests: 3 }
            );
            assert_eq!(Verdict::of(&ended(Some(0), none)), Verdict::NoneRan);
        }

        #[test]
        fn running_out_of_time_is_not_a_catch() {
            assert_eq!(Verdict::of(&ended(None, TWO_FAIL)), Verdict::Hung);
        }
    }
}
