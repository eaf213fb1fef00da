//! One cell of the table: one subject under one kind of fault.

use std::time::Duration;

use anyhow::bail;
use fastrand::Rng;
use tokio::time::{Instant, sleep};

use crate::{
    checker::{self, Verdict},
    clock::Moment,
    field::Field,
    history::{History, Injection, Source},
    row::Row,
    settings::Settings,
    subject::{Column, Counts},
    trace,
};

/// How much longer than planned a cell may take before it is given up.
const SLOWNESS: u32 = 10;

/// A subject under a kind of fault, measured.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) row: Row,
    pub(crate) column: Column,
    pub(crate) verdict: Verdict,
    pub(crate) tally: Tally,
    pub(crate) counts: Counts,
    /// The stories of the first reads that broke the promise.
    pub(crate) traces: Vec<String>,
    pub(crate) took: Duration,
}

/// What shows whether anything was put to the test.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) level1: u64,
    pub(crate) level2: u64,
    pub(crate) loaded: u64,
    pub(crate) shared: u64,
    pub(crate) confirmed: u64,
    pub(crate) unconfirmed: u64,
    pub(crate) refused: u64,
    pub(crate) injections: u64,
}

impl Cell {
    pub(crate) async fn measure(
        row: Row,
        column: Column,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut field = Field::start(column, settings).await?;
        let injections = trouble(row, &mut field, settings).await?;
        let (mut history, counts) = field.end().await?;
        history.injections = injections;
        let promise = column.promise(settings.lease);
        let verdict = checker::check(&history, promise);
        Ok(Self {
            row,
            column,
            tally: Tally::of(&history),
            traces: trace::tell_all(&verdict, &history),
            verdict,
            counts,
            took: begun.elapsed(),
        })
    }

    /// Why the cell says nothing, if it does.
    pub(crate) fn idle(&self) -> Option<String> {
        let Self { verdict, tally, .. } = self;
        let reads = verdict.reads;
        if tally.level1 < reads / 10 {
            return Some(format!("only {} reads of level 1", tally.level1));
        }
        if tally.loaded == 0 || tally.level2 == 0 {
            return Some("no loads or no reads of level 2".to_owned());
        }
        if verdict.raced < reads / 1_000 {
            return Some(format!("only {} reads raced a write", verdict.raced));
        }
        if tally.confirmed < 100 {
            return Some(format!("only {} confirmed writes", tally.confirmed));
        }
        if !self.column.promises() && verdict.stale == 0 {
            return Some("the comparison was never stale, so this would not see it".to_owned());
        }
        None
    }
}

/// Lets things go wrong until enough was read and enough went wrong.
async fn trouble(
    row: Row,
    field: &mut Field,
    settings: &Settings,
) -> anyhow::Result<Vec<Injection>> {
    let mut dice = Rng::with_seed(settings.seed);
    let mut injections = Vec::new();
    let begun = Instant::now();
    let limit = settings.duration() * SLOWNESS;
    row.prepare(field).await?;
    while field.reads() < settings.reads || injections.len() < settings.injections {
        if begun.elapsed() > limit {
            let (reads, faults) = (field.reads(), injections.len());
            bail!("{limit:?} brought only {reads} reads and {faults} faults");
        }
        sleep(settings.lease.mul_f64(0.5 + dice.f64())).await;
        let started = Moment::now();
        let what = row.inject(field, settings.lease, &mut dice).await?;
        let ended = Moment::now();
        injections.push(Injection {
            what,
            started,
            ended,
        });
    }
    Ok(injections)
}

impl Tally {
    fn of(history: &History) -> Self {
        let mut tally = Self {
            injections: history.injections.len() as u64,
            ..Self::default()
        };
        for (_, read) in history.reads() {
            *match read.source {
                Source::Level1 => &mut tally.level1,
                Source::Level2 => &mut tally.level2,
                Source::Loaded => &mut tally.loaded,
                Source::Shared => &mut tally.shared,
            } += 1;
        }
        for (_, write) in history.writes() {
            *match (write.commit, write.confirmed) {
                (None, _) => &mut tally.refused,
                (Some(_), Some(_)) => &mut tally.confirmed,
                (Some(_), None) => &mut tally.unconfirmed,
            } += 1;
        }
        tally
    }
}
