//! Races readers and writers on several nodes, which are processes, over a real Redis and through
//! faults, and holds every read against what had been confirmed when it began.
//!
//! `cargo xtask freshness` runs it and prints the table. The coordinator starts this program again
//! for each node. Nodes note what they do on the machine's one clock, and the checker sees one
//! history. Needs redis-server, and a Unix for its signals.

#![expect(
    clippy::print_stdout,
    reason = "what a command line tool finds is what it prints"
)]

mod cell;
mod checker;
mod clock;
mod crowd;
mod fenced;
mod field;
mod floor;
mod history;
mod journal;
mod naive;
mod node;
mod node_process;
mod origin;
mod overlap;
mod row;
mod settings;
mod subject;
mod table;
mod trace;
mod wire;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::{cell::Cell, row::Row, settings::Settings, subject::Column};

/// More would leave the nodes no time to write on a small machine.
const READS_PER_SECOND: u32 = 25_000;

/// What a cell takes besides its reads: servers and nodes start, and everything comes to rest.
const AROUND_A_CELL: Duration = Duration::from_secs(3);

/// Races nodes through faults, and checks every answer.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask freshness",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Be a node: what the coordinator starts
    #[command(hide = true)]
    Node,
}

#[derive(Debug, Args)]
struct Run {
    /// How many nodes race
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// How many reads a cell of the table has
    #[arg(long, default_value_t = 20_000)]
    reads: u64,
    /// How long all cells together take, in place of a number of reads
    #[arg(long, conflicts_with = "reads")]
    minutes: Option<f64>,
    /// How many faults a cell has at least
    #[arg(long, default_value_t = 4)]
    injections: usize,
    /// Which faults
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Row::value_variants().to_vec())]
    faults: Vec<Row>,
    /// Which caches
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Column::value_variants().to_vec())]
    columns: Vec<Column>,
    /// How long a node trusts its level 1 without hearing from Redis, in milliseconds
    #[arg(long, default_value_t = 300)]
    lease: u64,
    /// What all dice begin with; the interleaving is still the machine's
    #[arg(long)]
    seed: Option<u64>,
}

impl Run {
    fn settings(&self) -> Settings {
        let lease = Duration::from_millis(self.lease);
        let reads = match self.minutes {
            Some(minutes) => {
                let cells = (self.faults.len() * self.columns.len()).max(1);
                let each = Duration::from_secs_f64(minutes * 60.0 / cells as f64);
                each.saturating_sub(AROUND_A_CELL).as_secs() * u64::from(READS_PER_SECOND)
            }
            None => self.reads,
        };
        // No faster than the faults need: reads that all come before the first one show nothing.
        let spread = reads as f64 / settings::troubled(lease, self.injections).as_secs_f64();
        Settings {
            nodes: self.nodes,
            readers: 6,
            writers: 6,
            keys: 256,
            reads,
            injections: self.injections,
            reads_per_second: (spread as u32).clamp(1_000, READS_PER_SECOND),
            lease,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
        }
    }

    /// Measures every cell and prints the tables. Returns whether all promises were kept, by cells
    /// that could have shown the contrary.
    async fn measure(&self) -> anyhow::Result<bool> {
        let settings = self.settings();
        let cells = self.faults.len() * self.columns.len();
        println!(
            "{cells} cells of {} reads on {} nodes, lease {:?}, seed {}; about {:.0} s",
            settings.reads,
            settings.nodes,
            settings.lease,
            settings.seed,
            ((settings.duration() + AROUND_A_CELL) * cells as u32).as_secs_f64()
        );
        let mut measured = Vec::new();
        for row in &self.faults {
            for column in &self.columns {
                let cell = Cell::measure(*row, *column, &settings).await?;
                let verdict = &cell.verdict;
                println!(
                    "{}, {}: {} stale and {} sticky in {} reads",
                    row.title(),
                    column.title(),
                    verdict.stale,
                    verdict.sticky,
                    verdict.reads
                );
                if column.promises() {
                    for trace in &cell.traces {
                        println!("{trace}");
                    }
                }
                measured.push(cell);
            }
        }
        println!("{}", table::guards(&measured));
        println!(
            "{}",
            table::verdicts(&measured, &self.faults, &self.columns)
        );
        println!(
            "stale: reads that missed what the column promises, or what their own node had invalidated\n\
             sticky: reads still old when all was quiet; untold: their writer died before it told anybody\n\
             late: reads that missed a confirmed write; p50, p99 and maximum of for how long it had been\n\
             95 % bound on a rate of 0: 3 in {}",
            settings.reads
        );
        Ok(judge(&measured))
    }
}

/// Says which cells fail, and why.
fn judge(cells: &[Cell]) -> bool {
    let mut good = true;
    for cell in cells {
        let name = format!("{}, {}", cell.row.title(), cell.column.title());
        if cell.column.promises() && cell.verdict.broken() > 0 {
            println!("BROKEN: {name}");
            good = false;
        }
        if let Some(reason) = cell.idle() {
            println!("SHOWS NOTHING: {name}: {reason}");
            good = false;
        }
    }
    good
}

/// Waits for Ctrl-C, or for what `kill` sends.
async fn told_to_end() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { task, run } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let good = match task {
        Some(Task::Node) => runtime.block_on(node::run()).map(|()| true)?,
        // Dropping the race ends its servers and nodes, which a signal alone would leave behind.
        None => runtime.block_on(async {
            tokio::select! {
                good = run.measure() => good,
                ended = told_to_end() => ended.map(|()| false),
            }
        })?,
    };
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
