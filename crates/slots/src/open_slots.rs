//! The open slots of a window, with what can be said of each day's answer.

use std::{ops::Deref, time::Duration};

use tokio::time::Instant;
use vacancy_cache::{Answer, Source};

use crate::{
    day_slots::DaySlots,
    local_day::LocalDay,
    occupied::Question,
    query::SlotsQuery,
    reservations::{Offer, Reserved},
    slot::Slot,
    slots_cache::Inner,
};

/// The open slots of a window, by their start. Dereferences to a slice of [`Slot`]s.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenSlots {
    slots: Vec<Slot>,
    days: Vec<DayAnswer>,
}

/// What can be said of the answer for one local day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DayAnswer {
    /// The day.
    pub day: LocalDay,
    /// Where its answer comes from.
    pub source: Source,
    /// How long ago the source was asked.
    pub age: Duration,
    /// The cache's count of invalidations up to which the answer is known to be true.
    pub generation: u64,
    /// Slots that the source offered and that are known here to be booked since.
    pub subtracted: usize,
    /// Slots that are left out because others have reserved them.
    pub reserved: usize,
}

impl OpenSlots {
    /// What can be said of each local day that the window touches, in order.
    #[must_use]
    pub fn days(&self) -> &[DayAnswer] {
        &self.days
    }

    /// The slots alone.
    #[must_use]
    pub fn into_vec(self) -> Vec<Slot> {
        self.slots
    }
}

impl Deref for OpenSlots {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.slots
    }
}

impl IntoIterator for OpenSlots {
    type Item = Slot;
    type IntoIter = std::vec::IntoIter<Slot>;

    fn into_iter(self) -> Self::IntoIter {
        self.slots.into_iter()
    }
}

impl<'a> IntoIterator for &'a OpenSlots {
    type Item = &'a Slot;
    type IntoIter = std::slice::Iter<'a, Slot>;

    fn into_iter(self) -> Self::IntoIter {
        self.slots.iter()
    }
}

impl Inner {
    /// Slices the answers of whole days to the window, and takes out what is known to be booked.
    pub(crate) fn assemble(
        &self,
        query: &SlotsQuery,
        days: &[LocalDay],
        answers: Vec<Answer<DaySlots>>,
    ) -> OpenSlots {
        let reserved_here = self.claims.any_here();
        let reserved = reserved_here || answers.iter().any(|day| !day.reserved().is_empty());
        let rules = match self.overlay.is_empty() && !reserved {
            true => None,
            false => self.directory.event_type(&query.tenant, &query.event_type),
        };
        let offer = Offer {
            tenant: &query.tenant,
            event_type: &query.event_type,
            rules: rules.as_deref(),
            asked: query.resources(),
        };
        let mut open = OpenSlots::default();
        for (day, answer) in days.iter().zip(answers) {
            // Sorted by start when it was loaded.
            let from = answer.partition_point(|slot| slot.start() < query.window.start());
            let to = answer.partition_point(|slot| slot.start() < query.window.end());
            let mut slots = answer[from..to].to_vec();
            let subtracted = self.overlay.apply(
                &query.tenant,
                &query.event_type,
                rules.as_deref(),
                query.resources(),
                &mut slots,
                // As of the load: what the source knew then, it has subtracted itself.
                answer.loaded_at(),
            );
            let known_here = match reserved_here {
                true => self.reserved_here(&offer, &slots),
                false => Vec::new(),
            };
            let now = Instant::now();
            let loaded = answer.loaded_at();
            let hiding = known_here
                .iter()
                .chain(answer.reserved())
                .filter(|reserved| reserved.hides(query.owner.as_ref(), loaded, now))
                .map(|reserved: &Reserved| &reserved.occupied);
            let reserved = match reserved {
                true => Question::new(&query.event_type, rules.as_deref(), query.resources())
                    .subtract(&mut slots, hiding),
                false => 0,
            };
            open.slots.append(&mut slots);
            open.days.push(DayAnswer {
                day: *day,
                source: answer.source(),
                age: answer.age(),
                generation: answer.generation(),
                subtracted,
                reserved,
            });
        }
        open
    }
}
