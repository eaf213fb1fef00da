//! What is subtracted from slots: the time that something takes of somebody.

use std::{collections::BTreeSet, num::NonZeroU32};

use crate::{
    appointment::{Appointment, Buffers},
    ids::{EventTypeId, ResourceId},
    interval::Interval,
    rules::EventTypeRules,
    slot::Slot,
};

/// When, and of whom and what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Occupied {
    pub(crate) intervals: Vec<Interval>,
    pub(crate) resources: BTreeSet<ResourceId>,
    pub(crate) event_type: Option<EventTypeId>,
    pub(crate) buffers: Option<Buffers>,
    pub(crate) seats: NonZeroU32,
}

impl Occupied {
    pub(crate) fn of(appointment: &Appointment) -> Self {
        Self {
            intervals: appointment.intervals().to_vec(),
            resources: appointment.resources.iter().cloned().collect(),
            event_type: appointment.event_type.clone(),
            buffers: appointment.buffers,
            seats: appointment.seats,
        }
    }
}

/// Whose slots they are that something is subtracted from.
pub(crate) struct Question<'a> {
    event_type: &'a EventTypeId,
    buffers: Buffers,
    /// Who a slot needs that does not list its resources.
    candidates: &'a [ResourceId],
    asked: &'a [ResourceId],
}

impl<'a> Question<'a> {
    /// Slots of `event_type`, of which the query `asked` for these resources.
    pub(crate) fn new(
        event_type: &'a EventTypeId,
        rules: Option<&'a EventTypeRules>,
        asked: &'a [ResourceId],
    ) -> Self {
        let named = rules.map_or(&[][..], |rules| &rules.resources);
        Self {
            event_type,
            buffers: rules
                .and_then(|rules| rules.buffers)
                .unwrap_or(Buffers::NONE),
            candidates: if asked.is_empty() { named } else { asked },
            asked,
        }
    }

    /// Removes from `slots` what is occupied, and returns how many slots it removed.
    pub(crate) fn subtract<'o>(
        &self,
        slots: &mut Vec<Slot>,
        occupied: impl Iterator<Item = &'o Occupied>,
    ) -> usize {
        let occupied: Vec<_> = occupied.collect();
        if occupied.is_empty() {
            return 0;
        }
        let before = slots.len();
        slots.retain_mut(|slot| self.keeps(slot, &occupied));
        before - slots.len()
    }

    /// Takes from `slot` what is occupied; whether something is left.
    fn keeps(&self, slot: &mut Slot, all: &[&Occupied]) -> bool {
        let needs = slot
            .interval
            .widened(self.buffers.before(), self.buffers.after());
        let was_asked_for = self.serves_asked(slot);
        for occupied in all {
            if !self.conflicts(&needs, occupied) {
                continue;
            }
            let same_type = occupied.event_type.as_ref() == Some(self.event_type);
            if let Some(seats) = &mut slot.seats
                && same_type
                && occupied.intervals.contains(&slot.interval)
            {
                // Where neither the slot nor the query tells whose it is, it may be this one's.
                let served_by = match slot.resources.is_empty() {
                    true => self.asked,
                    false => &slot.resources,
                };
                let of_this_slot = occupied.resources.is_empty()
                    || served_by.is_empty()
                    || served_by.iter().any(|r| occupied.resources.contains(r));
                if of_this_slot {
                    seats.remaining = seats.remaining.saturating_sub(occupied.seats.get());
                    if seats.remaining == 0 {
                        return false;
                    }
                }
                continue;
            }
            if slot.resources.is_empty() {
                let any_of_type = same_type && self.asked.is_empty();
                if (same_type && occupied.resources.is_empty())
                    || any_of_type
                    || self
                        .candidates
                        .iter()
                        .any(|r| occupied.resources.contains(r))
                {
                    return false;
                }
            } else if occupied.resources.is_empty() {
                return false;
            } else {
                slot.resources
                    .retain(|resource| !occupied.resources.contains(resource));
                if slot.resources.is_empty() || (was_asked_for && !self.serves_asked(slot)) {
                    return false;
                }
            }
        }
        true
    }

    fn serves_asked(&self, slot: &Slot) -> bool {
        slot.resources
            .iter()
            .any(|resource| self.asked.contains(resource))
    }

    fn conflicts(&self, needs: &Interval, occupied: &Occupied) -> bool {
        let buffers = occupied.buffers.unwrap_or_else(|| {
            let same_type = occupied.event_type.as_ref() == Some(self.event_type);
            if same_type {
                self.buffers
            } else {
                Buffers::NONE
            }
        });
        let (before, after) = (buffers.before(), buffers.after());
        occupied
            .intervals
            .iter()
            .any(|busy| busy.widened(before, after).overlaps(needs))
    }
}
