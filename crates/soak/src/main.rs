//! Runs the dispatcher at a steady load, or beside listeners at fault, and holds its ledger against
//! the program's own counts.
//!
//! `cargo xtask soak` runs it. It fails if the ledger is not exact, a task is left after the shutdown,
//! or the memory grows. How long events take is printed, and fails nothing.

#![expect(
    clippy::print_stdout,
    reason = "what a command line tool finds is what it prints"
)]

mod ceiling;
mod events;
mod listeners;
mod memory;
mod phase;
mod run;
mod seen;
mod tally;
mod traffic;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use fastrand::Rng;

use crate::{
    listeners::{Beside, Faults},
    phase::{Findings, Phase},
};

/// Runs the dispatcher for some minutes, and holds its ledger against own counts.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask soak")]
struct Arguments {
    /// For how long, the search for the highest rate not counted
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// First a quiet sixth of the time, then listeners that panic, hang, overflow, fail and block
    #[arg(long)]
    chaos: bool,
    /// Which part of the highest steady rate is offered
    #[arg(long, default_value_t = 0.5)]
    load: f64,
    /// Events a second, in place of a part of the highest steady rate
    #[arg(long)]
    rate: Option<u64>,
    /// How much the resident memory may grow in KiB a minute, after a quarter of the time to warm up;
    /// judged if five minutes are left
    #[arg(long, default_value_t = 1024.0)]
    growth: f64,
    /// What all dice begin with; the interleaving is still the machine's
    #[arg(long)]
    seed: Option<u64>,
    /// Print the highest steady rate and do nothing else: what this program starts itself for
    #[arg(long, hide = true)]
    search: bool,
}

impl Arguments {
    async fn run(&self) -> anyhow::Result<bool> {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        let mut dice = Rng::with_seed(seed);
        if self.search {
            println!("{}", ceiling::find(self.beside(), &mut dice).await?);
            return Ok(true);
        }
        println!("seed {seed}");
        let per_second = self.rate(seed)?;
        let lasts = Duration::try_from_secs_f64(self.minutes * 60.0)?;
        if self.chaos {
            self.chaos(per_second, lasts, &mut dice).await
        } else {
            let steady = self.phase(self.beside(), per_second, lasts);
            Ok(steady.run(&mut dice).await?.good)
        }
    }

    /// Who listens beside the siblings, in the end.
    fn beside(&self) -> Beside {
        match self.chaos {
            true => Beside::Faults(Faults::Real),
            false => Beside::Policies,
        }
    }

    async fn chaos(
        &self,
        per_second: u64,
        lasts: Duration,
        dice: &mut Rng,
    ) -> anyhow::Result<bool> {
        let [inert, real] = [Faults::Inert, Faults::Real].map(Beside::Faults);
        let quiet_lasts = lasts / 6;
        println!("quiet: the siblings beside stand-ins");
        let quiet = self.phase(inert, per_second, quiet_lasts);
        let quiet = quiet.run(dice).await?;
        println!("chaos: the siblings beside listeners at fault");
        let chaos = self.phase(real, per_second, lasts - quiet_lasts);
        let chaos = chaos.run(dice).await?;
        compare(&quiet, &chaos);
        Ok(quiet.good && chaos.good)
    }

    /// The rate to offer, in events a second. With chaos, it is what the siblings bear beside the
    /// faults, which cost time too.
    fn rate(&self, seed: u64) -> anyhow::Result<u64> {
        if let Some(rate) = self.rate {
            return Ok(rate);
        }
        println!("the highest steady rate:");
        let highest = ceiling::find_elsewhere(self.chaos, seed)?;
        let rate = (highest as f64 * self.load) as u64;
        println!(
            "  {highest} a second; offered from here: {rate}, {} of it",
            self.load
        );
        Ok(rate)
    }

    fn phase(&self, beside: Beside, per_second: u64, lasts: Duration) -> Phase {
        Phase {
            beside,
            per_second,
            lasts,
            growth: self.growth,
        }
    }
}

/// Prints what the faults cost the siblings.
fn compare(quiet: &Findings, chaos: &Findings) {
    println!("p99 of the siblings, quiet and beside faults:");
    let both = quiet.latencies.iter().zip(&chaos.latencies);
    for ((name, quiet), (_, chaos)) in both {
        let (quiet, chaos) = (quiet.at(0.99), chaos.at(0.99));
        let ratio = chaos.as_secs_f64() / quiet.as_secs_f64();
        let verdict = if ratio <= 2.0 { "within" } else { "MORE than" };
        println!("  {name:>8}: {quiet:.1?} and {chaos:.1?}, {ratio:.2} times: {verdict} twice");
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let good = runtime.block_on(arguments.run())?;
    if arguments.search {
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", if good { "passed" } else { "FAILED" });
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
