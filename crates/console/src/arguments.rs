//! [`Command`]: what can be asked of a console.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, CommandFactory, Parser, Subcommand,
    builder::{PossibleValuesParser, StyledStr},
    error::ErrorKind,
};
use vacancy_dispatch::{DeadLetter, Reason};

use crate::event_ref::EventRef;

/// Looks into the event bus of this program.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, name = "", disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Who listens to what, and how
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The same as a Mermaid flowchart
    Graph,
    /// Dead letters: what a listener's lane gave up on, the oldest first
    Failed {
        #[command(flatten)]
        filter: Filter,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Gives the events of dead letters to the listeners that did not handle them, once more
    Replay {
        /// The event, by its id or by its number on the bus
        #[arg(value_name = "ID", required_unless_present = "all")]
        id: Option<EventRef>,
        /// All dead letters, or all that the filters leave
        #[arg(long, conflicts_with = "id")]
        all: bool,
        #[command(flatten)]
        filter: Filter,
    },
    /// Why each listener of an event ran or did not, if the bus has a flight recorder
    Explain {
        /// The event, by its id or by its number on the bus
        id: EventRef,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Compares the bus with a file, or writes the file
    Lock {
        /// Say what changed, and fail if something did (the default)
        #[arg(long, conflicts_with = "write")]
        check: bool,
        /// Write the file
        #[arg(long)]
        write: bool,
        /// The file
        #[arg(default_value = "events.lock")]
        path: PathBuf,
    },
}

/// Which dead letters are meant: those that have all that is asked for.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only those of this event
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Only those of this listener
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Only those that died of this
    #[arg(long, value_parser = PossibleValuesParser::new(REASONS))]
    reason: Option<String>,
}

/// The reasons, each as one word.
const REASONS: [&str; 5] = [
    "failed",
    "panicked",
    "timed-out",
    "overflowed",
    "causation-too-deep",
];

/// Why there is no command to run.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It was asked what commands there are. The answer.
    Help(String),
    /// It is not a command. What is wrong, and the usage.
    Usage(String),
}

impl Arguments {
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Self, Refusal> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        Self::try_parse_from(&arguments).map_err(|error| {
            let text = error.to_string();
            if error.kind() == ErrorKind::DisplayHelp {
                return Refusal::Help(text);
            }
            let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
            // Not with every error.
            if text.contains("Usage: ") {
                Refusal::Usage(text.to_owned())
            } else {
                Refusal::Usage(format!("{text}\n\n{}", usage(arguments.first())))
            }
        })
    }
}

fn usage(command: Option<&OsString>) -> StyledStr {
    let mut all = Arguments::command();
    let named = command.and_then(|name| all.find_subcommand_mut(name));
    match named {
        Some(command) => command.render_usage(),
        None => Arguments::command().render_usage(),
    }
}

impl Filter {
    pub(crate) fn accepts(&self, letter: &DeadLetter) -> bool {
        let event = self.event.as_ref();
        let listener = self.listener.as_ref();
        let reason = self.reason.as_ref();
        event.is_none_or(|event| event == letter.event_name())
            && listener.is_none_or(|listener| listener == letter.listener())
            && reason.is_none_or(|reason| *reason == word(letter.reason()))
    }
}

/// A reason as one word.
fn word(reason: Reason) -> String {
    reason.to_string().replace(' ', "-")
}
