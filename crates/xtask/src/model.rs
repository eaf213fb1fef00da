//! The model of the fences, in which loom tries every interleaving of their atomics.

use std::process::Command;

use crate::command;
use crate::test_run;
use crate::workspace::Workspace;

/// How often a thread may be preempted where it need not yield. Three finds every bug we know;
/// without a bound the same models take minutes.
const PREEMPTIONS: &str = "3";

/// Runs the models of the cache, and fails when there are none.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = command::cargo(workspace);
    cargo_test(&mut cargo, workspace, "model");
    Ok(test_run::count_tests(&mut cargo)?.verdict?)
}

/// Makes `cargo` run the models whose names contain `filter`. They have a target directory to
/// themselves: the flag changes every crate, and each change of flags would build all of them anew.
pub(crate) fn cargo_test(cargo: &mut Command, workspace: &Workspace, filter: &str) {
    cargo
        .env("RUSTFLAGS", "--cfg vacancy_loom")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS)
        .args([
            "test",
            "--release",
            "--package",
            "vacancy-cache",
            "--lib",
            "--target-dir",
        ])
        .arg(workspace.target().join("loom"))
        .args(["--", filter]);
}
