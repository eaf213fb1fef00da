//! Test and CI commands: `cargo xtask test`, `cargo xtask ci`, or one CI step by its name.

#![expect(
    clippy::print_stdout,
    reason = "what a command line tool finds is what it prints"
)]

mod ci;
mod command;
mod deny;
mod examples;
mod features;
mod freshness;
mod fuzz;
mod model;
mod msrv;
mod mutants;
mod planted;
mod protocol;
mod simulate;
mod soak;
mod system_packages;
mod test_run;
mod tree;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::ci::Step;
use crate::mutants::Mutants;
use crate::test_run::TestRun;
use crate::workspace::Workspace;

/// Tests and checks the workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Task {
    /// Run every CI step, stopping at the first that fails
    Ci,
    /// Run every test; the last line of the output is the count
    Test {
        /// Passed on to cargo test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Race readers and writers, in one process and on several nodes, and print what was stale
    Freshness {
        /// Passed on to the race of the nodes, which explains them with `-- --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run nodes, network and Redis in simulated time under faults: `--seeds 1000 --from 0`
    Simulate {
        /// Passed on to the simulation
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Load the dispatcher for minutes, with `--chaos` beside listeners at fault: `--minutes 60`
    Soak {
        /// Shut buses down under load, so many times, instead
        #[arg(long, conflicts_with = "arguments")]
        shutdowns: Option<u64>,
        /// Passed on to the program that loads, which explains them with `-- --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every fuzz target, with a nightly toolchain: `--runs 10000000`
    Fuzz {
        /// How often each
        #[arg(long, default_value_t = 1_000_000)]
        runs: u64,
    },
    /// Make the dispatcher and the cache wrong in every way cargo-mutants knows, and count what no test notices
    Mutants(Mutants),
    #[command(flatten)]
    Step(Step),
}

impl Task {
    /// Runs the task. Tasks that end with a test run hand it back, for its count to be printed.
    fn run(self) -> anyhow::Result<Option<TestRun>> {
        let workspace = Workspace::find()?;
        match self {
            Self::Ci => ci::run(&workspace).map(Some),
            Self::Test { arguments } => test_run::run(&workspace, &arguments).map(Some),
            Self::Freshness { arguments } => freshness::run(&workspace, &arguments).map(|()| None),
            Self::Simulate { arguments } => simulate::run(&workspace, &arguments).map(|()| None),
            Self::Soak {
                shutdowns: Some(times),
                ..
            } => soak::shut_down(&workspace, times).map(|()| None),
            Self::Soak { arguments, .. } => soak::load(&workspace, &arguments).map(|()| None),
            Self::Fuzz { runs } => fuzz::run(&workspace, runs).map(|()| None),
            Self::Mutants(mutants) => mutants.run(&workspace).map(|()| None),
            Self::Step(step) => step.run(&workspace).map(|()| None),
        }
    }
}

fn main() -> ExitCode {
    let (tally, verdict) = match Task::parse().run() {
        Ok(Some(TestRun { tally, verdict })) => (Some(tally), verdict.map_err(Into::into)),
        Ok(None) => (None, Ok(())),
        Err(error) => (None, Err(error)),
    };
    if let Err(error) = &verdict {
        eprintln!("error: {error:#}");
    }
    // Last, after any error: whoever reads the output finds the count at its end.
    if let Some(tally) = tally {
        println!("{tally}");
    }
    if verdict.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
