//! [`Phase`]: some minutes of one load, and what they showed.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use fastrand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval};
use vacancy_dispatch::Ledger;

use crate::{
    listeners::{Beside, SIBLINGS},
    memory::Memory,
    run::Run,
    seen::{Latency, counts},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A shorter time says nothing about the memory: the first burst that is larger than those before
/// raises it, and the allocator keeps it.
const TELLING: Duration = Duration::from_secs(300);

/// Some minutes of one load.
pub(crate) struct Phase {
    pub(crate) beside: Beside,
    /// Events a second.
    pub(crate) per_second: u64,
    pub(crate) lasts: Duration,
    /// How much the memory may grow, in KiB a minute.
    pub(crate) growth: f64,
}

/// What the minutes of a load showed.
pub(crate) struct Findings {
    /// Whether the ledger was exact each time, no task was left, and the memory did not grow.
    pub(crate) good: bool,
    /// How long the siblings took, in the order of [`SIBLINGS`].
    pub(crate) latencies: Vec<(&'static str, Latency)>,
}

impl Phase {
    /// Runs it, and prints what it finds.
    pub(crate) async fn run(self, dice: &mut Rng) -> anyhow::Result<Findings> {
        let run = Run::begin(self.beside, self.per_second, dice)?;
        let begun = Instant::now();
        let mut memory = Memory::default();
        let mut latencies: Vec<(&'static str, Latency)> = Vec::new();
        let mut good = true;
        // A reading each second, a rest each minute and one at the end.
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rests = Duration::ZERO;
        while rests < self.lasts {
            let next = (rests + MINUTE).min(self.lasts);
            let kib = loop {
                second.tick().await;
                let kib = memory.read(begun.elapsed())?;
                if begun.elapsed() >= next {
                    break kib;
                }
            };
            rests = next;
            let (differences, took) = run.rest().await;
            let mut quiet = String::new();
            for (place, name) in SIBLINGS.into_iter().enumerate() {
                let Some(seen) = run.seen(name) else { continue };
                let latency = seen.take_latency();
                if place == 0 {
                    quiet = latency.text();
                }
                match latencies.get_mut(place) {
                    Some((_, all)) => all.add(&latency),
                    None => latencies.push((name, latency)),
                }
            }
            println!(
                "  {:>5.1} min: {:>11} dispatched, {}, at rest after {took:.1?}; {:.1} MiB; quiet {quiet}",
                begun.elapsed().as_secs_f64() / 60.0,
                run.booked(),
                exactness(&differences),
                kib / 1024.0,
            );
            if !differences.is_empty() {
                good = false;
                break;
            }
        }
        let ending = run.end().await?;
        println!("{}", table(&ending.ledger));
        println!(
            "  ledger: {}; {} dead letters evicted",
            exactness(&ending.differences),
            ending.ledger.dead_letters_evicted
        );
        println!("  tasks left after the shutdown: {}", ending.tasks_left);
        good &= ending.differences.is_empty() && ending.tasks_left == 0;
        good &= self.judge(&memory);
        for (name, latency) in &latencies {
            println!("  {name:>8}: {}", latency.text());
        }
        Ok(Findings { good, latencies })
    }

    /// Prints how the memory grew, and says whether that is allowed.
    fn judge(&self, memory: &Memory) -> bool {
        let warm_up = self.lasts / 4;
        let Some(slope) = memory.slope(warm_up) else {
            println!("  memory: no readings after the warm-up");
            return false;
        };
        let (allowed, judged) = (self.growth, self.lasts - warm_up >= TELLING);
        let grows = judged && slope > allowed;
        let verdict = match (judged, grows) {
            (false, _) => "not judged, as that takes five minutes",
            (true, false) => "steady",
            (true, true) => "GROWS",
        };
        println!(
            "  memory: {slope:+.1} KiB a minute after {:.0} s of warm-up, {allowed} allowed: {verdict}",
            warm_up.as_secs_f64(),
        );
        !grows
    }
}

fn exactness(differences: &[String]) -> String {
    match differences {
        [] => "exact".to_owned(),
        differences => format!("NOT EXACT: {}", differences.join("; ")),
    }
}

/// The ledger, a row for each listener.
fn table(ledger: &Ledger) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut header = vec!["event", "listener", "accepted", "replayed"];
    header.extend(counts(&ledger.totals()).map(|(what, _)| what));
    table.set_header(header);
    for entry in &ledger.entries {
        let mut row = vec![
            entry.event.to_owned(),
            entry.listener.to_string(),
            entry.accepted.to_string(),
            entry.replayed.to_string(),
        ];
        row.extend(counts(entry).map(|(_, count)| count.to_string()));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
