//! The dispatcher under load for long: at a steady rate, beside listeners at fault, and shut down at any
//! moment.

use crate::command;
use crate::workspace::Workspace;

/// The program that loads a bus and judges it.
const LOAD: &str = "run --quiet --release --package vacancy-soak --";

/// The test that shuts down, with what it has met.
const SHUTDOWNS: &str = "test --package vacancy --features rate-limit \
    --test dispatch_shutdown_storm -- --nocapture";

/// How often that test shuts down, in its environment.
const TIMES: &str = "VACANCY_SHUTDOWNS";

/// Loads a bus; `arguments` are for the program that does.
pub(crate) fn load(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    command::run(
        command::cargo(workspace)
            .args(LOAD.split(' '))
            .args(arguments),
    )
}

/// Shuts buses down under load, so many times.
pub(crate) fn shut_down(workspace: &Workspace, times: u64) -> anyhow::Result<()> {
    command::run(
        command::cargo(workspace)
            .env(TIMES, times.to_string())
            .args(SHUTDOWNS.split_whitespace()),
    )
}
