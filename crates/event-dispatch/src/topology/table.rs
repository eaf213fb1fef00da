//! A topology as a table.

use std::{fmt, time::Duration};

use super::{LaneRow, Row, Topology};

/// A column of the table.
struct Column {
    heading: &'static str,
    /// None where the row has nothing to say. Where no row has, there is no column.
    cell: fn(&Row) -> Option<String>,
}

const COLUMNS: &[Column] = &[
    column("event", |row| Some(row.event.to_owned())),
    column("version", |row| Some(row.version.to_string())),
    column("listener", |row| Some(row.listener.as_ref()?.to_string())),
    column("kind", |row| Some(row.kind()?.to_owned())),
    column("capacity", |row| {
        Some(row.lane.as_ref()?.capacity.to_string())
    }),
    column("overflow", |row| Some(overflow(row.lane.as_ref()?))),
    column("concurrency", |row| Some(concurrency(row.lane.as_ref()?))),
    column("time-out", |row| Some(time(row.lane.as_ref()?.time_out))),
    column("attempt", |row| {
        Some(time(row.lane.as_ref()?.attempt_time_out?))
    }),
    column("retry", |row| Some(row.lane.as_ref()?.retry?.to_string())),
    #[cfg(feature = "rate-limit")]
    column("rate limit", |row| {
        Some(row.lane.as_ref()?.rate_limit?.to_string())
    }),
    column("batch", |row| {
        Some(row.lane.as_ref()?.batching?.to_string())
    }),
    column("after", |row| after(row.lane.as_ref()?)),
    column("required", |row| row.required.then(|| "yes".to_owned())),
    column("disabled", |row| (!row.enabled).then(|| "yes".to_owned())),
];

const fn column(heading: &'static str, cell: fn(&Row) -> Option<String>) -> Column {
    Column { heading, cell }
}

fn overflow(lane: &LaneRow) -> String {
    let coalescing = if lane.coalescing { ", coalescing" } else { "" };
    format!("{}{coalescing}", lane.overflow)
}

fn concurrency(lane: &LaneRow) -> String {
    let ordered = if lane.ordered { ", by key" } else { "" };
    format!("{}{ordered}", lane.concurrency)
}

fn time(time: Duration) -> String {
    format!("{time:?}")
}

fn after(lane: &LaneRow) -> Option<String> {
    (!lane.after.is_empty()).then(|| lane.after.join(", "))
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![String::new(); self.rows.len() + 1];
        for column in COLUMNS {
            let cells: Vec<_> = self.rows.iter().map(column.cell).collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let cells = cells.into_iter().map(|cell| cell.unwrap_or("-".to_owned()));
            let cells: Vec<_> = std::iter::once(column.heading.to_owned())
                .chain(cells)
                .collect();
            let width = cells.iter().map(|cell| cell.chars().count()).max();
            let width = width.unwrap_or(0);
            for (line, cell) in lines.iter_mut().zip(cells) {
                line.push_str(&format!("{cell:width$}  "));
            }
        }
        for line in &lines {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
