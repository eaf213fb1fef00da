//! Runs the cache in many simulations, and prints what they have shown.

#[cfg(vacancy_simulation)]
mod task;

use std::process::ExitCode;

#[cfg(vacancy_simulation)]
fn main() -> ExitCode {
    <task::Task as clap::Parser>::parse().run()
}

#[cfg(not(vacancy_simulation))]
fn main() -> ExitCode {
    eprintln!("error: `cargo xtask simulate` builds this with time and the network simulated");
    ExitCode::FAILURE
}
