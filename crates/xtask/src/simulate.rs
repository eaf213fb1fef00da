//! The simulation, in which the cache meets late, lost and repeated messages, servers that forget and
//! nodes that stop.

use std::process::Command;

use crate::command;
use crate::workspace::Workspace;

/// The second flag lets a panic of a task end its run, and decides what tokio draws at random.
const FLAGS: &str = "--cfg vacancy_simulation --cfg tokio_unstable";

/// Runs the simulation with these arguments of its own.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    let mut cargo = command::cargo(workspace);
    simulated(&mut cargo, workspace, "run");
    command::run(cargo.args(["--quiet", "--"]).args(arguments))
}

/// Makes `cargo` run the tests that simulate and whose names contain `filter`.
pub(crate) fn cargo_test(cargo: &mut Command, workspace: &Workspace, filter: &str) {
    simulated(cargo, workspace, "test");
    // It runs for less time than it takes to compile.
    cargo.env("CARGO_INCREMENTAL", "1");
    cargo.args(["--test", "promises", "--", filter]);
}

/// Like the models, these have a target directory to themselves.
fn simulated(cargo: &mut Command, workspace: &Workspace, deed: &str) {
    cargo
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args([deed, "--release", "--package", "vacancy-simulation"])
        .arg("--target-dir")
        .arg(workspace.target().join("simulation"));
}
