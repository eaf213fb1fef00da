//! [`Traffic`]: who acts on the bus, at what rate, and when it has to rest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    sync::RwLock,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use vacancy_dispatch::Bus;

use crate::{events::Booked, listeners::CAPACITY, tally::Tally};

/// How many publishers share the rate.
pub(crate) const PUBLISHERS: u32 = 2;

/// After a rest nobody makes up for what was not dispatched, except for this long.
const MADE_UP: Duration = Duration::from_millis(20);

/// Who acts on the bus, at what rate, and when it has to rest.
pub(crate) struct Traffic {
    pub(crate) bus: Bus,
    pub(crate) tally: Arc<Tally>,
    /// Events a second, of all publishers together.
    pub(crate) per_second: u64,
    /// Held while somebody acts. Whoever writes has the bus to themselves.
    pub(crate) gate: RwLock<()>,
    pub(crate) stopped: AtomicBool,
}

impl Traffic {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Dispatches its share, some every millisecond, until stopped.
    pub(crate) async fn publish(self: Arc<Self>, mut dice: Rng) {
        let share = self.per_second as f64 / f64::from(PUBLISHERS);
        let mut tick = interval(Duration::from_millis(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last = Instant::now();
        let mut owed = 0.0;
        while !self.is_stopped() {
            tick.tick().await;
            let _open = self.gate.read().await;
            owed += share * last.elapsed().min(MADE_UP).as_secs_f64();
            last = Instant::now();
            while owed >= 1.0 {
                owed -= 1.0;
                self.book(&mut dice);
            }
        }
    }

    /// Dispatches more than any lane has room for, as fast as it can.
    pub(crate) async fn flood(&self, dice: &mut Rng) {
        let _open = self.gate.read().await;
        for _ in 0..2 * CAPACITY {
            self.book(dice);
        }
    }

    fn book(&self, dice: &mut Rng) {
        self.tally.booked.fetch_add(1, Ordering::Relaxed);
        drop(self.bus.dispatch(Booked {
            number: dice.u64(..),
            dispatched: Instant::now(),
            note: Box::new([0; 256]),
        }));
    }

    /// Pauses and resumes, replays dead letters and watches a stream, in turns, until stopped.
    pub(crate) async fn operate(self: Arc<Self>, mut dice: Rng) -> anyhow::Result<()> {
        while !self.is_stopped() {
            sleep(Duration::from_millis(dice.u64(20..200))).await;
            let _open = self.gate.read().await;
            match dice.u8(..3) {
                0 => {
                    self.bus.pause("paused")?;
                    sleep(Duration::from_millis(dice.u64(1..40))).await;
                    self.bus.resume("paused")?;
                }
                1 => {
                    let parity = dice.u64(..2);
                    let which = |id: u64| id % 2 == parity;
                    let replays = self
                        .bus
                        .replay_where(|letter| which(letter.id().sequence()));
                    let replayed = &self.tally.replayed;
                    replayed.fetch_add(replays.len() as u64, Ordering::Relaxed);
                }
                _ => {
                    let mut stream = self.bus.stream::<Booked>();
                    let watch = async {
                        for _ in 0..dice.u16(1..1_000) {
                            drop(stream.next().await);
                        }
                    };
                    // None may come any more, if the publishers have stopped.
                    let _ = timeout(Duration::from_millis(50), watch).await;
                }
            }
        }
        Ok(())
    }
}
