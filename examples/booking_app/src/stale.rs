//! Which offers were taken already when somebody asked.

use vacancy::slots::Slot;

use crate::{diary::Taken, salon::EventType};

/// How many of these slots name a host who was taken then.
pub(crate) fn stale_offers(slots: &[Slot], event_type: &EventType, taken: &[Taken]) -> usize {
    let stale = slots.iter().filter(|slot| {
        let busy = event_type.busy(slot.interval);
        let mut others = taken.iter().filter(|taken| taken.busy.overlaps(&busy));
        others.any(|taken| slot.resources.contains(&taken.host))
    });
    stale.count()
}
