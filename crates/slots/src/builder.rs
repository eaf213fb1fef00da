//! The settings of a slots cache.

use std::{fmt, num::NonZeroU64, time::Duration};

use vacancy_cache::Cache;

use crate::{
    affected::MAX_BUSY_SPAN,
    key::DayKey,
    overlay::Overlay,
    rules::{Directory, NoDirectory},
    slot::Slot,
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

    /// The cache.
    #[must_use]
    pub fn build(self) -> SlotsCache {
        let days = Cache::builder()
            .ttl(self.ttl)
            .settle_time(self.source_lag)
            .max_weight(self.memory, weigh)
            .build();
        SlotsCache::new(Inner {
            source: self.source,
            directory: self.directory,
            days,
            // A load under way when the lag is over still needs to be corrected when it ends.
            overlay: Overlay::new(self.source_time_out),
            source_lag: self.source_lag,
            source_time_out: self.source_time_out,
            longest_span: self.longest_span,
            missing_event_type: self.missing_event_type,
        })
    }
}

/// Bytes of an entry, roughly: what it points to is counted, what it shares is not.
fn weigh(_: &DayKey, slots: &Vec<Slot>) -> u32 {
    let resources: usize = slots.iter().map(|slot| slot.resources.len()).sum();
    let bytes = 256 + slots.capacity() * size_of::<Slot>() + resources * 16;
    u32::try_from(bytes).unwrap_or(u32::MAX)
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
