//! [`Duty`]: which router of a route is on duty, and whether it gets on.
//!
//! A router polls workers in place, so a listener that blocks its thread blocks the router. Then another
//! one takes over, and the first learns of it as soon as it is back.
//!
//! # Invariants
//!
//! 1. One router is on duty. It loses the duty only while it polls workers, when all lanes have been given
//!    the same events.
//! 2. Who has lost the duty touches nothing of the route any more.

use std::sync::atomic::{AtomicU64, Ordering};

/// Who is on duty and what it does: the number of the router in the upper half; in the lower half a
/// number that changes with everything it does, odd while it polls a worker.
///
/// Apart from what publishers read, in memory, since the router writes it all the time.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Roster(AtomicU64);

/// The duty of one router, as it knows it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Duty(u64);

/// Another router has taken over.
pub(crate) struct Relieved;

const ROUTER: u64 = 1 << 32;

impl Duty {
    /// Whether a worker is being polled.
    pub(crate) fn is_polling(self) -> bool {
        self.0 % 2 == 1
    }

    fn router(self) -> u64 {
        self.0 & !(ROUTER - 1)
    }

    fn after(self, steps: u32) -> Self {
        let step = self.0 as u32;
        Self(self.router() | u64::from(step.wrapping_add(steps)))
    }
}

impl Roster {
    /// What is seen from outside.
    pub(crate) fn look(&self) -> Duty {
        Duty(self.0.load(Ordering::SeqCst))
    }

    /// Whether nobody has taken over from the router that began with this duty.
    pub(crate) fn has(&self, duty: Duty) -> bool {
        self.look().router() == duty.router()
    }

    fn turn(&self, from: Duty, to: Duty) -> Result<(), Relieved> {
        let (succeeded, failed) = (Ordering::SeqCst, Ordering::SeqCst);
        let turned = self.0.compare_exchange(from.0, to.0, succeeded, failed);
        turned.map(|_| ()).map_err(|_| Relieved)
    }

    /// Says that the router polls a worker, or the next one.
    pub(crate) fn poll_next(&self, duty: &mut Duty) -> Result<(), Relieved> {
        let next = duty.after(if duty.is_polling() { 2 } else { 1 });
        self.turn(*duty, next)?;
        *duty = next;
        Ok(())
    }

    /// Says that the router polls no worker any more.
    pub(crate) fn poll_no_more(&self, duty: &mut Duty) -> Result<(), Relieved> {
        if duty.is_polling() {
            let next = duty.after(1);
            self.turn(*duty, next)?;
            *duty = next;
        }
        Ok(())
    }

    /// Gives the duty to another router, if the one that has it still polls the worker it was seen with.
    pub(crate) fn relieve(&self, seen: Duty) -> Option<Duty> {
        let next = Duty(seen.router().wrapping_add(ROUTER));
        self.turn(seen, next).ok().map(|()| next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_polls_the_same_worker_too_long_is_relieved_and_told() {
        let roster = Roster::default();
        let mut first = Duty::default();
        assert!(roster.poll_next(&mut first).is_ok());
        let seen = roster.look();
        assert!(seen.is_polling());
        let second = roster.relieve(seen).expect("nothing has changed");
        assert!(!second.is_polling());
        assert!(roster.has(second) && !roster.has(first));
        assert!(roster.poll_next(&mut first).is_err());
        assert!(roster.poll_no_more(&mut first).is_err());
        assert!(roster.has(second));
    }

    #[test]
    fn a_router_that_gets_on_is_not_relieved() {
        let roster = Roster::default();
        let mut duty = Duty::default();
        assert!(roster.poll_next(&mut duty).is_ok());
        let seen = roster.look();
        assert!(roster.poll_next(&mut duty).is_ok());
        assert!(duty.is_polling() && roster.relieve(seen).is_none());
        assert!(roster.poll_no_more(&mut duty).is_ok());
        assert!(!roster.look().is_polling() && roster.has(seen));
    }

    #[test]
    fn the_steps_of_a_router_never_reach_its_number() {
        let roster = Roster::default();
        let mut duty = Duty(ROUTER - 1);
        roster.0.store(duty.0, Ordering::SeqCst);
        assert!(roster.poll_no_more(&mut duty).is_ok());
        assert!(duty == Duty(0));
    }
}
