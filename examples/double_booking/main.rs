//! Replays one recorded day of bookings through four caches, and counts the offers of slots that were
//! already taken.
//!
//! ```sh
//! cargo run --release --example double_booking
//! cargo run --release --example double_booking -- --no-guard
//! cargo run --release --example double_booking -- --help
//! ```
//!
//! The recorded day had no guard: its webhooks tell of bookings over one another. In the replay, each
//! of them is somebody who read the offers 20 to 90 seconds before, through the cache under test, and
//! confirms the slot if it was offered. Time is virtual, and all chance comes from the seed.

mod calendar;
pub(crate) mod contender;
mod diary;
mod directory;
mod field;
mod hourly_keys;
mod no_cache;
mod opening_hours;
mod plan;
pub(crate) mod recording;
mod replay;
pub(crate) mod report;
pub(crate) mod tally;
mod ttl_cache;
mod vacancy_cache;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use vacancy::dispatch::BoxError;

use contender::Kind;
use plan::Plan;
use recording::{Recording, RecordingError};
use replay::Replay;
use report::{Report, Row};

/// The day that comes with the example.
pub(crate) const RECORDED_DAY: &[u8] = include_bytes!("../data/recorded_day.jsonl");

/// Replays one recorded day of bookings through four caches (none, a TTL of 300 s, the three hourly
/// keys of Vacancy's predecessor, Vacancy) and counts the offers of slots that were already taken.
#[derive(Clone, Debug, Parser)]
#[command(name = "double_booking", after_help = COLUMNS)]
pub(crate) struct Arguments {
    /// Replays this day instead of the one that comes with the example: lines of JSON, first
    /// {"directory":{…}} for each branch, then the calendar's webhooks in order of `createdAt`. The
    /// one that comes with it, examples/data/recorded_day.jsonl, shows all fields
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Chooses who reads what and when, and how long the calendar takes
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Reads through each cache; every recorded caller is one of them
    #[arg(long, value_name = "COUNT", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) reads: u32,
    /// How long the calendar goes on giving the old answer after a booking, as real ones do
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub(crate) lag: u32,
    /// Confirms without checking whether the slot is still free, and counts the double bookings
    #[arg(long)]
    pub(crate) no_guard: bool,
    /// Prints one JSON object instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

const COLUMNS: &str = "\
Columns:
  source loads            calls of the calendar
  hit rate                reads that needed no such call
  stale offers            reads that offered a slot that was taken before they began
  refused: stale offer    confirmations refused because the slot was taken when it was offered
  refused: lost the race  confirmations refused because it was taken while the caller thought;
                          no cache can prevent these
  double booked: ...      the same, let through: only with --no-guard

Exit status: 0, 1 when the replay failed, 2 when the arguments or the input are wrong.";

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The input is not a recording. Nothing was replayed.
    #[error("{}", .path.display())]
    Input {
        path: PathBuf,
        source: RecordingError,
    },
    #[error("--reads {reads} is less than one for each of the {callers} recorded callers")]
    TooFewReads { reads: u32, callers: usize },
    #[error("the replay through {kind} failed")]
    Replay { kind: Kind, source: BoxError },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let progress = match io::stdout().is_terminal() && !arguments.json {
        true => ProgressBar::new(0),
        false => ProgressBar::hidden(),
    };
    let report = match run(&arguments, &progress) {
        Ok(report) => report,
        Err(failure) => {
            progress.finish_and_clear();
            eprintln!("{}", failure.message());
            return failure.exit_code();
        }
    };
    progress.finish_and_clear();
    let text = match arguments.json {
        true => report.json(),
        false => report.text(),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads the output has seen enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot print: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads all of the input, then replays it through one cache after the other.
pub(crate) fn run(arguments: &Arguments, progress: &ProgressBar) -> Result<Report, Failure> {
    let recording = match &arguments.input {
        Some(path) => Recording::open(path).map_err(|source| Failure::Input {
            path: path.clone(),
            source,
        })?,
        None => Recording::parse(RECORDED_DAY).map_err(|source| Failure::Input {
            path: "examples/data/recorded_day.jsonl".into(),
            source,
        })?,
    };
    let (reads, callers) = (arguments.reads, recording.callers());
    let count = usize::try_from(reads).unwrap_or(usize::MAX);
    if count < callers {
        return Err(Failure::TooFewReads { reads, callers });
    }
    let plan = Plan::new(&recording, count, arguments.seed);
    let replay = Replay {
        recording: Arc::new(recording),
        plan: Arc::new(plan),
        seed: arguments.seed,
        lag: Duration::from_secs(arguments.lag.into()),
        guard: !arguments.no_guard,
    };
    if let Ok(style) = ProgressStyle::with_template("{msg:17} {wide_bar} {pos}/{len} reads") {
        progress.set_style(style);
    }
    progress.set_length(u64::from(reads) * Kind::ALL.len() as u64);
    let mut caches = Vec::new();
    for kind in Kind::ALL {
        progress.set_message(kind.to_string());
        let tally = replay
            .run(kind, || progress.inc(1))
            .map_err(|source| Failure::Replay { kind, source })?;
        caches.push(Row::new(kind, tally));
    }
    Ok(Report {
        seed: arguments.seed,
        reads,
        callers,
        lag_seconds: arguments.lag,
        guard: replay.guard,
        caches,
    })
}

impl Failure {
    /// What to print: one line, in the form `FILE:LINE: PROBLEM` where a line is to blame.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Input {
                path,
                source: RecordingError::Line { line, problem },
            } => format!("{}:{line}: {problem}", path.display()),
            Self::Input { source, .. } => format!("{self}: {source}"),
            Self::TooFewReads { .. } => self.to_string(),
            Self::Replay { source, .. } => format!("{self}: {source}"),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input { .. } | Self::TooFewReads { .. } => ExitCode::from(2),
            Self::Replay { .. } => ExitCode::FAILURE,
        }
    }
}
