//! Many runs, on all processors.

use std::{
    num::NonZeroUsize,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use crate::{
    report::Report,
    simulation::{Simulation, Start},
    subject::Subject,
};

/// Runs the simulations of these seeds, on all processors, until this many had a stale read.
///
/// # Panics
///
/// Not because one of them does: the report names it.
pub fn run_all<S: Subject>(seeds: Range<u64>, enough: u64, start: Start<S>) -> Report {
    let next = AtomicU64::new(seeds.start);
    let stale = AtomicU64::new(0);
    let work = || {
        let mut report = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || stale.load(Ordering::Relaxed) >= enough {
                return report;
            }
            let run = AssertUnwindSafe(|| Simulation::new(seed).run(start));
            match catch_unwind(run) {
                Ok(outcome) => {
                    stale.fetch_add(u64::from(!outcome.violations.is_empty()), Ordering::Relaxed);
                    report.add(seed, &outcome);
                }
                Err(_) => report.panicked.push(seed),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut sum = Report::default();
        for thread in threads {
            sum.merge(thread.join().expect("panics are caught within"));
        }
        sum
    })
}
