//! Two processes and one Redis: A books while B reads, and Redis is pulled away.
//!
//! ```sh
//! cargo run --release --example two_nodes
//! cargo run --release --example two_nodes -- --redis redis://127.0.0.1:6379
//! ```
//!
//! A keeps the calendar and tells the story. B is this program once more, in a process of its own: it
//! has a cache of its own and hears of A's bookings through Redis alone. Both read one clock, so B can
//! say of each of its reads what had been confirmed before it began.

mod agenda;
mod calendar;
mod clock;
mod order;
mod other_node;
mod reader;
mod report;
mod server;
mod story;
mod verdict;
mod writer;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use order::Mode;
use server::{Server, ServerError};
use story::{Story, StoryError};

/// Books in one process while another one reads, with one Redis between them; prints how stale the
/// reads were, in bounded and in strict consistency; then pulls Redis away for two seconds, brings it
/// back, and prints what each process did. Takes about 13 seconds.
#[derive(Parser)]
#[command(name = "two_nodes", after_help = COLUMNS)]
struct Arguments {
    /// Uses this Redis, 6.2 or newer, through a proxy that can cut it off. Default: a redis-server
    /// started for the occasion, on a free port of 127.0.0.1, and killed in its course
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Be node B: take orders from the standard input.
    #[arg(long, hide = true)]
    node: bool,
}

const COLUMNS: &str = "\
Columns:
  confirmed after  from dispatch, which returns at once, to the confirmation: by Redis (bounded), or
                   by B too (strict)
  level 1, 2       reads answered by the process itself, and by Redis
  calendar         reads for which the calendar was asked
  stale reads      reads that began after a booking was confirmed, and still offered its slot
  unaware for      the longest time from a dispatch to the beginning of a read that still offered the
                   slot, confirmed or not

Exit status: 0, 1 when the story could not be told or a promise was not kept, 2 when the arguments
are wrong.";

/// Why the story ended otherwise than it should.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Story(#[from] StoryError),
    #[error("not as promised: {0}")]
    Broken(String),
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.node {
        return match reader::obey().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("node B: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match tell(arguments.redis.as_deref()).await {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads the output has seen enough of it.
        Err(Failure::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

async fn tell(redis: Option<&str>) -> Result<(), Failure> {
    let server = match redis {
        Some(url) => Server::at(url.parse()?).await?,
        None => Server::start().await?,
    };
    let mut out = io::stdout();
    let mut story = Story::begin(server).await?;
    let [a, b] = story.pids();
    writeln!(
        out,
        "Two processes, A ({a}) and B ({b}), and {}.",
        story.server.name()
    )?;
    writeln!(
        out,
        "A books every 20 ms while B reads in a loop, for 3 s in each consistency:"
    )?;
    let fresh = [
        story.fresh(Mode::Bounded).await?,
        story.fresh(Mode::Strict).await?,
    ];
    writeln!(out, "{}\n", report::fresh(&fresh))?;
    writeln!(
        out,
        "Again in strict consistency, and Redis is pulled away for 2 s:"
    )?;
    let outage = story.outage(Mode::Strict).await?;
    writeln!(out, "{}", report::outage(&outage))?;
    writeln!(
        out,
        "{}",
        report::summary(&fresh, &outage, story.server.forgets())
    )?;
    match &*report::broken(&fresh, &outage) {
        [] => Ok(()),
        broken => Err(Failure::Broken(broken.join("; "))),
    }
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Server(ServerError::Url(_) | ServerError::Scheme) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
