//! One search: what is known so far, how it ranks, and what has to be asked before the best are certain.
//!
//! # Invariants
//!
//! 1. What is found does not depend on what happens to be kept: that only decides what it costs.
//! 2. A question is put at most once.
//! 3. `Found` and `NoneFree` are said only when no day that is not known could change them.

use std::cmp::Reverse;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};
use vacancy_cache::{Answer, Nearest};

use super::{
    alternative::{Alternative, Alternatives, NotAsked, Reason},
    question::{Asks, Question, questions},
    wanted::Wanted,
    wanted_time::WantedTime,
};
use crate::{
    day_slots::DaySlots,
    interval::Interval,
    key::DayKey,
    local_day::LocalDay,
    read::{Calls, Read},
    slot::Slot,
    slots_cache::Inner,
    source::SourceError,
};

pub(super) struct Search<'a> {
    slots: &'a Inner,
    wanted: &'a Wanted,
    not_before: DateTime<Utc>,
    time: WantedTime,
    days: Vec<LocalDay>,
    questions: Vec<Question>,
    count: usize,
}

/// The order in which slots are offered; the smallest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    preferred: Reverse<bool>,
    /// How many come before it that are preferred like it and offered for the same reason.
    place: usize,
    reason: Reason,
}

/// A slot that can be offered.
struct Candidate<'a> {
    slot: &'a Slot,
    question: usize,
    distance: TimeDelta,
    rank: Rank,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        slots: &'a Inner,
        wanted: &'a Wanted,
        not_before: DateTime<Utc>,
        horizon_days: usize,
        count: usize,
    ) -> Self {
        let zone = wanted.query.zone;
        let first = LocalDay::containing(wanted.start().max(not_before), zone);
        let last = std::iter::successors(Some(first), |day| Some(day.next()))
            .nth(horizon_days.saturating_sub(1))
            .unwrap_or(first);
        // A day that its zone skipped has no instants, and is none to ask for.
        let window = Interval::new(first.start(), last.end());
        let days = window.map_or_else(|_| Vec::new(), |w| LocalDay::over(w, zone).collect());
        let questions = window.map_or_else(|_| Vec::new(), |w| questions(wanted, w, &days));
        Self {
            slots,
            wanted,
            not_before,
            time: WantedTime::new(wanted.start(), zone),
            days,
            questions,
            count,
        }
    }

    pub(super) async fn run(mut self, calls: &Calls, deadline: Instant) -> Alternatives {
        let mut looks = 0;
        loop {
            let candidates = self.candidates();
            let undecided = self.undecided(&candidates);
            let unasked = |question: &usize| !self.questions[*question].was_asked;
            let batch: Vec<usize> = undecided.iter().copied().filter(unasked).collect();
            if batch.is_empty() {
                return self.conclude(&candidates, &undecided);
            }
            // What is kept costs no call, but time: first what is near of the wanted resources, which is
            // often enough.
            if looks == 0 {
                let near = |day: &&LocalDay| self.time.is_by_week_after(**day);
                self.look(0, self.days.iter().take_while(near).count());
                looks = 1;
            } else if looks == 1 {
                let all = 0..self.questions.len();
                all.for_each(|question| self.look(question, self.days.len()));
                looks = 2;
            } else if batch[0] == 0 {
                // Nor may the others be needed once the first is answered.
                self.ask(&[0], calls, deadline).await;
            } else {
                self.ask(&batch, calls, deadline).await;
            }
        }
    }

    /// Takes what is kept of the first so many days.
    fn look(&mut self, question: usize, days: usize) {
        let Some(first) = self.days.first() else {
            return;
        };
        let key = DayKey::new(&self.questions[question].query, first.date());
        for day in 0..days {
            if self.questions[question].days[day].is_none()
                && let Some(answer) = self.slots.days.get(&key.on(self.days[day].date()))
            {
                self.learn(question, day, answer);
            }
        }
    }

    /// Puts questions to the cache, all at once, and takes what comes in time.
    async fn ask(&mut self, batch: &[usize], calls: &Calls, deadline: Instant) {
        let in_time = Instant::now() < deadline;
        let (slots, all, asked) = (self.slots, &self.days, &self.questions);
        let reads = batch.iter().filter(|_| in_time).map(|&question| {
            let question = &asked[question];
            let days = question.unknown().map_or(&[][..], |days| &all[days]);
            let read = Read::new(slots, &question.query, days, Nearest::Level1);
            timeout_at(deadline, async move { read.answers_within(calls).await })
        });
        let mut answers = join_all(reads).await.into_iter();
        for &question in batch {
            self.questions[question].was_asked = true;
            match answers.next() {
                Some(Ok(answers)) => self.take(question, answers),
                Some(Err(_)) | None => self.questions[question].failed(NotAsked::OutOfTime),
            }
        }
    }

    fn take(
        &mut self,
        question: usize,
        answers: Result<Vec<Option<Answer<DaySlots>>>, SourceError>,
    ) {
        let Some(unknown) = self.questions[question].unknown() else {
            return;
        };
        match answers {
            Ok(answers) => {
                for (day, answer) in unknown.zip(answers) {
                    if let Some(answer) = answer {
                        self.learn(question, day, answer);
                    }
                }
            }
            Err(error) => self.questions[question].failed(NotAsked::Source(error)),
        }
    }

    fn learn(&mut self, question: usize, day: usize, answer: Answer<DaySlots>) {
        let question = &mut self.questions[question];
        let open = self
            .slots
            .assemble(&question.query, &self.days[day..=day], vec![answer]);
        question.learn(day, open.into_vec(), self.wanted, self.not_before);
    }

    fn conclude(&self, candidates: &[Candidate<'_>], undecided: &[usize]) -> Alternatives {
        let best = candidates.iter().take(self.count);
        let ranked: Vec<_> = best.map(|candidate| self.offer(candidate)).collect();
        let unasked = |&question: &usize| self.questions[question].unasked(&self.days);
        let unasked: Vec<_> = undecided.iter().filter_map(unasked).collect();
        match (ranked.is_empty(), unasked.is_empty()) {
            (false, true) => Alternatives::Found(ranked),
            (false, false) => Alternatives::Partial { ranked, unasked },
            (true, true) => Alternatives::NoneFree,
            (true, false) => Alternatives::CouldNotAsk { unasked },
        }
    }

    fn offer(&self, candidate: &Candidate<'_>) -> Alternative {
        Alternative {
            slot: candidate.slot.clone(),
            branch: self.questions[candidate.question].query.branch.clone(),
            reason: candidate.rank.reason,
            distance: candidate.distance.to_std().unwrap_or_default(),
            preferred: candidate.rank.preferred.0,
        }
    }

    /// The questions with a day that is not known and could change what is offered.
    fn undecided(&self, candidates: &[Candidate<'_>]) -> Vec<usize> {
        let working = self.working_day();
        let last = candidates.get(self.count - 1).map(|last| last.rank);
        let matters = |&question: &usize| {
            let days = self.questions[question].days.iter().enumerate();
            let mut unknown = days.filter(|(_, known)| known.is_none());
            unknown.any(|(day, _)| {
                last.is_none_or(|last| self.could_be(question, day, working, candidates) <= last)
            })
        };
        (0..self.questions.len()).filter(matters).collect()
    }

    /// The best rank that a slot of a day could have which is not known. Whatever the day turns out to
    /// have, slots of a smaller rank keep it.
    fn could_be(
        &self,
        question: usize,
        day: usize,
        working: Option<usize>,
        candidates: &[Candidate<'_>],
    ) -> Rank {
        let (reason, target) = self.reason(question, day, working);
        // A day that turns out to be the next working day takes that reason from the slots of another,
        // preferred or not.
        let would_shift = reason == Reason::NextWorkingDay && working != Some(day);
        let preferred = Reverse(match would_shift {
            true => self.wanted.has_preferences(),
            false => self.wanted.may_prefer(self.days[day].date().weekday()),
        });
        let distance = match would_shift {
            true => TimeDelta::zero(),
            false => self.least_distance(day, target),
        };
        let before = |other: &&Candidate<'_>| {
            let rank = &other.rank;
            (rank.preferred, rank.reason) == (preferred, reason) && other.distance < distance
        };
        Rank {
            preferred,
            place: candidates.iter().filter(before).count(),
            reason,
        }
    }

    /// How far a slot of a day is from `target` at least.
    fn least_distance(&self, day: usize, target: DateTime<Utc>) -> TimeDelta {
        let (start, end) = (self.days[day].start(), self.days[day].end());
        (start - target).max(target - end).max(TimeDelta::zero())
    }

    /// Why slots of a day are offered, and to what they should be near.
    fn reason(
        &self,
        question: usize,
        day: usize,
        working: Option<usize>,
    ) -> (Reason, DateTime<Utc>) {
        let wanted = &self.time;
        let local = self.days[day];
        match self.questions[question].asks.reason() {
            Some(reason) => (reason, wanted.start),
            None if local == wanted.day => (Reason::SameDay, wanted.start),
            None if working.is_none_or(|working| day <= working) => {
                (Reason::NextWorkingDay, wanted.on(local))
            }
            None if wanted.is_week_after(local) => (Reason::NextWeek, wanted.week_after),
            None => (Reason::NextAvailable, wanted.start),
        }
    }

    /// The first day after the wanted one that is known to have something to offer.
    fn working_day(&self) -> Option<usize> {
        let wanted = self.questions.first()?;
        let has_slots = |day: &usize| {
            let slots = wanted.days[*day].as_ref();
            self.days[*day] != self.time.day && slots.is_some_and(|slots| !slots.is_empty())
        };
        match wanted.asks {
            Asks::AsWanted => (0..self.days.len()).find(has_slots),
            Asks::OtherResource | Asks::OtherBranch => None,
        }
    }

    /// All that is known to be free, the best first.
    fn candidates(&self) -> Vec<Candidate<'_>> {
        let working = self.working_day();
        let zone = self.wanted.query.zone;
        let mut candidates = Vec::new();
        for (number, question) in self.questions.iter().enumerate() {
            for (day, slots) in question.days.iter().enumerate() {
                let Some(slots) = slots else { continue };
                let (reason, target) = self.reason(number, day, working);
                candidates.extend(slots.iter().map(|slot| {
                    let preferred = self.wanted.has_preferences() && {
                        let local = slot.start().with_timezone(&zone);
                        self.wanted.prefers(local.naive_local())
                    };
                    Candidate {
                        slot,
                        question: number,
                        distance: (slot.start() - target).abs(),
                        rank: Rank {
                            preferred: Reverse(preferred),
                            place: 0,
                            reason,
                        },
                    }
                }));
            }
        }
        // The nearest first; of two that are as near, the earlier one, then as the questions are asked.
        let nearness = |c: &Candidate<'_>| {
            let group = (c.rank.preferred, c.rank.reason);
            (group, c.distance, c.slot.interval, c.question)
        };
        candidates.sort_unstable_by_key(nearness);
        let mut before: Option<Rank> = None;
        for candidate in &mut candidates {
            let Rank {
                preferred, reason, ..
            } = candidate.rank;
            candidate.rank.place = match before {
                Some(rank) if (rank.preferred, rank.reason) == (preferred, reason) => {
                    rank.place + 1
                }
                _ => 0,
            };
            before = Some(candidate.rank);
        }
        candidates.sort_unstable_by_key(|candidate| candidate.rank);
        candidates
    }
}
