//! What the programs on a node do: they read, and they write.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;

use crate::{
    history::Held,
    origin::{Origin, wait},
    subject::Subject,
};

/// What the programs of all nodes share.
pub(crate) struct Workload<S: Subject> {
    pub(crate) origin: Origin,
    pub(crate) keys: usize,
    /// When they stop.
    pub(crate) until: Duration,
    pub(crate) settings: Settings,
    /// The newest confirmed version of each key that clients know of.
    pub(crate) tokens: Mutex<Vec<Option<Known<S>>>>,
}

/// A token, and the version that it confirms.
type Known<S> = (<S as Subject>::Token, u64);

/// How a run is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many keys there are.
    pub keys: usize,
    /// Whether a confirmation waits for every node.
    pub strict: bool,
    /// How long a node trusts its level 1.
    pub lease: Duration,
    /// Of sixteen writers, how many hold before they commit.
    pub holders: u8,
    /// How long a hold lasts.
    pub hold: Duration,
    /// How long what was invalidated is not kept.
    pub settle: Duration,
    /// How long one call of the server may take.
    pub time_out: Duration,
    /// How long a confirmation is waited for.
    pub confirm_within: Duration,
}

/// How many readers a node has, and how many writers.
const READERS: usize = 4;
const WRITERS: usize = 1;

impl Settings {
    /// How long a node may serve what is confirmed to be untrue.
    fn within(&self) -> Option<Duration> {
        // Its lease may have been granted just before, by a slower clock.
        (!self.strict).then(|| self.lease + self.lease / 16)
    }
}

impl<S: Subject> Workload<S> {
    /// Starts readers and writers on the node that this is called on.
    pub(crate) fn start(
        self: &Arc<Self>,
        node: usize,
        subject: &Arc<S>,
        handle: &tokio::runtime::Handle,
        rng: &mut Rng,
    ) {
        for _ in 0..READERS {
            let (workload, subject, rng) = (Arc::clone(self), Arc::clone(subject), rng.fork());
            handle.spawn(async move { workload.read(node, &*subject, rng).await });
        }
        for _ in 0..WRITERS {
            let (workload, subject, rng) = (Arc::clone(self), Arc::clone(subject), rng.fork());
            handle.spawn(async move { workload.write(node, &*subject, rng).await });
        }
    }

    fn goes_on(&self) -> bool {
        self.origin.history().now() < self.until
    }

    async fn read(&self, node: usize, subject: &S, mut rng: Rng) {
        while self.goes_on() {
            // In bursts, so that readers meet.
            let pause = if rng.u8(..) < 128 { 4 } else { 60 };
            wait(&mut rng, pause).await;
            let key = rng.usize(..self.keys);
            let token = match rng.u8(..8) {
                0 => self.tokens.lock().expect("a panic ends the run")[key].clone(),
                _ => None,
            };
            let patience = match rng.u8(..16) {
                0 => rng.u64(0..12),
                _ => 10_000,
            };
            let (token, version) = token.unzip();
            let reading = self.origin.history().read_begins(node, key, version);
            let read = subject.read(key, token.as_ref(), self.origin.clone(), rng.fork());
            let read = tokio::time::timeout(Duration::from_millis(patience), read).await;
            let mut history = self.origin.history();
            match read {
                Ok(Ok(read)) => history.read_ends(&reading, &read),
                Ok(Err(_)) => history.read_fails(&reading, "the database did not answer"),
                Err(_) => history.read_fails(&reading, "cancelled"),
            }
        }
    }

    /// Reads every key once, when nothing has happened for long.
    pub(crate) async fn read_in_the_end(&self, node: usize, subject: &S, mut rng: Rng) {
        for key in 0..self.keys {
            for _ in 0..8 {
                let reading = self.origin.history().quiet_read_begins(node, key);
                let read = subject.read(key, None, self.origin.clone(), rng.fork());
                let read = read.await;
                let mut history = self.origin.history();
                match read {
                    Ok(read) => {
                        history.read_ends(&reading, &read);
                        break;
                    }
                    Err(_) => history.read_fails(&reading, "the database did not answer"),
                }
            }
        }
    }

    async fn write(&self, node: usize, subject: &S, mut rng: Rng) {
        while self.goes_on() {
            wait(&mut rng, 240).await;
            let key = rng.usize(..self.keys);
            let version = if rng.u8(..16) < self.settings.holders {
                self.write_under_a_hold(node, key, subject, &mut rng).await
            } else {
                self.write_plainly(node, key, subject, &mut rng).await
            };
            let Some(version) = version else { continue };
            self.origin.history().invalidated(node, key, version);
            if rng.u8(..32) == 0 {
                continue; // fire and forget
            }
            match subject.confirmed().await {
                Ok(token) => {
                    let mut history = self.origin.history();
                    history.confirmed(key, version, self.settings.within());
                    drop(history);
                    let mut tokens = self.tokens.lock().expect("a panic ends the run");
                    if tokens[key]
                        .as_ref()
                        .is_none_or(|(_, known)| *known < version)
                    {
                        tokens[key] = Some((token, version));
                    }
                }
                Err(error) => {
                    let mut history = self.origin.history();
                    history.note(format_args!("node {node}, {key}@{version}: {error}"));
                }
            }
        }
    }

    /// Commits and invalidates. `None` when the writer died in between.
    async fn write_plainly(
        &self,
        node: usize,
        key: usize,
        subject: &S,
        rng: &mut Rng,
    ) -> Option<u64> {
        let version = self.commit(node, key, None);
        if rng.u8(..32) == 0 {
            self.origin.history().died(key, version);
            return None;
        }
        if rng.u8(..4) == 0 {
            wait(rng, 20).await;
        }
        subject.invalidate(key);
        Some(version)
    }

    /// Holds, commits and releases. `None` when the writer did not get its hold, or died.
    async fn write_under_a_hold(
        &self,
        node: usize,
        key: usize,
        subject: &S,
        rng: &mut Rng,
    ) -> Option<u64> {
        let held = self.origin.history().hold(self.settings.hold);
        self.note(format_args!("node {node} wants to hold {key}"));
        // A writer whose client has gone away stops waiting.
        let patience = match rng.u8(..16) {
            0 => rng.u64(0..30),
            _ => 60_000,
        };
        let hold = subject.hold(key, self.settings.hold);
        let hold = tokio::time::timeout(Duration::from_millis(patience), hold).await;
        let Ok(Ok(hold)) = hold else {
            self.note(format_args!("node {node} may not hold {key}"));
            // Refused, or accepted as if there were no holds.
            return match rng.bool() {
                true => None,
                false => self.write_plainly(node, key, subject, rng).await,
            };
        };
        self.note(format_args!("node {node} holds {key}"));
        let transaction = if rng.u8(..16) == 0 { 400 } else { 30 };
        wait(rng, transaction).await;
        if rng.u8(..32) == 0 {
            return None; // rolled back
        }
        let version = self.commit(node, key, Some(held));
        if rng.u8(..8) == 0 {
            self.origin.history().died(key, version);
            // A process that is killed runs no destructor; a task that is cancelled does.
            if rng.bool() {
                std::mem::forget(hold);
            }
            return None;
        }
        if rng.u8(..4) == 0 {
            wait(rng, 20).await;
        }
        subject.release(hold);
        Some(version)
    }

    fn commit(&self, node: usize, key: usize, held: Option<Held>) -> u64 {
        let within = self.settings.within();
        self.origin.history().commit(node, key, held, within)
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        self.origin.history().note(what);
    }
}
