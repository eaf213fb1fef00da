//! [`Outcome`] and [`Reason`]: how an event ended at one listener; and [`Marks`], which hold the
//! outcomes of one event.
//!
//! # Invariants
//!
//! 1. A listener's mark leaves 'pending' once. Whoever moves it counts the outcome in the ledger;
//!    everybody else finds it taken and counts nothing.
//! 2. An outcome is visible only after its claimant has counted it and buried the dead letter.
//! 3. A quick listener leaves the marks of what it has done as they are: such an event has passed its lane, which the
//!    lane knows under its lock ([`Passage`]). Any other outcome is marked before its event passes.
//! 4. Whoever writes a mark looks for waiters afterwards, and whoever waits says so before looking at the
//!    marks, all in one order (`SeqCst`): so at least one of them sees the other.

use std::{
    borrow::Cow,
    fmt, mem,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use crate::guard::guarded;

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
const WORDS: usize = 2;
/// The mark of an event that its lane has been given by those it comes after. It reads as pending.
const QUEUED: u64 = 0x7;
/// The mark of an outcome that is being recorded. It reads as pending.
const CLAIMED: u64 = 0xf;

/// The listeners of an event: inline listeners, then lanes.
pub(crate) type Places = Arc<[Place]>;

/// A listener as who asks for outcomes knows it.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) name: Cow<'static, str>,
    /// The lane, if events may pass it. Held by what it holds, dead letters among others.
    lane: Option<Weak<dyn Passage>>,
}

/// A lane that gets the events of its route in order, and where those that are done need no mark.
pub(crate) trait Passage: Send + Sync {
    /// Whether the route's event of that number has ended here.
    fn has_passed(&self, number: u64) -> bool;
}

impl Place {
    pub(crate) fn new(name: Cow<'static, str>) -> Self {
        Self { name, lane: None }
    }

    pub(crate) fn passing(name: Cow<'static, str>, lane: Weak<dyn Passage>) -> Self {
        let lane = Some(lane);
        Self { name, lane }
    }

    fn has_passed(&self, number: u64) -> bool {
        match &self.lane {
            // A lane goes when it has no events any more, and marks those that it gives up.
            Some(lane) => number > 0 && lane.upgrade().is_none_or(|lane| lane.has_passed(number)),
            None => false,
        }
    }
}

/// The outcomes of one event, four bits a listener: inline for 32 listeners, boxed beyond.
///
/// Inline listeners come first and start as done, since they have run before anybody can look.
///
/// First what every listener touches: each line of memory that comes from the publisher's core costs more than a
/// quick listener.
#[repr(C)]
pub(crate) struct Marks {
    words: [AtomicU64; WORDS],
    /// Whether somebody waits for this event, or has.
    awaited: AtomicBool,
    /// Whether the event goes to one listener only.
    single: bool,
    /// Which of its route's events it is, from 1; 0 if the lanes have not been given it by the router.
    number: AtomicU64,
    more: Box<[AtomicU64]>,
    places: Places,
    /// Made by the first who waits: few events are waited for.
    settled: OnceLock<Box<Notify>>,
}

impl Marks {
    /// Marks for these listeners, of whom the first `inline` count as done and the others are pending.
    pub(crate) fn new(places: Places, inline: usize) -> Self {
        let start = |word: usize| AtomicU64::new(Self::start(word, inline));
        let words = places.len().div_ceil(PER_WORD);
        Self {
            words: std::array::from_fn(start),
            more: match words {
                ..=WORDS => Box::default(),
                _ => (WORDS..words).map(start).collect(),
            },
            awaited: AtomicBool::new(false),
            single: false,
            number: AtomicU64::new(0),
            places,
            settled: OnceLock::new(),
        }
    }

    /// The mark of the only listener that the event goes to.
    pub(crate) fn single(name: Cow<'static, str>, inline: bool) -> Self {
        Self {
            single: true,
            ..Self::new(Arc::from([Place::new(name)]), usize::from(inline))
        }
    }

    /// The place of the listener that has `slot` among all.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> usize {
        if self.single { 0 } else { slot }
    }

    /// Makes them those of another event with the same listeners.
    #[inline]
    pub(crate) fn renew(&mut self, inline: usize) {
        for (word, mark) in self.words.iter_mut().enumerate() {
            *mark.get_mut() = Self::start(word, inline);
        }
        for (word, mark) in self.more.iter_mut().enumerate() {
            *mark.get_mut() = Self::start(WORDS + word, inline);
        }
        *self.number.get_mut() = 0;
        if mem::take(self.awaited.get_mut()) {
            self.settled.take();
        }
    }

    #[inline]
    fn start(word: usize, inline: usize) -> u64 {
        let done = inline.saturating_sub(word * PER_WORD).min(PER_WORD);
        match done {
            0 => 0,
            _ => 0x1111_1111_1111_1111 >> ((PER_WORD - done) * NIBBLE),
        }
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Relaxed: numbered under the intake's lock, and asked for by who has the event through it.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    pub(crate) fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
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

    /// Wakes those who wait, if there are any.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.awaited.load(Ordering::SeqCst) {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_all(&self) {
        if let Some(settled) = self.settled.get() {
            // Who waits may have a waker of the application's.
            let _ = guarded(|| settled.notify_waiters());
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

    /// The outcome at a listener, if there is one. It may lock the listener's lane.
    pub(crate) fn outcome(&self, slot: usize) -> Option<Outcome> {
        let marked = self.marked(slot);
        if marked.is_some() || !self.places[slot].has_passed(self.number()) {
            return marked;
        }
        // Once more: the mark may have come after the look at it, but before the event passed.
        Some(self.marked(slot).unwrap_or(Outcome::Done))
    }

    /// The outcome that is marked, if one is.
    fn marked(&self, slot: usize) -> Option<Outcome> {
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
        let settled = |slot| self.outcome(slot).is_some();
        self.wait(|| (0..self.places.len()).all(settled).then_some(()))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(inline: usize, lanes: usize) -> Marks {
        let places = (0..inline + lanes).map(|slot| Place::new(slot.to_string().into()));
        Marks::new(places.collect(), inline)
    }

    #[test]
    fn the_first_to_settle_a_mark_wins() {
        for slot in [0, 15, 16, 31, 32, 199] {
            let marks = marks(0, 200);
            assert!(marks.claim(slot));
            marks.show(slot, Outcome::Abandoned);
            assert!(!marks.claim(slot));
            assert_eq!(marks.outcome(slot), Some(Outcome::Abandoned));
            assert_eq!(marks.outcome((slot + 1) % 200), None);
        }
    }

    #[test]
    fn what_is_queued_is_pending_and_queued_once() {
        let marks = marks(1, 20);
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
            let marks = marks(inline, 3);
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

    struct Passed(u64);

    impl Passage for Passed {
        fn has_passed(&self, number: u64) -> bool {
            number <= self.0
        }
    }

    #[test]
    fn what_has_passed_without_a_mark_is_done() {
        let lane: Arc<dyn Passage> = Arc::new(Passed(2));
        let place = Place::passing("mail".into(), Arc::downgrade(&lane));
        let marks = Marks::new(Arc::from([place, Place::new("sync".into())]), 0);
        assert_eq!(marks.outcome(0), None, "it has no number");
        marks.set_number(3);
        assert_eq!(marks.outcome(0), None);
        marks.set_number(2);
        assert_eq!(marks.outcome(0), Some(Outcome::Done));
        assert_eq!(marks.outcome(1), None, "nothing passes there");
        assert!(marks.claim(0));
        marks.show(0, Outcome::Skipped);
        assert_eq!(marks.outcome(0), Some(Outcome::Skipped));
    }

    #[test]
    fn what_a_lane_has_not_marked_that_is_gone_is_done() {
        let lane: Arc<dyn Passage> = Arc::new(Passed(0));
        let place = Place::passing("mail".into(), Arc::downgrade(&lane));
        let marks = Marks::new(Arc::from([place]), 0);
        marks.set_number(1);
        assert_eq!(marks.outcome(0), None);
        drop(lane);
        assert_eq!(marks.outcome(0), Some(Outcome::Done));
        marks.set_number(0);
        assert_eq!(marks.outcome(0), None, "no lane has been given it");
    }

    #[tokio::test]
    async fn renewed_marks_are_as_new() {
        for (inline, lanes) in [(0, 1), (2, 1), (0, 40), (35, 5), (60, 9)] {
            let mut marks = marks(inline, lanes);
            for slot in inline..inline + lanes {
                assert!(marks.settle_plainly(slot, Outcome::Dropped));
            }
            marks.all_settled().await;
            if inline > 0 {
                marks.amend(0, Outcome::Dead(Reason::Panicked));
            }
            marks.renew(inline);
            for slot in 0..inline + lanes {
                let done = (slot < inline).then_some(Outcome::Done);
                assert_eq!(marks.outcome(slot), done);
            }
            assert!(!marks.awaited.load(Ordering::Relaxed) && marks.settled.get().is_none());
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
