//! What Cal.com answers, in each of its forms.

use std::{borrow::Cow, fmt, marker::PhantomData};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::error::Category;
use vacancy_slots::Seats;

use crate::source::{builder::CalcomApi, error::Unreadable};

/// A slot as it is offered: some answers give no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) seats: Option<Seats>,
}

/// Reads the slots of an answer of status 200, in the order in which they stand there.
pub(crate) fn read(api: CalcomApi, body: &[u8]) -> Result<Vec<Offered>, Unreadable> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Unreadable::Empty);
    }
    // First alone: whatever stands beside it, what does not report success is not an answer.
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(unreadable)?;
    if envelope.status.as_deref() != Some("success") {
        return Err(Unreadable::NotSuccess);
    }
    if envelope.data.is_none() {
        return Err(Unreadable::NoData);
    }
    let offered = match api {
        CalcomApi::V2024_09_04 => from_slice::<Days>(body)?.0,
        CalcomApi::V2024_04_15 => from_slice::<Slots>(body)?.slots.0,
    };
    let reversed = |slot: &Offered| slot.end.is_some_and(|end| end <= slot.start);
    match offered.iter().any(reversed) {
        true => Err(Unreadable::Reversed),
        false => Ok(offered),
    }
}

fn from_slice<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unreadable> {
    let answer: Answer<T> = serde_json::from_slice(body).map_err(unreadable)?;
    Ok(answer.data)
}

/// Where, and never what: the words of the error can be words of the answer.
fn unreadable(error: serde_json::Error) -> Unreadable {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Data => Unreadable::Shape { line, column },
        Category::Io | Category::Syntax | Category::Eof => Unreadable::NotJson { line, column },
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Slots {
    slots: Days,
}

/// The slots of all days. What is kept of a day is its slots: they say themselves when they are.
struct Days(Vec<Offered>);

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DaysVisitor).map(Self)
    }
}

/// Not a map, in which the second of two days with one date would replace the first.
struct DaysVisitor;

impl<'de> Visitor<'de> for DaysVisitor {
    type Value = Vec<Offered>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("slots by day")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut days: A) -> Result<Vec<Offered>, A::Error> {
        let mut offered = Vec::new();
        while let Some(Date(_)) = days.next_key()? {
            days.next_value_seed(DaySeed(&mut offered))?;
        }
        Ok(offered)
    }
}

/// A key that is not a date is not a day: another form of answer, or an error in its place.
struct Date<'a>(PhantomData<&'a ()>);

impl<'de> Deserialize<'de> for Date<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        match text.parse::<NaiveDate>() {
            Ok(_) => Ok(Self(PhantomData)),
            Err(_) => Err(D::Error::custom("not a date")),
        }
    }
}

struct DaySeed<'a>(&'a mut Vec<Offered>);

impl<'de> serde::de::DeserializeSeed<'de> for DaySeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for DaySeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the slots of a day")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut day: A) -> Result<(), A::Error> {
        while let Some(slot) = day.next_element::<Slot>()? {
            self.0.extend(slot.offered().map_err(A::Error::custom)?);
        }
        Ok(())
    }
}

/// A slot in any form; unknown fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slot {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    time: Option<DateTime<Utc>>,
    start_time: Option<DateTime<Utc>>,
    end_time: Option<DateTime<Utc>>,
    seats_total: Option<u32>,
    seats_remaining: Option<u32>,
    seats_booked: Option<u32>,
}

impl Slot {
    /// `None` for a slot that has no seat left.
    fn offered(self) -> Result<Option<Offered>, &'static str> {
        let start = self.start.or(self.time).or(self.start_time);
        let start = start.ok_or("a slot without a start")?;
        let seats = self.seats();
        if seats.is_some_and(|seats| seats.remaining == 0) {
            return Ok(None);
        }
        Ok(Some(Offered {
            start,
            end: self.end.or(self.end_time),
            seats,
        }))
    }

    fn seats(&self) -> Option<Seats> {
        let total = self.seats_total?;
        let remaining = match (self.seats_remaining, self.seats_booked) {
            (Some(remaining), _) => remaining,
            (None, Some(booked)) => total.saturating_sub(booked),
            (None, None) => return None,
        };
        Some(Seats {
            remaining: remaining.min(total),
            total,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURRENT: CalcomApi = CalcomApi::V2024_09_04;
    const OLDER: CalcomApi = CalcomApi::V2024_04_15;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn data(data: &str) -> Result<Vec<Offered>, Unreadable> {
        read(
            CURRENT,
            format!(r#"{{"status":"success","data":{data}}}"#).as_bytes(),
        )
    }

    fn slot(slot: &str) -> Result<Vec<Offered>, Unreadable> {
        data(&format!(r#"{{"2025-10-15":[{slot}]}}"#))
    }

    #[test]
    fn a_slot_is_read_with_and_without_its_end() {
        let ranged = slot(
            r#"{"start":"2025-10-15T16:00:00.000+02:00","end":"2025-10-15T17:00:00+02:00","new":[1]}"#,
        );
        let [ranged] = ranged.unwrap()[..] else {
            panic!()
        };
        assert_eq!(ranged.start, utc("2025-10-15T14:00:00Z"));
        assert_eq!(ranged.end, Some(utc("2025-10-15T15:00:00Z")));
        assert_eq!(
            slot(r#"{"start":"2025-10-15T14:00:00Z"}"#).unwrap()[0].end,
            None
        );
    }

    #[test]
    fn the_older_api_is_read_in_both_its_forms() {
        let older = r#"{"status":"success","data":{"slots":{
            "2025-10-15":[{"time":"2025-10-15T14:00:00.000Z","attendees":1}],
            "2025-10-16":[{"startTime":"2025-10-16T14:00:00Z","endTime":"2025-10-16T14:30:00Z"}]}}}"#;
        let slots = read(OLDER, older.as_bytes()).unwrap();
        assert_eq!(slots[0].start, utc("2025-10-15T14:00:00Z"));
        assert_eq!(slots[1].end, Some(utc("2025-10-16T14:30:00Z")));
        // And neither is taken for the other.
        assert!(matches!(
            read(CURRENT, older.as_bytes()),
            Err(Unreadable::Shape { .. })
        ));
        assert!(matches!(
            read(
                OLDER,
                br#"{"status":"success","data":{"2025-10-15":[]}}"# as &[u8]
            ),
            Err(Unreadable::Shape { .. })
        ));
    }

    #[test]
    fn no_day_and_an_empty_day_are_no_slots() {
        assert_eq!(data("{}"), Ok(vec![]));
        assert_eq!(data(r#"{"2025-10-15":[]}"#), Ok(vec![]));
        let older = br#"{"status":"success","data":{"slots":{}}}"#;
        assert_eq!(read(OLDER, older), Ok(vec![]));
    }

    #[test]
    fn a_date_that_comes_twice_loses_nothing() {
        let slots = data(
            r#"{"2025-10-15":[{"start":"2025-10-15T14:00:00Z"}],"2025-10-15":[{"start":"2025-10-15T15:00:00Z"}]}"#,
        );
        assert_eq!(slots.unwrap().len(), 2);
    }

    #[test]
    fn seats_are_read_and_a_full_slot_is_no_offer() {
        let seats = |seats: &str| {
            let slots = slot(&format!(r#"{{"start":"2025-10-15T14:00:00Z"{seats}}}"#));
            slots.unwrap().first().map(|slot| slot.seats)
        };
        let left = |remaining, total| Some(Some(Seats { remaining, total }));
        assert_eq!(
            seats(r#","seatsBooked":3,"seatsRemaining":7,"seatsTotal":10,"bookingUid":"b1""#),
            left(7, 10)
        );
        assert_eq!(seats(r#","seatsBooked":3,"seatsTotal":10"#), left(7, 10));
        assert_eq!(
            seats(r#","seatsRemaining":12,"seatsTotal":10"#),
            left(10, 10)
        );
        assert_eq!(
            seats(r#","seatsRemaining":null,"seatsTotal":null"#),
            Some(None)
        );
        assert_eq!(seats(r#","seatsRemaining":0,"seatsTotal":10"#), None);
        assert_eq!(seats(r#","seatsBooked":11,"seatsTotal":10"#), None);
    }

    #[test]
    fn what_does_not_report_success_is_not_an_answer() {
        for body in [
            r#"{"status":"error","data":{}}"#,
            r#"{"status":"error","error":{"code":"x"},"data":{"2025-10-15":[]}}"#,
            r#"{"data":{}}"#,
            r#"{"status":null,"data":{}}"#,
            "{}",
        ] {
            assert_eq!(read(CURRENT, body.as_bytes()), Err(Unreadable::NotSuccess));
        }
    }

    #[test]
    fn what_is_not_slots_by_day_is_not_no_slots() {
        for body in [
            "",
            "  \n",
            "null",
            "[]",
            "0",
            "<html></html>",
            "{",
            r#"{"status":"success"}"#,
            r#"{"status":"success","data":null}"#,
            r#"{"status":"success","data":[]}"#,
            r#"{"status":"success","data":{"message":"none"}}"#,
            r#"{"status":"success","data":{"2025-10-15":null}}"#,
            r#"{"status":"success","data":{"2025-10-15":{}}}"#,
            r#"{"status":"success","data":{"2025-10-15":["2025-10-15T14:00:00Z"]}}"#,
            r#"{"status":"success","data":{"2025-10-15":[{}]}}"#,
            r#"{"status":"success","data":{"2025-10-15":[{"end":"2025-10-15T14:00:00Z"}]}}"#,
            r#"{"status":"success","data":{"2025-10-15":[{"start":"14:00"}]}}"#,
            r#"{"status":"success","data":{"2025-10-15":[{"start":"2025-10-15T14:00:00"}]}}"#,
            r#"{"status":"success","data":{"2025-10-15":[{"start":"2025-10-15T14:00:00Z","end":"2025-10-15T14:00:00Z"}]}}"#,
            r#"{"status":"success","data":{"2025-10-15":[{"start":"2025-10-15T14:00:00Z","seatsTotal":-1}]}}"#,
            r#"{"status":"success","data":{"2025-10-15":[{"start":"2025-10-15T14:00:00Z"}]}"#,
            r#"{"status":"success","data":{}} {}"#,
        ] {
            for api in [CURRENT, OLDER] {
                assert!(read(api, body.as_bytes()).is_err(), "{body}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_answer_cut_short_is_read(cut in 1_usize..150) {
            let body = br#"{"status":"success","data":{"2025-10-15":[{"start":"2025-10-15T14:00:00Z","end":"2025-10-15T15:00:00Z"}],"2025-10-16":[]}}"#;
            prop_assert!(read(CURRENT, body).is_ok());
            let cut = body.len().saturating_sub(cut);
            prop_assert!(read(CURRENT, &body[..cut]).is_err());
        }
    }
}
