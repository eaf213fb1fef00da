//! What is printed.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::contender::Kind;
use super::tally::Tally;

/// The outcome of all replays.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) reads: u32,
    pub(crate) callers: usize,
    pub(crate) lag_seconds: u32,
    pub(crate) guard: bool,
    pub(crate) caches: Vec<Row>,
}

/// The outcome of one replay.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) cache: Kind,
    pub(crate) hit_rate: f64,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

impl Row {
    pub(crate) fn new(kind: Kind, tally: Tally) -> Self {
        Self {
            cache: kind,
            hit_rate: tally.hit_rate(),
            tally,
        }
    }
}

impl Report {
    /// The table, and the line under it.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}\n", self.table(), self.explanation())
    }

    /// One JSON object, on one line.
    pub(crate) fn json(&self) -> String {
        let object = serde_json::to_string(self).expect("numbers and fixed names are JSON");
        format!("{object}\n")
    }

    fn table(&self) -> Table {
        let mut header = vec![
            "cache",
            "source loads",
            "hit rate",
            "stale offers",
            "refused:\nstale offer",
            "refused:\nlost the race",
        ];
        if !self.guard {
            header.extend([
                "double booked:\nstale offer",
                "double booked:\nlost the race",
            ]);
        }
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_header(header);
        for Row {
            cache,
            hit_rate,
            tally,
        } in &self.caches
        {
            let mut row = vec![
                cache.to_string(),
                grouped(tally.source_loads),
                percent(*hit_rate),
                grouped(tally.stale_offers),
                grouped(tally.refused.stale_offer),
                grouped(tally.refused.lost_race),
            ];
            if !self.guard {
                row.push(grouped(tally.double_bookings.stale_offer));
                row.push(grouped(tally.double_bookings.lost_race));
            }
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// What the table shows, in one line.
    fn explanation(&self) -> String {
        let row = |kind| {
            let row = self.caches.iter().find(|row| row.cache == kind);
            row.map_or((String::new(), String::new()), |row| {
                (grouped(row.tally.stale_offers), percent(row.hit_rate))
            })
        };
        let lagging = match self.lag_seconds {
            0 => String::new(),
            lag => format!(
                ", and the calendar itself is {lag} s late ({})",
                row(Kind::None).0
            ),
        };
        let (ttl, ttl_hits) = row(Kind::Ttl);
        let (hourly, _) = row(Kind::HourlyKeys);
        let (vacancy, vacancy_hits) = row(Kind::Vacancy);
        let races = match self.guard {
            true => "",
            false => " What is left are lost races, which only the guard of the write path stops.",
        };
        format!(
            "A TTL answer outlives the booking that spoils it ({ttl} reads offered a taken slot), three \
             hourly keys miss most of what it spoils ({hourly}){lagging}; Vacancy drops what a booking \
             reaches and subtracts it until the calendar knows: {vacancy}, with {vacancy_hits} hits \
             beside {ttl_hits}.{races}"
        )
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// With a comma for each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
