//! [`Spares`]: what handled events leave behind for the next ones.
//!
//! An event is made on one core and handled on another. To give its memory back to the allocator there and ask for it
//! here took most of the time that an event spends on the bus, so the router gives envelopes back to the intake.

use std::{mem, sync::Arc};

use crate::{
    Envelope,
    guard::guarded,
    runs::{Events, let_go},
};

/// How many bytes of envelopes an event type keeps at most; as many again may be on their way back.
const BYTES: usize = 128 << 10;

/// How many envelopes an empty batch that is kept has room for at most.
const ROOM: usize = 1024;

/// What the router has of events that have ended at all lanes.
pub(super) struct Spares<E> {
    /// Spent, and nobody else has them.
    envelopes: Vec<Arc<Envelope<E>>>,
    /// Empty, and nobody else has it.
    batch: Option<Events<E>>,
    /// How many events the last batch had.
    room: usize,
}

impl<E> Spares<E> {
    const MOST: usize = BYTES / size_of::<Envelope<E>>();

    pub(super) fn new() -> Self {
        Self {
            envelopes: Vec::new(),
            batch: None,
            room: 0,
        }
    }

    /// Makes sure that there is an empty batch.
    pub(super) fn make_batch(&mut self) {
        self.batch
            .get_or_insert_with(|| Arc::new(Vec::with_capacity(self.room)));
    }

    /// Takes a batch in exchange for an empty one.
    pub(super) fn exchange(&mut self, full: &mut Vec<Arc<Envelope<E>>>) -> Events<E> {
        let mut batch = self.batch.take().unwrap_or_default();
        if let Some(batch) = Arc::get_mut(&mut batch) {
            mem::swap(batch, full);
        }
        self.room = batch.len();
        batch
    }

    /// Takes what nobody else has of a batch.
    pub(super) fn reclaim(&mut self, mut events: Events<E>) {
        let Some(batch) = Arc::get_mut(&mut events) else {
            return let_go(events);
        };
        for mut envelope in batch.drain(..) {
            if self.envelopes.len() < Self::MOST && Envelope::spend(&mut envelope) {
                self.envelopes.push(envelope);
            } else {
                let _ = guarded(|| drop(envelope));
            }
        }
        if batch.capacity() <= ROOM {
            self.batch = Some(events);
        }
    }

    /// Adds the envelopes to those of the intake, as many as it may have.
    pub(super) fn hand_over(&mut self, spares: &mut Vec<Arc<Envelope<E>>>) {
        let room = Self::MOST.saturating_sub(spares.len());
        let rest = self.envelopes.len().saturating_sub(room);
        spares.extend(self.envelopes.drain(rest..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, EventId, delivery::Origin, outcome::Marks};

    struct Ping(Arc<()>);

    impl Event for Ping {
        const NAME: &'static str = "ping";
    }

    fn batch(alive: &Arc<()>, length: usize) -> Events<Ping> {
        let envelope = |number| {
            let header = Origin::default().header::<Ping>(EventId::new(1, number as u64));
            let marks = Marks::single("mail".into(), false);
            Arc::new(Envelope::new(header, marks, Ping(Arc::clone(alive))))
        };
        Arc::new((0..length).map(envelope).collect())
    }

    #[test]
    fn what_nobody_else_has_is_kept_without_its_event() {
        let alive = Arc::new(());
        let mut spares = Spares::new();
        let events = batch(&alive, 3);
        let kept = Arc::clone(&events[1]);
        spares.reclaim(events);
        assert_eq!(spares.envelopes.len(), 2);
        assert_eq!(Arc::strong_count(&alive), 2);
        assert!(Arc::ptr_eq(&kept.event().0, &alive));

        let mut intake = Vec::new();
        spares.hand_over(&mut intake);
        assert_eq!((spares.envelopes.len(), intake.len()), (0, 2));
        assert!(spares.batch.as_ref().is_some_and(|batch| batch.is_empty()));
    }

    #[test]
    fn a_batch_that_somebody_has_is_left_to_them() {
        let alive = Arc::new(());
        let mut spares = Spares::new();
        let events = batch(&alive, 3);
        spares.reclaim(Arc::clone(&events));
        assert!(spares.envelopes.is_empty() && spares.batch.is_none());
        assert_eq!((events.len(), Arc::strong_count(&alive)), (3, 4));
    }

    #[test]
    fn no_more_is_kept_than_a_number_of_bytes() {
        let alive = Arc::new(());
        let mut spares = Spares::new();
        let most = Spares::<Ping>::MOST;
        let size = size_of::<Envelope<Ping>>();
        assert!(most * size <= BYTES && (most + 1) * size > BYTES);
        let mut intake = Vec::new();
        for _ in 0..3 {
            spares.reclaim(batch(&alive, most - 1));
            spares.hand_over(&mut intake);
        }
        assert_eq!((intake.len(), spares.envelopes.len()), (most, most));
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn the_room_of_a_flood_is_not_kept() {
        let alive = Arc::new(());
        let mut spares = Spares::new();
        spares.reclaim(batch(&alive, ROOM + 1));
        assert!(spares.batch.is_none());
        spares.make_batch();
        let mut full = vec![Arc::clone(&batch(&alive, 1)[0])];
        let events = spares.exchange(&mut full);
        assert_eq!((events.len(), full.len(), spares.room), (1, 0, 1));
    }
}
