//! Node A: books every 20 ms, one host after the other.

use std::time::Duration;

use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};
use vacancy::dispatch::{BoxError, Bus, Outcome};
use vacancy::slots::{AppointmentBooked, InvalidateSlotsCache, SlotsCache};

use super::{
    agenda::{HOSTS, appointment, each, half_hours_of, query},
    calendar::Calendar,
    clock::now,
    verdict::{Booking, Observation},
};

/// From one booking to the next.
pub(crate) const EVERY: Duration = Duration::from_millis(20);

/// The listener that waits for the confirmation.
const LISTENER: &str = "slots.invalidate";

/// Bookings under way.
pub(crate) struct Writing {
    stop: oneshot::Sender<()>,
    writes: JoinHandle<Result<Written, BoxError>>,
}

/// What A has done.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) booked: Vec<Booked>,
    /// A looks what is open with the host before it books.
    pub(crate) reads: Vec<Observation>,
}

/// A booking, and what it cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Booked {
    pub(crate) booking: Booking,
    /// How long `dispatch` took, in nanoseconds.
    pub(crate) dispatch: u64,
}

impl Booked {
    /// From `dispatch` to the confirmation, in nanoseconds.
    pub(crate) fn confirmed_after(&self) -> Option<u64> {
        let Booking {
            dispatched,
            confirmed,
            ..
        } = self.booking;
        Some(confirmed?.saturating_sub(dispatched))
    }
}

impl Writing {
    pub(crate) fn begin(slots: SlotsCache, calendar: Calendar) -> Result<Self, BoxError> {
        let bus = Bus::builder()
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let writes = tokio::spawn(write(slots, bus, calendar, stopped));
        Ok(Self { stop, writes })
    }

    /// Waits until every booking has an outcome.
    pub(crate) async fn end(self) -> Result<Written, BoxError> {
        drop(self.stop);
        self.writes.await?
    }
}

async fn write(
    slots: SlotsCache,
    bus: Bus,
    calendar: Calendar,
    mut stop: oneshot::Receiver<()>,
) -> Result<Written, BoxError> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written = Written::default();
    let mut settling = JoinSet::new();
    for id in 1.. {
        if stop.try_recv() != Err(TryRecvError::Empty) {
            break;
        }
        ticks.tick().await;
        let host = id % HOSTS;
        let began = now();
        let open = slots.open(&query(host)).await;
        written.reads.push(Observation::new(began, host, &open));
        let open: Vec<_> = each(half_hours_of(&open?)).collect();
        let nth = *fastrand::choice(&open).ok_or("a host is fully booked")?;
        // Commits.
        if !calendar.book(host, nth) {
            return Err("A was offered what it had booked before".into());
        }
        let event = AppointmentBooked::new(appointment(id as u64, host, nth));
        let before = now();
        let receipt = bus.dispatch(event);
        let dispatched = now();
        settling.spawn(async move {
            let outcome = receipt.reached(LISTENER).await;
            let booking = Booking {
                host,
                nth,
                dispatched,
                confirmed: (outcome == Ok(Outcome::Done)).then(now),
            };
            Booked {
                booking,
                dispatch: dispatched - before,
            }
        });
    }
    written.booked = settling.join_all().await;
    written
        .booked
        .sort_unstable_by_key(|booked| booked.booking.dispatched);
    bus.shutdown(Duration::from_secs(1)).await;
    Ok(written)
}
