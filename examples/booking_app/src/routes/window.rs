//! The days that somebody asks for.

use chrono::{Datelike, Days, NaiveDate};
use vacancy::slots::{Interval, LocalDay};

use crate::{problem::Problem, salon::ZONE};

/// The most days that one request may ask for.
const MOST: u64 = 31;

/// Some days in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) first: NaiveDate,
    pub(crate) last: NaiveDate,
}

impl Window {
    pub(crate) fn new(from: NaiveDate, days: u64) -> Result<Self, Problem> {
        if days == 0 {
            return Err(Problem::bad_query("ask for one day at least"));
        }
        if days > MOST {
            return Err(Problem::unprocessable(
                "window_too_long",
                format!("ask for {MOST} days at most"),
            ));
        }
        let last = from.checked_add_days(Days::new(days - 1));
        match last.filter(|last| from.year() >= 1970 && last.year() < 3000) {
            Some(last) => Ok(Self { first: from, last }),
            None => Err(Problem::bad_query("ask for days between 1970 and 2999")),
        }
    }

    pub(crate) fn days(&self) -> impl Iterator<Item = NaiveDate> {
        let last = self.last;
        self.first.iter_days().take_while(move |day| *day <= last)
    }

    /// The instants of its days.
    pub(crate) fn interval(&self) -> Interval {
        let start = LocalDay::new(self.first, ZONE).start();
        Interval::new(start, LocalDay::new(self.last, ZONE).end()).expect("a day is not empty")
    }
}
