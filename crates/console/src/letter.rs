//! A dead letter as text and in serialized form.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use humantime::{Rfc3339Timestamp, format_rfc3339_millis};
use serde::Serialize;
use vacancy_dispatch::DeadLetter;

use crate::printable::Printable;

/// A dead letter as text, on a few lines.
pub(crate) struct Text<'a>(pub(crate) &'a DeadLetter);

/// A dead letter in serialized form. Names are stable; new ones may be added.
#[derive(Serialize)]
pub(crate) struct Fields<'a> {
    id: String,
    event: &'a str,
    version: u16,
    listener: &'a str,
    reason: String,
    error: &'a str,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_of: Option<String>,
    accepted_at: String,
    died_at: String,
    /// The first cause first, the event itself last.
    causation: Vec<Cause>,
}

#[derive(Serialize)]
struct Cause {
    event: &'static str,
    id: String,
}

impl<'a> From<&'a DeadLetter> for Fields<'a> {
    fn from(letter: &'a DeadLetter) -> Self {
        let causation = letter.causation().into_iter();
        Self {
            id: letter.id().to_string(),
            event: letter.event_name(),
            version: letter.event_version(),
            listener: letter.listener(),
            reason: letter.reason().to_string(),
            error: letter.error(),
            attempts: letter.attempts(),
            replay_of: letter.replay_of().map(|id| id.to_string()),
            accepted_at: time(letter.accepted_at()).to_string(),
            died_at: time(letter.died_at()).to_string(),
            causation: causation
                .map(|(event, id)| Cause {
                    event,
                    id: id.to_string(),
                })
                .collect(),
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = self.0;
        let (event, listener) = (letter.event_name(), letter.listener());
        let (event, listener) = (Printable(event), Printable(listener));
        writeln!(f, "{}  {event} at {listener}", letter.id())?;
        write!(f, "    {}", letter.reason())?;
        match letter.attempts() {
            0 => f.write_str(", never called")?,
            1 => f.write_str(" after 1 attempt")?,
            attempts => write!(f, " after {attempts} attempts")?,
        }
        match letter.error() {
            "" => writeln!(f)?,
            error => writeln!(f, ": {}", Printable(error))?,
        }
        let (accepted, died) = (letter.accepted_at(), letter.died_at());
        // A clock that was set back in between says nothing.
        let later = died.duration_since(accepted).unwrap_or_default();
        let later = Duration::from_millis(u64::try_from(later.as_millis()).unwrap_or(u64::MAX));
        let at = time(accepted);
        write!(f, "    accepted {at}, given up ")?;
        match later {
            Duration::ZERO => writeln!(f, "at once")?,
            later => writeln!(f, "{later:?} later")?,
        }
        if let Some(first) = letter.replay_of() {
            writeln!(f, "    a replay of {first}")?;
        }
        if letter.causation().len() > 1 {
            writeln!(f, "    caused by {}", Printable(&letter.causation_text()))?;
        }
        Ok(())
    }
}

fn time(time: SystemTime) -> Rfc3339Timestamp {
    // What is before has no text, and is a clock that was never set.
    format_rfc3339_millis(time.max(UNIX_EPOCH))
}
