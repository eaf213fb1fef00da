//! What to offer to somebody who came second.

use chrono::{DateTime, Utc};
use serde::Serialize;
use vacancy::slots::{AlternativeFinder, Interval, Reason, ResourceId, SlotsCache, Wanted};

use crate::salon::{EventType, Salon};

/// A time that is free, with whom, and why it is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Offer {
    start: DateTime<Utc>,
    host: Option<ResourceId>,
    reason: Reason,
}

/// The best times to offer instead of the wanted one. None where nothing is free, or nobody could tell.
pub(crate) async fn alternatives(
    slots: &SlotsCache,
    salon: &Salon,
    event_type: &EventType,
    host: &ResourceId,
    time: Interval,
) -> Vec<Offer> {
    let finder = AlternativeFinder::new(slots.clone());
    let wanted = wanted(salon, event_type, Some(host), time);
    let found = finder.find(&wanted, Utc::now()).await;
    let offer = |alternative: &vacancy::slots::Alternative| Offer {
        start: alternative.slot.start(),
        host: alternative.slot.resources.first().cloned(),
        reason: alternative.reason,
    };
    found.ranked().iter().map(offer).collect()
}

/// The wanted time, with all who could serve it.
pub(crate) fn wanted(
    salon: &Salon,
    event_type: &EventType,
    host: Option<&ResourceId>,
    time: Interval,
) -> Wanted {
    let mut wanted = Wanted::new(salon.query(event_type, host, time));
    for other in event_type.hosts.iter().filter(|_| host.is_some()) {
        wanted = wanted.or_resource(other.clone());
    }
    wanted
}
