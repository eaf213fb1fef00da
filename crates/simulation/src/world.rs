//! A Redis, its nodes, the network between them, and what goes wrong with each.

use std::{collections::BTreeMap, fmt, time::Duration};

use fastrand::Rng;

use crate::{
    fault::{Fault, Planned},
    host::Host,
    network::Network,
    origin::Origin,
    peer::Peer,
    server::{Server, Snapshot},
};

/// What runs on a node: it is started when the world begins, and again after a crash.
type Software = Box<dyn Fn(usize, &Host, &mut Rng)>;

/// A Redis, its nodes, the network between them, and what goes wrong with each.
pub(crate) struct World {
    now: Duration,
    rng: Rng,
    network: Network,
    peer: Peer,
    server: Host,
    nodes: Vec<Host>,
    software: Software,
    origin: Origin,
    plan: Vec<Planned>,
    /// How many faults of the plan have begun.
    begun: usize,
    ends: BTreeMap<Duration, Vec<End>>,
    /// What the server held at each step, as far back as a relapse goes.
    past: Vec<(Duration, Snapshot)>,
}

/// How a fault ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Release(usize),
    Join(usize),
    Quicken(usize),
    Return,
    Promote,
    Empty,
}

/// How far the clocks of hosts may be apart in what they have done.
pub(crate) const STEP: Duration = Duration::from_millis(2);

/// The rates of two clocks differ by this at most, each from the true one. Together with a step it
/// stays below the 32nd part of a lease, which the protocol assumes.
const DRIFT: f64 = 0.008;

/// A moment in 2026: clocks that start at 0 hide errors.
const BIRTH: Duration = Duration::from_secs(1_790_000_000);

impl World {
    pub(crate) fn new(
        nodes: usize,
        mut rng: Rng,
        network: Network,
        origin: Origin,
        plan: Vec<Planned>,
        software: Software,
    ) -> Self {
        let clock = network.clone();
        let peer = Peer::new(move || BIRTH + clock.now());
        let server = Host::start(Duration::ZERO, 1.0);
        let (serving, handle) = (peer.clone(), server.handle());
        network.listen(move |stream| drop(handle.spawn(serving.clone().serve(stream))));
        let mut world = Self {
            now: Duration::ZERO,
            nodes: (0..nodes)
                .map(|_| start(Duration::ZERO, &mut rng))
                .collect(),
            rng,
            network,
            peer,
            server,
            software,
            origin,
            plan,
            begun: 0,
            ends: BTreeMap::new(),
            past: Vec::new(),
        };
        for (node, host) in world.nodes.iter().enumerate() {
            (world.software)(node, host, &mut world.rng);
        }
        world
    }

    /// The machine of a node.
    pub(crate) fn node(&self, node: usize) -> &Host {
        &self.nodes[node]
    }

    /// Lets time pass until then, in steps of at most this length.
    pub(crate) fn run_until(&mut self, moment: Duration, step: Duration) {
        while self.now < moment {
            self.now = moment.min(self.now + step);
            self.origin.history().advance(self.now);
            self.end_faults(self.now);
            self.begin_faults();
            self.network.advance(self.now);
            // Whoever comes first in a step is ahead of the others by as much.
            let first = self.rng.usize(..=self.nodes.len());
            for turn in 0..=self.nodes.len() {
                match (first + turn) % (self.nodes.len() + 1) {
                    0 => self.server.run_until(self.now),
                    node => self.nodes[node - 1].run_until(self.now),
                }
            }
        }
    }

    /// Ends whatever is wrong now.
    pub(crate) fn heal(&mut self) {
        self.end_faults(Duration::MAX);
    }

    fn begin_faults(&mut self) {
        while let Some(planned) = self.plan.get(self.begun) {
            if planned.at > self.now {
                break;
            }
            let fault = planned.fault.clone();
            self.begun += 1;
            self.begin(&fault);
        }
        self.remember();
    }

    /// Keeps what the server holds now, if a relapse to come needs it.
    fn remember(&mut self) {
        let needed = self.plan[self.begun..].iter().any(|planned| {
            let Fault::Relapse { age, .. } = planned.fault else {
                return false;
            };
            let wanted = planned.at.saturating_sub(age);
            (wanted..wanted + STEP).contains(&self.now)
        });
        if needed || self.past.is_empty() {
            let snapshot = self.peer.with(|server| server.snapshot());
            self.past.push((self.now, snapshot));
        }
    }

    fn begin(&mut self, fault: &Fault) {
        self.origin.history().note(format_args!("FAULT {fault}"));
        match *fault {
            Fault::HoldLink {
                node,
                direction,
                streams,
                lasts,
            } => {
                self.network.hold(node, direction, streams);
                self.later(lasts, End::Release(node));
            }
            Fault::PartLink {
                node,
                streams,
                lasts,
            } => {
                self.network.part(node, streams);
                self.later(lasts, End::Join(node));
            }
            Fault::ResetLink { node } => self.network.reset(node),
            Fault::SlowLink { node, by, lasts } => {
                self.network.slow(node, by);
                self.later(lasts, End::Quicken(node));
            }
            Fault::PauseNode { node, lasts } => self.nodes[node].pause_until(self.now + lasts),
            Fault::CrashNode { node } => self.crash(node),
            Fault::PauseServer { lasts } => self.server.pause_until(self.now + lasts),
            Fault::Restart { lasts } => self.restart(None, lasts),
            Fault::Relapse { age, lasts } => {
                let wanted = self.now.saturating_sub(age);
                let past = self.past.iter().rev();
                let data = past.clone().find(|(moment, _)| *moment <= wanted + STEP);
                let data = data.map(|(_, snapshot)| snapshot.clone());
                self.restart(data, lasts);
            }
            Fault::Flush => self.forget(Server::flush),
            Fault::Demote { lasts } => {
                self.forget(|server| server.set_replica(true));
                self.later(lasts, End::Promote);
            }
            Fault::Fill { lasts } => {
                self.peer.with(|server| server.set_full(true));
                self.later(lasts, End::Empty);
            }
            Fault::Evict { place } => {
                let evicted = self.forget(|server| server.evict(place));
                self.origin
                    .history()
                    .note(format_args!("EVICTED {evicted:?}"));
            }
        }
    }

    fn end_faults(&mut self, moment: Duration) {
        while let Some(entry) = self.ends.first_entry() {
            if *entry.key() > moment {
                break;
            }
            for end in entry.remove() {
                self.origin.history().note(format_args!("ENDS {end:?}"));
                match end {
                    End::Release(node) => self.network.release(node),
                    End::Join(node) => self.network.join(node),
                    End::Quicken(node) => self.network.slow(node, Duration::ZERO),
                    End::Return => self.network.set_listening(true),
                    End::Promote => self.forget(|server| server.set_replica(false)),
                    End::Empty => self.peer.with(|server| server.set_full(false)),
                }
            }
        }
    }

    fn later(&mut self, lasts: Duration, end: End) {
        self.ends.entry(self.now + lasts).or_default().push(end);
    }

    /// Does to the server what may make it forget a hold.
    fn forget<R>(&mut self, act: impl FnOnce(&mut Server) -> R) -> R {
        self.origin.history().lose();
        self.peer.with(act)
    }

    fn restart(&mut self, data: Option<Snapshot>, lasts: Duration) {
        self.network.set_listening(false);
        self.forget(|server| server.restart(data));
        self.later(lasts, End::Return);
    }

    fn crash(&mut self, node: usize) {
        self.network.reset(node);
        self.nodes[node] = start(self.now, &mut self.rng);
        self.origin.history().crashed(node);
        (self.software)(node, &self.nodes[node], &mut self.rng);
    }
}

fn start(now: Duration, rng: &mut Rng) -> Host {
    Host::start(now, 1.0 + DRIFT * (2.0 * rng.f64() - 1.0))
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
