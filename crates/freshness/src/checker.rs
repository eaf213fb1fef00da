//! Says of a history which of its reads were too old.

use std::{collections::HashMap, time::Duration};

use crate::{
    clock::Moment,
    floor::Floor,
    history::{History, Key, NodeId, Read, Version, Write},
    overlap::Overlap,
};

/// How many violations are kept for their traces.
const KEPT: usize = 3;

/// From when on a read on any node may not miss a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// From its commit, where it was held then; else from its confirmation.
    Committed,
    /// From its confirmation.
    Confirmed,
    /// From that long after its confirmation.
    Within(Duration),
}

/// Why a read should not have been answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// It missed a version that the promise had made binding.
    Stale(Version),
    /// It missed a version that its own node had invalidated before.
    StaleAtWriter(Version),
    /// It gave another key's value, or a version that was never committed.
    Foreign,
}

/// A read that breaks a promise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Violation {
    pub(crate) node: NodeId,
    pub(crate) read: Read,
    pub(crate) offence: Offence,
}

/// What the checker found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) reads: u64,
    /// Reads that ran while a write of their key did.
    pub(crate) raced: u64,
    /// Reads that break the promise, and those that miss what their own node had invalidated.
    pub(crate) stale: u64,
    pub(crate) foreign: u64,
    /// How long the answers that missed a confirmed write had been out of date; sorted.
    pub(crate) ages: Vec<Duration>,
    /// Last reads that miss a write which somebody was left to tell of.
    pub(crate) sticky: u64,
    /// Last reads that miss a write whose writer died before it told anybody.
    pub(crate) untold: u64,
    /// The first few.
    pub(crate) violations: Vec<Violation>,
}

impl Verdict {
    pub(crate) fn broken(&self) -> u64 {
        self.stale + self.foreign + self.sticky
    }

    /// The age that `share` of the late answers did not exceed.
    pub(crate) fn age(&self, share: f64) -> Option<Duration> {
        let last = self.ages.len().checked_sub(1)?;
        Some(self.ages[(last as f64 * share).round() as usize])
    }

    fn note(&mut self, node: NodeId, read: Read, offence: Offence) {
        if self.violations.len() < KEPT {
            self.violations.push(Violation {
                node,
                read,
                offence,
            });
        }
    }
}

/// Checks every read of `history`: O(n log n).
///
/// A write that was not confirmed may or may not have reached anybody, so it obliges no read; only
/// at the end it does, if its node lived to repeat it.
pub(crate) fn check(history: &History, promise: Promise) -> Verdict {
    let rules = Rules::new(history, promise);
    let mut verdict = Verdict::default();
    for (node, read) in history.reads() {
        verdict.reads += 1;
        rules.judge(node, read, &mut verdict);
    }
    for (node, diary) in &history.diaries {
        for read in &diary.last_reads {
            rules.judge_last(*node, read, &mut verdict);
        }
    }
    verdict.ages.sort_unstable();
    verdict
}

/// What each read is held against.
struct Rules<'a> {
    history: &'a History,
    promise: Promise,
    confirmed: Floors<Key>,
    binding: Floors<Key>,
    at_writer: Floors<(NodeId, Key)>,
    at_rest: Floors<Key>,
    writes: Overlap<Key>,
}

impl<'a> Rules<'a> {
    fn new(history: &'a History, promise: Promise) -> Self {
        let confirmed = |write: &Write| write.confirmed;
        let binding = |write: &Write| match promise {
            Promise::Confirmed => write.confirmed,
            Promise::Within(bound) => write.confirmed.map(|moment| moment.plus(bound)),
            Promise::Committed => held(write).or(write.confirmed),
        };
        // Whoever was left tells the others, however late.
        let at_rest = |node, write: &Write| match history.survived(node) {
            true => write.dispatched,
            false => write.confirmed,
        };
        Self {
            history,
            promise,
            confirmed: Floors::new(history, |_, write| Some((write.key, confirmed(write)?))),
            binding: Floors::new(history, |_, write| Some((write.key, binding(write)?))),
            at_writer: Floors::new(history, |node, write| {
                Some(((node, write.key), write.dispatched?))
            }),
            at_rest: Floors::new(history, |node, write| {
                Some((write.key, at_rest(node, write)?))
            }),
            writes: Overlap::new(
                history
                    .writes()
                    .map(|(_, write)| (write.key, write.began, write.ended())),
            ),
        }
    }

    fn judge(&self, node: NodeId, read: &Read, verdict: &mut Verdict) {
        if self.is_foreign(read) {
            verdict.foreign += 1;
            verdict.note(node, *read, Offence::Foreign);
            return;
        }
        let Read { key, started, .. } = *read;
        let version = read.value.version;
        verdict.raced += u64::from(self.writes.meets(key, started, read.ended));

        let outdated = self
            .confirmed
            .of(&key)
            .and_then(|floor| floor.above(version));
        if let Some(moment) = outdated.filter(|moment| *moment < started) {
            verdict.ages.push(started.since(moment));
        }
        let bound = self.binding.at(&key, started);
        let own = self.at_writer.at(&(node, key), started);
        if version < bound {
            verdict.stale += 1;
            verdict.note(node, *read, Offence::Stale(bound));
        } else if version < own {
            verdict.stale += 1;
            verdict.note(node, *read, Offence::StaleAtWriter(own));
        }
    }

    fn judge_last(&self, node: NodeId, read: &Read, verdict: &mut Verdict) {
        let version = read.value.version;
        let bound = match self.promise {
            // A hold ends by itself, and what is loaded afterwards has seen the commit.
            Promise::Committed => self.committed(read.key),
            _ => self.at_rest.of(&read.key).map_or(0, Floor::top),
        };
        if self.is_foreign(read) {
            verdict.foreign += 1;
            verdict.note(node, *read, Offence::Foreign);
        } else if version < bound {
            verdict.sticky += 1;
            verdict.note(node, *read, Offence::Stale(bound));
        } else if version < self.committed(read.key) {
            verdict.untold += 1;
        }
    }

    fn is_foreign(&self, read: &Read) -> bool {
        read.value.key != read.key || read.value.version > self.committed(read.key)
    }

    fn committed(&self, key: Key) -> Version {
        self.history
            .committed
            .get(usize::from(key))
            .copied()
            .unwrap_or(0)
    }
}

/// When the commit was made, if nobody kept an answer at that time.
fn held(write: &Write) -> Option<Moment> {
    let ended = write.commit?.ended;
    write.held_until.filter(|until| ended < *until)?;
    Some(ended)
}

/// A floor for each `I`.
struct Floors<I>(HashMap<I, Floor>);

impl<I: std::hash::Hash + Eq> Floors<I> {
    /// `bind` says for which `I` and from when a write binds.
    fn new(history: &History, bind: impl Fn(NodeId, &Write) -> Option<(I, Moment)>) -> Self {
        let mut bound: HashMap<I, Vec<(Moment, Version)>> = HashMap::new();
        for (node, write) in history.writes() {
            if let (Some(commit), Some((index, moment))) = (write.commit, bind(node, write)) {
                bound
                    .entry(index)
                    .or_default()
                    .push((moment, commit.version));
            }
        }
        Self(
            bound
                .into_iter()
                .map(|(index, bound)| (index, Floor::new(bound)))
                .collect(),
        )
    }

    fn of(&self, index: &I) -> Option<&Floor> {
        self.0.get(index)
    }

    fn at(&self, index: &I, moment: Moment) -> Version {
        self.of(index).map_or(0, |floor| floor.at(moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Commit, Diary, Source, Value};

    const KEY: Key = 7;
    const LEASE: Duration = Duration::from_nanos(100);

    const fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    fn read(started: u64, version: Version) -> Read {
        Read {
            key: KEY,
            started: at(started),
            ended: at(started + 5),
            value: Value { key: KEY, version },
            source: Source::Level1,
        }
    }

    /// Commits at `committed`, invalidates 10 later and is confirmed 20 later.
    fn write(version: Version, committed: u64) -> Write {
        Write {
            key: KEY,
            began: at(committed - 5),
            held_until: None,
            commit: Some(Commit {
                version,
                started: at(committed - 1),
                ended: at(committed),
            }),
            dispatched: Some(at(committed + 10)),
            confirmed: Some(at(committed + 20)),
        }
    }

    /// Node 0 writes, node 1 reads; the database ends with version `committed` of the key.
    fn history(committed: Version, writes: &[Write], reads: &[Read]) -> History {
        let mut versions = vec![0; usize::from(KEY) + 1];
        versions[usize::from(KEY)] = committed;
        let diary = |writes: &[Write], reads: &[Read]| Diary {
            reads: reads.to_vec(),
            writes: writes.to_vec(),
            last_reads: vec![read(10_000, committed)],
        };
        History {
            diaries: vec![(0, diary(writes, &[])), (1, diary(&[], reads))],
            injections: Vec::new(),
            committed: versions,
        }
    }

    fn stale(promise: Promise, history: &History) -> u64 {
        check(history, promise).stale
    }

    #[test]
    fn a_read_that_began_after_the_confirmation_may_not_miss_the_write() {
        let history = |started| history(2, &[write(1, 50), write(2, 100)], &[read(started, 1)]);
        // Confirmed at 120; a read that began by then may have been first.
        assert_eq!(stale(Promise::Confirmed, &history(120)), 0);
        assert_eq!(stale(Promise::Confirmed, &history(121)), 1);
    }

    #[test]
    fn a_held_commit_binds_from_its_end_and_any_other_from_its_confirmation() {
        let mut held = write(2, 100);
        held.held_until = Some(at(101));
        let seen = |write, started| {
            let history = history(2, &[write], &[read(started, 1)]);
            stale(Promise::Committed, &history)
        };
        assert_eq!(seen(held, 100), 0);
        assert_eq!(seen(held, 101), 1);

        let mut expired = held;
        expired.held_until = Some(at(100));
        for unheld in [expired, write(2, 100)] {
            assert_eq!(seen(unheld, 120), 0);
            assert_eq!(seen(unheld, 121), 1);
        }
    }

    #[test]
    fn within_a_bound_an_answer_may_be_older_by_that_much_and_its_age_is_known() {
        let late = |started| history(2, &[write(2, 100)], &[read(started, 1)]);
        let verdict = check(&late(220), Promise::Within(LEASE));
        assert_eq!((verdict.stale, &*verdict.ages), (0, &[LEASE][..]));
        assert_eq!(verdict.age(0.5), Some(LEASE));
        assert_eq!(stale(Promise::Within(LEASE), &late(221)), 1);
        assert!(check(&late(120), Promise::Within(LEASE)).ages.is_empty());
    }

    #[test]
    fn the_age_counts_from_the_oldest_write_that_was_missed() {
        // Version 3 alone would be within the bound.
        let writes = [write(2, 100), write(3, 190)];
        let history = history(3, &writes, &[read(230, 1)]);
        let verdict = check(&history, Promise::Within(LEASE));
        assert_eq!(
            (verdict.stale, verdict.ages),
            (1, vec![Duration::from_nanos(110)])
        );
    }

    #[test]
    fn a_write_that_was_not_confirmed_obliges_nobody() {
        let mut unconfirmed = write(2, 100);
        unconfirmed.confirmed = None;
        let history = history(2, &[unconfirmed], &[read(9_000, 1)]);
        for promise in [
            Promise::Confirmed,
            Promise::Committed,
            Promise::Within(LEASE),
        ] {
            assert_eq!(stale(promise, &history), 0, "{promise:?}");
        }
    }

    #[test]
    fn a_node_sees_its_own_invalidation_at_once() {
        let mut history = history(2, &[write(2, 100)], &[]);
        // Dispatched at 110 on node 0, confirmed at 120.
        history.diaries[0].1.reads = vec![read(110, 1), read(111, 1)];
        let verdict = check(&history, Promise::Within(LEASE));
        assert_eq!(verdict.stale, 1);
        assert_eq!(verdict.violations[0].offence, Offence::StaleAtWriter(2));
    }

    #[test]
    fn a_value_of_another_key_or_of_no_commit_is_foreign() {
        let mut strange = read(10, 0);
        strange.value.key = KEY + 1;
        let verdict = check(
            &history(2, &[], &[strange, read(10, 3)]),
            Promise::Confirmed,
        );
        assert_eq!((verdict.foreign, verdict.stale), (2, 0));
    }

    #[test]
    fn what_is_old_when_all_is_quiet_is_sticky() {
        // Not even confirmed, but its writer lived and could repeat it.
        let mut unconfirmed = write(2, 100);
        unconfirmed.confirmed = None;
        let mut history = history(2, &[unconfirmed], &[]);
        assert_eq!(check(&history, Promise::Confirmed).sticky, 0);
        history.diaries[1].1.last_reads = vec![read(10_000, 1)];
        assert_eq!(check(&history, Promise::Confirmed).sticky, 1);
    }

    #[test]
    fn a_writer_that_died_obliges_only_those_who_held() {
        let mut killed = write(2, 100);
        (killed.dispatched, killed.confirmed) = (None, None);
        let dead = |write| {
            let mut history = history(2, &[write], &[]);
            history.diaries[0].1.last_reads.clear();
            history.diaries[1].1.last_reads = vec![read(10_000, 1)];
            history
        };
        let verdict = check(&dead(killed), Promise::Confirmed);
        assert_eq!((verdict.sticky, verdict.untold), (0, 1));
        killed.held_until = Some(at(10_000));
        let verdict = check(&dead(killed), Promise::Committed);
        assert_eq!((verdict.sticky, verdict.untold), (1, 0));
        // Its invalidation was on its way when it died.
        killed.dispatched = Some(at(110));
        let verdict = check(&dead(killed), Promise::Confirmed);
        assert_eq!((verdict.sticky, verdict.untold), (0, 1));
    }

    #[test]
    fn reads_during_a_write_of_their_key_have_raced() {
        let writes = [write(1, 50), write(2, 100)];
        let mut elsewhere = read(100, 0);
        (elsewhere.key, elsewhere.value.key) = (KEY - 1, KEY - 1);
        let reads = [
            read(85, 1),
            read(89, 1),
            read(90, 1),
            read(120, 1),
            read(121, 2),
            elsewhere,
        ];
        // The second write is under way from 95 to 120, and each read takes 5.
        let verdict = check(&history(2, &writes, &reads), Promise::Confirmed);
        assert_eq!((verdict.reads, verdict.raced), (6, 2));
    }
}
