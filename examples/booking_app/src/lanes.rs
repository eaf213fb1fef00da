//! What listeners do, for the page.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use serde::Serialize;
use vacancy::dispatch::{BoxError, Bus, DeadLetter, Delivery, Event, EventId, Listener, Skip};

use crate::feed::Feed;

/// A listener that tells the page when it starts and how it ends.
#[derive(Debug)]
pub(crate) struct Observed<L> {
    listener: L,
    feed: Feed,
}

/// What a listener has done with an event.
#[derive(Debug, Serialize)]
pub(crate) struct Lane<'a> {
    event_id: String,
    event: &'a str,
    listener: &'a str,
    outcome: &'a str,
    attempt: u32,
    took_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl<'a> Lane<'a> {
    /// It is done with the event.
    pub(crate) fn done(event: &'a str, id: EventId, listener: &'a str, took: Duration) -> Self {
        Self {
            event_id: id.to_string(),
            event,
            listener,
            outcome: "done",
            attempt: 1,
            took_us: micros(took),
            reason: None,
        }
    }
}

impl<L> Observed<L> {
    pub(crate) fn new(listener: L, feed: Feed) -> Self {
        Self { listener, feed }
    }
}

impl<E: Event, L: Listener<E>> Listener<E> for Observed<L> {
    async fn handle(&self, event: &E) -> Result<(), BoxError> {
        let (name, begun) = (self.name(), Instant::now());
        let delivery = Delivery::current();
        let attempt = delivery.as_ref().map_or(1, Delivery::attempt);
        let tell = |outcome, reason| {
            self.feed.send(
                "lane",
                &Lane {
                    event_id: delivery
                        .as_ref()
                        .map(|delivery| delivery.id().to_string())
                        .unwrap_or_default(),
                    event: E::NAME,
                    listener: &name,
                    outcome,
                    attempt,
                    took_us: micros(begun.elapsed()),
                    reason,
                },
            );
        };
        tell(if attempt == 1 { "started" } else { "retried" }, None);
        let result = self.listener.handle(event).await;
        match &result {
            Ok(()) => tell("done", None),
            Err(error) if error.is::<Skip>() => tell("skipped", None),
            Err(error) => tell("failed", Some(error.to_string())),
        }
        result
    }

    fn name(&self) -> Cow<'static, str> {
        self.listener.name()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Tells the page which events lanes gave up on. The bus keeps the newest dead letters; what was
/// evicted between two looks is not told.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    bus: Bus,
    feed: Feed,
    told: u64,
}

impl DeadLetters {
    pub(crate) fn new(bus: Bus, feed: Feed) -> Self {
        Self { bus, feed, told: 0 }
    }

    /// Tells of those that have come since the last look.
    pub(crate) fn tell(&mut self) {
        // In this order: a letter that comes in between is told next time, and none twice.
        let evicted = self.bus.ledger().dead_letters_evicted;
        let letters = self.bus.dead_letters();
        let all = evicted + letters.len() as u64;
        let new = usize::try_from(all.saturating_sub(self.told)).unwrap_or(usize::MAX);
        self.told = all;
        for letter in &letters[letters.len().saturating_sub(new)..] {
            self.feed.send("lane", &dead(letter));
        }
    }
}

fn dead(letter: &DeadLetter) -> Lane<'_> {
    let took = letter
        .died_at()
        .duration_since(letter.accepted_at())
        .unwrap_or_default();
    Lane {
        event_id: letter.id().to_string(),
        event: letter.event_name(),
        listener: letter.listener(),
        outcome: "dead",
        attempt: letter.attempts(),
        took_us: micros(took),
        reason: Some(format!("{}: {}", letter.reason(), letter.error())),
    }
}
