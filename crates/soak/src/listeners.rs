//! The listeners of a bus under load: siblings that are to notice nothing, and one of two sets beside
//! them.

mod faults;
mod policies;
mod siblings;

use std::{num::NonZeroUsize, sync::Arc};

use vacancy_dispatch::{BoxError, Bus, BusBuilder, Envelope, Event, Listener, listen_fn};

use crate::{
    seen::{Seen, Witness},
    tally::Tally,
};

pub(crate) use faults::Faults;
pub(crate) use siblings::{CAPACITY, NAMES as SIBLINGS};

/// Who listens beside the siblings.
#[derive(Clone, Copy)]
pub(crate) enum Beside {
    /// A listener for every policy.
    Policies,
    /// Listeners at fault, or stand-ins for them.
    Faults(Faults),
}

/// A bus that is being put together, with the counts of its listeners.
pub(crate) struct Cast {
    builder: BusBuilder,
    tally: Arc<Tally>,
    seen: Vec<Arc<Seen>>,
}

impl Cast {
    /// A bus with all listeners, and what they count.
    pub(crate) fn build(
        beside: Beside,
        tally: &Arc<Tally>,
    ) -> anyhow::Result<(Bus, Arc<[Arc<Seen>]>)> {
        let kept = const { NonZeroUsize::new(256).expect("256 is not zero") };
        let cast = Self {
            builder: Bus::builder().dead_letter_capacity(kept),
            tally: Arc::clone(tally),
            seen: Vec::new(),
        };
        let cast = match beside {
            Beside::Policies => policies::add(siblings::add(cast)),
            Beside::Faults(faults) => faults::add(siblings::add(cast), faults),
        };
        let seen: Arc<[_]> = cast.seen.into();
        let bus = cast.builder.observe(Witness(Arc::clone(&seen))).build()?;
        Ok((bus, seen))
    }

    /// Adds to the bus.
    fn with(mut self, add: impl FnOnce(BusBuilder) -> BusBuilder) -> Self {
        self.builder = add(self.builder);
        self
    }

    fn seen<E: Event>(&mut self, listener: &'static str) -> Arc<Seen> {
        let seen = Arc::new(Seen::new(E::NAME, listener));
        self.seen.push(Arc::clone(&seen));
        seen
    }

    /// A listener that does `work` and counts what it came to.
    fn counted<E, F, Fut>(
        &mut self,
        name: &'static str,
        work: F,
    ) -> impl Listener<E> + use<E, F, Fut>
    where
        E: Event,
        F: Fn(Arc<Envelope<E>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let seen = self.seen::<E>(name);
        listen_fn(name, move |envelope| {
            let seen = Arc::clone(&seen);
            let work = work(envelope);
            async move {
                let result = work.await;
                seen.count(&result);
                result
            }
        })
    }
}

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("no setting is zero")
}
