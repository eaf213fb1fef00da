//! [`Pace`]: whether a listener is quick enough to be called in the router's own task.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Of so many polls in the router's task one is timed: the clock costs as much as a quick listener.
const TIMED: u32 = 8;

/// What a poll may take, and what each event in it may: not much more than waking a task costs. Code
/// that is not optimized takes ten times as long.
const POLL: Duration = Duration::from_micros(20 * SLOWNESS);
const EVENT: Duration = Duration::from_micros(2 * SLOWNESS);
const SLOWNESS: u64 = if cfg!(debug_assertions) { 10 } else { 1 };

/// A listener proves itself by so many quick polls in its own task; by twice as many each time that it
/// was too slow in the router's, up to the bound.
const FIRST_PROBATION: u32 = 32;
const LONGEST_PROBATION: u32 = 1 << 14;

/// Whether a listener is quick enough to be called in the router's own task.
///
/// Used by whoever has the worker's seat, so nothing is ordered.
pub(crate) struct Pace {
    polls: AtomicU32,
    /// How many quick polls in the listener's own task it still takes.
    probation: AtomicU32,
    next_probation: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            polls: AtomicU32::new(0),
            probation: AtomicU32::new(FIRST_PROBATION),
            next_probation: AtomicU32::new(FIRST_PROBATION),
        }
    }
}

impl Pace {
    /// Whether the next batch may be handled in the router's task.
    pub(crate) fn is_quick(&self) -> bool {
        self.probation.load(Ordering::Relaxed) == 0
    }

    /// Called before a poll; its time, if this one is timed.
    pub(crate) fn begin(&self) -> Option<Instant> {
        let polls = self.polls.load(Ordering::Relaxed);
        self.polls.store(polls.wrapping_add(1), Ordering::Relaxed);
        let timed = polls.is_multiple_of(TIMED) || !self.is_quick();
        timed.then(Instant::now)
    }

    /// Called after a timed poll of at most so many events.
    pub(crate) fn end(&self, took: Duration, events: u64) {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        if took > POLL.saturating_add(EVENT.saturating_mul(events)) {
            self.too_slow();
            return;
        }
        let left = self.probation.load(Ordering::Relaxed);
        if left > 0 {
            self.probation.store(left - 1, Ordering::Relaxed);
        } else {
            let next = self.next_probation.load(Ordering::Relaxed) / 2;
            let next = next.max(FIRST_PROBATION);
            self.next_probation.store(next, Ordering::Relaxed);
        }
    }

    /// Leaves the listener to its own task until it has proved itself anew.
    pub(crate) fn too_slow(&self) {
        if self.is_quick() {
            let next = self.next_probation.load(Ordering::Relaxed);
            let longer = next.saturating_mul(2).min(LONGEST_PROBATION);
            self.next_probation.store(longer, Ordering::Relaxed);
            self.probation.store(next, Ordering::Relaxed);
        } else {
            let again = self.next_probation.load(Ordering::Relaxed);
            let left = self.probation.load(Ordering::Relaxed);
            self.probation.store(left.max(again), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = POLL;
    const SLOW: Duration = Duration::from_millis(1);

    /// How many quick polls it takes.
    fn probation(pace: &Pace) -> u32 {
        let mut polls = 0;
        while !pace.is_quick() {
            assert!(pace.begin().is_some(), "on probation every poll is timed");
            pace.end(QUICK, 1);
            polls += 1;
        }
        polls
    }

    #[test]
    fn a_listener_proves_itself_and_stays_quick() {
        let pace = Pace::default();
        assert_eq!(probation(&pace), FIRST_PROBATION);
        for _ in 0..100 {
            if pace.begin().is_some() {
                pace.end(POLL + EVENT * 3, 3);
            }
            assert!(pace.is_quick());
        }
    }

    #[test]
    fn a_listener_that_is_slow_now_and_then_never_proves_itself() {
        let pace = Pace::default();
        for poll in 0..10 * FIRST_PROBATION {
            pace.end(if poll % 8 == 0 { SLOW } else { QUICK }, 1);
            assert!(!pace.is_quick());
        }
    }

    #[test]
    fn each_failure_doubles_the_probation_up_to_the_bound() {
        let pace = Pace::default();
        let mut expected = FIRST_PROBATION;
        probation(&pace);
        for _ in 0..20 {
            pace.end(POLL + EVENT * 4, 3);
            assert_eq!(probation(&pace), expected);
            expected = (expected * 2).min(LONGEST_PROBATION);
        }
        assert_eq!(expected, LONGEST_PROBATION);
    }

    #[test]
    fn a_listener_that_stays_quick_is_forgiven() {
        let pace = Pace::default();
        for _ in 0..5 {
            probation(&pace);
            pace.too_slow();
        }
        probation(&pace);
        for _ in 0..10 {
            pace.end(QUICK, 1);
        }
        pace.too_slow();
        assert_eq!(probation(&pace), FIRST_PROBATION);
    }
}
