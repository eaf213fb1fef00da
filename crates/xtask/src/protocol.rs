//! The model of the protocol between nodes, with every state explored.

use crate::workspace::Workspace;
use crate::{command, test_run};

/// Explores the full bounds, which takes an optimised program, and prints their sizes.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = command::cargo(workspace);
    // One at a time: each exploration uses every core.
    cargo.args([
        "test",
        "--release",
        "--package",
        "vacancy-protocol-model",
        "--test",
        "protocol",
        "--",
        "--nocapture",
        "--test-threads=1",
    ]);
    Ok(test_run::count_tests(&mut cargo)?.verdict?)
}
