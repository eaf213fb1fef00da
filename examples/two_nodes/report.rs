//! What is printed.

use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{
    order::{CONFIRM_WITHIN, LEASE, Mode},
    story::{Fresh, Outage, PART, Period, When},
    verdict::Reads,
    writer::Booked,
};

const WIDTH: u16 = 98;

/// What each consistency was worth while Redis was there.
pub(crate) fn fresh(chapters: &[Fresh]) -> String {
    let mut table = table(&[
        "",
        "booked",
        "confirmed, ms\np50 / p99",
        "B read",
        "level 1",
        "level 2",
        "calendar",
        "stale\nreads",
        "by at\nmost",
    ]);
    for Fresh {
        mode,
        booked,
        reads,
    } in chapters
    {
        table.add_row([
            mode.to_string(),
            grouped(booked.len() as u64),
            format!(
                "{:.2} / {:.2}",
                confirmed(booked, 50),
                confirmed(booked, 99)
            ),
            grouped(reads.count()),
            grouped(reads.level1),
            grouped(reads.level2),
            grouped(reads.calendar),
            grouped(reads.stale),
            stale_by(reads),
        ]);
    }
    aligned(table)
}

/// What each node did while Redis went and came back.
pub(crate) fn outage(outage: &Outage) -> String {
    let mut a = table(&[
        "A",
        "booked",
        "slowest\ndispatch",
        "confirmed",
        "not in\n1 s",
        "still\npending",
        "A read\nlevel 1",
        "\nlevel 2",
        "\ncalendar",
    ]);
    let mut b = table(&[
        "B",
        "B read",
        "level 1",
        "level 2",
        "calendar",
        "errors",
        "stale\nreads",
        "unaware of a\nbooking for",
    ]);
    for period in &outage.periods {
        let booked = period.booked.len() as u64;
        let unconfirmed = unconfirmed(period);
        a.add_row([
            period.when.to_string(),
            grouped(booked),
            micros(percentile(dispatches(&period.booked), 100)),
            grouped(booked - unconfirmed),
            grouped(unconfirmed),
            grouped(period.pending),
            grouped(period.a.level1),
            grouped(period.a.level2),
            grouped(period.a.calendar),
        ]);
        b.add_row([
            period.when.to_string(),
            grouped(period.b.count()),
            grouped(period.b.level1),
            grouped(period.b.level2),
            grouped(period.b.calendar),
            grouped(period.b.errors),
            grouped(period.b.stale),
            millis(period.b.unaware_for),
        ]);
    }
    format!("{}\n{}", aligned(a), aligned(b))
}

/// What it comes to.
pub(crate) fn summary(chapters: &[Fresh], outage: &Outage, forgets: bool) -> String {
    let fresh = chapters.iter().map(
        |Fresh {
             mode,
             booked,
             reads,
         }| {
            let stale = match reads.stale {
                0 => "none of B's reads that began after a confirmation offered what was taken"
                    .to_owned(),
                stale => format!(
                    "{} of B's reads that began after a confirmation still offered what was taken, \
                 the latest {} after it",
                    grouped(stale),
                    millis(reads.stale_by),
                ),
            };
            format!(
                "{mode}: {stale}; half of the confirmations took up to {:.2} ms.",
                confirmed(booked, 50)
            )
        },
    );
    let mut all: Vec<_> = fresh.collect();

    let gone = outage.periods.iter().filter(|period| period.is_gone());
    let gone: Vec<_> = gone.collect();
    let took = dispatches(gone.iter().flat_map(|period| &period.booked));
    let unaware = |periods: &[&Period]| {
        let unaware = periods.iter().map(|period| period.b.unaware_for);
        millis(unaware.max().unwrap_or(0))
    };
    all.push(format!(
        "Without Redis, A booked {} times; half of the dispatches took up to {}, the slowest {}. {} \
         bookings were not confirmed within {} s. B was answered by level 1 until its lease of {} ms was \
         over, and then by the calendar: {} errors, and nothing offered that had been booked more than \
         {} before.",
        took.len(),
        micros(percentile(took.clone(), 50)),
        micros(percentile(took, 100)),
        gone.iter().map(|period| unconfirmed(period)).sum::<u64>(),
        CONFIRM_WITHIN.as_secs(),
        LEASE.as_millis(),
        gone.iter().map(|period| period.b.errors).sum::<u64>(),
        unaware(&gone),
    ));

    let back = match forgets {
        true => "Redis came back empty",
        false => "Redis came back",
    };
    let catching_up = outage.periods.iter();
    let catching_up: Vec<_> = catching_up
        .filter(|period| period.when == When::Back)
        .collect();
    let caught_up = match outage.caught_up {
        Some(time) => format!(
            "Redis had confirmed all {} invalidations that A had kept after {} ms; until then, B offered \
             what had been booked up to {} before",
            outage.outstanding,
            time.as_millis(),
            unaware(&catching_up),
        ),
        None => "What A had outstanding was not confirmed".to_owned(),
    };
    let level2 = |period: &Period| period.a.level2 + period.b.level2;
    let times = |count: u64| match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let [a, b] = outage.incarnations.map(times);
    all.push(format!(
        "{back}. {caught_up}. A met another incarnation of it {a}, B {b}; level 2 answered {} reads in \
         the second after that. In the end both offer {}.",
        outage.periods.last().map_or(0, level2),
        match outage.offers.iter().all(|offers| *offers == outage.open) {
            true => "exactly what is open in the calendar",
            false => "something else than is open in the calendar",
        }
    ));
    paragraphs(&all)
}

/// The promises that were not kept, in words; none, if all is well.
pub(crate) fn broken(chapters: &[Fresh], outage: &Outage) -> Vec<&'static str> {
    let stale = |mode| {
        let chapters = chapters.iter().filter(move |chapter| chapter.mode == mode);
        chapters.map(|chapter| chapter.reads)
    };
    let strict = stale(Mode::Strict).chain(
        outage
            .periods
            .iter()
            .flat_map(|period| [period.a, period.b]),
    );
    let lease = u64::try_from(LEASE.as_nanos()).unwrap_or(u64::MAX);
    let promises = [
        (
            strict.map(|reads| reads.stale).sum::<u64>() == 0,
            "strict: a read that began after a confirmation offered what was taken",
        ),
        (
            stale(Mode::Bounded).all(|reads| reads.stale_by <= lease),
            "bounded: a read offered what had been confirmed as taken longer ago than the lease",
        ),
        (
            outage
                .periods
                .iter()
                .all(|period| period.a.errors + period.b.errors == 0),
            "a read failed because redis did",
        ),
        (
            outage.caught_up.is_some(),
            "what was booked without redis was not confirmed when it was back",
        ),
        (
            outage.offers.iter().all(|offers| *offers == outage.open),
            "in the end a node does not offer what is open",
        ),
    ];
    let broken = promises.into_iter().filter(|(kept, _)| !kept);
    broken.map(|(_, promise)| promise).collect()
}

impl Period {
    fn is_gone(&self) -> bool {
        matches!(self.when, When::Gone(_))
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Before => f.write_str("Redis there"),
            Self::Gone(nth) => {
                let until = (PART * *nth).as_secs_f64();
                write!(f, "gone to {until:.1} s")
            }
            Self::Back => f.write_str("catching up"),
            Self::After => f.write_str("caught up"),
        }
    }
}

fn unconfirmed(period: &Period) -> u64 {
    let booked = period.booked.iter();
    booked
        .filter(|booked| booked.booking.confirmed.is_none())
        .count() as u64
}

fn dispatches<'a>(booked: impl IntoIterator<Item = &'a Booked>) -> Vec<u64> {
    booked.into_iter().map(|booked| booked.dispatch).collect()
}

/// How long confirmations took, in milliseconds by percentile.
fn confirmed(booked: &[Booked], percent: usize) -> f64 {
    let times = booked.iter().filter_map(Booked::confirmed_after);
    percentile(times.collect(), percent) as f64 / 1e6
}

fn percentile(mut times: Vec<u64>, percent: usize) -> u64 {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or(0)
}

fn stale_by(reads: &Reads) -> String {
    match reads.stale {
        0 => "-".to_owned(),
        _ => millis(reads.stale_by),
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(header.iter().copied());
    table
}

fn aligned(mut table: Table) -> String {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Each one wrapped, and by itself.
fn paragraphs(texts: &[String]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    for text in texts {
        table.add_row(["-", text]);
    }
    table.trim_fmt()
}

fn millis(nanoseconds: u64) -> String {
    let time = Duration::from_nanos(nanoseconds);
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn micros(nanoseconds: u64) -> String {
    format!("{} µs", grouped(nanoseconds / 1_000))
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
