//! A map with a time to live: the cache that is written first.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use vacancy::dispatch::BoxError;
use vacancy::slots::{Appointment, Interval, Slot, SlotsQuery};

use super::calendar::Calendar;
use super::contender::{Contender, Offer};

/// How long an answer is kept, by every contender.
pub(crate) const TTL: Duration = Duration::from_secs(300);

/// Keeps the answer for each local day of a question for [`TTL`], whatever is booked meanwhile.
///
/// By local days, as Vacancy does: so the two hit rates differ by what invalidation costs, and by
/// nothing else.
pub(crate) struct TtlCache {
    calendar: Calendar,
    days: TtlMap<SlotsQuery>,
}

impl TtlCache {
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self {
            calendar,
            days: TtlMap::default(),
        }
    }

    /// The same question about each of the local days.
    fn days_of(query: &SlotsQuery) -> Result<Vec<SlotsQuery>, BoxError> {
        let days = query.days()?;
        let windows = days.iter().filter_map(|day| day.interval());
        Ok(windows.map(|window| about(query, window)).collect())
    }
}

#[async_trait]
impl Contender for TtlCache {
    async fn read(&self, query: &SlotsQuery) -> Result<Offer, BoxError> {
        let days = Self::days_of(query)?;
        let mut answers: Vec<_> = days.iter().map(|day| self.days.get(day)).collect();
        let first = answers.iter().position(Option::is_none);
        let last = answers.iter().rposition(Option::is_none);
        if let (Some(first), Some(last)) = (first, last) {
            // One call for all days that are missing, and for those between.
            let window = Interval::new(days[first].window.start(), days[last].window.end())?;
            let slots = self.calendar.slots_of(&about(query, window)).await?;
            for (day, answer) in days.iter().zip(&mut answers).take(last + 1).skip(first) {
                let of_day = slots
                    .iter()
                    .filter(|slot| day.window.contains(slot.start()));
                let of_day: Arc<[Slot]> = of_day.cloned().collect();
                self.days.put(day.clone(), Arc::clone(&of_day));
                *answer = Some(of_day);
            }
        }
        let slots = answers.iter().flatten().flat_map(|answer| answer.iter());
        let slots = slots.filter(|slot| query.window.contains(slot.start()));
        Ok(Offer {
            slots: slots.cloned().collect(),
            loaded: first.is_some(),
        })
    }

    fn booked(&self, _: &Appointment) {}

    fn rescheduled(&self, _: &Appointment, _: &Appointment) {}

    fn cancelled(&self, _: &Appointment, _: Option<&str>) {}
}

/// The same question about another window.
fn about(query: &SlotsQuery, window: Interval) -> SlotsQuery {
    let mut query = query.clone();
    query.window = window;
    query
}

/// Answers, and when they are too old. Nothing stands between a load and what is booked while it runs.
pub(crate) struct TtlMap<K>(Mutex<Answers<K>>);

type Answers<K> = HashMap<K, (Instant, Arc<[Slot]>)>;

impl<K> Default for TtlMap<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> TtlMap<K> {
    pub(crate) fn get(&self, key: &K) -> Option<Arc<[Slot]>> {
        let answers = self.answers();
        let (expires, slots) = answers.get(key)?;
        (Instant::now() < *expires).then(|| Arc::clone(slots))
    }

    pub(crate) fn put(&self, key: K, slots: Arc<[Slot]>) {
        self.answers().insert(key, (Instant::now() + TTL, slots));
    }

    pub(crate) fn remove(&self, key: &K) {
        self.answers().remove(key);
    }

    fn answers(&self) -> MutexGuard<'_, Answers<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
