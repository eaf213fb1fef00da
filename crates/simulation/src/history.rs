//! What happened, in the one order in which it did, and whether a read was stale.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::{
    subject::Read,
    tally::Tally,
    violation::{Promise, Violation},
};

/// What the database holds, and what the cache may no longer serve of it.
///
/// A run is on one thread, so the order in which the calls come is the order in which things
/// happened, whatever the clocks of the hosts say.
#[derive(Debug)]
pub struct History {
    now: Duration,
    rows: Vec<Row>,
    /// How often the server has forgotten something.
    losses: u64,
    tally: Tally,
    violations: Vec<Violation>,
    trace: Option<Vec<String>>,
}

/// One key.
#[derive(Debug, Default)]
struct Row {
    /// The newest that is committed.
    version: u64,
    /// No node may serve an older one: confirmed on every node.
    everywhere: u64,
    /// No node may serve an older one: committed under a hold.
    held: u64,
    /// No node may serve an older one from then on: confirmed by the server alone.
    soon: VecDeque<(Duration, u64)>,
    /// This node may not serve an older one: it has invalidated itself.
    local: Vec<u64>,
    /// Committed and not confirmed, by node.
    pending: Vec<(usize, u64)>,
    /// The newest of which the cache was never told: what a writer that died left behind.
    untold: u64,
}

/// A hold that was confirmed, as far as it matters to a commit.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Before it was asked for.
    losses: u64,
    /// When it ends at the earliest.
    until: Duration,
}

/// A read under way.
#[derive(Debug)]
#[must_use = "a read that is not ended is not checked"]
pub struct Reading {
    node: usize,
    key: usize,
    begun: Duration,
    floors: [(Promise, u64); 6],
}

impl History {
    /// A database of this many keys, all at version 0, and this many nodes.
    #[must_use]
    pub fn new(keys: usize, nodes: usize, traced: bool) -> Self {
        let row = || Row {
            local: vec![0; nodes],
            ..Row::default()
        };
        Self {
            now: Duration::ZERO,
            rows: (0..keys).map(|_| row()).collect(),
            losses: 0,
            tally: Tally::default(),
            violations: Vec::new(),
            trace: traced.then(Vec::new),
        }
    }

    /// Says what time it is.
    pub fn advance(&mut self, now: Duration) {
        self.now = now;
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// How many keys there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.rows.len()
    }

    /// The newest version of a key.
    #[must_use]
    pub fn version(&self, key: usize) -> u64 {
        self.rows[key].version
    }

    /// Notes what matters to nobody but who reads the trace.
    pub fn note(&mut self, what: impl fmt::Display) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3} ms  {what}", self.now.as_secs_f64() * 1e3));
        }
    }

    /// The server has forgotten something: a hold from before this may be among it.
    pub fn lose(&mut self) {
        self.losses += 1;
    }

    /// A hold that is asked for now, and will last this long.
    #[must_use]
    pub fn hold(&self, lasts: Duration) -> Held {
        Held {
            losses: self.losses,
            until: self.now + lasts,
        }
    }

    /// Commits the next version of a key, under a hold that was confirmed or without one.
    /// Under a hold it binds every node, at once or within a time.
    pub fn commit(
        &mut self,
        node: usize,
        key: usize,
        hold: Option<Held>,
        within: Option<Duration>,
    ) -> u64 {
        // Nobody vouches for a hold that has run out or that the server may have forgotten.
        let stands = hold.is_some_and(|hold| hold.losses == self.losses && self.now < hold.until);
        let row = &mut self.rows[key];
        row.version += 1;
        let version = row.version;
        self.tally.commits += 1;
        if stands {
            match within {
                None => row.held = version,
                Some(within) => row.soon.push_back((self.now + within, version)),
            }
            row.local[node] = version;
            self.tally.held += 1;
        } else {
            row.pending.push((node, version));
        }
        let how = if stands { " under a hold" } else { "" };
        self.note(format_args!("node {node} commits {key}@{version}{how}"));
        version
    }

    /// A node has invalidated a key after the commit of this version: its own reads are true.
    pub fn invalidated(&mut self, node: usize, key: usize, version: u64) {
        let local = &mut self.rows[key].local[node];
        *local = version.max(*local);
        self.note(format_args!("node {node} invalidates {key}@{version}"));
    }

    /// The invalidation of this version is confirmed: for every node at once, or within a time.
    pub fn confirmed(&mut self, key: usize, version: u64, within: Option<Duration>) {
        let row = &mut self.rows[key];
        match within {
            None => row.everywhere = row.everywhere.max(version),
            Some(within) => row.soon.push_back((self.now + within, version)),
        }
        row.pending.retain(|(_, pending)| *pending > version);
        self.tally.confirmed += 1;
        self.note(format_args!("confirmed {key}@{version}"));
    }

    /// The writer of this version has died without a word to the cache.
    pub fn died(&mut self, key: usize, version: u64) {
        let row = &mut self.rows[key];
        if let Some(place) = row.pending.iter().position(|(_, left)| *left == version) {
            row.pending.remove(place);
            row.untold = row.untold.max(version);
        }
        self.tally.died += 1;
        self.note(format_args!("the writer of {key}@{version} dies"));
    }

    /// A node has died, and with it what it had not told the others.
    pub fn crashed(&mut self, node: usize) {
        for row in &mut self.rows {
            row.local[node] = 0;
            for (_, version) in row.pending.extract_if(.., |(writer, _)| *writer == node) {
                row.untold = row.untold.max(version);
            }
        }
    }

    /// A read begins. `token` is a version that the reader knows to be confirmed.
    pub fn read_begins(&mut self, node: usize, key: usize, token: Option<u64>) -> Reading {
        let now = self.now;
        let row = &mut self.rows[key];
        let mut bounded = 0;
        row.soon.retain(|(from, version)| {
            let due = *from <= now;
            if due {
                bounded = bounded.max(*version);
            }
            !due
        });
        // Kept where the next read finds it.
        if bounded > 0 {
            row.soon.push_front((now, bounded));
        }
        Reading {
            node,
            key,
            begun: now,
            floors: [
                (Promise::Local, row.local[node]),
                (Promise::Confirmed, row.everywhere),
                (Promise::Bounded, bounded),
                (Promise::Held, row.held),
                (Promise::Token, token.unwrap_or(0)),
                (Promise::Quiet, 0),
            ],
        }
    }

    /// A read begins after nothing has happened for long: it is to give the newest version, unless
    /// the cache was never told.
    pub fn quiet_read_begins(&mut self, node: usize, key: usize) -> Reading {
        let mut reading = self.read_begins(node, key, None);
        let row = &self.rows[key];
        let told = reading.floors.iter().map(|(_, floor)| *floor).max();
        if told >= Some(row.untold) {
            reading.floors[5].1 = row.version;
        }
        reading
    }

    /// A read ends with an answer.
    ///
    /// # Panics
    ///
    /// When the answer is for another key.
    pub fn read_ends(&mut self, reading: &Reading, read: &Read) {
        let Read {
            version, source, ..
        } = *read;
        let Reading {
            node,
            key,
            begun,
            floors,
        } = *reading;
        assert_eq!(
            read.key, key,
            "node {node} was given the value of another key"
        );
        self.note(format_args!("node {node} reads {key}@{version} ({source})"));
        self.tally.reads += 1;
        let strongest = floors.into_iter().rev().max_by_key(|(_, floor)| *floor);
        let (promise, floor) = strongest.expect("there are six");
        self.tally.guarded += u64::from(floor > 0);
        if version < floor {
            let violation = Violation {
                promise,
                node,
                key,
                version,
                floor,
                begun,
                ended: self.now,
                source,
            };
            self.note(format_args!("STALE: {violation}"));
            self.violations.push(violation);
        }
    }

    /// A read ends without an answer.
    pub fn read_fails(&mut self, reading: &Reading, why: impl fmt::Display) {
        let Reading { node, key, .. } = *reading;
        self.tally.unread += 1;
        self.note(format_args!("node {node} does not read {key}: {why}"));
    }

    /// How often what happened.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The stale reads.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What happened, line by line, if that was asked for.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(100);

    fn history() -> History {
        History::new(2, 2, false)
    }

    /// The promises that a read of key 0 on node 1 breaks, when it begins now and gets `version`.
    fn read(history: &mut History, version: u64) -> Option<Promise> {
        let reading = history.read_begins(1, 0, None);
        end(history, &reading, version)
    }

    fn end(history: &mut History, reading: &Reading, version: u64) -> Option<Promise> {
        let before = history.violations().len();
        let (key, source) = (reading.key, "test");
        history.read_ends(
            reading,
            &Read {
                key,
                version,
                source,
            },
        );
        let broken = history.violations().get(before);
        broken.map(|violation| violation.promise)
    }

    #[test]
    fn a_read_that_began_before_the_confirmation_may_be_old() {
        let mut history = history();
        let version = history.commit(0, 0, None, None);
        let before = history.read_begins(1, 0, None);
        history.confirmed(0, version, None);
        assert_eq!(end(&mut history, &before, 0), None);
        assert_eq!(read(&mut history, 0), Some(Promise::Confirmed));
        assert_eq!(read(&mut history, 1), None);
    }

    #[test]
    fn what_is_not_confirmed_binds_its_own_node_alone() {
        let mut history = history();
        let version = history.commit(0, 0, None, None);
        history.invalidated(0, 0, version);
        assert_eq!(read(&mut history, 0), None);
        let own = history.read_begins(0, 0, None);
        assert_eq!(end(&mut history, &own, 0), Some(Promise::Local));
    }

    #[test]
    fn what_the_server_confirms_binds_after_the_lease() {
        let mut history = history();
        let version = history.commit(0, 0, None, None);
        history.confirmed(0, version, Some(SOON));
        assert_eq!(read(&mut history, 0), None);
        history.advance(SOON);
        assert_eq!(read(&mut history, 0), Some(Promise::Bounded));
        assert_eq!(read(&mut history, 0), Some(Promise::Bounded));
        assert_eq!(read(&mut history, 1), None);
    }

    #[test]
    fn a_hold_binds_from_the_commit_on() {
        let mut history = history();
        let hold = history.hold(SOON);
        assert_eq!(read(&mut history, 0), None);
        history.commit(0, 0, Some(hold), None);
        assert_eq!(read(&mut history, 0), Some(Promise::Held));
    }

    #[test]
    fn a_hold_that_the_server_alone_confirmed_binds_its_own_node_at_once_and_others_later() {
        let mut history = history();
        let hold = history.hold(SOON);
        history.commit(0, 0, Some(hold), Some(SOON));
        assert_eq!(read(&mut history, 0), None);
        let own = history.read_begins(0, 0, None);
        assert_eq!(end(&mut history, &own, 0), Some(Promise::Local));
        history.advance(SOON);
        assert_eq!(read(&mut history, 0), Some(Promise::Bounded));
    }

    #[test]
    fn a_hold_that_ran_out_or_may_be_forgotten_binds_nobody() {
        let mut history = history();
        let late = history.hold(SOON);
        history.advance(SOON);
        history.commit(0, 0, Some(late), None);
        assert_eq!(read(&mut history, 0), None);
        let forgotten = history.hold(SOON);
        history.lose();
        history.commit(0, 0, Some(forgotten), None);
        assert_eq!(read(&mut history, 0), None);
    }

    #[test]
    fn in_the_end_everything_is_the_newest_unless_its_writer_died_without_a_hold() {
        let mut history = history();
        let version = history.commit(0, 0, None, None);
        let quiet = history.quiet_read_begins(1, 0);
        assert_eq!(end(&mut history, &quiet, 0), Some(Promise::Quiet));
        history.died(0, version);
        let quiet = history.quiet_read_begins(1, 0);
        assert_eq!(end(&mut history, &quiet, 0), None);
        let hold = history.hold(SOON);
        let version = history.commit(0, 0, Some(hold), None);
        history.died(0, version);
        let quiet = history.quiet_read_begins(1, 0);
        assert_eq!(end(&mut history, &quiet, 1), Some(Promise::Held));
    }

    #[test]
    fn a_node_that_dies_takes_what_it_had_not_told_along() {
        let mut history = history();
        history.commit(0, 0, None, None);
        history.crashed(0);
        let quiet = history.quiet_read_begins(1, 0);
        assert_eq!(end(&mut history, &quiet, 0), None);
    }

    #[test]
    fn a_token_binds_who_shows_it() {
        let mut history = history();
        let version = history.commit(0, 0, None, None);
        let reading = history.read_begins(1, 0, Some(version));
        assert_eq!(end(&mut history, &reading, 0), Some(Promise::Token));
    }
}
