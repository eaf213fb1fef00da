//! What came of the two days, as a table.

use std::fmt;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};

use super::checker::Verdict;

/// What came of the two days.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) vacancy: Verdict,
    pub(crate) ttl: Verdict,
}

type Row = (&'static str, fn(&Verdict) -> String);

const ROWS: [Row; 16] = [
    ("wishes: Cal.com / page / phone", |day| {
        format!("{} / {} / {}", day.calcom, day.page, day.phone)
    }),
    (
        "webhooks: delivered / copies / reordered / lost at first",
        |day| {
            format!(
                "{} / {} / {} / {}",
                day.deliveries, day.duplicates, day.reordered, day.lost
            )
        },
    ),
    ("found nothing free", |day| day.found_nothing.to_string()),
    ("booked / moved / cancelled", |day| {
        format!("{} / {} / {}", day.booked, day.moved, day.cancelled)
    }),
    ("reads / offers in them", |day| {
        format!("{} / {}", day.reads, day.offers)
    }),
    ("answered without the calendar", |day| {
        format!("{:.1} %", 100.0 * day.kept as f64 / day.reads.max(1) as f64)
    }),
    ("read: half within / 99 % within", |day| {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        format!("{:.1} ms / {:.1} ms", ms(day.half), ms(day.most))
    }),
    ("stale offers / reads with one", |day| {
        format!("{} / {}", day.stale_offers, day.stale_reads)
    }),
    ("stale offers by the application's own count", |day| {
        day.said_stale.to_string()
    }),
    ("refused: two wanted it / at Cal.com itself", |day| {
        format!("{} / {}", day.wanted_by_two, day.refused_at_calcom)
    }),
    ("refused: nobody had been told (lost webhook)", |day| {
        day.refused_untold.to_string()
    }),
    ("refused: offered although taken", |day| {
        day.refused_stale.to_string()
    }),
    ("refused: for no reason", |day| {
        day.refused_for_nothing.to_string()
    }),
    ("in the end missing or left over in the diary", |day| {
        day.diary_differs.to_string()
    }),
    ("listeners: not finished 10 s after closing time", |day| {
        day.abandoned.to_string()
    }),
    ("took", |day| format!("{:.0} s", day.took.as_secs_f64())),
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header(["", "Vacancy", "TTL cache"]);
        for (title, of) in ROWS {
            table.add_row([title.to_owned(), of(&self.vacancy), of(&self.ttl)]);
        }
        write!(f, "{table}")
    }
}
