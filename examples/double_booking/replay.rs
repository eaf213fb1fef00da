//! One day, replayed in virtual time through one contender.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use vacancy::dispatch::BoxError;
use vacancy::slots::{Appointment, Interval, Revision, Slot, SlotsQuery};

use super::calendar::Calendar;
use super::contender::{Contender, Kind, Offer};
use super::plan::{Plan, Step};
use super::recording::{Change, Recording, What};
use super::tally::{Cause, Ending, Seen, Tally};

/// A day to replay, the same for every contender.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub(crate) recording: Arc<Recording>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) seed: u64,
    /// For how long the calendar goes on giving an old answer.
    pub(crate) lag: Duration,
    /// Whether the write path checks that a slot is still free.
    pub(crate) guard: bool,
}

impl Replay {
    /// Replays the day through a contender. `on_read` is called after every read.
    pub(crate) fn run(&self, kind: Kind, on_read: impl Fn()) -> Result<Tally, BoxError> {
        // Time stands still while anything runs, and jumps to the next moment when nothing does: one
        // thread and one order of things, whatever the machine.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        runtime.block_on(self.through(kind, on_read))
    }

    async fn through(&self, kind: Kind, on_read: impl Fn()) -> Result<Tally, BoxError> {
        let Some(&(begin, _)) = self.plan.steps.first() else {
            return Ok(Tally::default());
        };
        let calendar = Calendar::new(Arc::clone(&self.recording), self.lag, self.seed);
        let stage = Arc::new(Stage {
            recording: Arc::clone(&self.recording),
            contender: kind.build(&calendar)?,
            calendar,
            guard: self.guard,
            begin,
            began: Instant::now(),
        });
        let mut tally = Tally::default();
        let mut callers = JoinSet::new();
        for (at, step) in &self.plan.steps {
            sleep_until(stage.instant(*at)).await;
            match step.clone() {
                Step::Look(query) => {
                    let stage = Arc::clone(&stage);
                    callers.spawn(async move { stage.look(query).await });
                }
                Step::Pick { query, change } => {
                    let stage = Arc::clone(&stage);
                    callers.spawn(async move { stage.pick(query, change).await });
                }
                Step::Change(change) => stage.apply(&self.recording.changes[change]),
            }
            while let Some(seen) = callers.try_join_next() {
                tally.add(seen??);
                on_read();
            }
        }
        while let Some(seen) = callers.join_next().await {
            tally.add(seen??);
            on_read();
        }
        stage.contender.close().await?;
        tally.source_loads = stage.calendar.loads();
        Ok(tally)
    }
}

/// What the callers of a replay share.
struct Stage {
    recording: Arc<Recording>,
    contender: Box<dyn Contender>,
    calendar: Calendar,
    guard: bool,
    begin: DateTime<Utc>,
    began: Instant,
}

impl Stage {
    fn instant(&self, at: DateTime<Utc>) -> Instant {
        self.began + (at - self.begin).to_std().unwrap_or_default()
    }

    /// A caller who only looks.
    async fn look(&self, query: SlotsQuery) -> Result<Seen, BoxError> {
        Ok(self.read(&query).await?.0)
    }

    /// A caller who wants a slot, thinks when it is offered, and confirms it when that was recorded.
    async fn pick(&self, query: SlotsQuery, change: usize) -> Result<Seen, BoxError> {
        let known = self.calendar.diary().changes();
        let (seen, slots) = self.read(&query).await?;
        let change = &self.recording.changes[change];
        let What::Picked(wanted) = &change.what else {
            return Ok(seen);
        };
        let (interval, hosts) = (wanted.intervals()[0], &wanted.resources);
        let offers = |slot: &Slot| {
            slot.interval == interval && hosts.iter().all(|host| slot.resources.contains(host))
        };
        let ending = if slots.iter().any(offers) {
            let cause = match self.calendar.diary().was_taken(wanted, known) {
                true => Cause::StaleOffer,
                false => Cause::LostRace,
            };
            sleep_until(self.instant(change.at)).await;
            self.confirm(wanted, cause)
        } else {
            Ending::NotOffered
        };
        Ok(Seen {
            ending: Some(ending),
            ..seen
        })
    }

    async fn read(&self, query: &SlotsQuery) -> Result<(Seen, Vec<Slot>), BoxError> {
        let known = self.calendar.diary().changes();
        let Offer { slots, loaded } = self.contender.read(query).await?;
        let seen = Seen {
            loaded,
            stale: self.is_stale(query, &slots, known),
            ending: None,
        };
        Ok((seen, slots))
    }

    /// Whether a host is offered who was taken at the change `known`, and still is.
    fn is_stale(&self, query: &SlotsQuery, slots: &[Slot], known: u64) -> bool {
        let (Some(first), Some(last)) = (slots.first(), slots.last()) else {
            return false;
        };
        let directory = self.calendar.directory();
        let Some(event_type) = directory.event_type(&query.tenant, &query.event_type) else {
            return false;
        };
        let (before, after) = (event_type.buffers.before(), event_type.buffers.after());
        let Ok(all) = Interval::new(first.start(), last.end()) else {
            return false;
        };
        let diary = self.calendar.diary();
        event_type.hosts.iter().any(|host| {
            let taken = diary.taken(&query.tenant, host, all.widened(before, after), known);
            let offered = slots.iter().filter(|slot| slot.resources.contains(host));
            offered
                .map(|slot| slot.interval.widened(before, after))
                .any(|needs| taken.iter().any(|busy| busy.overlaps(&needs)))
        })
    }

    /// The write path: checks, commits, and tells the contender, all in one go.
    fn confirm(&self, wanted: &Appointment, cause: Cause) -> Ending {
        let mut diary = self.calendar.diary();
        let gone = diary.conflicts(wanted, None);
        if !(gone && self.guard) {
            diary.book(wanted);
            drop(diary);
            self.contender.booked(wanted);
        }
        match (gone, self.guard) {
            (false, _) => Ending::Booked,
            (true, true) => Ending::Refused(cause),
            (true, false) => Ending::DoubleBooked(cause),
        }
    }

    /// What somebody does who sees the calendar. They enter nothing over something else.
    fn apply(&self, change: &Change) {
        let mut diary = self.calendar.diary();
        match &change.what {
            What::Picked(_) => {}
            What::Entered(appointment) => {
                if !diary.conflicts(appointment, None) {
                    diary.book(appointment);
                    drop(diary);
                    self.contender.booked(appointment);
                }
            }
            What::Rescheduled { from, to } => {
                if !diary.conflicts(to, Some(from))
                    && let Some(before) = diary.free(from)
                {
                    diary.book(to);
                    drop(diary);
                    self.contender.rescheduled(&before, to);
                }
            }
            What::Cancelled { id, reason } => {
                if let Some(appointment) = diary.free(id) {
                    drop(diary);
                    let revision = Revision::changed_at(change.at);
                    let appointment = appointment.revision(revision);
                    self.contender.cancelled(&appointment, reason.as_deref());
                }
            }
            What::Repeated(id) => {
                if let Some(appointment) = diary.appointment(id).cloned() {
                    drop(diary);
                    self.contender.booked(&appointment);
                }
            }
        }
    }
}
