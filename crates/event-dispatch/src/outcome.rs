//! [`Outcome`] and [`Reason`]: how an event ended at one listener; and [`Marks`], which hold the
//! outcomes of one event.
//!
//! # Invariants
//!
//! 1. A listener's mark leaves 'pending' once. Whoever moves it counts the outcome in the ledger;
//!    everybody else finds it taken and counts nothing.
//! 2. An outcome is visible only after its claimant has counted it and buried the dead letter.
//! 3. Whoever writes a mark looks for waiters afterwards, and whoever waits says so before looking at the
//!    marks, all in one order (`SeqCst`): so at least one of them sees the other.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

/// How an event ended at one listener. Every event ends in exactly one outcome at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The listener handled the event.
    Done,
    /// The lane gave up on the event and kept a dead letter.
    Dead(Reason),
    /// A full lane with [`Overflow::DropOldest`](crate::Overflow::DropOldest) made room for a newer
    /// event.
    Dropped,
    /// The listener returned [`Skip`](crate::Skip).
    Skipped,
    /// A newer event with the same key took its place.
    Coalesced,
    /// The bus was shut down, or its runtime ended, before the listener was done.
    Abandoned,
}

/// Why a lane gave up on an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The listener returned an error, and no attempt was left.
    Failed,
    /// The listener, or a key function of its policy, panicked.
    Panicked,
    /// The listener was not done within its time-out, retries included.
    TimedOut,
    /// The lane was full, or the event type's intake was.
    Overflowed,
    /// The chain of events that caused this one is longer than the bus allows.
    CausationTooDeep,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Dead(reason) => write!(f, "dead ({reason})"),
            Self::Dropped => f.write_str("dropped"),
            Self::Skipped => f.write_str("skipped"),
            Self::Coalesced => f.write_str("coalesced"),
            Self::Abandoned => f.write_str("abandoned"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed out",
            Self::Overflowed => "overflowed",
            Self::CausationTooDeep => "causation too deep",
        })
    }
}

impl Outcome {
    fn to_nibble(self) -> u64 {
        match self {
            Self::Done => 1,
            Self::Dropped => 2,
            Self::Skipped => 3,
            Self::Coalesced => 4,
            Self::Abandoned => 5,
            Self::Dead(Reason::Failed) => 8,
            Self::Dead(Reason::Panicked) => 9,
            Self::Dead(Reason::TimedOut) => 10,
            Self::Dead(Reason::Overflowed) => 11,
            Self::Dead(Reason::CausationTooDeep) => 12,
        }
    }

    fn from_nibble(nibble: u64) -> Option<Self> {
        Some(match nibble {
            1 => Self::Done,
            2 => Self::Dropped,
            3 => Self::Skipped,
            4 => Self::Coalesced,
            5 => Self::Abandoned,
            8 => Self::Dead(Reason::Failed),
            9 => Self::Dead(Reason::Panicked),
            10 => Self::Dead(Reason::TimedOut),
            11 => Self::Dead(Reason::Overflowed),
            12 => Self::Dead(Reason::CausationTooDeep),
            _ => return None,
        })
    }
}

const NIBBLE: usize = 4;
const PER_WORD: usize = 16;
const WORDS: usize = 8;
/// The mark of an event that its lane has been given by those it comes after. It reads as pending.
const QUEUED: u64 = 0x7;
/// The mark of an outcome that is being recorded. It reads as pending.
const CLAIMED: u64 = 0xf;

/// The outcomes of one event, four bits a listener: inline for 128 listeners, boxed beyond.
///
/// Inline listeners come first and start as done, since they have run before anybody can look.
pub(crate) struct Marks {
    words: [AtomicU64; WORDS],
    more: Box<[AtomicU64]>,
    listeners: u32,
    /// Whether somebody waits for this event, or has.
    awaited: AtomicBool,
    /// Made by the first who waits: few events are waited for.
    settled: OnceLock<Box<Notify>>,
}

impl Marks {
    /// Marks for `inline` listeners that count as done and `lanes` that are pending.
    #[inline]
    pub(crate) fn new(inline: usize, lanes: usize) -> Self {
        let start = |word: usize| {
            if inline == 0 {
                return AtomicU64::new(0);
            }
            let done = inline.saturating_sub(word * PER_WORD).min(PER_WORD);
            let ones = 0x1111_1111_1111_1111_u64;
            AtomicU64::new(if done == 0 {
                0
            } else {
                ones >> ((PER_WORD - done) * NIBBLE)
            })
        };
        let words = (inline + lanes).div_ceil(PER_WORD);
        Self {
            words: std::array::from_fn(start),
            more: match words {
                ..=WORDS => Box::default(),
                _ => (WORDS..words).map(start).collect(),
            },
            listeners: (inline + lanes) as u32,
            awaited: AtomicBool::new(false),
            settled: OnceLock::new(),
        }
    }

    fn word(&self, slot: usize) -> (&AtomicU64, usize) {
        let word = slot / PER_WORD;
        let word = self
            .words
            .get(word)
            .unwrap_or_else(|| &self.more[word - WORDS]);
        (word, slot % PER_WORD * NIBBLE)
    }

    /// Claims a pending mark; false if it was settled or claimed before.
    ///
    /// Who has claimed it records the outcome and then [shows](Self::show) it: whoever sees the outcome finds it
    /// recorded. Neither may panic in between.
    pub(crate) fn claim(&self, slot: usize) -> bool {
        let (word, shift) = self.word(slot);
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            if !matches!((seen >> shift) & CLAIMED, 0 | QUEUED) {
                return false;
            }
            match word.compare_exchange_weak(
                seen,
                seen | CLAIMED << shift,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Shows the outcome of a claimed mark.
    pub(crate) fn show(&self, slot: usize, outcome: Outcome) {
        let (word, shift) = self.word(slot);
        word.fetch_xor((CLAIMED ^ outcome.to_nibble()) << shift, Ordering::SeqCst);
        self.wake();
    }

    /// Settles a pending mark of which nothing has to be recorded; false if it was settled before.
    pub(crate) fn settle_plainly(&self, slot: usize, outcome: Outcome) -> bool {
        let (word, shift) = self.word(slot);
        let settled = word.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |seen| {
            matches!((seen >> shift) & CLAIMED, 0 | QUEUED)
                .then_some(seen & !(CLAIMED << shift) | outcome.to_nibble() << shift)
        });
        if settled.is_ok() {
            self.wake();
        }
        settled.is_ok()
    }

    fn wake(&self) {
        if self.awaited.load(Ordering::SeqCst)
            && let Some(settled) = self.settled.get()
        {
            settled.notify_waiters();
        }
    }

    /// Claims the handing over of the event to a lane; false if somebody else has, or it has ended.
    pub(crate) fn queue(&self, slot: usize) -> bool {
        let (word, shift) = self.word(slot);
        let claimed = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |seen| {
            ((seen >> shift) & CLAIMED == 0).then_some(seen | QUEUED << shift)
        });
        claimed.is_ok()
    }

    /// Corrects the mark of an inline listener, which started as done. Only for use before the
    /// receipt exists.
    pub(crate) fn amend(&self, slot: usize, outcome: Outcome) {
        let (word, shift) = self.word(slot);
        let flipped = (outcome.to_nibble() ^ Outcome::Done.to_nibble()) << shift;
        word.fetch_xor(flipped, Ordering::Release);
    }

    pub(crate) fn outcome(&self, slot: usize) -> Option<Outcome> {
        let (word, shift) = self.word(slot);
        Outcome::from_nibble((word.load(Ordering::SeqCst) >> shift) & CLAIMED)
    }

    /// Waits until `ready` returns something; asked again whenever a mark is settled.
    pub(crate) async fn wait<T>(&self, ready: impl Fn() -> Option<T>) -> T {
        let notify = self.settled.get_or_init(Box::default);
        loop {
            let mut settled = std::pin::pin!(notify.notified());
            settled.as_mut().enable();
            self.awaited.store(true, Ordering::SeqCst);
            if let Some(value) = ready() {
                return value;
            }
            settled.await;
        }
    }

    /// Waits until no mark is pending.
    pub(crate) async fn all_settled(&self) {
        let settled = |slot| self.outcome(slot as usize).is_some();
        self.wait(|| (0..self.listeners).all(settled).then_some(()))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_settle_a_mark_wins() {
        for slot in [0, 15, 16, 127, 128, 199] {
            let marks = Marks::new(0, 200);
            assert!(marks.claim(slot));
            marks.show(slot, Outcome::Abandoned);
            assert!(!marks.claim(slot));
            assert_eq!(marks.outcome(slot), Some(Outcome::Abandoned));
            assert_eq!(marks.outcome((slot + 1) % 200), None);
        }
    }

    #[test]
    fn what_is_queued_is_pending_and_queued_once() {
        let marks = Marks::new(1, 20);
        for slot in [1, 20] {
            assert!(marks.queue(slot));
            assert!(!marks.queue(slot));
            assert_eq!(marks.outcome(slot), None);
            assert!(marks.claim(slot));
            marks.show(slot, Outcome::Skipped);
            assert!(!marks.queue(slot));
            assert_eq!(marks.outcome(slot), Some(Outcome::Skipped));
        }
        assert!(!marks.queue(0));
    }

    #[test]
    fn inline_listeners_start_as_done_and_can_be_amended() {
        for inline in [0, 1, 15, 16, 17, 140] {
            let marks = Marks::new(inline, 3);
            for slot in 0..inline + 3 {
                assert_eq!(
                    marks.outcome(slot),
                    (slot < inline).then_some(Outcome::Done)
                );
            }
            if inline > 0 {
                marks.amend(inline - 1, Outcome::Dead(Reason::Panicked));
                assert_eq!(
                    marks.outcome(inline - 1),
                    Some(Outcome::Dead(Reason::Panicked))
                );
            }
        }
    }

    #[test]
    fn every_outcome_survives_its_nibble() {
        let dead = [
            Reason::Failed,
            Reason::Panicked,
            Reason::TimedOut,
            Reason::Overflowed,
            Reason::CausationTooDeep,
        ];
        let alive = [
            Outcome::Done,
            Outcome::Dropped,
            Outcome::Skipped,
            Outcome::Coalesced,
            Outcome::Abandoned,
        ];
        for outcome in dead.map(Outcome::Dead).into_iter().chain(alive) {
            let nibble = outcome.to_nibble();
            assert_eq!(Outcome::from_nibble(nibble), Some(outcome));
        }
        for pending in [0, QUEUED, CLAIMED] {
            assert_eq!(Outcome::from_nibble(pending), None);
        }
    }
}
