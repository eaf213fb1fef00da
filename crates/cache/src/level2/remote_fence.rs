//! A fence as it is written in Redis: `incarnation|floor|records|holds`.
//!
//! A record is `number:milliseconds:from:to;`, a hold `id:milliseconds:from:to;`. The scripts write it;
//! whether an entry stands is decided here.

use std::time::Duration;

use crate::{cover::Span, fence::Calm};

/// A fence as it was when an entry was looked for.
pub(crate) struct RemoteFence<'a> {
    /// Entries loaded under a smaller number than this may have been invalidated by a record that is gone.
    floor: u64,
    records: &'a str,
    holds: &'a str,
}

impl<'a> RemoteFence<'a> {
    /// Reads the fence. `None` if it is of another incarnation, or not a fence: then nothing stands.
    pub(crate) fn read(text: &'a str, incarnation: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let own = parts.next()?;
        let floor = parts.next()?.parse().ok()?;
        let (records, holds) = (parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && own == incarnation;
        whole.then_some(Self {
            floor,
            records,
            holds,
        })
    }

    /// Whether what was loaded for `span` under `number` still stands.
    pub(crate) fn stands(&self, span: Span, number: u64) -> bool {
        self.floor <= number
            && lines(self.records).all(|line| match line {
                Some((raised, _, other)) => {
                    raised.parse().is_ok_and(|raised: u64| raised <= number) || !other.meets(span)
                }
                // What cannot be read may have been about anything.
                None => false,
            })
    }

    /// Whether what is loaded for `span` at `now_ms` may be kept and shared.
    pub(crate) fn calm(&self, span: Span, settle: Duration, now_ms: u64) -> Calm {
        let settle_ms = u64::try_from(settle.as_millis()).unwrap_or(u64::MAX);
        let meets = |line: Option<(&str, u64, Span)>, until: fn(u64, u64) -> u64| {
            line.is_none_or(|(_, at, other)| other.meets(span) && until(at, settle_ms) > now_ms)
        };
        if lines(self.holds).any(|hold| meets(hold, |at, _| at)) {
            Calm::Held
        } else if settle_ms > 0 && lines(self.records).any(|line| meets(line, u64::saturating_add))
        {
            Calm::Settling
        } else {
            Calm::Settled
        }
    }
}

/// The lines of records or holds: a name, a time, a span. `None` where a line is not one.
fn lines(text: &str) -> impl Iterator<Item = Option<(&str, u64, Span)>> {
    text.split_terminator(';').map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        let at = parts.next()?.parse().ok()?;
        let span = Span::new(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some((name, at, span))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RemoteFence;
    use crate::{cover::Span, fence::Calm};

    const FENCE: &str = "abc.1|4|5:1000:0:10;7:2000:-20:-10;|9f:5000:30:40;";

    fn fence(text: &str) -> RemoteFence<'_> {
        RemoteFence::read(text, "abc.1").expect("a fence")
    }

    #[test]
    fn an_entry_stands_until_a_later_record_meets_it() {
        let fence = fence(FENCE);
        assert!(fence.stands(Span::new(0, 10), 5));
        assert!(!fence.stands(Span::new(9, 12), 4));
        assert!(fence.stands(Span::new(10, 12), 4));
        assert!(!fence.stands(Span::new(-11, 0), 6));
        assert!(!fence.stands(Span::ALL, 6));
        assert!(fence.stands(Span::ALL, 7));
    }

    #[test]
    fn nothing_stands_that_was_loaded_before_the_log_begins() {
        assert!(!fence(FENCE).stands(Span::new(100, 110), 3));
    }

    #[test]
    fn a_fence_of_another_incarnation_is_none() {
        assert!(RemoteFence::read(FENCE, "abc.2").is_none());
        assert!(RemoteFence::read("abc.1|x||", "abc.1").is_none());
        assert!(RemoteFence::read("abc.1|1|", "abc.1").is_none());
        assert!(RemoteFence::read("", "").is_none());
    }

    #[test]
    fn a_record_that_cannot_be_read_lets_nothing_stand() {
        assert!(!fence("abc.1|0|1:2:3;|").stands(Span::new(50, 60), 9));
        assert_eq!(
            fence("abc.1|0||garbage;").calm(Span::new(50, 60), Duration::ZERO, 0),
            Calm::Held
        );
    }

    #[test]
    fn a_hold_is_over_at_its_time() {
        let calm = |now| fence(FENCE).calm(Span::new(39, 50), Duration::ZERO, now);
        assert_eq!(calm(4999), Calm::Held);
        assert_eq!(calm(5000), Calm::Settled);
    }

    #[test]
    fn a_span_settles_for_its_time_after_a_record() {
        let calm = |now| fence(FENCE).calm(Span::new(-15, -12), Duration::from_secs(2), now);
        assert_eq!(calm(3999), Calm::Settling);
        assert_eq!(calm(4000), Calm::Settled);
    }

    /// Its time may be ahead, where the server's clock was set back.
    #[test]
    fn without_a_settle_time_a_record_unsettles_nothing() {
        let calm = fence(FENCE).calm(Span::new(-15, -12), Duration::ZERO, 1999);
        assert_eq!(calm, Calm::Settled);
    }
}
