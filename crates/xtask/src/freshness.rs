//! How fresh answers are: the race in one process, then the race of several nodes.

use crate::workspace::Workspace;
use crate::{command, system_packages};

/// The test that races, optimised and with its table.
const ONE_PROCESS: &str = "test --release --package vacancy --test freshness -- --nocapture";

/// The program that starts nodes, and its own tables.
const NODES: &str = "run --quiet --release --package vacancy-freshness --";

/// Runs both races; `arguments` are for the second.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    system_packages::ensure(workspace, &[system_packages::REDIS])?;
    command::run(command::cargo(workspace).args(ONE_PROCESS.split(' ')))?;
    command::run(
        command::cargo(workspace)
            .args(NODES.split(' '))
            .args(arguments),
    )
}
