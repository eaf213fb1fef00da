//! What a run found, as tables.

use std::time::Duration;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};

use crate::{cell::Cell, row::Row, subject::Column};

/// Rows are faults, columns are subjects, cells are stale and sticky reads.
pub(crate) fn verdicts(cells: &[Cell], rows: &[Row], columns: &[Column]) -> Table {
    let mut table = empty();
    let titles = columns.iter().map(|column| column.title());
    table.set_header(std::iter::once("stale / sticky").chain(titles));
    for row in rows {
        let mut line = vec![row.title().to_owned()];
        for column in columns {
            let cell = cells
                .iter()
                .find(|cell| (cell.row, cell.column) == (*row, *column));
            line.push(cell.map_or_else(String::new, verdict));
        }
        table.add_row(line);
    }
    table
}

fn verdict(cell: &Cell) -> String {
    let verdict = &cell.verdict;
    let mut text = format!("{} / {}", verdict.stale, verdict.sticky);
    if verdict.foreign > 0 {
        text.push_str(&format!(", {} FOREIGN", verdict.foreign));
    }
    if verdict.untold > 0 {
        text.push_str(&format!(" ({} untold)", verdict.untold));
    }
    if let (Some(half), Some(most), Some(all)) =
        (verdict.age(0.5), verdict.age(0.99), verdict.age(1.0))
    {
        let late = verdict.ages.len();
        text.push_str(&format!(
            "\n{late} late: {} {} {}",
            milliseconds(half),
            milliseconds(most),
            milliseconds(all)
        ));
    }
    text
}

/// One line a cell: what shows that it was put to the test.
pub(crate) fn guards(cells: &[Cell]) -> Table {
    let mut table = empty();
    table.set_header([
        "",
        "",
        "reads",
        "raced",
        "level 1",
        "level 2",
        "loaded",
        "shared",
        "writes",
        "uncon-\nfirmed",
        "refused",
        "faults",
        "errors",
        "gaps",
        "incar-\nnations",
        "doubted",
        "fenced",
        "born\ninvalid",
        "held",
        "lost\nholds",
        "s",
    ]);
    for cell in cells {
        let Cell {
            verdict,
            tally,
            counts,
            ..
        } = cell;
        let numbers = [
            verdict.reads,
            verdict.raced,
            tally.level1,
            tally.level2,
            tally.loaded,
            tally.shared,
            tally.confirmed,
            tally.unconfirmed,
            tally.refused,
            tally.injections,
            counts.errors,
            counts.gaps,
            counts.incarnations,
            counts.doubted,
            counts.fenced,
            counts.born_invalid,
            counts.held,
            counts.lost_holds,
            cell.took.as_secs(),
        ];
        let names = [cell.row.title(), cell.column.title()].map(str::to_owned);
        let numbers = numbers.map(|number| number.to_string());
        table.add_row(names.into_iter().chain(numbers));
    }
    table
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
