//! What the cache promises holds in every simulation.

#![cfg(vacancy_simulation)]

use vacancy_simulation::{Simulation, run_all, start_cache};

/// How many simulations are run. Each of the planted bugs shows in fewer.
const SEEDS: u64 = 3_000;

#[test]
fn no_read_is_stale_under_any_fault() {
    let report = run_all(0..SEEDS, 1, start_cache);
    assert_eq!(report.stale, [], "seeds with a stale read\n{report}");
    assert_eq!(report.panicked, [], "seeds with a panic\n{report}");
    assert_eq!(report.missing(), [] as [&str; 0], "\n{report}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..50 {
        let run = || {
            let mut simulation = Simulation::new(seed);
            simulation.traced = true;
            simulation.run(start_cache)
        };
        let (first, second) = (run(), run());
        for (line, (one, other)) in first.trace.iter().zip(&second.trace).enumerate() {
            assert_eq!(one, other, "seed {seed}, line {line}");
        }
        assert_eq!(first, second, "seed {seed}");
    }
}
