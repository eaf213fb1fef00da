//! An [`Explanation`] for people: a line for each listener, and one for each call that failed.

use std::{fmt, time::Duration};

use super::{Call, Explained, Explanation, Standing};
use crate::{Outcome, Reason};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.event, self.id)?;
        let accepted = humantime::format_rfc3339_micros(self.accepted_at);
        writeln!(f, "accepted {accepted}, {} ago", Short(self.age))?;
        if let Some(cause) = self.cause {
            writeln!(f, "caused by {cause}")?;
        }
        if let Some(original) = self.replay_of {
            writeln!(f, "a replay of {original}")?;
        }
        if self.listeners.is_empty() {
            writeln!(f, "nobody listens")?;
        }
        let lines: Vec<Line<'_>> = self
            .listeners
            .iter()
            .flat_map(|explained| explained.lines(self.age))
            .collect();
        let listeners = lines.iter().map(|line| line.listener.chars().count());
        let moments = lines.iter().map(|line| line.at.chars().count());
        let (name, at) = (listeners.max().unwrap_or(0), moments.max().unwrap_or(0));
        for line in &lines {
            let Line {
                listener,
                at: moment,
                text,
            } = line;
            writeln!(f, "  {listener:name$}  {moment:>at$}  {text}")?;
        }
        if self.forgotten > 0 {
            writeln!(f, "older steps forgotten: {}", self.forgotten)?;
        }
        Ok(())
    }
}

struct Line<'a> {
    /// Empty where the line above belongs to the same listener.
    listener: &'a str,
    at: String,
    text: String,
}

impl Explained {
    fn lines(&self, age: Duration) -> Vec<Line<'_>> {
        let mut failed = &self.calls[..];
        // A call that ended the event is told with its outcome.
        if let Some((last, before)) = failed.split_last()
            && (last.error.is_none() || last.ended == self.ended_at())
        {
            failed = before;
        }
        let mut lines: Vec<Line<'_>> = failed
            .iter()
            .map(|call| Line {
                listener: "",
                at: moment(call.started),
                text: call.text(),
            })
            .collect();
        let (at, text) = self.last_line(age);
        lines.push(Line {
            listener: "",
            at: at.map_or_else(|| "-".to_owned(), moment),
            text,
        });
        lines[0].listener = &self.listener;
        lines
    }

    fn ended_at(&self) -> Option<Duration> {
        match self.standing {
            Standing::Ended { at, .. } => Some(at),
            _ => None,
        }
    }

    fn last_line(&self, age: Duration) -> (Option<Duration>, String) {
        match &self.standing {
            Standing::Waiting => (None, "waits: queued, not called yet".to_owned()),
            Standing::Refused => (None, "refused: the bus was closed".to_owned()),
            Standing::After { listeners } => (None, format!("waits for {}", listeners.join(", "))),
            Standing::Paused => (None, "waits: the listener is paused".to_owned()),
            Standing::Disabled => (None, "not called: the listener is disabled".to_owned()),
            Standing::NotReplayed => (None, "not called: a replay for another listener".to_owned()),
            Standing::Running { attempt, since } => {
                let running = Short(age.saturating_sub(*since));
                let text = format!("attempt {attempt} has been running for {running}");
                (Some(*since), text)
            }
            Standing::Retrying { attempt, due, .. } => {
                let text = match due.checked_sub(age) {
                    Some(left) => format!("attempt {attempt} follows in {}", Short(left)),
                    None => format!("attempt {attempt} is due"),
                };
                (Some(*due), text)
            }
            Standing::Ended {
                outcome,
                attempts,
                error,
                at,
            } => (Some(*at), self.end(*outcome, *attempts, error, *at)),
        }
    }

    fn end(&self, outcome: Outcome, attempts: u32, error: &str, at: Duration) -> String {
        let mut text = outcome.to_string();
        if attempts > 1 {
            text += &format!(" after {attempts} attempts");
        }
        let last = self.calls.last().filter(|call| call.ended == Some(at));
        if let Some(call) = last {
            text += &format!(", took {}", Short(at.saturating_sub(call.started)));
        }
        let why = match outcome {
            Outcome::Dead(Reason::Overflowed) => "the lane was full",
            Outcome::Dead(_) => error,
            Outcome::Dropped => "a newer event needed its place in the lane",
            Outcome::Skipped => "the listener had nothing to do",
            Outcome::Coalesced => "a newer event with the same key took its place",
            Outcome::Abandoned => "the bus was shut down first",
            Outcome::Done => "",
        };
        if !why.is_empty() {
            text += &format!(": {why}");
        }
        text
    }
}

impl Call {
    fn text(&self) -> String {
        let error = self.error.as_deref().unwrap_or_default();
        let took = self.ended.unwrap_or(self.started) - self.started;
        format!(
            "attempt {} failed after {}: {error}",
            self.attempt,
            Short(took)
        )
    }
}

fn moment(at: Duration) -> String {
    format!("+{}", Short(at))
}

/// A duration with three digits that count, and its unit.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos() as f64;
        let (value, unit) = match self.0.as_nanos() {
            0..1_000 => (nanos, "ns"),
            1_000..1_000_000 => (nanos / 1e3, "µs"),
            1_000_000..1_000_000_000 => (nanos / 1e6, "ms"),
            _ => (nanos / 1e9, "s"),
        };
        let text = match value {
            ..10.0 => format!("{value:.2}"),
            ..100.0 => format!("{value:.1}"),
            _ => return write!(f, "{value:.0} {unit}"),
        };
        let text = text.trim_end_matches('0').trim_end_matches('.');
        write!(f, "{text} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_of_a_duration_count() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (12_345, "12.3 µs"),
            (1_234_567, "1.23 ms"),
            (250_000_000, "250 ms"),
            (1_500_000_000, "1.5 s"),
            (600_000_000_000, "600 s"),
        ] {
            assert_eq!(Short(Duration::from_nanos(nanos)).to_string(), text);
        }
    }
}
