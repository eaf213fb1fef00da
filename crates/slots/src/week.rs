//! The slots of a local week, and the week after it, which is read before anybody asks.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::NaiveDate;
use tokio::task::{Id, JoinSet};
use vacancy_cache::{Nearest, Source};

use crate::{
    interval::Interval,
    key::DayKey,
    local_day::LocalDay,
    open_slots::{DayAnswer, OpenSlots},
    query::SlotsQuery,
    read::Read,
    slot::Slot,
    slots_cache::{OpenError, SlotsCache},
};

/// Answers whole local weeks, from Monday to Sunday, and can warm the week after: read it in the background,
/// since whoever looks at a week often looks at the next one.
///
/// A warming is an ordinary [`open`](SlotsCache::open): it shares loads with the readers that come meanwhile,
/// counts against the [`max_loads`](crate::SlotsCacheBuilder::max_loads) of the cache, keeps nothing that an
/// event has made untrue while it ran, and leaves alone what is kept. No answer waits for one.
///
/// A handle: `clone` is cheap and shares everything. It owns the warmings, which are cancelled with the last
/// handle.
///
/// # Examples
///
/// ```
/// # use async_trait::async_trait;
/// # use vacancy_slots::{Slot, SlotSource, SlotsRequest, SourceError};
/// # struct Calendar;
/// # #[async_trait]
/// # impl SlotSource for Calendar {
/// #     async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
/// #         Ok(vec![])
/// #     }
/// # }
/// use std::num::NonZeroUsize;
/// use vacancy_slots::{SlotsCache, SlotsQuery, WeekView};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let four = NonZeroUsize::new(4).expect("not zero");
/// let slots = SlotsCache::builder(Calendar).build();
/// let weeks = WeekView::warming(slots, four);
///
/// let today = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z".parse()?;
/// let query = SlotsQuery::new(15, 123, today).resource(42);
/// let week = weeks.open(&query, "2025-10-15".parse()?).await?;
/// assert_eq!(week.len(), 7);
/// assert_eq!(week[0].answer.day.date().to_string(), "2025-10-13");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct WeekView {
    slots: SlotsCache,
    warming: Option<Arc<Warming>>,
    refresh_after: Option<Duration>,
}

/// A day of a week: what is open on it, and what can be said of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WeekDay {
    /// What can be said of its answer.
    pub answer: DayAnswer,
    /// The slots that start on it, by their start.
    pub slots: Vec<Slot>,
}

/// What became of the warmings so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warmings {
    /// Begun.
    pub begun: u64,
    /// Not begun, since as many as may run did, or one of the same question.
    pub skipped: u64,
    /// Begun, and ended without an answer: the source failed, or panicked.
    pub failed: u64,
}

impl WeekView {
    /// Answers weeks, and warms none.
    #[must_use]
    pub const fn new(slots: SlotsCache) -> Self {
        Self {
            slots,
            warming: None,
            refresh_after: None,
        }
    }

    /// Answers weeks, and warms the week after each.
    ///
    /// One warming of a question runs at a time, and `most` of all; beyond that they are skipped and
    /// [counted](Self::warmings), since the next look at the week tries again. To see whether the next week is
    /// kept counts as hits in the [statistics](SlotsCache::statistics).
    #[must_use]
    pub fn warming(slots: SlotsCache, most: NonZeroUsize) -> Self {
        let warming = Warming {
            most,
            state: Mutex::default(),
        };
        Self {
            slots,
            warming: Some(Arc::new(warming)),
            refresh_after: None,
        }
    }

    /// Also reads anew, in the background, the days of a week that is looked at whose kept answer is older
    /// than this. Never by default. Set it below the [time to live](crate::SlotsCacheBuilder::ttl), and
    /// nobody waits for a day that is looked at often.
    ///
    /// The kept answer serves on until the new one is there: to its time to live at most, and never past an
    /// invalidation. When the source fails it is left as it is, and the next look tries again. It is one
    /// with the warming: begun, skipped and counted together. A view that warms nothing refreshes nothing.
    #[must_use]
    pub const fn refresh_after(mut self, age: Duration) -> Self {
        self.refresh_after = Some(age);
        self
    }

    /// Gives the days of the week that holds `date`, from Monday to Sunday, in the zone of `query`, whose window
    /// does not matter. They are seven, unless the zone has skipped a date.
    ///
    /// When the week is answered, the week after it is warmed, unless all of it is kept.
    ///
    /// # Consistency
    ///
    /// As for [`SlotsCache::open`].
    ///
    /// # Cancel safety
    ///
    /// As for [`SlotsCache::open`].
    ///
    /// # Errors
    ///
    /// [`OpenError::Source`] as for [`SlotsCache::open`]; no week is too long.
    pub async fn open(
        &self,
        query: &SlotsQuery,
        date: NaiveDate,
    ) -> Result<Vec<WeekDay>, OpenError> {
        let day = LocalDay::new(date, query.zone);
        let Some(week) = week(query, day) else {
            return Ok(Vec::new());
        };
        let open = self.slots.open(&week).await?;
        if let Some(warming) = &self.warming {
            let refresh = self.refresh_after.map(|age| older(&open, age));
            let next = self::week(query, day.next_week_start());
            let next = next.filter(|next| !is_kept(&self.slots, next));
            warming.begin(&self.slots, week, refresh.unwrap_or_default(), next);
        }
        Ok(by_day(open))
    }

    /// What became of the warmings so far.
    #[must_use]
    pub fn warmings(&self) -> Warmings {
        let warming = self.warming.as_ref();
        warming.map_or_else(Warmings::default, |warming| warming.state().settled().count)
    }
}

/// The question for the week that holds `day`. `None` when its zone has no instant of it.
fn week(query: &SlotsQuery, day: LocalDay) -> Option<SlotsQuery> {
    let (start, end) = (day.week_start().start(), day.next_week_start().start());
    let mut week = query.clone();
    // At the end of time no Monday follows.
    week.window = Interval::new(start, end.max(day.end())).ok()?;
    Some(week)
}

fn by_day(open: OpenSlots) -> Vec<WeekDay> {
    let answers = open.days().to_vec();
    let mut slots = open.into_iter().peekable();
    let day = |answer: DayAnswer| {
        let end = answer.day.end();
        let of_the_day = std::iter::from_fn(|| slots.next_if(|slot| slot.start() < end));
        WeekDay {
            slots: of_the_day.collect(),
            answer,
        }
    };
    answers.into_iter().map(day).collect()
}

/// The days whose kept answer is older than that.
fn older(open: &OpenSlots, age: Duration) -> Vec<LocalDay> {
    let is_kept = |source| matches!(source, Source::Level1 | Source::Level2);
    let days = open.days().iter();
    days.filter(|day| is_kept(day.source) && day.age > age)
        .map(|day| day.day)
        .collect()
}

/// What is read before anybody asks.
#[derive(Debug)]
struct Warming {
    most: NonZeroUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether they got an answer. Dropped with the last handle, which cancels them.
    tasks: JoinSet<bool>,
    /// The questions that are being read.
    questions: HashMap<Id, DayKey>,
    count: Warmings,
}

impl Warming {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the next week in the background, and some days of this one anew, unless enough is being read.
    fn begin(
        &self,
        slots: &SlotsCache,
        week: SlotsQuery,
        refresh: Vec<LocalDay>,
        next: Option<SlotsQuery>,
    ) {
        if refresh.is_empty() && next.is_none() {
            return;
        }
        // A key on any one day stands for the question.
        let question = DayKey::new(&week, NaiveDate::MIN);
        let slots = slots.clone();
        let read = async move {
            let anew = Read::new(slots.inner(), &week, &refresh, Nearest::Origin);
            let is_refreshed = anew.answers().await.is_ok();
            let is_warmed = match next {
                Some(next) => slots.open(&next).await.is_ok(),
                None => true,
            };
            is_refreshed && is_warmed
        };
        let mut state = self.state();
        let state = state.settled();
        let is_enough = state.questions.len() >= self.most.get();
        if is_enough || state.questions.values().any(|other| *other == question) {
            state.count.skipped += 1;
            return;
        }
        let task = state.tasks.spawn(read).id();
        state.questions.insert(task, question);
        state.count.begun += 1;
    }
}

impl State {
    /// Takes note of the tasks that have ended.
    fn settled(&mut self) -> &mut Self {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let (task, answered) = match ended {
                Ok((task, answered)) => (task, answered),
                Err(error) => (error.id(), false),
            };
            self.questions.remove(&task);
            self.count.failed += u64::from(!answered);
        }
        self
    }
}

/// Whether all days of a question are kept in this process.
fn is_kept(slots: &SlotsCache, query: &SlotsQuery) -> bool {
    let days = query.days().unwrap_or_default();
    let Some(first) = days.first() else {
        return true;
    };
    let key = DayKey::new(query, first.date());
    let mut keys = days.iter().map(|day| key.on(day.date()));
    keys.all(|key| slots.inner().days.get(&key).is_some())
}
