//! When a branch is open.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc,
    Weekday,
};
use chrono_tz::Tz;
use vacancy::slots::Interval;

use super::field::Field;

/// The opening hours of a branch, in its zone.
#[derive(Clone, Debug)]
pub(crate) struct OpeningHours {
    zone: Tz,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    days: Vec<Weekday>,
    open: NaiveTime,
    /// On the next day, where it is not later than `open`.
    close: NaiveTime,
}

impl OpeningHours {
    /// Reads an array of `{"days":["mon"],"open":"09:00","close":"18:00"}`.
    pub(crate) fn read(field: &Field<'_>, zone: Tz) -> Result<Self, String> {
        let rules = field
            .elements()?
            .iter()
            .map(Rule::read)
            .collect::<Result<_, _>>()?;
        Ok(Self { zone, rules })
    }

    pub(crate) const fn zone(&self) -> Tz {
        self.zone
    }

    /// The times that begin on a date. They may end on the next one.
    pub(crate) fn on(&self, date: NaiveDate) -> impl Iterator<Item = Interval> {
        let rules = self.rules.iter();
        rules
            .filter(move |rule| rule.days.contains(&date.weekday()))
            .filter_map(move |rule| {
                let last = match rule.close > rule.open {
                    true => date,
                    false => date.checked_add_days(Days::new(1))?,
                };
                let open = instant_of(self.zone, date, rule.open)?;
                Interval::new(open, instant_of(self.zone, last, rule.close)?).ok()
            })
    }
}

/// The instant at which the clock on the wall shows this: the earlier one where it does so twice, and
/// where it never does, that of an hour later.
pub(crate) fn instant_of(zone: Tz, date: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
    let local = date.and_time(time);
    let found = match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(instant) => instant,
        MappedLocalTime::Ambiguous(one, other) => one.min(other),
        MappedLocalTime::None => {
            let later = local.checked_add_signed(TimeDelta::hours(1))?;
            zone.from_local_datetime(&later).earliest()?
        }
    };
    Some(found.to_utc())
}

impl Rule {
    fn read(field: &Field<'_>) -> Result<Self, String> {
        let day = |field: &Field<'_>| {
            field
                .text()?
                .parse()
                .map_err(|_| field.wrong("a day of the week such as \"mon\""))
        };
        Ok(Self {
            days: field
                .get("days")
                .elements()?
                .iter()
                .map(day)
                .collect::<Result<_, _>>()?,
            open: field.get("open").time()?,
            close: field.get("close").time()?,
        })
    }
}
