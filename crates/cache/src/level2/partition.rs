//! How far this process has heard of what others invalidate in one partition, and until when it
//! may rely on that.
//!
//! # Invariants
//!
//! 1. While the lease runs, every invalidation that was confirmed to its writer has raised the fences of
//!    this process: a strict writer waits for this node's acknowledgement or for the end of the lease.
//! 2. A lease counts from the sending of its pulse, and is granted only when all that the pulse
//!    reported has been applied.
//! 3. When something was missed, the epoch changes: no value and no load of the former epoch is
//!    shared again. What begins in the new epoch looks at level 2 after all that was missed.
//! 4. The fences of a notice are raised before its number is applied, and its number is applied before
//!    it is acknowledged.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    clock,
    store::{Deed, Incarnation, Item, Notice, Position},
};
use crate::{fences::Fences, statistics::Counter};

pub(crate) struct Partition {
    pub(crate) index: u16,
    /// Changes whenever something was missed.
    epoch: AtomicU64,
    /// Until when level 1 may be relied upon, by `clock::now`.
    lease: AtomicU64,
    /// Whether the server has answered lately.
    reachable: AtomicBool,
    heard: Mutex<Heard>,
    /// Asks for a pulse before its time.
    pub(crate) pulse: Notify,
    /// An acknowledgement is due.
    pub(crate) owes: AtomicBool,
}

#[derive(Default)]
struct Heard {
    /// The last notice that was applied; `None` before the first pulse, or when a notice came from a
    /// life that no pulse has told of.
    upto: Option<Position>,
    /// When the incarnation was first met here.
    met_at: u64,
    /// A lease that waits for notices which were on their way.
    waiting: Option<(u64, u64)>,
    /// Whether the subscription is a new one, so that nothing can be on its way.
    fresh_ears: bool,
    /// Gaps that pulses have told of since a notice arrived.
    silent_gaps: u32,
}

/// A hold that says it lasts longer is not believed.
const LONGEST_HOLD_MS: u64 = 24 * 3600 * 1000;

/// So many gaps without a notice in between are not bad luck.
const DEAF_AFTER: u32 = 2;

/// What has come of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// As it should be.
    InOrder,
    /// Something was missed: the epoch has changed.
    Gap,
    /// A gap, and nothing was heard since the last one: the subscription may be half-open.
    Deaf,
    /// Another incarnation was met: the epoch has changed.
    Reborn,
}

/// A partition as it was when a flight began.
#[derive(Clone)]
pub(crate) struct Trust {
    partition: Arc<Partition>,
    epoch: u64,
}

/// What a kept value may be served under. One look at the clock does for the lease and for the deadline:
/// up to that moment everything was heard, and the value was not too old.
pub(crate) struct KeptTrust {
    trust: Trust,
    /// The value's deadline, by `clock::now`.
    deadline: u64,
}

/// Why a kept value may not be served.
pub(crate) enum Lapse {
    /// Something may have been invalidated that was not heard of.
    Doubted,
    /// It is too old.
    Expired,
}

impl KeptTrust {
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Lapse> {
        let now = clock::now();
        if !self.trust.stands_at(now) {
            return Err(Lapse::Doubted);
        }
        match self.deadline > now {
            true => Ok(()),
            false => Err(Lapse::Expired),
        }
    }

    pub(crate) fn is_current(&self) -> bool {
        self.trust.is_current()
    }
}

impl Trust {
    /// For a value that is kept until `deadline`.
    pub(crate) fn keep(&self, deadline: Instant) -> KeptTrust {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        KeptTrust {
            trust: self.clone(),
            deadline: clock::now().saturating_add(left),
        }
    }

    /// Whether all that others have invalidated by now has raised the fences here.
    pub(crate) fn stands(&self) -> bool {
        self.stands_at(clock::now())
    }

    #[inline]
    fn stands_at(&self, now: u64) -> bool {
        self.partition.lease.load(Ordering::Acquire) > now && self.is_current()
    }

    /// Whether nothing was missed since the flight began.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        // Pairs with `forget`: the epoch changes before a lease is granted in the new one.
        self.partition.epoch.load(Ordering::Acquire) == self.epoch
    }
}

impl Partition {
    pub(crate) fn new(index: u16) -> Self {
        Self {
            index,
            epoch: AtomicU64::new(0),
            lease: AtomicU64::new(0),
            reachable: AtomicBool::new(true),
            heard: Mutex::new(Heard::default()),
            pulse: Notify::new(),
            owes: AtomicBool::new(false),
        }
    }

    /// To be taken before the flight that it is for.
    pub(crate) fn trust(self: &Arc<Self>) -> Trust {
        Trust {
            epoch: self.epoch.load(Ordering::Acquire),
            partition: Arc::clone(self),
        }
    }

    pub(crate) fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }

    pub(crate) fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Relaxed);
    }

    /// Whether the lease has not run out.
    pub(crate) fn is_leased(&self) -> bool {
        self.lease.load(Ordering::Acquire) > clock::now()
    }

    /// The last notice that was applied.
    pub(crate) fn upto(&self) -> Option<Position> {
        self.heard().upto.clone()
    }

    /// Whether all up to `position` has been applied.
    pub(crate) fn has_heard(&self, position: &Position) -> bool {
        self.heard().upto.as_ref().is_some_and(|upto| {
            upto.incarnation == position.incarnation && upto.number >= position.number
        })
    }

    /// When this node first met `incarnation`, by `clock::now`: now, if it has not yet.
    pub(crate) fn met(&self, incarnation: &Incarnation) -> u64 {
        let heard = self.heard();
        match &heard.upto {
            Some(upto) if upto.incarnation == *incarnation => heard.met_at,
            _ => clock::now(),
        }
    }

    /// The subscription has been confirmed: what was said before it will not be heard any more.
    pub(crate) fn listens_anew(&self) {
        let mut heard = self.heard();
        heard.fresh_ears = true;
        heard.silent_gaps = 0;
        drop(heard);
        self.pulse.notify_one();
    }

    /// Applies a notice. The lease is granted that waited for it.
    pub(crate) fn hear(
        &self,
        notice: &Notice,
        own: bool,
        fences: &Fences,
        applied: &Counter,
    ) -> Hearing {
        let mut heard = self.heard();
        heard.silent_gaps = 0;
        // Its own have raised the fences before they were sent. Others are applied whatever their number
        // is: what raises too much does no harm.
        if !own {
            apply(&notice.items, fences);
            applied.add();
        }
        let Some(upto) = heard
            .upto
            .as_mut()
            .filter(|upto| upto.incarnation == notice.at.incarnation)
        else {
            // Perhaps of a life that is over: only a pulse tells.
            heard.upto = None;
            self.forget(&mut heard);
            self.pulse.notify_one();
            return Hearing::Reborn;
        };
        if notice.at.number <= upto.number {
            return Hearing::InOrder;
        }
        let follows = notice.at.number == upto.number + 1;
        upto.number = notice.at.number;
        if !follows {
            self.forget(&mut heard);
            return Hearing::Gap;
        }
        if let Some((number, until)) = heard.waiting
            && notice.at.number >= number
        {
            heard.waiting = None;
            self.grant(until);
        }
        Hearing::InOrder
    }

    /// Takes the answer to a pulse, which gives a lease until `until`.
    pub(crate) fn pulsed(&self, at: Position, until: u64) -> Hearing {
        let mut heard = self.heard();
        let fresh_ears = std::mem::take(&mut heard.fresh_ears);
        let missed = match &heard.upto {
            Some(upto) if upto.incarnation == at.incarnation => {
                if upto.number >= at.number {
                    heard.waiting = None;
                    self.grant(until);
                    return Hearing::InOrder;
                }
                // What the last pulse reported has had its time to arrive.
                let overdue = heard
                    .waiting
                    .is_some_and(|(number, _)| number > upto.number);
                if !overdue && !fresh_ears {
                    heard.waiting = Some((at.number, until));
                    return Hearing::InOrder;
                }
                if !fresh_ears {
                    heard.silent_gaps += 1;
                }
                match heard.silent_gaps >= DEAF_AFTER {
                    true => Hearing::Deaf,
                    false => Hearing::Gap,
                }
            }
            _ => {
                heard.met_at = clock::now();
                Hearing::Reborn
            }
        };
        self.forget(&mut heard);
        heard.upto = Some(at);
        self.grant(until);
        missed
    }

    /// Gives up all that was kept in level 1.
    fn forget(&self, heard: &mut Heard) {
        heard.waiting = None;
        self.lease.store(0, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn grant(&self, until: u64) {
        self.lease.fetch_max(until, Ordering::AcqRel);
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Raises the fences here, and keeps the holds here too: a server that forgets everything forgets them.
fn apply(items: &[Item], fences: &Fences) {
    for Item { scope, span, deed } in items {
        match *deed {
            Deed::Hold { id, lasts_ms } => {
                let until = Instant::now() + Duration::from_millis(lasts_ms.min(LONGEST_HOLD_MS));
                fences.hold_span(scope, *span, id, until);
            }
            Deed::Raise => {
                fences.invalidate(scope, *span);
            }
            Deed::Release { id } => {
                fences.invalidate(scope, *span);
                fences.release_span(scope, *span, id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, time::Duration};

    use super::{Hearing, Partition};
    use crate::{
        fences::Fences,
        level2::{
            clock,
            store::{Notice, Position},
        },
        statistics::Counter,
    };

    /// The end of a lease that nothing here outlives.
    const FAR: u64 = u64::MAX;
    /// That of none.
    const NONE: u64 = 0;

    fn at(incarnation: &str, number: u64) -> Position {
        Position {
            incarnation: incarnation.into(),
            number,
        }
    }

    /// A partition that has met life `a` at number 5, without a lease.
    fn met_at_5() -> Partition {
        let partition = Partition::new(0);
        assert_eq!(partition.pulsed(at("a", 5), NONE), Hearing::Reborn);
        partition
    }

    fn hear(partition: &Partition, at: Position) -> Hearing {
        let notice = Notice {
            partition: 0,
            at,
            writer: 1,
            acknowledge: false,
            items: Vec::new(),
        };
        let fences = Fences::new(NonZeroUsize::MIN, Duration::ZERO);
        partition.hear(&notice, false, &fences, &Counter::default())
    }

    #[test]
    fn a_lease_waits_for_all_that_its_pulse_has_told_of() {
        let partition = met_at_5();
        assert_eq!(partition.pulsed(at("a", 7), FAR), Hearing::InOrder);
        assert!(!partition.is_leased());
        assert_eq!(hear(&partition, at("a", 6)), Hearing::InOrder);
        assert!(!partition.is_leased());
        assert_eq!(hear(&partition, at("a", 7)), Hearing::InOrder);
        assert!(partition.is_leased());
    }

    #[test]
    fn all_up_to_a_number_of_the_present_life_has_been_heard() {
        let partition = met_at_5();
        assert!(partition.has_heard(&at("a", 4)) && partition.has_heard(&at("a", 5)));
        assert!(!partition.has_heard(&at("a", 6)) && !partition.has_heard(&at("b", 4)));
    }

    #[test]
    fn notices_that_never_came_are_a_gap_and_gaps_without_a_notice_are_deafness() {
        let partition = met_at_5();
        let misses = |from| {
            assert_eq!(partition.pulsed(at("a", from), NONE), Hearing::InOrder);
            partition.pulsed(at("a", from + 1), NONE)
        };
        assert_eq!(misses(7), Hearing::Gap);
        // What is heard tells that the subscription is there.
        assert_eq!(hear(&partition, at("a", 9)), Hearing::InOrder);
        assert_eq!(misses(11), Hearing::Gap);
        assert_eq!(misses(13), Hearing::Deaf);
    }

    #[test]
    fn nothing_is_on_its_way_to_a_new_subscription() {
        let partition = met_at_5();
        for number in [6, 7, 8] {
            partition.listens_anew();
            assert_eq!(partition.pulsed(at("a", number), NONE), Hearing::Gap);
        }
        assert_eq!(partition.pulsed(at("a", 9), NONE), Hearing::InOrder);
    }

    #[test]
    fn a_life_that_was_never_met_is_met_now() {
        let partition = met_at_5();
        let met = partition.met(&"a".into());
        while clock::now() == met {}
        assert_eq!(partition.met(&"a".into()), met);
        assert!(partition.met(&"b".into()) > met);
    }
}
