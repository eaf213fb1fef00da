//! The simulation, in which the cache meets late, lost and repeated messages, servers that forget and
//! nodes that stop.

use std::process::Command;

use crate::command;
use crate::test_run;
use crate::workspace::Workspace;

/// The second flag lets a panic of a task end its run, and decides what tokio draws at random.
const FLAGS: &str = "--cfg vacancy_simulation --cfg tokio_unstable";

/// Runs the simulation with these arguments of its own.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    let mut cargo = command::cargo(workspace);
    simulated(&mut cargo, workspace, "run");
    command::run(cargo.args(["--quiet", "--"]).args(arguments))
}

/// Runs the tests that simulate, and fails when there are none.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = command::cargo(workspace);
    cargo_test(&mut cargo, workspace, "");
    Ok(test_run::count_tests(&mut cargo)?.verdict?)
}

/// Makes `cargo` run the tests that simulate and whose names contain `filter`.
pub(crate) fn cargo_test(cargo: &mut Command, workspace: &Workspace, filter: &str) {
    simulated(cargo, workspace, "test");
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
