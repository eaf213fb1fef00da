//! The story of a read that broke a promise.

use std::time::Duration;

use crate::{
    checker::{Offence, Verdict, Violation},
    clock::Moment,
    history::{History, NodeId, Read, Version, Write},
};

/// How many earlier reads of the node and key are told.
const BEFORE: usize = 3;

/// Faults are told from that long before the first write that was missed.
const PRELUDE: Duration = Duration::from_secs(1);

/// One story for each violation that was kept.
pub(crate) fn tell_all(verdict: &Verdict, history: &History) -> Vec<String> {
    let tell = |violation: &Violation| tell(violation, history);
    verdict.violations.iter().map(tell).collect()
}

/// The read, the writes that it missed, what its node read of the key before, and the faults
/// around them, in the order of time. Times are milliseconds from the beginning of the read.
fn tell(violation: &Violation, history: &History) -> String {
    let Violation {
        node,
        read,
        offence,
    } = *violation;
    let missed = match offence {
        Offence::Stale(version) | Offence::StaleAtWriter(version) => version,
        Offence::Foreign => Version::MAX,
    };
    let mut lines = vec![(
        read.started,
        format!("{} <- {offence:?}", describe(node, &read)),
    )];

    let mut opening = read.started;
    for (writer, write) in history.writes() {
        let told = write.key == read.key
            && write
                .commit
                .is_some_and(|commit| (read.value.version + 1..=missed).contains(&commit.version));
        if told {
            opening = opening.min(write.began);
            lines.push((write.began, describe_write(writer, write, read.started)));
        }
    }
    let mut earlier: Vec<_> = history
        .reads()
        .filter(|(reader, other)| {
            *reader == node && other.key == read.key && other.started < read.started
        })
        .collect();
    earlier.sort_unstable_by_key(|(_, read)| read.started);
    for (reader, earlier) in earlier.into_iter().rev().take(BEFORE) {
        lines.push((earlier.started, describe(reader, earlier)));
    }
    for injection in &history.injections {
        if injection.ended > opening.minus(PRELUDE) && injection.started < read.ended {
            let until = relative(injection.ended, read.started);
            lines.push((
                injection.started,
                format!("fault: {} until {until}", injection.what),
            ));
        }
    }
    lines.sort_by_key(|(moment, _)| *moment);
    let lines = lines
        .into_iter()
        .map(|(moment, line)| format!("{:>10}  {line}\n", relative(moment, read.started)));
    lines.collect()
}

fn describe(node: NodeId, read: &Read) -> String {
    format!(
        "node {node} reads {} in {:.3}: {}version {} from {:?}",
        read.key,
        milliseconds(read.ended.since(read.started)),
        match read.value.key == read.key {
            true => String::new(),
            false => format!("KEY {} ", read.value.key),
        },
        read.value.version,
        read.source
    )
}

fn describe_write(node: NodeId, write: &Write, origin: Moment) -> String {
    let at = |moment: Option<Moment>| {
        moment.map_or("never".to_owned(), |moment| relative(moment, origin))
    };
    format!(
        "node {node} writes {} version {}: committed {}, held until {}, dispatched {}, confirmed {}",
        write.key,
        write.commit.map_or(0, |commit| commit.version),
        at(write.commit.map(|commit| commit.ended)),
        at(write.held_until),
        at(write.dispatched),
        at(write.confirmed)
    )
}

fn relative(moment: Moment, origin: Moment) -> String {
    match moment >= origin {
        true => format!("+{:.3}", milliseconds(moment.since(origin))),
        false => format!("-{:.3}", milliseconds(origin.since(moment))),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
