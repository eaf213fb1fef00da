//! The healthy listeners, whose latency is measured.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::task::yield_now;
use vacancy_dispatch::{
    Batch, BatchListener, Batching, BoxError, Delivery, Envelope, InlineListener, Listener, Policy,
    listen_fn,
};

use super::{Cast, some};
use crate::{
    events::{Booked, Invoiced},
    seen::Seen,
};

/// The siblings with a lane.
pub(crate) const NAMES: [&str; 7] = [
    "quiet", "ordered", "batches", "first", "left", "right", "last",
];

/// Large enough that an overflow means that a listener does not keep up.
pub(crate) const CAPACITY: usize = 1 << 16;

pub(super) fn add(mut cast: Cast) -> Cast {
    let policy = || Policy::<Booked>::new().capacity(some(CAPACITY));
    let inline = Inline(cast.seen::<Booked>("inline"));
    let batches = Batches(cast.seen::<Booked>("batches"));
    let batching = Batching::up_to(some(64)).linger(Duration::from_millis(1));
    let [quiet, ordered, first, left, last] =
        ["quiet", "ordered", "first", "left", "last"].map(|name| measured(&mut cast, name));
    let right = invoicing(&mut cast);
    let hears = cast.counted("hears", |invoiced: Arc<Envelope<Invoiced>>| async move {
        if invoiced.0.is_multiple_of(8) {
            yield_now().await;
        }
        Ok(())
    });
    let ordering = policy()
        .concurrency(some(4))
        .ordered_by(|booked| booked.number % 64);
    cast.with(|bus| {
        bus.inline(inline)
            .listen_with(quiet, policy())
            .listen_with(ordered, ordering)
            .listen_batches(batches, batching, policy())
            .listen_with(first, policy())
            .listen_with(left, policy().after("first"))
            .listen_with(right, policy().after("first"))
            .listen_with(last, policy().after("left").after("right"))
            .listen_with(hears, Policy::new().capacity(some(CAPACITY)))
    })
}

/// A listener that does little, and notes how long it took until then.
fn measured(cast: &mut Cast, name: &'static str) -> impl Listener<Booked> + use<> {
    let seen = cast.seen::<Booked>(name);
    listen_fn(name, move |booked: Arc<Envelope<Booked>>| {
        let seen = Arc::clone(&seen);
        async move {
            if booked.number.is_multiple_of(16) {
                yield_now().await;
            }
            std::hint::black_box(&booked.note);
            seen.took(booked.dispatched);
            seen.finish(1);
            Ok(())
        }
    })
}

/// A listener that dispatches, at one event in four.
fn invoicing(cast: &mut Cast) -> impl Listener<Booked> + use<> {
    let (seen, tally) = (cast.seen::<Booked>("right"), Arc::clone(&cast.tally));
    listen_fn("right", move |booked: Arc<Envelope<Booked>>| {
        let (seen, tally) = (Arc::clone(&seen), Arc::clone(&tally));
        async move {
            if booked.number.is_multiple_of(4)
                && let Some(delivery) = Delivery::current()
            {
                tally.invoiced.fetch_add(1, Ordering::Relaxed);
                drop(delivery.dispatch(Invoiced(booked.number)));
            }
            seen.took(booked.dispatched);
            seen.finish(1);
            Ok(())
        }
    })
}

struct Inline(Arc<Seen>);

impl InlineListener<Booked> for Inline {
    fn handle(&self, _: &Booked) {
        self.0.finish(1);
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.0.listener)
    }
}

struct Batches(Arc<Seen>);

impl BatchListener<Booked> for Batches {
    async fn handle(&self, batch: &Batch<Booked>) -> Result<(), BoxError> {
        yield_now().await;
        for booked in batch {
            self.0.took(booked.dispatched);
        }
        self.0.finish(batch.len() as u64);
        Ok(())
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.0.listener)
    }
}
