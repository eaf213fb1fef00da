//! What to offer to somebody who came second.

use chrono::{DateTime, Days, Utc};
use serde::Serialize;
use vacancy::slots::{Interval, LocalDay, OpenError, ResourceId, SlotsCache};

use crate::salon::{EventType, Salon, ZONE};

/// A time that is free, and why it is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Alternative {
    start: DateTime<Utc>,
    host: ResourceId,
    reason: &'static str,
}

/// How many are offered.
const OFFERED: usize = 3;

/// The free times nearest to the wanted one, on its day and the next.
pub(crate) async fn alternatives(
    slots: &SlotsCache,
    salon: &Salon,
    event_type: &EventType,
    host: &ResourceId,
    wanted: DateTime<Utc>,
) -> Result<Vec<Alternative>, OpenError> {
    let first = wanted.with_timezone(&ZONE).date_naive();
    let last = first.checked_add_days(Days::new(1)).unwrap_or(first);
    let start = LocalDay::new(first, ZONE).start().max(Utc::now());
    let Ok(window) = Interval::new(start, LocalDay::new(last, ZONE).end()) else {
        return Ok(Vec::new());
    };
    let open = slots.open(&salon.query(event_type, None, window)).await?;
    let mut offers: Vec<_> = open
        .iter()
        .flat_map(|slot| {
            slot.resources
                .iter()
                .map(|host| (slot.start(), host.clone()))
        })
        .filter(|(start, other)| (*start, other) != (wanted, host))
        .collect();
    offers.sort_by_key(|(start, other)| ((*start - wanted).abs(), other != host));
    let reason = |start, other: &ResourceId| match (start == wanted, other == host) {
        (true, _) => "another host at the same time",
        (_, true) => "the same host at another time",
        _ => "another host at another time",
    };
    let offers = offers.into_iter().take(OFFERED);
    Ok(offers
        .map(|(start, host)| Alternative {
            start,
            reason: reason(start, &host),
            host,
        })
        .collect())
}
