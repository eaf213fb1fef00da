//! The settings of a slots cache.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};

use vacancy_cache::{Cache, Claims, LONGEST_CLAIM};

use crate::{
    affected::MAX_BUSY_SPAN,
    day_slots::DaySlots,
    hold::Holds,
    key::DayKey,
    overlay::Overlay,
    rules::{Directory, NoDirectory},
    slots_cache::{Inner, MissingEventType, SlotsCache},
    source::SlotSource,
};

/// The settings of a [`SlotsCache`]. Every one has a default, and no combination is wrong.
#[must_use = "settings do nothing until `build`"]
pub struct SlotsCacheBuilder {
    source: Box<dyn SlotSource>,
    directory: Box<dyn Directory>,
    ttl: Duration,
    memory: NonZeroU64,
    source_lag: Duration,
    source_time_out: Duration,
    longest_span: Duration,
    missing_event_type: MissingEventType,
    hold_time: Duration,
    max_loads: NonZeroUsize,
    claims: Claims,
    longest_reservation: Duration,
    #[cfg(feature = "redis")]
    redis: Option<vacancy_cache::Redis>,
}

impl SlotsCacheBuilder {
    pub(crate) fn new(source: Box<dyn SlotSource>) -> Self {
        Self {
            source,
            directory: Box::new(NoDirectory),
            ttl: Duration::from_secs(300),
            memory: const { NonZeroU64::new(64 << 20).unwrap() },
            source_lag: Duration::from_secs(5),
            source_time_out: Duration::from_secs(10),
            longest_span: MAX_BUSY_SPAN,
            missing_event_type: MissingEventType::default(),
            hold_time: Duration::from_secs(30),
            max_loads: const { NonZeroUsize::new(16).unwrap() },
            claims: Claims::in_memory(),
            longest_reservation: Duration::from_secs(15 * 60),
            #[cfg(feature = "redis")]
            redis: None,
        }
    }

    /// What the application knows of its event types. Default: [`NoDirectory`].
    ///
    /// The more it knows, the less an event reaches beyond what it changes. After a change in it,
    /// [`invalidate`](SlotsCache::invalidate) what it is about.
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.directory = Box::new(directory);
        self
    }

    /// How long an answer may be served after the source was asked for it. Default 300 s.
    ///
    /// It bounds the harm of changes that no event tells of, and nothing else.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many bytes all answers together may take, roughly. Default 64 MiB. Beyond it the least
    /// useful ones are evicted.
    pub fn memory(mut self, bytes: NonZeroU64) -> Self {
        self.memory = bytes;
        self
    }

    /// How long the source may go on giving an old answer after a booking event. Default 5 s; zero
    /// for a source that is the very database the booking was committed to.
    ///
    /// For so long, answers that the event affects are loaded for each group of readers anew, and
    /// what it has booked is subtracted from them here.
    pub fn source_lag(mut self, lag: Duration) -> Self {
        self.source_lag = lag.min(Duration::from_secs(24 * 3600));
        self
    }

    /// How long a call of the source may take. Default 10 s. A call that takes longer is dropped, and
    /// its readers get an error whose source is [`SourceTimedOut`](crate::SourceTimedOut).
    pub fn source_time_out(mut self, limit: Duration) -> Self {
        self.source_time_out = limit.min(Duration::from_secs(24 * 3600));
        self
    }

    /// The longest span that an event invalidates as such. Default [`MAX_BUSY_SPAN`], 64 days.
    ///
    /// A longer absence or series makes every answer of its scopes untrue, at any time. It is never
    /// skipped for being long.
    pub fn longest_span(mut self, longest: Duration) -> Self {
        self.longest_span = longest;
        self
    }

    /// What to do about an event that names no event type. Default: [`MissingEventType::Widen`].
    pub fn missing_event_type(mut self, policy: MissingEventType) -> Self {
        self.missing_event_type = policy;
        self
    }

    /// How long a [hold](SlotsCache::hold) lasts that nothing releases. Default 30 s, at most a day. It has to
    /// be longer than a booking's transaction can take.
    pub fn hold_time(mut self, time: Duration) -> Self {
        self.hold_time = time.min(Duration::from_secs(24 * 3600));
        self
    }

    /// How many calls of the source may run at a time. Default 16. Further ones wait for their turn, within
    /// the [`source_time_out`](Self::source_time_out), and readers of the same days join them while they wait.
    pub fn max_loads(mut self, loads: NonZeroUsize) -> Self {
        self.max_loads = loads;
        self
    }

    /// Where [reservations](SlotsCache::reservations) are kept. Default: in this process alone.
    ///
    /// Processes that share answers have to share these too, all of them: with `Claims::redis` of the same
    /// settings. An answer that was loaded by a process without them hides nothing, and a process that shares
    /// reservations but no answers learns of those of others when it loads anew.
    pub fn reservations(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }

    /// How long a reservation may last from when it was made or extended. Default 15 min, at most a day. One
    /// that is asked for longer lasts this long.
    pub fn longest_reservation(mut self, longest: Duration) -> Self {
        self.longest_reservation = longest.min(LONGEST_CLAIM);
        self
    }

    /// Shares answers with other processes through Redis, and hears from them what they invalidate.
    ///
    /// What holds then, and what becomes of it when Redis fails, is told at
    /// [`SlotsCache`](SlotsCache#with-redis).
    #[cfg(feature = "redis")]
    pub fn redis(mut self, redis: impl Into<vacancy_cache::Redis>) -> Self {
        self.redis = Some(redis.into());
        self
    }

    /// The cache.
    #[must_use]
    pub fn build(self) -> SlotsCache {
        let days = Cache::builder()
            .max_loads(self.max_loads)
            .ttl(self.ttl)
            .settle_time(self.source_lag)
            .max_weight(self.memory, weigh);
        #[cfg(feature = "redis")]
        let days = match self.redis {
            Some(redis) => days.redis(redis),
            None => days,
        };
        let days = days.build();
        SlotsCache::new(Inner {
            source: self.source,
            directory: self.directory,
            days,
            // A load under way when the lag is over still needs to be corrected when it ends.
            overlay: Overlay::new(self.source_time_out),
            holds: Holds::default(),
            hold_time: self.hold_time,
            ttl: self.ttl,
            claims: self.claims,
            longest_reservation: self.longest_reservation,
            source_lag: self.source_lag,
            source_time_out: self.source_time_out,
            longest_span: self.longest_span,
            missing_event_type: self.missing_event_type,
        })
    }
}

fn weigh(_: &DayKey, slots: &DaySlots) -> u32 {
    u32::try_from(slots.weight()).unwrap_or(u32::MAX)
}

impl fmt::Debug for SlotsCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotsCacheBuilder")
            .field("ttl", &self.ttl)
            .field("memory", &self.memory)
            .field("source_lag", &self.source_lag)
            .field("source_time_out", &self.source_time_out)
            .field("longest_span", &self.longest_span)
            .field("missing_event_type", &self.missing_event_type)
            .finish_non_exhaustive()
    }
}
