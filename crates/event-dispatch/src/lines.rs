//! [`Lines`]: events that wait for a worker that handles another with their key.
//!
//! They are put aside, a line for each key, or every search for an event that may begin would pass them again: behind a
//! key whose events take long there may wait very many.
//!
//! # Invariants
//!
//! 1. No line is empty. It has a holder as long as a worker handles events with its key.
//! 2. `free` has the first event of each line without a holder, `own` those of the lines that a worker holds.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    mem,
};

use crate::{policy::Key, queue::Waiting};

/// Events that wait for a worker that handles another with their key.
pub(crate) struct Lines<E> {
    by_key: HashMap<Key, Line<E>>,
    free: BTreeSet<Place>,
    /// By worker.
    own: Box<[BTreeSet<Place>]>,
    length: usize,
}

/// The events with one key.
struct Line<E> {
    /// By ticket, ascending.
    waiting: VecDeque<Waiting<E>>,
    holder: Option<usize>,
}

/// Where an event waits: its ticket, and the key of its line.
type Place = (u64, Key);

impl<E> Lines<E> {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            free: BTreeSet::new(),
            own: (0..workers).map(|_| BTreeSet::new()).collect(),
            length: 0,
        }
    }

    /// How many events wait here.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Has an event wait here, at the place that its ticket has in its line; `holder` handles events with its key.
    pub(crate) fn insert(&mut self, key: Key, waiting: Waiting<E>, holder: Option<usize>) {
        let line = self.by_key.entry(key).or_insert_with(|| Line {
            waiting: VecDeque::new(),
            holder,
        });
        let firsts = firsts(&mut self.free, &mut self.own, line.holder);
        let first = line.waiting.front().map(|first| first.ticket);
        if first.is_none_or(|first| waiting.ticket < first) {
            if let Some(first) = first {
                firsts.remove(&(first, key));
            }
            firsts.insert((waiting.ticket, key));
        }
        let before = |other: &Waiting<E>| other.ticket < waiting.ticket;
        let place = line.waiting.partition_point(before);
        line.waiting.insert(place, waiting);
        self.length += 1;
    }

    /// Has an event wait no more.
    pub(crate) fn remove(&mut self, key: Key, ticket: u64) -> Option<Waiting<E>> {
        let line = self.by_key.get_mut(&key)?;
        let waiting = &mut line.waiting;
        let place = waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket);
        let removed = waiting.remove(place.ok()?)?;
        self.length -= 1;
        let firsts = firsts(&mut self.free, &mut self.own, line.holder);
        if firsts.remove(&(ticket, key)) {
            firsts.extend(waiting.front().map(|first| (first.ticket, key)));
        }
        if waiting.is_empty() {
            self.by_key.remove(&key);
        }
        Some(removed)
    }

    /// Has the event that came first wait no more.
    pub(crate) fn remove_oldest(&mut self) -> Option<Waiting<E>> {
        let firsts = self.own.iter().chain([&self.free]);
        let (ticket, key) = *firsts.filter_map(BTreeSet::first).min()?;
        self.remove(key, ticket)
    }

    /// The first event that a worker may begin; its line is the worker's until it is [released](Self::release).
    pub(crate) fn next(&mut self, worker: usize) -> Option<Waiting<E>> {
        let firsts = [&self.free, &self.own[worker]];
        let (ticket, key) = *firsts.into_iter().filter_map(BTreeSet::first).min()?;
        let next = self.remove(key, ticket);
        if let Some(line) = self.by_key.get_mut(&key)
            && let Some(first) = line.waiting.front()
        {
            self.free.remove(&(first.ticket, key));
            self.own[worker].insert((first.ticket, key));
            line.holder = Some(worker);
        }
        next
    }

    /// A worker has ended what it handled with these keys, which are all that it held.
    pub(crate) fn release(&mut self, keys: impl Iterator<Item = Key>, worker: usize) {
        if self.own[worker].is_empty() {
            return;
        }
        self.free.append(&mut self.own[worker]);
        for key in keys {
            if let Some(line) = self.by_key.get_mut(&key) {
                line.holder = None;
            }
        }
    }

    /// How many lines have no holder.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// Whether a worker holds a line.
    pub(crate) fn has_own(&self, worker: usize) -> bool {
        !self.own[worker].is_empty()
    }

    /// All that waits here, which does no more, in the order in which it came.
    pub(crate) fn take(&mut self) -> Vec<Waiting<E>> {
        let lines = mem::replace(self, Self::new(self.own.len()));
        let all = lines.by_key.into_values().flat_map(|line| line.waiting);
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|waiting| waiting.ticket);
        all
    }
}

/// Where the first event of a line is noted.
fn firsts<'a>(
    free: &'a mut BTreeSet<Place>,
    own: &'a mut [BTreeSet<Place>],
    holder: Option<usize>,
) -> &'a mut BTreeSet<Place> {
    match holder {
        Some(worker) => &mut own[worker],
        None => free,
    }
}
