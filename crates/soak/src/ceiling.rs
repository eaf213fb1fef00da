//! The highest rate at which the siblings' lanes neither grow nor overflow.

use std::{
    env,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::ensure;
use fastrand::Rng;
use tokio::time::{Instant, sleep};

use crate::{
    listeners::Beside,
    run::{Run, is_sibling},
};

/// Where the search begins, in events a second.
const LOWEST: u64 = 10_000;

/// How long each rate is tried.
const TRIAL: Duration = Duration::from_secs(1);

/// How often the interval between the highest that held and the lowest that did not is halved.
const HALVINGS: u32 = 3;

/// What this program is started with to look for the rate.
pub(crate) const SEARCH: &str = "--search";

/// Has a process of its own look for the highest steady rate: what the search leaves in the memory
/// would hide what grows after it.
pub(crate) fn find_elsewhere(chaos: bool, seed: u64) -> anyhow::Result<u64> {
    let mut search = Command::new(env::current_exe()?);
    search.args([SEARCH, "--seed", &seed.to_string()]);
    if chaos {
        search.arg("--chaos");
    }
    let found = search.stderr(Stdio::inherit()).output()?;
    ensure!(
        found.status.success(),
        "the search ended with {}",
        found.status
    );
    Ok(String::from_utf8(found.stdout)?.trim().parse()?)
}

/// Looks for the highest steady rate, and tells of each that it tries.
pub(crate) async fn find(beside: Beside, dice: &mut Rng) -> anyhow::Result<u64> {
    let mut holds = LOWEST;
    while trial(beside, holds * 2, dice).await? {
        holds *= 2;
    }
    let mut fails = holds * 2;
    for _ in 0..HALVINGS {
        let middle = (holds + fails) / 2;
        if trial(beside, middle, dice).await? {
            holds = middle;
        } else {
            fails = middle;
        }
    }
    Ok(holds)
}

/// Whether the siblings keep up with a rate.
async fn trial(beside: Beside, per_second: u64, dice: &mut Rng) -> anyhow::Result<bool> {
    let run = Run::begin(beside, per_second, dice)?;
    let begun = Instant::now();
    sleep(TRIAL).await;
    let (booked, ledger) = (run.booked(), run.ledger());
    let achieved = booked as f64 / begun.elapsed().as_secs_f64();
    let siblings = ledger.entries.iter().filter(|entry| is_sibling(entry));
    let waiting = siblings.clone().map(|entry| entry.waiting()).max();
    let overflowed: u64 = siblings.map(|entry| entry.dead).sum();
    // More than what comes in 50 ms is a backlog, and not what happens to be under way.
    let verdict = if overflowed > 0 {
        "a sibling overflows"
    } else if waiting.is_some_and(|waiting| waiting > per_second / 20) {
        "a sibling falls behind"
    } else if achieved < 0.95 * per_second as f64 {
        "the publishers fall behind"
    } else {
        "holds"
    };
    eprintln!(
        "  {per_second:>9} a second: {verdict} ({achieved:.0} dispatched, at most {} waiting)",
        waiting.unwrap_or_default()
    );
    run.end().await?;
    Ok(verdict == "holds")
}
