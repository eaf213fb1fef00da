//! The arguments of a function call, as a language model writes them.
//!
//! What is not there is told apart from what cannot be read, and neither is replaced by a default.

use chrono::{DateTime, Days, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime};
use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};
use vacancy_slots::{Id, IdKind, Interval, LocalDay};

use crate::question::{Problem, Question};

/// How many days from now an appointment may be asked for: two years.
pub const MAX_DAYS_AHEAD: u64 = 731;

const TIMES: [&str; 5] = ["%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M%p", "%H:%M:%S%.f"];
const LOCAL_INSTANTS: [&str; 4] = [
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
];

pub(crate) struct Arguments<'a> {
    pub(crate) values: &'a Map<String, Value>,
    pub(crate) now: DateTime<Utc>,
    /// Where a local time is meant that names no zone.
    pub(crate) zone: Tz,
}

impl Arguments<'_> {
    /// `null` is how some models say that they know no value.
    fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// An id as a string or as a whole number that is not negative.
    pub(crate) fn id<K: IdKind>(&self, name: &'static str) -> Result<Option<Id<K>>, Question> {
        let unreadable = Question::new(name, Problem::Unreadable);
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Err(unreadable),
            Some(Value::String(text)) => Id::try_from(text.as_str())
                .map(Some)
                .map_err(|_| unreadable),
            Some(Value::Number(number)) => match number.as_u64() {
                Some(number) => Ok(Some(Id::from(number))),
                None => Err(unreadable),
            },
            Some(_) => Err(unreadable),
        }
    }

    pub(crate) fn required_id<K: IdKind>(&self, name: &'static str) -> Result<Id<K>, Question> {
        self.id(name)?.ok_or(Question::new(name, Problem::Missing))
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, Question> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Question::new(name, Problem::Unreadable)),
        }
    }

    /// A whole number in `1 ..= most`, also when it comes as text.
    pub(crate) fn count(&self, name: &'static str, most: u32) -> Result<Option<u32>, Question> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        number
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (1..=most).contains(number))
            .map(Some)
            .ok_or(Question::new(name, Problem::Unreadable))
    }

    fn zone(&self) -> Result<Tz, Question> {
        let Some(name) = self.text("timezone")? else {
            return Ok(self.zone);
        };
        name.parse()
            .map_err(|_| Question::new("timezone", Problem::Unreadable))
    }

    /// The instant meant by `start`, or by `date` and `time`.
    pub(crate) fn start(&self) -> Result<DateTime<Utc>, Question> {
        let zone = self.zone()?;
        let (date, time) = (self.date()?, self.time()?);
        let start = self.instant(zone)?;
        let of_parts = match (date, time) {
            (Some(date), Some(time)) => Some(resolve(date.and_time(time), zone, "time")?),
            _ => None,
        };
        let at = match (start, of_parts, date, time) {
            (Some(start), Some(other), ..) if start != other => {
                return Err(Question::new("start", Problem::Contradicted));
            }
            // One of the parts alone has to fit, too.
            (Some(start), None, Some(date), None)
                if start.with_timezone(&zone).date_naive() != date =>
            {
                return Err(Question::new("start", Problem::Contradicted));
            }
            (Some(start), None, None, Some(time)) if start.with_timezone(&zone).time() != time => {
                return Err(Question::new("start", Problem::Contradicted));
            }
            (Some(start), ..) => start,
            (None, Some(start), ..) => start,
            (None, None, Some(_), None) => return Err(Question::new("time", Problem::Missing)),
            (None, None, None, Some(_)) => return Err(Question::new("date", Problem::Missing)),
            (None, None, ..) => return Err(Question::new("start", Problem::Missing)),
        };
        self.in_reach("start", at, at)?;
        Ok(at)
    }

    /// The local days meant by `date` and `days`, in the zone meant, from now on.
    pub(crate) fn window(&self) -> Result<(Interval, Tz), Question> {
        let zone = self.zone()?;
        let date = match (self.date()?, self.instant(zone)?) {
            (Some(date), Some(start)) if start.with_timezone(&zone).date_naive() != date => {
                return Err(Question::new("start", Problem::Contradicted));
            }
            (Some(date), _) => date,
            (None, Some(start)) => start.with_timezone(&zone).date_naive(),
            (None, None) => return Err(Question::new("date", Problem::Missing)),
        };
        let days = self.count("days", MAX_WINDOW_DAYS)?.unwrap_or(1);
        let unreadable = Question::new("date", Problem::Unreadable);
        let last = date
            .checked_add_days(Days::new(u64::from(days - 1)))
            .ok_or(unreadable)?;
        let (first, last) = (LocalDay::new(date, zone), LocalDay::new(last, zone));
        self.in_reach("date", first.start(), last.end() - TimeDelta::seconds(1))?;
        let window = Interval::new(first.start().max(self.now), last.end());
        // The zone skipped the day.
        let window = window.map_err(|_| Question::new("date", Problem::NoSuchTime))?;
        Ok((window, zone))
    }

    fn date(&self) -> Result<Option<NaiveDate>, Question> {
        let unreadable = Question::new("date", Problem::Unreadable);
        match self.get("date") {
            None => Ok(None),
            Some(Value::String(text)) => NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d")
                .map(Some)
                .map_err(|_| unreadable),
            Some(_) => Err(unreadable),
        }
    }

    fn time(&self) -> Result<Option<NaiveTime>, Question> {
        let unreadable = Question::new("time", Problem::Unreadable);
        match self.get("time") {
            None => Ok(None),
            Some(Value::String(text)) => TIMES
                .iter()
                .find_map(|format| NaiveTime::parse_from_str(text.trim(), format).ok())
                .filter(is_no_leap_second)
                .map(Some)
                .ok_or(unreadable),
            Some(_) => Err(unreadable),
        }
    }

    /// `start` with its offset, or without one and then in `zone`.
    fn instant(&self, zone: Tz) -> Result<Option<DateTime<Utc>>, Question> {
        let unreadable = Question::new("start", Problem::Unreadable);
        let text = match self.get("start") {
            None => return Ok(None),
            Some(Value::String(text)) => text.trim(),
            Some(_) => return Err(unreadable),
        };
        if let Ok(instant) = DateTime::<FixedOffset>::parse_from_rfc3339(text) {
            return match is_no_leap_second(&instant.time()) {
                true => Ok(Some(instant.to_utc())),
                false => Err(unreadable),
            };
        }
        let local = LOCAL_INSTANTS
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .filter(|local| is_no_leap_second(&local.time()))
            .ok_or(unreadable)?;
        resolve(local, zone, "start").map(Some)
    }

    fn in_reach(
        &self,
        argument: &'static str,
        first: DateTime<Utc>,
        last: DateTime<Utc>,
    ) -> Result<(), Question> {
        let horizon = self.now.checked_add_days(Days::new(MAX_DAYS_AHEAD));
        if last < self.now {
            Err(Question::new(argument, Problem::Past))
        } else if horizon.is_some_and(|horizon| first > horizon) {
            Err(Question::new(argument, Problem::TooFarAhead))
        } else {
            Ok(())
        }
    }
}

/// The most days that one question about free times may be about.
pub(crate) const MAX_WINDOW_DAYS: u32 = 31;

/// chrono reads `23:59:60`; no appointment begins then.
fn is_no_leap_second(time: &NaiveTime) -> bool {
    use chrono::Timelike as _;
    time.nanosecond() < 1_000_000_000
}

fn resolve(
    local: NaiveDateTime,
    zone: Tz,
    argument: &'static str,
) -> Result<DateTime<Utc>, Question> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(instant) => Ok(instant.to_utc()),
        MappedLocalTime::Ambiguous(..) => Err(Question::new(argument, Problem::TwoSuchTimes)),
        MappedLocalTime::None => Err(Question::new(argument, Problem::NoSuchTime)),
    }
}
