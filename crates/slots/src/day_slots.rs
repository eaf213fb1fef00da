//! The slots of one day, as the cache keeps them.

use std::ops::Deref;

use crate::{
    reservations::{Offer, Reserved},
    slot::Slot,
};

/// The slots that start in one local day, by their start, and what was reserved of them when they were
/// loaded, where processes share that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DaySlots {
    slots: Vec<Slot>,
    reserved: Vec<Reserved>,
}

impl DaySlots {
    /// `slots` have to be in order. Of what is `reserved`, that is kept which may matter to them.
    pub(crate) fn new(slots: Vec<Slot>, offer: &Offer<'_>, reserved: &[Reserved]) -> Self {
        let needed = match reserved.is_empty() {
            true => None,
            false => offer.needed(&slots),
        };
        let reserved = needed.iter().flat_map(|needed| {
            let meeting = reserved.iter().filter(|reserved| reserved.meets(needed));
            meeting.cloned()
        });
        Self {
            reserved: reserved.collect(),
            slots,
        }
    }

    /// What was reserved.
    pub(crate) fn reserved(&self) -> &[Reserved] {
        &self.reserved
    }

    /// Bytes in memory, roughly: what it points to is counted, what it shares is not.
    pub(crate) fn weight(&self) -> usize {
        let resources: usize = self.slots.iter().map(|slot| slot.resources.len()).sum();
        let reserved = self.reserved.capacity() * (size_of::<Reserved>() + 256);
        256 + self.slots.capacity() * size_of::<Slot>() + resources * 16 + reserved
    }
}

impl Deref for DaySlots {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.slots
    }
}

/// How a day is written where processes share it: its form, a list of slots, and a list of what is reserved,
/// with instants in seconds and nanoseconds since 1970. Compact, and every field in its place.
#[cfg(feature = "redis")]
mod written {
    use std::{num::NonZeroU32, time::Duration};

    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::DaySlots;
    use crate::{
        appointment::Buffers,
        ids::{EventTypeId, OwnerId, ResourceId},
        interval::Interval,
        occupied::Occupied,
        reservations::{Ends, Reserved},
        slot::{Seats, Slot},
    };

    /// Says how the rest is written. The first form began with the number of its slots, and was never so
    /// long: each of the two is unreadable to who expects the other, and so a miss.
    const FORM: u32 = 0xDA75_0002;

    type Instant = (i64, u32);

    #[derive(Serialize, Deserialize)]
    struct Line(Instant, Instant, Vec<String>, Option<(u32, u32)>);

    /// Owner, start, end, resources, event type, buffers in seconds, seats, and how long it lasts after the
    /// day was loaded.
    #[derive(Serialize, Deserialize)]
    struct Reservation(
        String,
        Instant,
        Instant,
        Vec<String>,
        Option<String>,
        Option<(u64, u64)>,
        NonZeroU32,
        Duration,
    );

    impl Serialize for DaySlots {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let slots: Vec<Line> = self.slots.iter().map(line).collect();
            let reserved: Vec<Reservation> = self.reserved.iter().filter_map(reservation).collect();
            (FORM, slots, reserved).serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for DaySlots {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            type Written = (Form, Vec<Line>, Vec<Reservation>);
            let (_, lines, reserved) = Written::deserialize(deserializer)?;
            let slots: Option<Vec<Slot>> = lines.into_iter().map(slot).collect();
            let slots = slots.ok_or_else(|| D::Error::custom("not the slots of a day"))?;
            let reserved: Option<Vec<Reserved>> = reserved.into_iter().map(reserved_of).collect();
            let reserved = reserved.ok_or_else(|| D::Error::custom("not what is reserved"))?;
            // They are cut by their start.
            match slots.is_sorted_by_key(Slot::start) {
                true => Ok(Self { slots, reserved }),
                false => Err(D::Error::custom("not in order")),
            }
        }
    }

    /// Read before the rest is.
    struct Form;

    impl<'de> Deserialize<'de> for Form {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            match u32::deserialize(deserializer)? {
                FORM => Ok(Self),
                _ => Err(D::Error::custom("another form")),
            }
        }
    }

    fn instant(instant: DateTime<Utc>) -> Instant {
        (instant.timestamp(), instant.timestamp_subsec_nanos())
    }

    fn interval(start: Instant, end: Instant) -> Option<Interval> {
        let start = DateTime::from_timestamp(start.0, start.1)?;
        let end = DateTime::from_timestamp(end.0, end.1)?;
        Interval::new(start, end).ok()
    }

    fn line(slot: &Slot) -> Line {
        Line(
            instant(slot.start()),
            instant(slot.end()),
            slot.resources.iter().map(ToString::to_string).collect(),
            slot.seats.map(|seats| (seats.remaining, seats.total)),
        )
    }

    fn slot(Line(start, end, resources, seats): Line) -> Option<Slot> {
        let resources: Result<Vec<ResourceId>, _> =
            resources.into_iter().map(ResourceId::try_from).collect();
        Some(Slot {
            interval: interval(start, end)?,
            resources: resources.ok()?,
            seats: seats.map(|(remaining, total)| Seats { remaining, total }),
        })
    }

    fn reservation(reserved: &Reserved) -> Option<Reservation> {
        let occupied = &reserved.occupied;
        let buffers = |buffers: Buffers| (buffers.before().as_secs(), buffers.after().as_secs());
        // A reservation has one interval.
        let interval = occupied.intervals.first()?;
        let (Ends::At(_, lasts) | Ends::AfterLoad(lasts)) = reserved.ends;
        Some(Reservation(
            reserved.owner.to_string(),
            instant(interval.start()),
            instant(interval.end()),
            occupied.resources.iter().map(ToString::to_string).collect(),
            occupied.event_type.as_ref().map(ToString::to_string),
            occupied.buffers.map(buffers),
            occupied.seats,
            lasts,
        ))
    }

    fn reserved_of(written: Reservation) -> Option<Reserved> {
        let Reservation(owner, start, end, resources, event_type, buffers, seats, lasts) = written;
        let resources: Result<_, _> = resources.into_iter().map(ResourceId::try_from).collect();
        let seconds = Duration::from_secs;
        Some(Reserved {
            owner: OwnerId::try_from(owner).ok()?,
            occupied: Occupied {
                intervals: vec![interval(start, end)?],
                resources: resources.ok()?,
                event_type: event_type.map(EventTypeId::try_from).transpose().ok()?,
                buffers: buffers
                    .map(|(before, after)| Buffers::new(seconds(before), seconds(after))),
                seats,
            },
            ends: Ends::AfterLoad(lasts),
        })
    }
}

#[cfg(test)]
#[cfg(feature = "redis")]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::{
        appointment::Buffers, interval::Interval, occupied::Occupied, reservations::Ends,
        slot::Seats,
    };

    fn ten() -> Interval {
        "2025-10-15T10:00:00Z/2025-10-15T10:30:00.25Z"
            .parse()
            .unwrap()
    }

    fn day() -> DaySlots {
        let seats = Seats {
            remaining: 2,
            total: 3,
        };
        let occupied = Occupied {
            intervals: vec![ten()],
            resources: [42.into()].into(),
            event_type: Some(123.into()),
            buffers: Some(Buffers::new(Duration::ZERO, Duration::from_secs(600))),
            seats: NonZeroU32::MIN,
        };
        let lasts = Duration::from_millis(1500);
        let reserved = Reserved {
            owner: "ann".parse().unwrap(),
            occupied,
            ends: Ends::At(Instant::now(), lasts),
        };
        DaySlots {
            slots: vec![Slot::new(ten()).resource(42).seats(seats)],
            reserved: vec![reserved],
        }
    }

    #[test]
    fn a_day_is_read_as_it_was_written() {
        let mut day = day();
        let read: DaySlots = postcard::from_bytes(&postcard::to_stdvec(&day).unwrap()).unwrap();
        // How long it lasts is counted from the load by whoever reads it.
        day.reserved[0].ends = Ends::AfterLoad(Duration::from_millis(1500));
        assert_eq!(read, day);
    }

    /// The first form was a list of slots alone.
    #[test]
    fn bytes_of_the_former_form_are_no_day_and_a_former_reader_finds_none_in_ours() {
        type Instant = (i64, u32);
        type Former = Vec<(Instant, Instant, Vec<String>, Option<(u32, u32)>)>;
        let slot = (
            (1_760_522_400, 0),
            (1_760_524_200, 0),
            vec!["42".to_owned()],
            None,
        );
        for slots in [0, 1, 2, 200] {
            let former: Former = vec![slot.clone(); slots];
            let bytes = postcard::to_stdvec(&former).unwrap();
            assert!(postcard::from_bytes::<DaySlots>(&bytes).is_err(), "{slots}");
        }
        let ours = postcard::to_stdvec(&day()).unwrap();
        assert!(postcard::from_bytes::<Former>(&ours).is_err());
        let ours = postcard::to_stdvec(&DaySlots::default()).unwrap();
        assert!(postcard::from_bytes::<Former>(&ours).is_err());
    }
}
