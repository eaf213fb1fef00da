//! Whatever a sibling does, the slot is gone when `dispatch` returns, the invalidation is done, and
//! the others hear of the booking.

mod support;

use std::{
    future::pending,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use support::{
    diary::{Bookable, Diary},
    soon, until_idle,
};
use vacancy::{
    dispatch::{BoxError, Bus, Envelope, Outcome, Policy, Reason, listen_fn},
    slots::{
        Appointment, AppointmentBooked, Buffers, Interval, InvalidateSlotsCache, SlotsCache,
        SlotsQuery,
    },
};

/// Bookings a test makes, from 09:00 on, half an hour each.
const BOOKINGS: i64 = 16;

type Booked = Arc<Envelope<AppointmentBooked>>;

/// Books slot after slot beside a listener that does `bad`, and checks all that it may not change.
/// Gives what became of the bad listener's events.
async fn beside<F>(
    policy: Policy<AppointmentBooked>,
    bad: impl Fn(Booked) -> F + Send + Sync + 'static,
) -> Vec<Option<Outcome>>
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(42).hours(540, 1080));
    let slots = SlotsCache::builder(diary.clone())
        .directory(diary.directory())
        .source_lag(Duration::ZERO)
        .build();
    let counted = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&counted);
    let bus = Bus::builder()
        .listen_with(listen_fn("bad", bad), policy)
        .subscribe(InvalidateSlotsCache::new(slots.clone()))
        .listen(listen_fn("statistics.count", move |_: Booked| {
            counts.fetch_add(1, Ordering::SeqCst);
            async { Ok(()) }
        }))
        .build()
        .expect("the names differ");

    let day: Interval = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z"
        .parse()
        .expect("an interval");
    let query = SlotsQuery::new(15, 123, day).resource(42);
    let mut receipts = Vec::new();
    for number in 0..BOOKINGS {
        let open = soon(slots.open(&query)).await.expect("the diary answers");
        let wanted = open[0].interval;
        let appointment = Appointment::new((number as u64 + 1).into(), 15.into(), wanted)
            .event_type(123)
            .resource(42)
            .buffers(Buffers::NONE);
        diary.book(&appointment);
        receipts.push(bus.dispatch(AppointmentBooked::new(appointment)));

        let calls = diary.calls();
        let open = soon(slots.open(&query)).await.expect("the diary answers");
        assert!(diary.calls() > calls, "the old answer still stands");
        assert!(open.iter().all(|slot| slot.interval != wanted));
    }
    for receipt in &receipts {
        for listener in ["slots.invalidate", "statistics.count"] {
            assert_eq!(soon(receipt.reached(listener)).await, Ok(Outcome::Done));
        }
    }
    assert_eq!(counted.load(Ordering::SeqCst), BOOKINGS as u64);
    until_idle().await;
    let outcomes = receipts.iter().map(|receipt| receipt.outcome("bad"));
    outcomes
        .map(|outcome| outcome.expect("it is registered"))
        .collect()
}

fn all(outcome: Option<Outcome>) -> Vec<Option<Outcome>> {
    vec![outcome; BOOKINGS as usize]
}

#[tokio::test]
async fn a_listener_that_hangs_holds_up_nobody() {
    let outcomes = beside(Policy::new(), |_| pending()).await;
    assert_eq!(outcomes, all(None));
}

#[tokio::test]
async fn a_listener_that_panics_hurts_nobody() {
    let panics = |_| async { std::panic::resume_unwind(Box::new("the listener's own fault")) };
    let outcomes = beside(Policy::new(), panics).await;
    assert_eq!(outcomes, all(Some(Outcome::Dead(Reason::Panicked))));
}

#[tokio::test]
async fn a_listener_that_overflows_costs_nobody_an_event() {
    let policy = Policy::new().capacity(NonZeroUsize::MIN);
    let outcomes = beside(policy, |_| pending()).await;
    let overflowed = Some(Outcome::Dead(Reason::Overflowed));
    // One hangs, and one may wait.
    assert_eq!(outcomes[0], None);
    assert_eq!(outcomes[2..], all(overflowed)[2..]);
}

/// Its hour-long work is done in paused time, after everybody else is.
#[tokio::test(start_paused = true)]
async fn a_listener_that_is_slow_delays_nobody() {
    let policy = Policy::new().time_out(Duration::from_secs(7200));
    let slow = |_| async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(())
    };
    let outcomes = beside(policy, slow).await;
    assert_eq!(outcomes, all(None));
}

/// A thread that is blocked is lost to the runtime, but only that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_listener_that_blocks_its_thread_blocks_no_other() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = std::sync::Mutex::new(blocked);
    let outcomes = beside(Policy::new(), move |_| {
        // Until the test is over and drops the sender.
        let _ = blocked.lock().map(|blocked| blocked.recv());
        async { Ok(()) }
    })
    .await;
    assert_eq!(outcomes[0], None);
    drop(release);
}
