//! One run, which its seed decides entirely.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;

use crate::{
    fault::{self, Planned},
    history::History,
    network::Network,
    origin::Origin,
    subject::Subject,
    tally::Tally,
    violation::Violation,
    workload::{Settings, Workload},
    world::{STEP, World},
};

/// What starts a cache on a node: given its network and settings, in the node's runtime.
pub type Start<S> = fn(usize, Network, &Settings) -> S;

/// One run, which its seed decides entirely.
#[derive(Debug, Clone, Default)]
pub struct Simulation {
    /// What is drawn at random is drawn from this.
    pub seed: u64,
    /// Whether to write down what happens.
    pub traced: bool,
    /// Faults of the plan to leave out, by their place in it.
    pub without: Vec<usize>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it was set up.
    pub settings: Settings,
    /// What went wrong, and when.
    pub plan: Vec<Planned>,
    /// How often what happened.
    pub tally: Tally,
    /// What the caches counted that were alive in the end.
    pub counts: BTreeMap<&'static str, u64>,
    /// The stale reads.
    pub violations: Vec<Violation>,
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
}

/// For how long programs read and write, and faults begin.
const BUSY: Duration = Duration::from_millis(1_500);
/// For how long nothing happens then: longer than any lease, hold or retry.
const QUIET: Duration = Duration::from_millis(2_500);
/// When everything has been read in the end.
const LAST: Duration = Duration::from_secs(20);
/// The length of a step when nothing depends on it.
const LONG_STEP: Duration = Duration::from_millis(10);

impl Simulation {
    /// The run of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Runs it.
    ///
    /// # Panics
    ///
    /// When what is simulated does, or answers for another key than it was asked for, or never.
    #[must_use]
    pub fn run<S: Subject>(&self, start: Start<S>) -> Outcome {
        let mut rng = Rng::with_seed(self.seed);
        // The thread's own generator, which the subject may draw from.
        fastrand::seed(rng.u64(..));
        let settings = Settings::draw(&mut rng);
        let plan = fault::plan(&mut rng.fork(), settings.nodes, settings.lease, BUSY);
        let without = |place: &usize| !self.without.contains(place);
        let plan: Vec<_> = plan
            .into_iter()
            .enumerate()
            .filter(|(place, _)| without(place))
            .map(|(_, planned)| planned)
            .collect();

        let history = History::new(settings.keys, settings.nodes, self.traced);
        let origin = Origin::new(history);
        let workload = Arc::new(Workload::<S> {
            origin: origin.clone(),
            keys: settings.keys,
            until: BUSY,
            settings,
            tokens: Mutex::new((0..settings.keys).map(|_| None).collect()),
        });
        let network = Network::new(settings.nodes, rng.fork());
        let subjects = Arc::new(Mutex::new(BTreeMap::new()));
        let software = {
            let (workload, network) = (Arc::clone(&workload), network.clone());
            let subjects = Arc::clone(&subjects);
            Box::new(move |node, host: &crate::Host, rng: &mut Rng| {
                let handle = host.handle();
                let context = handle.enter();
                let subject = Arc::new(start(node, network.clone(), &settings));
                drop(context);
                workload.start(node, &subject, &handle, rng);
                let mut subjects = subjects.lock().expect("a panic ends the run");
                subjects.insert(node, subject);
            })
        };
        let world_rng = rng.fork();
        let mut world = World::new(
            settings.nodes,
            world_rng,
            network,
            origin.clone(),
            plan.clone(),
            software,
        );
        world.run_until(BUSY, STEP);
        world.heal();
        world.run_until(BUSY + QUIET, LONG_STEP);

        let subjects = std::mem::take(&mut *subjects.lock().expect("a panic ends the run"));
        let readers: Vec<_> = subjects
            .iter()
            .map(|(node, subject)| {
                let (workload, subject, rng) =
                    (Arc::clone(&workload), Arc::clone(subject), rng.fork());
                let node = *node;
                let reads = async move { workload.read_in_the_end(node, &*subject, rng).await };
                world.node(node).handle().spawn(reads)
            })
            .collect();
        let mut moment = BUSY + QUIET;
        while readers.iter().any(|reader| !reader.is_finished()) {
            assert!(moment < LAST, "seed {}: a read never ends", self.seed);
            moment += LONG_STEP;
            world.run_until(moment, LONG_STEP);
        }

        let mut counts = BTreeMap::new();
        for subject in subjects.values() {
            for (name, count) in subject.counts() {
                *counts.entry(name).or_default() += count;
            }
        }
        drop(world);
        let history = origin.history();
        Outcome {
            settings,
            plan,
            tally: history.tally(),
            counts,
            violations: history.violations().to_vec(),
            trace: history.trace().to_vec(),
        }
    }
}

impl Simulation {
    /// Runs it, and again with ever fewer faults as long as a read is stale; gives the last run that
    /// had one, traced.
    #[must_use]
    pub fn minimised<S: Subject>(mut self, start: Start<S>) -> Outcome {
        let faults = self.run(start).plan.len();
        for place in (0..faults).rev() {
            self.without.push(place);
            if self.run(start).violations.is_empty() {
                self.without.pop();
            }
        }
        self.traced = true;
        self.run(start)
    }
}

impl Settings {
    fn draw(rng: &mut Rng) -> Self {
        let lease = Duration::from_millis(rng.u64(200..=400));
        Self {
            nodes: rng.usize(2..=3),
            keys: rng.usize(2..=4),
            strict: rng.u8(..4) > 0,
            lease,
            holders: *rng.choice(&[0, 8, 16]).expect("there are three"),
            hold: lease.mul_f64(1.0 + rng.f64()),
            settle: Duration::from_millis(*rng.choice(&[0, 0, 0, 15]).expect("there are four")),
            time_out: Duration::from_millis(rng.u64(60..=160)),
            confirm_within: lease * rng.u32(2..=4),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
