//! [`Handler`]: a listener as a worker sees it, of one event at a time or of batches.

use std::sync::Arc;

use crate::{Batch, BatchListener, BoxError, Event, Listener};

/// A listener as a worker sees it.
pub(crate) trait Handler<E: Event>: Send + Sync + 'static {
    /// Calls the listener; `batch` is not empty.
    fn call(&self, batch: &Batch<E>) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A listener that is given each event by itself, in batches of one.
pub(crate) struct Each<L>(pub(crate) L);

impl<E: Event, L: Listener<E>> Handler<E> for Each<L> {
    fn call(&self, batch: &Batch<E>) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.0.receive(Arc::clone(&batch[0]))
    }
}

/// A listener that is given batches.
pub(crate) struct Whole<L>(pub(crate) L);

impl<E: Event, L: BatchListener<E>> Handler<E> for Whole<L> {
    fn call(&self, batch: &Batch<E>) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.0.handle(batch)
    }
}
