//! [`Bus::replay`]: gives dead letters to their listeners once more.

use std::sync::{Arc, atomic::Ordering};

use crate::{Bus, DeadLetter, Receipt, bus::Core, guard::guarded};

impl Bus {
    /// Gives the event of a dead letter to the listener that did not handle it, and to no other.
    ///
    /// The letter is taken out of those kept; if the listener fails again there is a new one. The replay
    /// has an id of its own, the cause of the original, and says what it is:
    /// [`Delivery::replay_of`](crate::Delivery::replay_of). It is counted in
    /// [`Entry::replayed`](crate::Entry::replayed) and waits behind what its lane has. An inline listener
    /// runs inside this call. Those that come after the listener have had the event, and do not again.
    ///
    /// # Errors
    ///
    /// With [`ReplayError`], and the letter stays where it is.
    pub fn replay(&self, letter: &DeadLetter) -> Result<Receipt, ReplayError> {
        let core = &self.handles.core;
        if core.closed.load(Ordering::Acquire) {
            return Err(ReplayError::Closed);
        }
        let event = letter.parcel().event().type_id();
        let route = core.routes.get(&event).ok_or(ReplayError::Gone)?;
        // A shutdown waits for it, as for a task: it may displace what others come after.
        core.tasks.fetch_add(1, Ordering::AcqRel);
        let _under_way = UnderWay(core);
        let letters = &core.ends.dead_letters;
        let letter = letters.remove(letter).ok_or(ReplayError::Gone)?;
        let replayed = route.replay(core, &letter);
        match replayed {
            Ok(_) => {
                // Perhaps the last hold on the event, whose drop may panic.
                let _ = guarded(|| drop(letter));
            }
            Err(_) => letters.restore(letter),
        }
        replayed
    }

    /// Replays all dead letters that `which` says, the oldest first. Those that cannot be replayed,
    /// because the bus is closed or somebody else was faster, are left out.
    pub fn replay_where(&self, which: impl Fn(&DeadLetter) -> bool) -> Vec<Receipt> {
        let letters: Vec<Arc<DeadLetter>> = self.dead_letters();
        let letters = letters.iter().filter(|letter| which(letter));
        letters
            .filter_map(|letter| self.replay(letter).ok())
            .collect()
    }
}

/// A replay that has begun.
struct UnderWay<'a>(&'a Core);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.task_ended();
    }
}

/// Why a dead letter was not replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The bus takes no more events.
    #[error("the bus was closed")]
    Closed,
    /// This bus does not have the letter: it was replayed already, or evicted to make room.
    #[error("the bus no longer has the dead letter: it was replayed, or evicted")]
    Gone,
}
