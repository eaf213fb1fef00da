//! The simulation sees a cache that is wrong: nodes that do not tell each other anything.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use fastrand::Rng;
use vacancy_simulation::{
    Network, Origin, Promise, Read, Settings, Simulation, Subject, Unanswered, Unconfirmed,
};

/// A map, for itself.
struct Naive(Mutex<BTreeMap<usize, u64>>);

impl Naive {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<usize, u64>> {
        self.0.lock().expect("nobody panics")
    }
}

impl Subject for Naive {
    type Token = ();
    type Hold = usize;

    async fn read(
        &self,
        key: usize,
        _: Option<&()>,
        origin: Origin,
        mut rng: Rng,
    ) -> Result<Read, Unanswered> {
        let kept = self.kept().get(&key).copied();
        if let Some(version) = kept {
            return Ok(Read {
                key,
                version,
                source: "map",
            });
        }
        let version = origin.load(key, &mut rng).await?;
        self.kept().insert(key, version);
        Ok(Read {
            key,
            version,
            source: "database",
        })
    }

    fn invalidate(&self, key: usize) {
        self.kept().remove(&key);
    }

    async fn confirmed(&self) -> Result<(), Unconfirmed> {
        Ok(())
    }

    async fn hold(&self, key: usize, _: Duration) -> Result<usize, Unconfirmed> {
        Ok(key)
    }

    fn release(&self, hold: usize) {
        self.invalidate(hold);
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

fn start(_: usize, _: Network, _: &Settings) -> Naive {
    Naive(Mutex::default())
}

#[test]
fn each_promise_is_seen_to_be_broken() {
    let mut broken: Vec<_> = (0..50)
        .flat_map(|seed| Simulation::new(seed).run(start).violations)
        .map(|violation| violation.promise)
        .collect();
    broken.sort_unstable();
    broken.dedup();
    let all = [
        Promise::Local,
        Promise::Confirmed,
        Promise::Bounded,
        Promise::Held,
        Promise::Token,
        Promise::Quiet,
    ];
    assert_eq!(broken, all);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..10 {
        let run = || {
            let mut simulation = Simulation::new(seed);
            simulation.traced = true;
            simulation.run(start)
        };
        assert_eq!(run(), run());
    }
}
