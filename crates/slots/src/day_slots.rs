//! The slots of one day, as the cache keeps them.

use std::ops::Deref;

use crate::slot::Slot;

/// The slots that start in one local day, by their start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DaySlots(Vec<Slot>);

impl DaySlots {
    /// `slots` have to be in order.
    pub(crate) fn new(slots: Vec<Slot>) -> Self {
        Self(slots)
    }

    /// Bytes in memory, roughly: what it points to is counted, what it shares is not.
    pub(crate) fn weight(&self) -> usize {
        let resources: usize = self.0.iter().map(|slot| slot.resources.len()).sum();
        256 + self.0.capacity() * size_of::<Slot>() + resources * 16
    }
}

impl Deref for DaySlots {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.0
    }
}

/// How a day is written where processes share it: a list of start, end, resources and seats, with
/// instants in seconds and nanoseconds since 1970. Compact, and every field in its place.
#[cfg(feature = "redis")]
mod written {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::DaySlots;
    use crate::{
        ids::ResourceId,
        interval::Interval,
        slot::{Seats, Slot},
    };

    type Instant = (i64, u32);

    #[derive(Serialize, Deserialize)]
    struct Line(Instant, Instant, Vec<String>, Option<(u32, u32)>);

    impl Serialize for DaySlots {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().map(|slot| {
                let resources = slot.resources.iter().map(ToString::to_string);
                let seats = slot.seats.map(|seats| (seats.remaining, seats.total));
                Line(
                    instant(slot.start()),
                    instant(slot.end()),
                    resources.collect(),
                    seats,
                )
            }))
        }
    }

    impl<'de> Deserialize<'de> for DaySlots {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let lines = Vec::<Line>::deserialize(deserializer)?;
            let slots: Option<Vec<Slot>> = lines.into_iter().map(slot).collect();
            let slots = slots.ok_or_else(|| D::Error::custom("not the slots of a day"))?;
            // They are cut by their start.
            match slots.is_sorted_by_key(Slot::start) {
                true => Ok(Self(slots)),
                false => Err(D::Error::custom("not in order")),
            }
        }
    }

    fn instant(instant: DateTime<Utc>) -> Instant {
        (instant.timestamp(), instant.timestamp_subsec_nanos())
    }

    fn slot(Line(start, end, resources, seats): Line) -> Option<Slot> {
        let resources: Result<Vec<ResourceId>, _> =
            resources.into_iter().map(ResourceId::try_from).collect();
        let start = DateTime::from_timestamp(start.0, start.1)?;
        let end = DateTime::from_timestamp(end.0, end.1)?;
        Some(Slot {
            interval: Interval::new(start, end).ok()?,
            resources: resources.ok()?,
            seats: seats.map(|(remaining, total)| Seats { remaining, total }),
        })
    }
}
