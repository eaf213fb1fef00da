//! The highest steady rate: that of which the siblings' lanes, once they have overflowed, empty again.
//!
//! A rate that they hold as long as nothing happens is not steady: a hiccup of the machine fills them, and where an
//! event that overflows costs more than one that is handled, they stay full until the load ends.

use std::{
    env,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::ensure;
use fastrand::Rng;
use tokio::time::{Instant, sleep};
use vacancy_dispatch::Entry;

use crate::{
    listeners::Beside,
    run::{Run, is_sibling},
};

/// Where the search begins, in events a second.
const LOWEST: u64 = 10_000;

/// How long the lanes have to empty, once they have been filled.
const RECOVERY: Duration = Duration::from_secs(5);

/// How long they then have to hold the rate.
const TRIAL: Duration = Duration::from_secs(1);

/// How often a rate is tried until it holds.
const TRIALS: u32 = 2;

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
    while is_held(beside, holds * 2, dice).await? {
        holds *= 2;
    }
    let mut fails = holds * 2;
    for _ in 0..HALVINGS {
        let middle = (holds + fails) / 2;
        if is_held(beside, middle, dice).await? {
            holds = middle;
        } else {
            fails = middle;
        }
    }
    Ok(holds)
}

/// Whether a rate holds in one of the trials: each may meet a moment in which the machine does something else.
async fn is_held(beside: Beside, per_second: u64, dice: &mut Rng) -> anyhow::Result<bool> {
    for _ in 0..TRIALS {
        if trial(beside, per_second, dice).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the siblings keep up with a rate, although their lanes were full at first.
async fn trial(beside: Beside, per_second: u64, dice: &mut Rng) -> anyhow::Result<bool> {
    let run = Run::begin(beside, per_second, dice)?;
    run.flood(dice).await;
    sleep(RECOVERY).await;
    let (booked, (_, overflowed)) = (run.booked(), backlog(&run));
    let begun = Instant::now();
    sleep(TRIAL).await;
    let achieved = (run.booked() - booked) as f64 / begun.elapsed().as_secs_f64();
    let (waiting, overflowed_by_now) = backlog(&run);
    // More than what comes in 50 ms is a backlog, and not what happens to be under way.
    let verdict = if overflowed_by_now > overflowed {
        "a sibling overflows"
    } else if waiting > per_second / 20 {
        "a sibling falls behind"
    } else if achieved < 0.95 * per_second as f64 {
        "the publishers fall behind"
    } else {
        "holds"
    };
    eprintln!(
        "  {per_second:>9} a second: {verdict} ({achieved:.0} dispatched, at most {waiting} waiting)",
    );
    run.end().await?;
    Ok(verdict == "holds")
}

/// How many events wait at the sibling with the most, and how many have overflowed at all of them.
fn backlog(run: &Run) -> (u64, u64) {
    let ledger = run.ledger();
    let siblings = ledger.entries.iter().filter(|entry| is_sibling(entry));
    let waiting = siblings.clone().map(Entry::waiting).max();
    let overflowed = siblings.map(|entry| entry.dead).sum();
    (waiting.unwrap_or_default(), overflowed)
}
