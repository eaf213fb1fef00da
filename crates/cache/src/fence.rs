//! The rule that keeps stale answers out.
//!
//! # Invariants
//!
//! 1. A fence's generation only grows, and grows with every invalidation of its scope.
//! 2. The log is in the order of generations, and a record enters it before the generation it
//!    belongs to can be seen outside the lock.
//! 3. Whoever saw generation `g` before asking the origin holds an answer that is true until a
//!    record newer than `g` meets its span. When the log no longer reaches back to `g`, nobody can
//!    tell, and the answer does not stand.

use std::{collections::VecDeque, num::NonZeroUsize, time::Duration};

use tokio::time::Instant;

use crate::{
    cover::Span,
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// A scope's generation and its latest invalidated spans.
///
/// A span may also be held: somebody is about to change it, and what is loaded meanwhile is neither
/// kept nor shared.
pub(crate) struct Fence {
    generation: AtomicU64,
    log: Mutex<SpanLog>,
}

/// Which hold it is, among all of all processes.
pub(crate) type HoldId = u128;

/// Whether what is loaded now may be kept and shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Calm {
    /// Kept and shared.
    Settled,
    /// Shared, but not kept: the origin may still show what was last invalidated.
    Settling,
    /// Neither: somebody is about to change the origin, or has changed it and not said so yet.
    Held,
}

/// What has become of an answer since generation `g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing of the scope was invalidated.
    Unchanged,
    /// Only other spans were; the answer stands as of this newer generation.
    BroughtForward(u64),
    /// Its span was invalidated.
    Fallen,
    /// The log no longer tells.
    Forgotten,
}

impl Fence {
    /// A fence that stands since `generation`.
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            generation: AtomicU64::new(generation),
            log: Mutex::new(SpanLog {
                records: VecDeque::new(),
                holds: Vec::new(),
                forgotten: None,
                latest: generation,
            }),
        }
    }

    /// The generation that a load beginning now belongs to.
    pub(crate) fn generation(&self) -> u64 {
        // Pairs with the store in `raise`: who sees the generation sees the write it stands for.
        self.generation.load(Ordering::Acquire)
    }

    /// Raises the fence for `span`. `next` gives the new generation and is called under the lock,
    /// so that the log is in order.
    pub(crate) fn raise(
        &self,
        span: Span,
        capacity: NonZeroUsize,
        now: Instant,
        next: impl FnOnce() -> u64,
    ) {
        let mut log = lock(&self.log);
        let generation = next();
        log.push(
            Record {
                generation,
                span,
                at: now,
            },
            capacity,
        );
        self.generation.store(generation, Ordering::Release);
    }

    /// Whether an answer for `span`, loaded under `generation`, still stands.
    pub(crate) fn standing(&self, span: Span, generation: u64) -> Standing {
        if self.generation() == generation {
            return Standing::Unchanged;
        }
        lock(&self.log).standing(span, generation)
    }

    /// Holds `span` until `until`, or until it is released.
    pub(crate) fn hold(&self, id: HoldId, span: Span, until: Instant) {
        lock(&self.log).holds.push(Held { id, span, until });
    }

    /// Ends the hold `id` of `span`.
    pub(crate) fn release(&self, id: HoldId, span: Span) {
        lock(&self.log)
            .holds
            .retain(|held| held.id != id || held.span != span);
    }

    /// Whether what is loaded for `span` from `now` on may be kept and shared.
    pub(crate) fn calm(&self, span: Span, settle: Duration, now: Instant) -> Calm {
        let log = lock(&self.log);
        if log.is_held(span, now) {
            Calm::Held
        } else if !settle.is_zero() && log.is_settling(span, settle, now) {
            Calm::Settling
        } else {
            Calm::Settled
        }
    }

    /// From when on the fence has nothing to say but its generation.
    pub(crate) fn quiet_from(&self, settle: Duration) -> Option<Instant> {
        let log = lock(&self.log);
        let settled = log.records.back().map(|record| record.at + settle);
        let released = log.holds.iter().map(|held| held.until).max();
        settled.max(released)
    }
}

struct Held {
    id: HoldId,
    span: Span,
    until: Instant,
}

struct Record {
    generation: u64,
    span: Span,
    at: Instant,
}

struct SpanLog {
    records: VecDeque<Record>,
    holds: Vec<Held>,
    /// The newest record that had to make room: its generation and time.
    forgotten: Option<(u64, Instant)>,
    latest: u64,
}

impl SpanLog {
    fn push(&mut self, record: Record, capacity: NonZeroUsize) {
        self.latest = record.generation;
        // A record inside the new one has nothing left to say: the new one is wider and newer.
        self.records.retain(|old| !record.span.contains(old.span));
        if self.records.len() >= capacity.get()
            && let Some(oldest) = self.records.pop_front()
        {
            self.forgotten = Some((oldest.generation, oldest.at));
        }
        self.records.push_back(record);
    }

    fn standing(&self, span: Span, generation: u64) -> Standing {
        if self
            .forgotten
            .is_some_and(|(forgotten, _)| generation < forgotten)
        {
            return Standing::Forgotten;
        }
        let newer = self
            .records
            .iter()
            .rev()
            .take_while(|record| record.generation > generation);
        match newer.into_iter().any(|record| record.span.meets(span)) {
            true => Standing::Fallen,
            false => Standing::BroughtForward(self.latest),
        }
    }

    fn is_held(&self, span: Span, now: Instant) -> bool {
        self.holds
            .iter()
            .any(|held| held.until > now && held.span.meets(span))
    }

    fn is_settling(&self, span: Span, settle: Duration, now: Instant) -> bool {
        let settling = |at: Instant| now.saturating_duration_since(at) < settle;
        self.forgotten.is_some_and(|(_, at)| settling(at))
            || self
                .records
                .iter()
                .rev()
                .take_while(|record| settling(record.at))
                .any(|record| record.span.meets(span))
    }
}

#[cfg(all(test, not(vacancy_loom)))]
mod tests {
    use std::{num::NonZeroUsize, time::Duration};

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::{Calm, Fence, Standing};
    use crate::cover::Span;

    fn capacity(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).expect("the tests ask for room")
    }

    proptest! {
        /// Against the plain truth: the list of all invalidations. An answer may fall without need
        /// only when the log had to forget.
        #[test]
        fn an_answer_stands_exactly_when_no_newer_span_meets_it(
            spans in prop::collection::vec((0i64..40, 1i64..12), 0..24),
            from in 0i64..40, length in 1i64..12, born in 0usize..24, room in 1usize..24,
        ) {
            let fence = Fence::new(0);
            let born = born.min(spans.len());
            for (at, (from, length)) in (1..).zip(&spans) {
                let span = Span::new(*from, from + length);
                fence.raise(span, capacity(room), Instant::now(), || at);
            }
            let own = Span::new(from, from + length);
            let met = spans[born..].iter().any(|(f, l)| Span::new(*f, f + l).meets(own));
            match fence.standing(own, born as u64) {
                Standing::Unchanged => prop_assert_eq!(born, spans.len()),
                Standing::BroughtForward(to) => {
                    prop_assert!(!met);
                    prop_assert_eq!(to, spans.len() as u64);
                }
                Standing::Fallen => prop_assert!(met),
                Standing::Forgotten => prop_assert!(spans.len() - born > room),
            }
        }
    }

    #[test]
    fn a_log_that_wrapped_lets_nothing_older_stand() {
        let fence = Fence::new(0);
        for at in 1..=3 {
            fence.raise(
                Span::new(10 * at, 10 * at + 5),
                capacity(2),
                Instant::now(),
                || at as u64,
            );
        }
        assert_eq!(fence.standing(Span::new(0, 5), 0), Standing::Forgotten);
        assert_eq!(
            fence.standing(Span::new(0, 5), 1),
            Standing::BroughtForward(3)
        );
    }

    #[test]
    fn the_same_span_again_takes_no_room() {
        let fence = Fence::new(0);
        for at in 1..=100 {
            fence.raise(Span::new(0, 5), capacity(2), Instant::now(), || at);
        }
        assert_eq!(
            fence.standing(Span::new(5, 9), 0),
            Standing::BroughtForward(100)
        );
    }

    #[test]
    fn a_forgotten_span_still_settles() {
        let (fence, now) = (Fence::new(0), Instant::now());
        fence.raise(Span::new(0, 5), capacity(1), now, || 1);
        fence.raise(Span::new(90, 95), capacity(1), now, || 2);
        let settle = Duration::from_secs(5);
        let calm = |after| fence.calm(Span::new(0, 5), settle, now + Duration::from_secs(after));
        assert_eq!(calm(4), Calm::Settling);
        assert_eq!(calm(5), Calm::Settled);
    }

    #[test]
    fn a_span_is_held_until_its_last_hold_is_released_or_over() {
        let (fence, now) = (Fence::new(0), Instant::now());
        let (span, until) = (Span::new(0, 10), now + Duration::from_secs(30));
        fence.hold(1, span, until);
        fence.hold(2, span, until);
        let calm = |span, now| fence.calm(span, Duration::ZERO, now);
        assert_eq!(calm(Span::new(10, 20), now), Calm::Settled);
        fence.release(1, span);
        assert_eq!(calm(Span::new(9, 12), now), Calm::Held);
        assert_eq!(calm(Span::new(9, 12), until), Calm::Settled);
        fence.release(2, span);
        assert_eq!(calm(Span::new(9, 12), now), Calm::Settled);
    }
}
