//! What a dispatch costs the publisher.
//!
//! The publisher is a task of the runtime, as a request handler is. It dispatches bursts of 64 events and lets other
//! tasks run after each, until all listeners have handled all of them; only the burst is timed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::yield_now, time::sleep};

use crate::{
    Contender,
    dispatch::{Booked, Dispatcher, field::Field},
};

pub(crate) const BURST: u64 = 64;
pub(crate) const LISTENERS: [usize; 5] = [0, 1, 3, 10, 100];

/// How long one round lasts at most.
const ROUND: Duration = Duration::from_millis(40);

/// How many bursts one round has at most.
const BURSTS: u64 = 400;

/// Rounds that give the mean time of one dispatch in ns.
pub(crate) fn contender<D: Dispatcher>(listeners: usize) -> Contender<'static> {
    let field = Field::<D>::new(listeners);
    Contender::new(D::NAME, move || {
        let mut dispatcher = field.dispatcher.clone();
        let traffic = Arc::clone(&field.traffic);
        let publisher = field.runtime.spawn(async move {
            let mut busy = Duration::ZERO;
            let mut bursts = 0;
            let round = Instant::now();
            while bursts < BURSTS && round.elapsed() < ROUND {
                let mut events: Vec<Booked> = (0..BURST).map(Booked::new).collect();
                traffic.admit(BURST).await;
                let begun = Instant::now();
                for event in events.drain(..) {
                    dispatcher.dispatch(event).await;
                }
                busy += begun.elapsed();
                bursts += 1;
                traffic.drained().await;
                yield_now().await;
            }
            if listeners == 0 {
                // Nobody says when the events are gone, and what is left must not run beside the next contender.
                sleep(Duration::from_millis(5)).await;
            }
            busy.as_nanos() as f64 / (bursts * BURST) as f64
        });
        field
            .runtime
            .block_on(publisher)
            .expect("no contender panics")
    })
}
