//! The availability cache: answers by local day, and what a booking does to them.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use metrics::counter;
use tokio::time::Instant;
use tracing::warn;
use vacancy_cache::{
    Cache, Claims, Cover, Hold, Nearest, Scope, Span, Statistics, Token, Unconfirmed,
};
use vacancy_dispatch::Event;

use crate::{
    affected::{answer_span, busy_spans},
    appointment::Appointment,
    builder::SlotsCacheBuilder,
    day_slots::DaySlots,
    events::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled},
    hold::{BookingEvent, Holds, SlotsHold},
    ids::TenantId,
    interval::Interval,
    invalidate::FAILED,
    key::DayKey,
    open_slots::OpenSlots,
    overlay::Overlay,
    query::{QueryError, SlotsQuery},
    read::Read,
    reservations::Reservations,
    rules::{Directory, EventTypeRules},
    scopes::{Target, covers, of_appointment, tenant_scope},
    source::{SlotSource, SourceError},
};

/// Answers which slots are open, from a source that it asks as seldom as it can.
///
/// Answers are kept by local day of one question and sliced to the window asked for. What a booking
/// event can affect is not served again from the moment the event was dispatched, when
/// [`InvalidateSlotsCache`](crate::InvalidateSlotsCache) listens.
///
/// It makes the offer true; it does not prevent double bookings. That is for the write path, with an
/// overlap check in its transaction.
///
/// A handle: `clone` is cheap and shares everything. Without Redis it owns no task; with it, the tasks that
/// talk to Redis end with the last handle.
///
/// # With Redis
///
/// With the feature `redis` and [`redis`](SlotsCacheBuilder) several processes share answers. A booking that
/// was confirmed in one shows in all: within the lease (one second unless set otherwise) in
/// `Consistency::Bounded`, the default; at once in `Consistency::Strict`. Reads cost what they cost without
/// Redis while the process has heard from it within the lease, and else one round trip. No failure of Redis
/// fails a read or a booking, or brings a stale answer back: `vacancy_cache::Redis` tells what happens in each.
///
/// The overlay is each process's own: what the source goes on offering for a while after a booking, only
/// the process that dispatched the event subtracts. The others load it from the source, and keep none of it
/// for the time of [`source_lag`](SlotsCacheBuilder::source_lag).
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use vacancy_slots::{Slot, SlotSource, SlotsCache, SlotsQuery, SlotsRequest, SourceError};
///
/// struct Calendar;
///
/// #[async_trait]
/// impl SlotSource for Calendar {
///     async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
///         Ok(vec![]) // fully booked
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let slots = SlotsCache::builder(Calendar).build();
/// let today = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z".parse()?;
/// let open = slots.open(&SlotsQuery::new(15, 123, today)).await?;
/// assert!(open.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SlotsCache(Arc<Inner>);

/// What the handles of one slots cache share.
pub(crate) struct Inner {
    pub(crate) source: Box<dyn SlotSource>,
    pub(crate) directory: Box<dyn Directory>,
    pub(crate) days: Cache<DayKey, DaySlots, SourceError>,
    pub(crate) overlay: Overlay,
    pub(crate) holds: Holds,
    pub(crate) claims: Claims,
    pub(crate) longest_reservation: Duration,
    pub(crate) hold_time: Duration,
    pub(crate) ttl: Duration,
    pub(crate) source_lag: Duration,
    pub(crate) source_time_out: Duration,
    pub(crate) longest_span: Duration,
    pub(crate) missing_event_type: MissingEventType,
}

/// What to do about an event that names no event type.
///
/// Either way a warning is logged and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingEventType {
    /// Invalidate the resources it names, else its branch, else its tenant.
    #[default]
    Widen,
    /// Do nothing, as the first version of this system did. Stale slots stay until the time to live.
    Skip,
}

/// Why open slots could not be told.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The question cannot be asked as it is.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The source did not answer. Asking again asks it again: no error is kept.
    #[error("the source of availability did not answer")]
    Source(#[from] SourceError),
}

impl SlotsCache {
    /// Settings for a new cache before `source`.
    pub fn builder(source: impl SlotSource) -> SlotsCacheBuilder {
        SlotsCacheBuilder::new(Box::new(source))
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Gives the slots that start in the window of `query`, by their start.
    ///
    /// Days that are not kept are loaded, each run of neighbouring days with one call. Days that
    /// another reader is loading are waited for.
    ///
    /// # Consistency
    ///
    /// A call that begins after the dispatch of a booking event has returned gives no answer that the
    /// source was asked for before it, and none that contains what the event has booked, even if the
    /// source goes on offering it for the time of [`source_lag`](SlotsCacheBuilder::source_lag). A
    /// change that no event tells of may be missing for the time to live at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: loads that this call has begun are taken over by the calls that wait for them.
    ///
    /// # Errors
    ///
    /// [`OpenError::Query`] when the window is too long, before the source is asked.
    /// [`OpenError::Source`] when a day is missing that the source does not give; for a day that
    /// another reader was loading, only when it fails a second time.
    pub async fn open(&self, query: &SlotsQuery) -> Result<OpenSlots, OpenError> {
        self.open_from(query, Nearest::Level1).await
    }

    /// Gives the slots that start in the window of `query`, no older than `token`.
    ///
    /// For a client that has booked in another process and brings the token of that booking: see
    /// [`confirmed`](Self::confirmed). Costs nothing when this process has heard as much, and else a round
    /// trip to Redis.
    ///
    /// # Consistency
    ///
    /// As for [`open`](Self::open); besides, no answer is from before the invalidations that were confirmed
    /// with the token.
    ///
    /// # Cancel safety
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_at_least(
        &self,
        query: &SlotsQuery,
        token: &Token,
    ) -> Result<OpenSlots, OpenError> {
        let nearest = match self.0.days.has_heard(token) {
            true => Nearest::Level1,
            false => Nearest::Level2,
        };
        self.open_from(query, nearest).await
    }

    async fn open_from(
        &self,
        query: &SlotsQuery,
        nearest: Nearest,
    ) -> Result<OpenSlots, OpenError> {
        let days = query.days()?;
        let read = Read::new(&self.0, query, &days, nearest);
        let answers = read.answers().await?;
        Ok(self.0.assemble(query, &days, answers))
    }

    /// Gives the open slots if every day of the window is kept. Never asks the source.
    ///
    /// # Consistency
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the window is too long.
    pub fn kept(&self, query: &SlotsQuery) -> Result<Option<OpenSlots>, QueryError> {
        let days = query.days()?;
        let Some(first) = days.first() else {
            return Ok(Some(OpenSlots::default()));
        };
        let key = DayKey::new(query, first.date());
        let answers: Option<Vec<_>> = days
            .iter()
            .map(|day| self.0.days.get(&key.on(day.date())))
            .collect();
        Ok(answers.map(|answers| self.0.assemble(query, &days, answers)))
    }

    /// Makes every answer untrue that a change of `target` can affect, in `when` or at any time.
    ///
    /// For what no booking event tells of: working hours, an absence, new rules in the directory.
    /// Costs the same whatever is kept.
    ///
    /// # Consistency
    ///
    /// When it returns, no call that begins later in this process gives an answer that it reached.
    pub fn invalidate(&self, tenant: &TenantId, target: &Target, when: Option<Interval>) {
        let scopes = target.scopes(tenant, &*self.0.directory);
        let span = when.map_or(Span::ALL, span_of);
        let covers: Vec<_> = scopes
            .into_iter()
            .map(|scope| Cover::new(scope, span))
            .collect();
        self.0.days.invalidate_all(&covers);
    }

    /// Makes every answer untrue that a change of `appointment` can affect, as an event about it does, and
    /// notes nothing as booked or freed.
    ///
    /// For what is told again, or touches an appointment without booking or freeing it: a payment, a request, a
    /// copy of a message. Costs the same whatever is kept.
    ///
    /// # Consistency
    ///
    /// When it returns, no call that begins later in this process gives an answer that it reached.
    pub fn invalidate_around(&self, appointment: &Appointment) {
        self.0
            .days
            .invalidate_all(&covers_of(&self.0.changes(&[appointment])));
    }

    /// How long an answer may be served after the source was asked for it.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// All that the answer to `query` depends on, for caches beyond this one: it may be untrue as soon as
    /// one of these meets what an event [reaches](Self::reach).
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the window is too long.
    pub fn covers(&self, query: &SlotsQuery) -> Result<Vec<Cover>, QueryError> {
        let days = query.days()?;
        let Some(first) = days.first() else {
            return Ok(Vec::new());
        };
        let key = DayKey::new(query, first.date());
        let rules = self.0.rules_for(&key);
        let span = answer_span(query.window, rules.as_deref(), query.duration);
        Ok(covers(&key, rules.as_deref(), span))
    }

    /// All that `event` makes untrue, for caches beyond this one. Nothing where
    /// [`MissingEventType::Skip`] says so.
    #[must_use]
    pub fn reach(&self, event: &impl BookingEvent) -> Vec<Cover> {
        covers_of(&self.0.changes(&event.appointments()))
    }

    /// Waits until all that was dispatched or invalidated before for `tenant` is confirmed by Redis, and in
    /// strict consistency by every process. Without Redis it is confirmed at once.
    ///
    /// [`InvalidateSlotsCache`](crate::InvalidateSlotsCache) does this in its lane; call it for the token, which
    /// [`open_at_least`](Self::open_at_least) takes in another process.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: waiting changes nothing.
    ///
    /// # Errors
    ///
    /// [`Unconfirmed`] when it takes longer than Redis was given.
    pub async fn confirmed(&self, tenant: &TenantId) -> Result<Token, Unconfirmed> {
        self.0.days.confirmed(tenant.as_str(), None).await
    }

    /// As [`confirmed`](Self::confirmed), with a limit that has been running for `elapsed`.
    pub(crate) async fn confirmed_since(
        &self,
        tenant: &TenantId,
        elapsed: Option<Duration>,
    ) -> Result<Token, Unconfirmed> {
        self.0.days.confirmed(tenant.as_str(), elapsed).await
    }

    /// Takes the slots that `event` changes out of service before the booking is committed.
    ///
    /// Take the hold, commit, dispatch the event: then no reader is offered what the commit has taken,
    /// not even between the commit and the dispatch, nor if this process dies there. The hold lasts for the
    /// [`hold_time`](SlotsCacheBuilder::hold_time), which has to be longer than the transaction can take.
    /// Without a hold, answers from before the commit may be served until the dispatch.
    ///
    /// # Consistency
    ///
    /// When it has returned, no call of [`open`](Self::open) that begins after the commit gives an answer from
    /// before it: in this process; in all that share a Redis, in strict consistency; within the lease in
    /// bounded consistency. Where Redis loses the hold before the commit (restart, flush, failover, eviction),
    /// the processes that have heard of it keep it; for one that has not, that is so from the confirmation of
    /// the event on, as without a hold.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may leave a hold, which ends by itself.
    ///
    /// # Errors
    ///
    /// [`Unconfirmed`] when Redis, or in strict consistency a process, does not confirm it in time. Nothing is
    /// held then. Whether to book all the same is the application's choice: refuse, or commit and dispatch as
    /// without a hold, which leaves answers in other processes that are stale until Redis is back, for the
    /// time to live at most.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vacancy_dispatch::Bus;
    /// # use vacancy_slots::{AppointmentBooked, SlotsCache};
    /// # async fn commit(_: &AppointmentBooked) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn book(slots: SlotsCache, bus: Bus, booked: AppointmentBooked) -> Result<(), Box<dyn std::error::Error>> {
    /// let hold = slots.hold(&booked).await?;
    /// if let Err(error) = commit(&booked).await {
    ///     hold.abandon(); // rolled back for certain
    ///     return Err(error.into());
    /// }
    /// bus.dispatch(booked); // releases the hold
    /// # Ok(())
    /// # }
    /// ```
    pub async fn hold(&self, event: &impl BookingEvent) -> Result<SlotsHold, Unconfirmed> {
        let covers = covers_of(&self.0.changes(&event.appointments()));
        let hold = self.0.days.hold(&covers, self.0.hold_time).await?;
        self.0.holds.add(hold.clone());
        Ok(SlotsHold::new(self.clone(), hold))
    }

    /// What is reserved, for a while and by whom, before it is booked.
    #[must_use]
    pub fn reservations(&self) -> Reservations {
        Reservations::new(self.clone())
    }

    pub(crate) fn abandon(&self, hold: &Hold) {
        self.0.holds.remove(hold);
        self.0.days.release(hold);
    }

    /// What the cache of days has done so far, and what it holds. A turn is one day of one read.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.0.days.statistics()
    }

    pub(crate) fn booked(&self, event: &AppointmentBooked) {
        let changes = self.0.changes(&event.appointments());
        if let [booked] = &*changes {
            self.0
                .overlay
                .book(&booked.appointment, self.0.source_knows());
        }
        self.0.apply::<AppointmentBooked>(&changes);
    }

    pub(crate) fn rescheduled(&self, event: &AppointmentRescheduled) {
        let changes = self.0.changes(&event.appointments());
        if let [before, after] = &*changes {
            let source_knows = self.0.source_knows();
            self.0
                .overlay
                .reschedule(&before.appointment, &after.appointment, source_knows);
        }
        self.0.apply::<AppointmentRescheduled>(&changes);
    }

    pub(crate) fn cancelled(&self, event: &AppointmentCancelled) {
        let changes = self.0.changes(&event.appointments());
        if let [freed] = &*changes {
            self.0
                .overlay
                .free(&freed.appointment, self.0.source_knows());
        }
        self.0.apply::<AppointmentCancelled>(&changes);
    }

    /// How many pairs of scope and span the appointments' change names; none when it is skipped.
    pub(crate) fn named(&self, appointments: &[&Appointment]) -> usize {
        let reach = |appointment: &&Appointment| {
            let change = self.0.change(appointment);
            change.scopes.len() * change.spans.len()
        };
        appointments.iter().map(reach).sum()
    }

    pub(crate) fn skips(&self, appointment: &Appointment) -> bool {
        self.0.skips(appointment)
    }
}

/// An appointment with all that its change reaches.
struct Change {
    /// With the buffers that the directory knows, where the event named none.
    appointment: Appointment,
    scopes: Vec<Scope>,
    spans: Vec<Span>,
    /// Whether the directory panicked, so that the change names all of the tenant's.
    blind: bool,
}

impl Inner {
    pub(crate) fn rules_for(&self, key: &DayKey) -> Option<Arc<EventTypeRules>> {
        self.directory.event_type(key.tenant(), key.event_type())
    }

    fn skips(&self, appointment: &Appointment) -> bool {
        appointment.event_type.is_none() && self.missing_event_type == MissingEventType::Skip
    }

    /// What the appointments' change reaches; nothing when all of them are skipped.
    fn changes(&self, appointments: &[&Appointment]) -> Vec<Change> {
        match appointments
            .iter()
            .all(|appointment| self.skips(appointment))
        {
            true => Vec::new(),
            false => appointments
                .iter()
                .map(|appointment| self.change(appointment))
                .collect(),
        }
    }

    /// All that answers depend on which a change of this appointment affects.
    pub(crate) fn covers_of_change(&self, appointment: &Appointment) -> Vec<Cover> {
        covers_of(&[self.change(appointment)])
    }

    fn change(&self, appointment: &Appointment) -> Change {
        // The directory is the application's code: if it panics, nothing is known, and neither the
        // booking nor the fences may suffer for it.
        let asked = catch_unwind(AssertUnwindSafe(|| {
            let event_type = appointment.event_type.as_ref();
            let rules =
                event_type.and_then(|id| self.directory.event_type(&appointment.tenant, id));
            let scopes = of_appointment(appointment, rules.as_ref(), &*self.directory);
            (rules, scopes)
        }));
        let blind = asked.is_err();
        let (rules, scopes) =
            asked.unwrap_or_else(|_| (None, vec![tenant_scope(&appointment.tenant)]));
        let (scopes, spans) = match self.skips(appointment) {
            true => (Vec::new(), Vec::new()),
            false => (
                scopes,
                busy_spans(appointment, rules.as_deref(), self.longest_span),
            ),
        };
        let mut appointment = appointment.clone();
        appointment.buffers = appointment
            .buffers
            .or_else(|| rules.as_ref().and_then(|rules| rules.buffers));
        Change {
            appointment,
            scopes,
            spans,
            blind,
        }
    }

    /// From when on a load shows what has changed by now.
    fn source_knows(&self) -> Instant {
        Instant::now() + self.source_lag
    }

    fn apply<E: Event>(&self, changes: &[Change]) {
        let covers = covers_of(changes);
        if let Some(hold) = self.holds.take(&covers) {
            self.days.release(&hold);
        } else {
            self.days.invalidate_all(&covers);
        }
        // After the fences: whoever takes the log lines may take his time.
        if changes.iter().any(|change| change.blind) {
            counter!(FAILED, "event" => E::NAME).increment(1);
            warn!(
                event = E::NAME,
                reason = "the directory panicked",
                "Cache invalidation failed (non-critical)"
            );
        }
    }
}

fn covers_of(changes: &[Change]) -> Vec<Cover> {
    let of = |change: &Change| {
        let spans = |scope: &Scope| {
            let scope = scope.clone();
            let spans = change.spans.clone().into_iter();
            spans.map(move |span| Cover::new(scope.clone(), span))
        };
        change.scopes.iter().flat_map(spans).collect::<Vec<_>>()
    };
    changes.iter().flat_map(of).collect()
}

fn span_of(interval: Interval) -> Span {
    let (start, end) = (interval.start(), interval.end());
    let part = i64::from(end.timestamp_subsec_nanos() > 0);
    Span::new(start.timestamp(), end.timestamp() + part)
}

impl fmt::Debug for SlotsCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotsCache")
            .field("source_lag", &self.0.source_lag)
            .field("missing_event_type", &self.0.missing_event_type)
            .finish_non_exhaustive()
    }
}
