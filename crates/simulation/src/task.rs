//! What the command line asks for.

#![expect(
    clippy::print_stdout,
    reason = "what a command line tool finds is what it prints"
)]

use std::process::ExitCode;

use clap::Parser;
use vacancy_simulation::{Simulation, run_all, start_cache};

/// Runs the cache in many simulations.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask simulate")]
pub(crate) struct Task {
    /// How many simulations to run
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The seed of the first
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Stop when so many have had a stale read
    #[arg(long, default_value_t = 50)]
    enough: u64,
    /// Run the first alone, with as few faults as break it, and print all that happens
    #[arg(long)]
    trace: bool,
}

impl Task {
    pub(crate) fn run(self) -> ExitCode {
        match self.trace {
            true => trace(self.from),
            false => self.run_many(),
        }
    }

    fn run_many(self) -> ExitCode {
        let seeds = self.from..self.from.saturating_add(self.seeds);
        let report = run_all(seeds, self.enough, start_cache);
        print!("{report}");
        for seed in report.stale.iter().chain(&report.panicked).take(20) {
            println!("look at it: cargo xtask simulate --trace --from {seed}");
        }
        ExitCode::from(u8::from(!report.is_good()))
    }
}

fn trace(seed: u64) -> ExitCode {
    let outcome = Simulation::new(seed).minimised(start_cache);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("{}", outcome.settings);
    for violation in &outcome.violations {
        println!("{violation}");
    }
    ExitCode::from(u8::from(!outcome.violations.is_empty()))
}
