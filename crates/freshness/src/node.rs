//! A node: a process with readers, writers and one subject between them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use fastrand::Rng;
use tokio::{
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::{Instant, MissedTickBehavior, interval},
};
use vacancy_cache::Consistency;

use crate::{
    clock::Moment,
    crowd,
    fenced::Fenced,
    history::{Key, Read, Write},
    journal::Journal,
    naive::Naive,
    origin::Origin,
    subject::{Column, Subject},
    wire::{self, Assignment, Order, Report},
};

/// Reads between two breaks of a reader. The first of them follow one another without any pause.
const BURST: u32 = 16;

/// How many reads a reader gathers before it reports them.
const BATCH: usize = 256;

/// The mean break of a writer between two writes.
const WRITE_EVERY: Duration = Duration::from_millis(20);

/// Follows orders until the last one, or until the coordinator is gone.
pub(crate) async fn run() -> anyhow::Result<()> {
    let (sender, mut orders) = mpsc::unbounded_channel();
    // Standard input can only be waited for by a thread; this one ends with the process.
    std::thread::spawn(move || {
        while let Ok(Some(order)) = wire::receive(io::stdin().lock()) {
            if sender.send(order).is_err() {
                return;
            }
        }
    });
    let Some(Order::Begin(assignment)) = orders.recv().await else {
        return Ok(());
    };
    let (url, lease) = (assignment.redis.as_str(), assignment.lease);
    match assignment.column {
        Column::Naive => be(Naive::connect(url).await?, assignment, orders).await,
        Column::Bounded => {
            let bounded = Fenced::invalidating(url, Consistency::Bounded, lease)?;
            be(bounded, assignment, orders).await
        }
        Column::Strict => {
            let strict = Fenced::invalidating(url, Consistency::Strict, lease)?;
            be(strict, assignment, orders).await
        }
        Column::Held => be(Fenced::holding(url, lease)?, assignment, orders).await,
    }
}

async fn be(
    subject: impl Subject,
    assignment: Assignment,
    orders: mpsc::UnboundedReceiver<Order>,
) -> anyhow::Result<()> {
    let node = Node::start(subject, assignment).await?;
    node.follow(orders).await
}

struct Node<S> {
    stage: Arc<Stage<S>>,
    actors: JoinSet<()>,
}

/// What the readers and writers of a node share.
struct Stage<S> {
    subject: S,
    origin: Origin,
    keys: Key,
    rests: AtomicBool,
    journal: Journal,
}

impl<S: Subject> Node<S> {
    async fn start(subject: S, assignment: Assignment) -> anyhow::Result<Self> {
        let journal = Journal;
        let stage = Arc::new(Stage {
            subject,
            origin: Origin::connect(&assignment.database, journal).await?,
            keys: assignment.keys,
            rests: AtomicBool::new(false),
            journal,
        });
        let mut dice = Rng::with_seed(assignment.seed);
        let mut actors = JoinSet::new();
        let each = assignment.reads_per_second / assignment.readers.max(1);
        let pause = Duration::from_secs(1) * BURST / each.max(1);
        for _ in 0..assignment.readers {
            actors.spawn(Arc::clone(&stage).read(dice.fork(), pause));
        }
        for _ in 0..assignment.writers {
            actors.spawn(Arc::clone(&stage).write(dice.fork()));
        }
        journal.report(&Report::Begun);
        Ok(Self { stage, actors })
    }

    async fn follow(mut self, mut orders: mpsc::UnboundedReceiver<Order>) -> anyhow::Result<()> {
        while let Some(order) = orders.recv().await {
            let Stage {
                subject,
                origin,
                journal,
                ..
            } = &*self.stage;
            match order {
                Order::Begin(_) => anyhow::bail!("begun twice"),
                Order::DieAfterCommit => origin.die_after_commit(),
                Order::Rest => {
                    self.stage.rests.store(true, Ordering::SeqCst);
                    while let Some(ended) = self.actors.join_next().await {
                        ended.context("a reader or writer panicked")?;
                    }
                    journal.report(&Report::Resting);
                }
                Order::Settle => journal.report(&Report::Settled(subject.settle().await)),
                Order::ReadAll => {
                    let mut reads = Vec::new();
                    for key in 0..self.stage.keys {
                        reads.push(self.stage.read_once(key).await);
                    }
                    journal.report(&Report::LastReads(reads));
                }
                Order::End => {
                    journal.report(&Report::Counts(subject.counts()));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<S: Subject> Stage<S> {
    /// Reads in bursts, one each `pause`.
    async fn read(self: Arc<Self>, mut dice: Rng, pause: Duration) {
        let mut bursts = interval(pause);
        // What was not read while nothing could be is not made up for.
        bursts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reads = Vec::with_capacity(BATCH);
        while !self.rests.load(Ordering::SeqCst) {
            bursts.tick().await;
            for _ in 0..BURST {
                let key = crowd::wanted(Moment::now(), self.keys, &mut dice);
                reads.push(self.read_once(key).await);
                yield_now().await;
            }
            if reads.len() >= BATCH {
                self.journal
                    .report(&Report::Reads(std::mem::take(&mut reads)));
            }
        }
        self.journal.report(&Report::Reads(reads));
    }

    async fn read_once(&self, key: Key) -> Read {
        let started = Moment::now();
        let (value, source) = self.subject.read(key, &self.origin).await;
        Read {
            key,
            started,
            ended: Moment::now(),
            value,
            source,
        }
    }

    async fn write(self: Arc<Self>, mut dice: Rng) {
        while !self.rests.load(Ordering::SeqCst) {
            let next = Instant::now() + WRITE_EVERY.mul_f64(2.0 * dice.f64());
            tokio::time::sleep_until(next).await;
            let mut write = Write::begin(crowd::changed(Moment::now(), self.keys, &mut dice));
            self.subject.write(&mut write, &self.origin).await;
            self.journal.report(&Report::Writes(vec![write]));
        }
    }
}
