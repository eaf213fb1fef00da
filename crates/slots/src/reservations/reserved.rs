//! Reservations as a reader of slots meets them.
//!
//! Where this process alone knows them, they are looked up as they are at the very moment of the read. Where
//! processes share them, asking at each read would cost what a kept answer saves: then the answer for a
//! day carries those that were active when it was loaded, each with the time it had left, and the
//! reader subtracts those that are active still and not his own. So the end of a reservation needs no
//! timer and no message.
//!
//! # Invariants
//!
//! 1. An answer that is served carries every shared reservation that was made, and no one that was released,
//!    before the fences that the answer is kept under were raised last.
//!
//! A reservation is stored first, then it raises the fences of its resources; one that ends is removed first.
//! A load takes its fences first, and lists the reservations when it has its slots. So if the list
//! misses a reservation, it was stored after the list, its fences were raised after those of the load
//! were taken, and the answer is born invalid. The other order, of a list from before the fences, would miss
//! the one that is stored and raised between the two. Whether the source is asked before or after the list
//! makes no difference; after it, the slots say whose reservations matter.

use std::collections::BTreeSet;
use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;
use vacancy_cache::{ClaimsUnavailable, Cover, Span};

use super::{
    claimed::{self, event_type_scope, resource_scope, span_of},
    reservation::Reservation,
};
use crate::{
    appointment::Buffers,
    ids::{EventTypeId, OwnerId, ResourceId, TenantId},
    interval::Interval,
    occupied::Occupied,
    rules::EventTypeRules,
    slot::Slot,
    slots_cache::Inner,
};

/// A reservation that slots are kept from others by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) owner: OwnerId,
    pub(crate) occupied: Occupied,
    pub(crate) ends: Ends,
}

/// When it ends.
#[cfg_attr(
    not(feature = "redis"),
    expect(dead_code, reason = "only what processes share is written")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// By this process's clock; and how long after the question was asked that came to be its answer.
    At(Instant, Duration),
    /// So long after the answer was loaded, which another process did.
    AfterLoad(Duration),
}

impl Reserved {
    /// `asked` is when the question was.
    fn new(reservation: &Reservation, asked: Instant) -> Self {
        let until = reservation.until;
        Self {
            owner: reservation.owner.clone(),
            occupied: reservation.occupied(),
            ends: Ends::At(until, until.saturating_duration_since(asked)),
        }
    }

    /// Whether it keeps slots from `reader`, in an answer that was `loaded` then.
    pub(crate) fn hides(&self, reader: Option<&OwnerId>, loaded: Instant, now: Instant) -> bool {
        let until = match self.ends {
            Ends::At(instant, _) => instant,
            Ends::AfterLoad(left) => loaded + left,
        };
        reader != Some(&self.owner) && now < until
    }

    /// Whether it may matter to slots that need this time.
    pub(crate) fn meets(&self, needed: &Interval) -> bool {
        let buffers = self.occupied.buffers.unwrap_or(Buffers::NONE);
        let (before, after) = (buffers.before(), buffers.after());
        let mut intervals = self.occupied.intervals.iter();
        intervals.any(|busy| busy.widened(before, after).overlaps(needed))
    }
}

/// Slots of an event type, and who may serve those that do not say.
pub(crate) struct Offer<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) event_type: &'a EventTypeId,
    pub(crate) rules: Option<&'a EventTypeRules>,
    pub(crate) asked: &'a [ResourceId],
}

impl Offer<'_> {
    /// The time that these slots need, from the first to the last.
    pub(crate) fn needed(&self, slots: &[Slot]) -> Option<Interval> {
        let buffers = self.rules.and_then(|rules| rules.buffers);
        let buffers = buffers.unwrap_or(Buffers::NONE);
        let start = slots.iter().map(Slot::start).min()?;
        let end = slots.iter().map(Slot::end).max()?;
        let all = Interval::new(start, end).ok()?;
        Some(all.widened(buffers.before(), buffers.after()))
    }

    /// Where reservations are listed that matter to these slots.
    fn covers(&self, slots: &[Slot]) -> Vec<Cover> {
        let Some(needed) = self.needed(slots) else {
            return Vec::new();
        };
        // What is reserved may be of the same event type and have its buffers, unsaid.
        let buffers = self.rules.and_then(|rules| rules.buffers);
        let buffers = buffers.unwrap_or(Buffers::NONE);
        let span: Span = span_of(&needed.widened(buffers.after(), buffers.before()));
        let named = self.rules.map_or(&[][..], |rules| &rules.resources);
        let listed = slots.iter().flat_map(|slot| &slot.resources);
        let resources: BTreeSet<_> = named.iter().chain(self.asked).chain(listed).collect();
        let resources = resources
            .into_iter()
            .map(|resource| resource_scope(self.tenant, resource));
        let event_type = event_type_scope(self.tenant, self.event_type);
        resources
            .chain([event_type])
            .map(|scope| Cover::new(scope, span))
            .collect()
    }
}

impl Inner {
    /// What is reserved now, as far as this process alone knows it.
    pub(crate) fn reserved_here(&self, offer: &Offer<'_>, slots: &[Slot]) -> Vec<Reserved> {
        let now = Instant::now();
        let claims = self.claims.list_here(&offer.covers(slots));
        let reservations = claims.iter().filter_map(claimed::read);
        reservations
            .map(|reservation| Reserved::new(&reservation, now))
            .collect()
    }

    /// What is reserved, where processes share it, for an answer to a question that was `asked` then.
    pub(crate) async fn reserved_anywhere(
        &self,
        offer: &Offer<'_>,
        slots: &[Slot],
        asked: Instant,
    ) -> Result<Vec<Reserved>, ClaimsUnavailable> {
        if !self.claims.are_shared() || slots.is_empty() {
            return Ok(Vec::new());
        }
        let listed = self.claims.list(&offer.covers(slots)).await;
        let claims = listed.inspect_err(|unavailable| {
            counter!("slots_reservations_unlisted_total").increment(1);
            tracing::debug!(%unavailable, "reservations could not be listed");
        })?;
        let reservations = claims.iter().filter_map(claimed::read);
        Ok(reservations
            .map(|reservation| Reserved::new(&reservation, asked))
            .collect())
    }
}
