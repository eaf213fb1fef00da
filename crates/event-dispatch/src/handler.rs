//! [`Handler`]: a listener as a worker sees it, of one event at a time or of batches.

use std::sync::Arc;

use crate::{Batch, BatchListener, BoxError, Envelope, Event, Listener};

/// A listener as a worker sees it.
pub(crate) trait Handler<E: Event>: Send + Sync + 'static {
    /// Calls the listener; there is at least one event.
    fn call(
        &self,
        events: &[Arc<Envelope<E>>],
    ) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A listener that is given each event by itself.
pub(crate) struct Each<L>(pub(crate) L);

impl<E: Event, L: Listener<E>> Handler<E> for Each<L> {
    fn call(
        &self,
        events: &[Arc<Envelope<E>>],
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.0.receive(&events[0])
    }
}

/// A listener that is given batches.
pub(crate) struct Whole<L>(pub(crate) L);

impl<E: Event, L: BatchListener<E>> Handler<E> for Whole<L> {
    fn call(
        &self,
        events: &[Arc<Envelope<E>>],
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let batch = Batch::of(events);
        async move { self.0.handle(&batch).await }
    }
}
