//! How far a booking reaches.
//!
//! A slot `[t, t + L)` with buffers `b` before and `a` after cannot be booked beside an appointment
//! `[s, e)` with buffers `bf` and `af` exactly when `t` lies in `(s − bf − a − L, e + af + b)`. That
//! rule is split in two, so that neither side has to know the other: [`busy_spans`] is what a change
//! invalidates, [`answer_span`] is what a cached answer depends on, and the answer is affected when
//! they meet. Both are in UTC seconds and rounded outward.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use vacancy_cache::Span;

use crate::appointment::{Appointment, Buffers};
use crate::interval::Interval;
use crate::local_day::LocalDay;
use crate::rules::{EventTypeRules, Grid, LimitPeriod, UNKNOWN_REACH};

/// The longest span of its own that a change invalidates by default: 64 days. A longer one
/// invalidates everything of its scope.
pub const MAX_BUSY_SPAN: Duration = Duration::from_secs(64 * 24 * 3600);

/// The most spans of its own that a change invalidates. More are taken for the one that holds
/// them all.
pub const MAX_BUSY_SPANS: usize = 32;

const HOUR: i64 = 3600;

/// What a change of `appointment` invalidates: sorted, apart from one another, never empty.
///
/// For each of its intervals that is the interval with its buffers (those of the appointment, else
/// of the rules, else [`UNKNOWN_REACH`] each) and no less than the hour before, the hours it
/// touches, and the hour after. A series of more than [`MAX_BUSY_SPANS`] is taken for one long
/// appointment, and what is longer than `longest` is [`Span::ALL`].
#[must_use]
pub fn busy_spans(
    appointment: &Appointment,
    rules: Option<&EventTypeRules>,
    longest: Duration,
) -> Vec<Span> {
    let buffers = appointment.buffers.unwrap_or_else(|| buffers_of(rules));
    let (before, after) = (seconds(buffers.before()), seconds(buffers.after()));
    let mut spans: Vec<(i64, i64)> = Vec::with_capacity(appointment.intervals().len());
    for interval in appointment.intervals() {
        let (start, end) = (floor(interval.start()), ceil(interval.end()));
        let from = start
            .saturating_sub(before)
            .min(start.div_euclid(HOUR) * HOUR - HOUR);
        let last_hour = (end - 1).div_euclid(HOUR) * HOUR + HOUR;
        let to = end.saturating_add(after).max(last_hour + HOUR);
        // Sorted by start, and so the spans are sorted too; an earlier one may end later.
        match spans.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => spans.push((from, to)),
        }
    }
    if spans.len() > MAX_BUSY_SPANS {
        spans = vec![(spans[0].0, spans[spans.len() - 1].1)];
    }
    if spans
        .iter()
        .any(|(from, to)| to.saturating_sub(*from) > seconds(longest))
    {
        return vec![Span::ALL];
    }
    spans
        .into_iter()
        .map(|(from, to)| Span::new(from, to))
        .collect()
}

/// What the slots that start in `starts` depend on.
///
/// The longest slot is the longer of the `asked` duration and the rules'; what is unknown counts as
/// [`UNKNOWN_REACH`]. Where a booking moves other starts, or counts towards a limit, the answer
/// depends on the whole of the local days, weeks or months that `starts` touches in the calendar's
/// zone.
#[must_use]
pub fn answer_span(
    starts: Interval,
    rules: Option<&EventTypeRules>,
    asked: Option<Duration>,
) -> Span {
    let zone = rules.map(|rules| rules.zone).unwrap_or_default();
    let first = LocalDay::containing(starts.start(), zone);
    let last = LocalDay::containing(starts.end() - TimeDelta::nanoseconds(1), zone);
    let (mut from, mut to) = (floor(starts.start()), ceil(starts.end()));
    if rules.is_some_and(|rules| rules.grid == Grid::Shifting) {
        from = from.min(floor(first.start()));
        to = to.max(ceil(last.end()));
    }

    let longest = rules
        .and_then(|rules| rules.longest_slot)
        .unwrap_or(UNKNOWN_REACH);
    let longest = asked.map_or(longest, |asked| asked.max(longest));
    let buffers = buffers_of(rules);
    from = from.saturating_sub(seconds(buffers.before()));
    to = to
        .saturating_add(seconds(longest))
        .saturating_add(seconds(buffers.after()));

    let period = match rules.and_then(|rules| rules.limit) {
        None => return Span::new(from, to),
        Some(LimitPeriod::Day) => (first.start(), last.end()),
        Some(LimitPeriod::Week) => (first.week_start().start(), last.next_week_start().start()),
        Some(LimitPeriod::Month) => (first.month_start().start(), last.next_month_start().start()),
    };
    Span::new(from.min(floor(period.0)), to.max(ceil(period.1)))
}

fn buffers_of(rules: Option<&EventTypeRules>) -> Buffers {
    rules
        .and_then(|rules| rules.buffers)
        .unwrap_or_else(|| Buffers::new(UNKNOWN_REACH, UNKNOWN_REACH))
}

/// Rounded up.
fn seconds(duration: Duration) -> i64 {
    let whole = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    whole.saturating_add(i64::from(duration.subsec_nanos() > 0))
}

fn floor(instant: DateTime<Utc>) -> i64 {
    instant.timestamp()
}

fn ceil(instant: DateTime<Utc>) -> i64 {
    instant.timestamp() + i64::from(instant.timestamp_subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn default_spans(appointment: &Appointment, rules: Option<&EventTypeRules>) -> Vec<Span> {
        busy_spans(appointment, rules, MAX_BUSY_SPAN)
    }

    fn at(milli: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(milli).unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn span(from: &str, to: &str) -> Span {
        Span::new(utc(from).timestamp(), utc(to).timestamp())
    }

    fn interval(start: &str, end: &str) -> Interval {
        Interval::new(utc(start), utc(end)).unwrap()
    }

    fn meets_any(spans: &[Span], other: Span) -> bool {
        spans.iter().any(|span| span.meets(other))
    }

    #[test]
    fn no_less_than_the_hour_before_and_the_hour_after_is_busy() {
        let hour = interval("2025-10-15T14:00:00Z", "2025-10-15T15:00:00Z");
        let bare = |interval| Appointment::new(1.into(), 1.into(), interval).buffers(Buffers::NONE);
        assert_eq!(
            default_spans(&bare(hour), None),
            [span("2025-10-15T13:00:00Z", "2025-10-15T16:00:00Z")]
        );
        let odd = interval("2025-10-15T14:20:00Z", "2025-10-15T16:10:00Z");
        assert_eq!(
            default_spans(&bare(odd), None),
            [span("2025-10-15T13:00:00Z", "2025-10-15T18:00:00Z")]
        );
        let unknown = Appointment::new(1.into(), 1.into(), hour);
        assert_eq!(
            default_spans(&unknown, None),
            [span("2025-10-15T10:00:00Z", "2025-10-15T19:00:00Z")]
        );
    }

    #[test]
    fn long_appointments_and_long_series_stay_bounded() {
        let day = 86_400_000;
        let one = |first: i64, last: i64| Interval::new(at(first), at(last)).unwrap();
        let appointment = Appointment::new(1.into(), 1.into(), one(0, 65 * day));
        assert_eq!(default_spans(&appointment, None), [Span::ALL]);

        let series = |count: i64, every: i64| {
            let first = Appointment::new(1.into(), 1.into(), one(0, 3_600_000));
            (1..count).fold(first, |series, n| {
                series.occurrence(one(n * every, n * every + 3_600_000))
            })
        };
        assert_eq!(default_spans(&series(32, 7 * day), None).len(), 32);
        assert_eq!(default_spans(&series(33, 7 * day), None), [Span::ALL]);
        assert_eq!(default_spans(&series(33, day), None).len(), 1);
        assert_ne!(default_spans(&series(33, day), None), [Span::ALL]);
    }

    #[test]
    fn a_grid_that_shifts_depends_on_the_whole_local_day() {
        let rules = EventTypeRules::new()
            .longest_slot(Duration::from_secs(1800))
            .buffers(Buffers::NONE)
            .grid(Grid::Shifting)
            .zone(chrono_tz::Europe::Berlin);
        let starts = interval("2025-10-15T12:00:00Z", "2025-10-15T13:00:00Z");
        assert_eq!(
            answer_span(starts, Some(&rules), None),
            span("2025-10-14T22:00:00Z", "2025-10-15T22:30:00Z")
        );
    }

    #[test]
    fn a_limit_depends_on_its_whole_period() {
        let rules = EventTypeRules::new()
            .longest_slot(Duration::from_secs(1800))
            .buffers(Buffers::NONE)
            .zone(chrono_tz::Europe::Berlin);
        let starts = interval("2025-10-14T22:00:00Z", "2025-10-15T22:00:00Z");
        let limited = |period| answer_span(starts, Some(&rules.clone().limit(period)), None);
        assert_eq!(
            limited(LimitPeriod::Day),
            span("2025-10-14T22:00:00Z", "2025-10-15T22:30:00Z")
        );
        assert_eq!(
            limited(LimitPeriod::Week),
            span("2025-10-12T22:00:00Z", "2025-10-19T22:00:00Z")
        );
        assert_eq!(
            limited(LimitPeriod::Month),
            span("2025-09-30T22:00:00Z", "2025-10-31T23:00:00Z")
        );
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        let all = Interval::new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).unwrap();
        let rules = EventTypeRules::new()
            .longest_slot(Duration::MAX)
            .buffers(Buffers::new(Duration::MAX, Duration::MAX))
            .grid(Grid::Shifting)
            .limit(LimitPeriod::Month);
        let spans = default_spans(&Appointment::new(1.into(), 1.into(), all), Some(&rules));
        assert_eq!(spans, [Span::ALL]);
        assert!(meets_any(
            &spans,
            answer_span(all, Some(&rules), Some(Duration::MAX))
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Instants are in milliseconds, buffers and lengths in whole seconds.
        #[test]
        fn spans_meet_exactly_when_a_slot_conflicts(
            s in 100_000_000_i64..110_000_000,
            length in 1_i64..20_000_000,
            t in 20_000_i64..190_000,
            (bf, af, b, a) in (0_u64..9_000, 0_u64..9_000, 0_u64..9_000, 0_u64..9_000),
            l in 1_u64..20_000,
            whole in any::<bool>(),
        ) {
            let (s, e) = if whole {
                let s = s / 1000 * 1000;
                (s, s + (length / 1000 + 1) * 1000)
            } else {
                (s, s + length)
            };
            let secs = Duration::from_secs;
            let appointment =
                Appointment::new(1.into(), 1.into(), Interval::new(at(s), at(e)).unwrap())
                    .buffers(Buffers::new(secs(bf), secs(af)));
            let rules = EventTypeRules::new()
                .longest_slot(secs(l))
                .buffers(Buffers::new(secs(b), secs(a)));
            let busy = appointment.intervals()[0].widened(secs(bf), secs(af));
            let conflicts = |start: i64| {
                let slot = Interval::new(at(start), at(start) + TimeDelta::from_std(secs(l)).unwrap());
                slot.unwrap().widened(secs(b), secs(a)).overlaps(&busy)
            };
            let second = Interval::new(at(t * 1000), at(t * 1000 + 1000)).unwrap();
            let depends = answer_span(second, Some(&rules), None);
            let met = meets_any(&default_spans(&appointment, None), depends);
            let in_conflict = (0..1000).step_by(111).any(|milli| conflicts(t * 1000 + milli));

            prop_assert!(met || !in_conflict, "a conflict out of reach");
            let hour = 3_600_000;
            let window = Span::new(
                (s.div_euclid(hour) * hour - hour) / 1000,
                ((e - 1).div_euclid(hour) * hour + 2 * hour) / 1000,
            );
            if whole && !window.meets(depends) {
                prop_assert_eq!(met, in_conflict, "reach without a conflict");
            }
            // Longer days depend on at least as much.
            let day = LocalDay::containing(at(t * 1000), chrono_tz::Tz::UTC).interval().unwrap();
            prop_assert!(!in_conflict
                || meets_any(&default_spans(&appointment, None), answer_span(day, Some(&rules), None)));
        }

        #[test]
        fn spans_are_sorted_and_apart(
            intervals in prop::collection::vec((0_i64..100_000, 1_i64..40_000), 1..40),
        ) {
            let interval = |(start, length): (i64, i64)| {
                Interval::new(at(start * 60_000), at((start + length) * 60_000)).unwrap()
            };
            let first = Appointment::new(1.into(), 1.into(), interval(intervals[0]));
            let series = intervals.iter().fold(first, |all, &one| all.occurrence(interval(one)));
            let spans = default_spans(&series, None);
            prop_assert!(!spans.is_empty() && spans.len() <= MAX_BUSY_SPANS);
            for &one in &intervals {
                let middle = (one.0 * 60) + one.1 * 30;
                prop_assert!(meets_any(&spans, Span::new(middle, middle + 1)));
            }
        }
    }
}
