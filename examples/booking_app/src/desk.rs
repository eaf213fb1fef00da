//! Where bookings are made, moved and cancelled.

use std::sync::Arc;

use chrono::Utc;
use serde::Serialize;
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};
use vacancy::{
    dispatch::{Bus, Event, Outcome, Receipt},
    slots::{
        AppointmentBooked, AppointmentCancelled, AppointmentId, AppointmentRescheduled,
        EventTypeId, Interval, ResourceId, SlotsCache,
    },
};

use crate::{
    booking::Booking,
    diary::{Diary, DiaryError},
    feed::Feed,
    lanes::tell_lane,
    salon::Salon,
};

/// Makes, moves and cancels bookings. Each is one task of its own from the first look into the diary
/// to the dispatch of the event: a caller who hangs up changes nothing. A handle: `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    salon: Arc<Salon>,
    diary: Diary,
    slots: SlotsCache,
    bus: Bus,
    feed: Feed,
    /// One permit for each booking under way.
    bookings: Arc<Semaphore>,
    /// One permit for each event whose invalidation is watched.
    watches: Arc<Semaphore>,
}

/// How many bookings may be under way at a time. Further ones wait.
const BOOKINGS: u32 = 64;
/// How many events may be watched at a time. Further ones are not.
const WATCHES: u32 = 1024;

/// Who wants what, and when.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) event_type: EventTypeId,
    pub(crate) host: ResourceId,
    pub(crate) time: Interval,
    pub(crate) name: String,
    /// Two orders with one key are one order.
    pub(crate) key: String,
}

/// Why nothing was booked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    /// The diary says no, or nothing.
    #[error(transparent)]
    Diary(#[from] DiaryError),
    /// The application is being stopped.
    #[error("the salon is closing")]
    Closing,
}

#[derive(Serialize)]
struct Told<'a> {
    state: &'a str,
    #[serde(flatten)]
    booking: &'a Booking,
}

impl Desk {
    pub(crate) fn new(
        salon: Arc<Salon>,
        diary: Diary,
        slots: SlotsCache,
        bus: Bus,
        feed: Feed,
    ) -> Self {
        Self(Arc::new(Inner {
            salon,
            diary,
            slots,
            bus,
            feed,
            bookings: Arc::new(Semaphore::new(BOOKINGS as usize)),
            watches: Arc::new(Semaphore::new(WATCHES as usize)),
        }))
    }

    /// Books. With a key that was used before it gives the booking that was made then.
    pub(crate) async fn book(&self, order: Order) -> Result<Booking, DeskError> {
        self.owned(move |desk, answer| async move {
            let booking = Booking {
                id: format!("b-{:016x}", fastrand::u64(..))
                    .parse()
                    .expect("a short name"),
                event_type: order.event_type,
                host: order.host,
                time: order.time,
                name: order.name,
                revision: 0,
                changed_at: Utc::now(),
                cancelled: false,
            };
            let event = AppointmentBooked::new(booking.appointment(&desk.salon));
            let hold = desk.slots.hold(&event).await;
            match desk.diary.book(&booking, &order.key).await {
                Ok((booking, true)) => {
                    let receipt = desk.bus.dispatch(event);
                    desk.tell("booked", &booking);
                    answer.give(Ok(booking));
                    return Some((AppointmentBooked::NAME, receipt));
                }
                other => {
                    if let Ok(hold) = hold {
                        hold.abandon();
                    }
                    answer.give(other.map(|(booking, _)| booking));
                }
            }
            None
        })
        .await
    }

    /// Moves to another time, to another host, or both.
    pub(crate) async fn reschedule(
        &self,
        id: AppointmentId,
        host: ResourceId,
        time: Interval,
    ) -> Result<Booking, DeskError> {
        self.owned(move |desk, answer| async move {
            match desk.diary.reschedule(&id, host, time).await {
                Ok((before, after)) if before == after => answer.give(Ok(after)),
                Ok((before, after)) => {
                    let (from, to) = (
                        before.appointment(&desk.salon),
                        after.appointment(&desk.salon),
                    );
                    let receipt = desk.bus.dispatch(AppointmentRescheduled::new(from, to));
                    desk.tell("moved", &after);
                    answer.give(Ok(after));
                    return Some((AppointmentRescheduled::NAME, receipt));
                }
                Err(error) => answer.give(Err(error)),
            }
            None
        })
        .await
    }

    /// Cancels, once or again.
    pub(crate) async fn cancel(&self, id: AppointmentId) -> Result<(), DeskError> {
        self.owned(move |desk, answer| async move {
            match desk.diary.cancel(&id).await {
                Ok(Some(booking)) => {
                    let event = AppointmentCancelled::new(booking.appointment(&desk.salon));
                    let receipt = desk.bus.dispatch(event);
                    desk.tell("cancelled", &booking);
                    answer.give(Ok(()));
                    return Some((AppointmentCancelled::NAME, receipt));
                }
                Ok(None) => answer.give(Ok(())),
                Err(error) => answer.give(Err(error)),
            }
            None
        })
        .await
    }

    /// Takes no more, and waits for the bookings that are under way.
    pub(crate) async fn close(&self) {
        drained(&self.0.bookings, BOOKINGS).await;
    }

    /// Waits until the last event is told of. For after the shutdown of the bus.
    pub(crate) async fn told(&self) {
        drained(&self.0.watches, WATCHES).await;
    }

    async fn owned<T, Run, Task>(&self, run: Run) -> Result<T, DeskError>
    where
        T: Send + 'static,
        Run: FnOnce(Arc<Inner>, Answer<T>) -> Task,
        Task: Future<Output = Option<(&'static str, Receipt)>> + Send + 'static,
    {
        let desk = Arc::clone(&self.0);
        let permit = Arc::clone(&desk.bookings).acquire_owned().await;
        let permit = permit.map_err(|_| DeskError::Closing)?;
        let (sender, receiver) = oneshot::channel();
        let task = run(Arc::clone(&desk), Answer(sender));
        tokio::spawn(async move {
            let dispatched = task.await;
            let watch = Arc::clone(&desk.watches).try_acquire_owned();
            drop(permit);
            // Where too many are watched the page is not told of this one.
            if let (Some((event, receipt)), Ok(_watch)) = (dispatched, watch) {
                desk.watch(event, receipt).await;
            }
        });
        let answer = receiver.await.map_err(|_| DeskError::Closing)?;
        Ok(answer?)
    }
}

async fn drained(permits: &Semaphore, all: u32) {
    if let Ok(permits) = permits.acquire_many(all).await {
        permits.forget();
    }
    permits.close();
}

/// To whoever waits at the desk, if he still does.
struct Answer<T>(oneshot::Sender<Result<T, DiaryError>>);

impl<T> Answer<T> {
    fn give(self, answer: Result<T, DiaryError>) {
        // He has hung up.
        let _ = self.0.send(answer);
    }
}

impl Inner {
    fn tell(&self, state: &str, booking: &Booking) {
        self.feed.send("booking", &Told { state, booking });
    }

    /// Tells how the invalidation ended, which registers its listeners itself.
    async fn watch(&self, event: &str, receipt: Receipt) {
        const LISTENER: &str = "slots.invalidate";
        let (id, begun) = (receipt.id(), Instant::now());
        let Ok(outcome) = receipt.reached(LISTENER).await else {
            return;
        };
        if !matches!(outcome, Outcome::Dead(_)) {
            tell_lane(&self.feed, id, event, LISTENER, "done", begun.elapsed());
        }
    }
}
