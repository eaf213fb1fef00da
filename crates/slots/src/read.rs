//! One read: every day of a window, kept, loaded, or waited for.

use std::{
    iter,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::time::{Instant, timeout};
use vacancy_cache::{Answer, Follower, Landing, Load, Look, Nearest, Retry, Ticket, Turn};

use crate::{
    affected::answer_span,
    day_slots::DaySlots,
    interval::Interval,
    key::DayKey,
    local_day::LocalDay,
    query::SlotsQuery,
    reservations::Offer,
    scopes::covers,
    slot::Slot,
    slots_cache::Inner,
    source::{SlotsRequest, SourceError, SourceTimedOut},
};

type Day = Answer<DaySlots>;

/// One read. Days are numbered in the order of the window.
pub(crate) struct Read<'a> {
    cache: &'a Inner,
    nearest: Nearest,
    days: &'a [LocalDay],
    keys: Vec<DayKey>,
}

/// How many more calls of the source may be made. Several reads may share it.
pub(crate) struct Calls(AtomicUsize);

impl Calls {
    pub(crate) const fn new(calls: usize) -> Self {
        Self(AtomicUsize::new(calls))
    }

    fn are_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Whether one more may be made, which is then counted.
    fn take(&self) -> bool {
        // A count, which orders nothing else.
        let left = |left: usize| left.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.fetch_update(set, fetch, left).is_ok()
    }
}

/// A day this read has to load.
struct Missing {
    day: usize,
    ticket: Ticket<DayKey, DaySlots, SourceError>,
}

/// A day that is not answered yet, and the load that brought it nothing, if there was one.
struct Open {
    day: usize,
    retry: Option<Retry<DaySlots, SourceError>>,
    failed: bool,
}

struct Followed {
    day: usize,
    failed: bool,
    follower: Follower<DaySlots, SourceError>,
}

impl<'a> Read<'a> {
    /// `nearest` says which level may answer.
    pub(crate) fn new(
        cache: &'a Inner,
        query: &'a SlotsQuery,
        days: &'a [LocalDay],
        nearest: Nearest,
    ) -> Self {
        let first = days.first().map(|day| DayKey::new(query, day.date()));
        let keys = first
            .iter()
            .flat_map(|first| days.iter().map(|day| first.on(day.date())))
            .collect();
        Self {
            cache,
            nearest,
            days,
            keys,
        }
    }

    /// The answer for each day. Every run of days that are missing costs a call.
    pub(crate) async fn answers(&self) -> Result<Vec<Day>, SourceError> {
        let answers = self.gather(None).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// The answer for each day that can be had for `calls`.
    ///
    /// All days that are missing are asked for with one call, which takes in the kept ones between them:
    /// where calls are counted, a wider one is cheaper than two.
    pub(crate) async fn answers_within(
        &self,
        calls: &Calls,
    ) -> Result<Vec<Option<Day>>, SourceError> {
        self.gather(Some(calls)).await
    }

    async fn gather(&self, calls: Option<&Calls>) -> Result<Vec<Option<Day>>, SourceError> {
        let mut answers: Vec<Option<Day>> =
            iter::repeat_with(|| None).take(self.keys.len()).collect();
        let mut open: Vec<Open> = (0..self.keys.len())
            .map(|day| Open {
                day,
                retry: None,
                failed: false,
            })
            .collect();
        while !open.is_empty() {
            let (mut tickets, mut followed) = (Vec::new(), Vec::new());
            for Open { day, retry, failed } in open.drain(..) {
                match self.begin(day, retry) {
                    Turn::Hit(answer) => answers[day] = Some(answer),
                    Turn::Load(ticket) => tickets.push(Missing { day, ticket }),
                    Turn::Follow(follower) => followed.push(Followed {
                        day,
                        failed,
                        follower,
                    }),
                }
            }
            // The own loads first: then no two reads can wait for each other.
            let asked = Instant::now();
            let missing = self.look(tickets, &mut answers).await;
            let loads = match calls {
                None => runs(missing),
                Some(_) => vec![missing],
            };
            for run in loads {
                for (day, answer) in self.load(run, calls, asked).await? {
                    answers[day] = Some(answer);
                }
            }
            for Followed {
                day,
                failed,
                follower,
            } in followed
            {
                let (retry, failed) = match follower.await {
                    Landing::Answer(answer) => {
                        answers[day] = Some(answer);
                        continue;
                    }
                    Landing::Failed(error, _) if failed => return Err(error),
                    Landing::Failed(_, retry) => (retry, true),
                    Landing::Lost(retry) => (retry, failed),
                };
                open.push(Open {
                    day,
                    retry: Some(retry),
                    failed,
                });
            }
        }
        Ok(answers)
    }

    fn begin(
        &self,
        day: usize,
        retry: Option<Retry<DaySlots, SourceError>>,
    ) -> Turn<DayKey, DaySlots, SourceError> {
        let key = &self.keys[day];
        let covers = || {
            let rules = self.cache.rules_for(key);
            let starts = self.days[day].interval();
            let span = starts.map_or(vacancy_cache::Span::ALL, |starts| {
                answer_span(starts, rules.as_deref(), key.duration())
            });
            covers(key, rules.as_deref(), span)
        };
        match retry {
            None => self.cache.days.begin(key, self.nearest, covers),
            Some(retry) => self
                .cache
                .days
                .begin_again(key, self.nearest, covers, retry),
        }
    }

    /// Takes the answers that level 2 has; the rest is missing.
    async fn look(&self, tickets: Vec<Missing>, answers: &mut [Option<Day>]) -> Vec<Missing> {
        let (days, tickets): (Vec<_>, Vec<_>) = tickets
            .into_iter()
            .map(|Missing { day, ticket }| (day, ticket))
            .unzip();
        let mut missing = Vec::new();
        for (day, look) in days.into_iter().zip(self.cache.days.look(tickets).await) {
            match look {
                Look::Found(answer) => answers[day] = Some(answer),
                Look::Missing(ticket) => missing.push(Missing { day, ticket }),
            }
        }
        missing
    }

    /// Loads days with one call, which takes in those between them; none when no call is left. Level 2
    /// was `asked` for them then.
    async fn load(
        &self,
        run: Vec<Missing>,
        calls: Option<&Calls>,
        asked: Instant,
    ) -> Result<Vec<(usize, Day)>, SourceError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(Vec::new());
        };
        if calls.is_some_and(Calls::are_spent) {
            return Ok(Vec::new()); // without waiting for a turn
        }
        let key = &self.keys[first.day];
        let request = SlotsRequest::new(key, &self.keys[last.day]);
        // The wait for its turn counts, so that a source which is too slow for all is told from one
        // that is free.
        let limit = self.cache.source_time_out;
        let mut loads: Vec<(usize, Load<_, _, _>)> = Vec::with_capacity(run.len());
        let loaded = timeout(limit, async {
            let _admission = self.cache.days.admission().await;
            if calls.is_some_and(|calls| !calls.take()) {
                return None;
            }
            loads.extend(
                run.into_iter()
                    .map(|Missing { day, ticket }| (day, ticket.depart())),
            );
            Some(self.cache.source.slots(&request).await)
        });
        let mut slots = match loaded
            .await
            .unwrap_or_else(|_| Some(Err(SourceError::new(SourceTimedOut { limit }))))
        {
            Some(Ok(slots)) => slots,
            // The tickets are dropped: whoever waits for one of them takes over, with his own calls.
            None => return Ok(Vec::new()),
            Some(Err(error)) => {
                loads
                    .into_iter()
                    .for_each(|(_, load)| load.fail(error.clone()));
                return Err(error);
            }
        };
        slots.sort_by_key(|slot| slot.interval);
        // After the fences were taken: see `reservations/reserved.rs`.
        let rules = self.cache.rules_for(key);
        let offer = Offer {
            tenant: key.tenant(),
            event_type: key.event_type(),
            rules: rules.as_deref(),
            asked: key.resources(),
        };
        let reserved = self.cache.reserved_anywhere(&offer, &slots, asked).await;
        let fill = |(day, load): (usize, Load<_, _, _>)| {
            let slots = starting_in(&slots, self.days[day].interval());
            let answer = match &reserved {
                Ok(reserved) => load.fill(DaySlots::new(slots, &offer, reserved)),
                Err(_) => load.unkept().fill(DaySlots::new(slots, &offer, &[])),
            };
            (day, answer)
        };
        Ok(loads.into_iter().map(fill).collect())
    }
}

/// The slots that start in a day. A slot outside of every day asked for is nobody's.
fn starting_in(slots: &[Slot], day: Option<Interval>) -> Vec<Slot> {
    let Some(day) = day else { return Vec::new() };
    let from = slots.partition_point(|slot| slot.start() < day.start());
    let to = slots.partition_point(|slot| slot.start() < day.end());
    slots[from..to].to_vec()
}

/// Splits into runs of neighbouring days.
fn runs(missing: Vec<Missing>) -> Vec<Vec<Missing>> {
    let mut runs: Vec<Vec<Missing>> = Vec::new();
    for load in missing {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| last.day + 1 == load.day) => run.push(load),
            _ => runs.push(vec![load]),
        }
    }
    runs
}
