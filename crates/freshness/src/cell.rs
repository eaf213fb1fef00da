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
        let reads = self.verdict.reads;
        self.least()
            .into_iter()
            .find(|(_, number, least)| number < least)
            .map(|(what, number, least)| {
                format!("{what}: {number} in {reads} reads, and {least} are the least")
            })
    }

    /// What has to have happened, how often it did, and how often it has to.
    fn least(&self) -> Vec<(&'static str, u64, u64)> {
        let Self {
            verdict,
            tally,
            counts,
            ..
        } = self;
        let mut least = vec![
            ("reads of level 1", tally.level1, verdict.reads / 10),
            ("reads of level 2", tally.level2, verdict.reads / 100),
            ("loads", tally.loaded, verdict.reads / 1_000),
            (
                "reads that raced a write",
                verdict.raced,
                verdict.reads / 200,
            ),
            ("confirmed writes", tally.confirmed, 50),
        ];
        if !self.column.promises() {
            // Else nobody knows whether the checker sees anything.
            least.push(("stale reads", verdict.stale, 1));
            return least;
        }
        least.push(("invalid answers in level 2", counts.fenced, 1));
        least.extend(match self.row {
            Row::None => vec![],
            Row::Cut | Row::BlackHole | Row::HalfOpen | Row::Stall => vec![
                ("failed calls of Redis", counts.errors, 1),
                ("doubted answers", counts.doubted, 1),
            ],
            Row::Restart | Row::Flush | Row::Failover => {
                vec![("incarnations met", counts.incarnations, tally.injections)]
            }
            Row::WriterKilled => vec![],
            Row::NodePaused => vec![("doubted answers", counts.doubted, 1)],
        });
        if self.column == Column::Held {
            least.push(("reads under a hold", counts.held, 1));
        }
        least
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
        sleep(row.calm(settings.lease, &mut dice)).await;
        let started = Moment::now();
        let number = injections.len();
        let what = row.inject(number, field, settings.lease, &mut dice).await?;
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

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// A cell in which as much happened as has to.
    fn busy(row: Row, column: Column) -> Cell {
        Cell {
            row,
            column,
            verdict: Verdict {
                reads: 10_000,
                raced: 50,
                stale: u64::from(!column.promises()),
                ..Verdict::default()
            },
            tally: Tally {
                level1: 1_000,
                level2: 100,
                loaded: 10,
                confirmed: 50,
                injections: 2,
                ..Tally::default()
            },
            counts: Counts {
                errors: 1,
                doubted: 1,
                fenced: 1,
                held: 1,
                incarnations: 2,
                ..Counts::default()
            },
            traces: Vec::new(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_cell_that_raced_enough_says_something() {
        for row in Row::value_variants() {
            for column in Column::value_variants() {
                assert_eq!(busy(*row, *column).idle(), None, "{row:?} {column:?}");
            }
        }
    }

    #[test]
    fn a_cell_without_what_its_row_is_about_says_nothing() {
        let idle = |row, column, take: fn(&mut Cell)| {
            let mut cell = busy(row, column);
            take(&mut cell);
            cell.idle().is_some()
        };
        assert!(idle(Row::None, Column::Bounded, |cell| cell
            .verdict
            .raced -= 1));
        assert!(idle(Row::None, Column::Naive, |cell| cell.verdict.stale = 0));
        assert!(idle(Row::Cut, Column::Strict, |cell| cell.counts.doubted = 0));
        assert!(idle(Row::Flush, Column::Strict, |cell| cell
            .counts
            .incarnations -=
            1));
        assert!(idle(Row::NodePaused, Column::Bounded, |cell| cell
            .counts
            .doubted =
            0));
        assert!(idle(Row::None, Column::Held, |cell| cell.counts.held = 0));
    }
}
