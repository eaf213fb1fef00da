//! One question of a search: who is asked for, and what is known of the answer.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

use super::{
    alternative::{NotAsked, Reason, Unasked},
    wanted::Wanted,
};
use crate::{
    ids::ResourceId, interval::Interval, local_day::LocalDay, query::SlotsQuery, slot::Slot,
};

/// Whom a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// The wanted resources, in the wanted branch.
    AsWanted,
    OtherResource,
    OtherBranch,
}

impl Asks {
    /// Why its slots are offered; `None` when that depends on their day.
    pub(super) const fn reason(self) -> Option<Reason> {
        match self {
            Self::AsWanted => None,
            Self::OtherResource => Some(Reason::OtherResource),
            Self::OtherBranch => Some(Reason::OtherBranch),
        }
    }
}

/// A question, and what is known of each day of the search: the slots that can be offered.
pub(super) struct Question {
    pub(super) asks: Asks,
    pub(super) query: SlotsQuery,
    pub(super) days: Vec<Option<Vec<Slot>>>,
    /// Whether it was put to the cache, which may have put it to the source.
    pub(super) was_asked: bool,
    why: NotAsked,
    /// Those of its branch whom the questions before it ask for.
    taken: Vec<ResourceId>,
}

/// All questions of a search, in the order in which they are asked.
pub(super) fn questions(wanted: &Wanted, window: Interval, days: &[LocalDay]) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    let excluded = |resource: &ResourceId| wanted.excluded.resources.contains(resource);
    let mut query = wanted.query.clone();
    query.window = window;
    let own = query.resources();
    if own.is_empty() || !own.iter().all(excluded) {
        questions.push(Question::new(Asks::AsWanted, query.clone(), days, wanted));
    }
    // Whoever is wanted anyway has no slots of his own to add.
    let is_new = |resource: &&ResourceId| !own.is_empty() && !own.contains(resource);
    let others = wanted.other_resources.iter().filter(is_new);
    for resource in others.filter(|resource| !excluded(resource)) {
        let query = anybody(&query).resource(resource.clone());
        questions.push(Question::new(Asks::OtherResource, query, days, wanted));
    }
    for branch in &wanted.other_branches {
        let is_asked = match &query.branch {
            Some(own) => own == branch,
            None => own.is_empty(),
        };
        if !is_asked {
            let query = anybody(&query).branch(branch.clone());
            questions.push(Question::new(Asks::OtherBranch, query, days, wanted));
        }
    }
    for place in 1..questions.len() {
        let (before, from) = questions.split_at_mut(place);
        let here = &from[0].query.branch;
        let same_place = |other: &&Question| {
            let there = &other.query.branch;
            there.is_none() || there == here
        };
        let before = before.iter().filter(same_place);
        from[0].taken = before
            .flat_map(|question| question.query.resources().to_vec())
            .collect();
    }
    questions
}

/// The same question without the resources.
fn anybody(query: &SlotsQuery) -> SlotsQuery {
    let mut anybody = SlotsQuery::new(query.tenant.clone(), query.event_type.clone(), query.window)
        .zone(query.zone);
    anybody.branch.clone_from(&query.branch);
    anybody.duration = query.duration;
    anybody
}

impl Question {
    fn new(asks: Asks, query: SlotsQuery, days: &[LocalDay], wanted: &Wanted) -> Self {
        // What is excluded need not be asked for.
        let known = |day: &LocalDay| {
            let excluded = wanted.excluded.days.contains(&day.date());
            excluded.then(Vec::new)
        };
        Self {
            asks,
            query,
            days: days.iter().map(known).collect(),
            was_asked: false,
            why: NotAsked::OutOfCalls,
            taken: Vec::new(),
        }
    }

    /// The days from the first to the last that is not known.
    pub(super) fn unknown(&self) -> Option<RangeInclusive<usize>> {
        let first = self.days.iter().position(Option::is_none)?;
        let last = self.days.iter().rposition(Option::is_none)?;
        Some(first..=last)
    }

    /// Takes down what kept it from being answered.
    pub(super) fn failed(&mut self, why: NotAsked) {
        self.why = why;
    }

    /// What to say of it when it stays unanswered.
    pub(super) fn unasked(&self, days: &[LocalDay]) -> Option<Unasked> {
        let unknown = self.unknown()?;
        let (first, last) = (days.get(*unknown.start())?, days.get(*unknown.end())?);
        let mut query = self.query.clone();
        query.window = Interval::new(first.start(), last.end()).ok()?;
        let why = self.why.clone();
        Some(Unasked { query, why })
    }

    /// Takes note of what is open on a day.
    pub(super) fn learn(
        &mut self,
        day: usize,
        open: Vec<Slot>,
        wanted: &Wanted,
        not_before: DateTime<Utc>,
    ) {
        if self.days[day].is_some() {
            return; // excluded, or known already
        }
        let mut slots: Vec<Slot> = Vec::with_capacity(open.len());
        for slot in open {
            let Some(slot) = self.offer(slot, wanted, not_before) else {
                continue;
            };
            match slots.last_mut() {
                Some(last) if last.interval == slot.interval => merge(last, slot),
                _ => slots.push(slot),
            }
        }
        self.days[day] = Some(slots);
    }

    /// The slot as it can be offered, if it can.
    fn offer(&self, mut slot: Slot, wanted: &Wanted, not_before: DateTime<Utc>) -> Option<Slot> {
        let start = slot.start();
        let is_full = slot.seats.is_some_and(|seats| seats.remaining == 0);
        let is_short = slot.interval.duration() < wanted.length();
        if is_full || is_short || start < not_before || wanted.excluded.starts.contains(&start) {
            return None;
        }
        let at_the_wanted_time = start == wanted.start();
        if at_the_wanted_time && self.asks == Asks::AsWanted {
            return None;
        }
        let asked = self.query.resources();
        match (slot.resources.is_empty(), asked) {
            (true, [alone]) => slot.resources.push(alone.clone()),
            // Nobody tells who it is.
            (true, _) => return wanted.excluded.resources.is_empty().then_some(slot),
            (false, _) => {}
        }
        slot.resources.retain(|resource| {
            (asked.is_empty() || asked.contains(resource))
                && !self.taken.contains(resource)
                && !wanted.excluded.resources.contains(resource)
                && !(at_the_wanted_time && wanted.query.resources().contains(resource))
        });
        (!slot.resources.is_empty()).then_some(slot)
    }
}

/// Two slots of one time are one offer: of all who can serve it, or, where the seats that are left differ, of
/// the one who has more.
fn merge(slot: &mut Slot, other: Slot) {
    let left = |slot: &Slot| slot.seats.map(|seats| seats.remaining);
    if slot.seats == other.seats {
        slot.resources.extend(other.resources);
        slot.resources.sort_unstable();
        slot.resources.dedup();
    } else if left(slot) < left(&other) {
        *slot = other;
    }
}
