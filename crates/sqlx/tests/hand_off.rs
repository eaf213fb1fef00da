//! Commit and dispatch are one: whoever drops the request, panics or fails, what was committed was dispatched.

mod support;

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use sqlx::{Postgres, Sqlite};
use tokio::sync::Semaphore;
use vacancy_cache::Redis;
use vacancy_slots::AppointmentBooked;
use vacancy_sqlx::{
    BookError, Booking, Cancellation, RowsFuture, WhenUnconfirmed, WriteError, no_rows,
};
use vacancy_testbed::RedisServer;

use support::{
    Base, Salon, Server, appointment, hour, id, in_both_databases, minutes,
    salon::{readers, row, wednesday},
    soon, until,
};

in_both_databases! {
    the_bus_has_heard_when_the_writer_returns,
    rows_that_fail_leave_no_booking_and_no_event,
    rows_that_panic_leave_no_booking_and_no_event,
    rows_that_end_the_transaction_are_found_out,
    rows_that_take_too_long_are_rolled_back,
    shutdown_waits_for_what_has_begun_and_refuses_the_rest,
    no_more_write_at_once_than_were_allowed,
    under_a_hold_nothing_from_before_the_commit_is_kept,
    a_hold_ends_when_the_booking_is_rolled_back,
    a_transaction_that_may_outlast_its_hold_is_not_committed,
    an_unconfirmed_hold_refuses_or_commits_as_told,
    a_repeated_operation_leaves_no_hold,
}

/// A place in the application's rows where a test decides when to go on.
#[derive(Clone)]
struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        let shut = || Arc::new(Semaphore::new(0));
        Self {
            entered: shut(),
            open: shut(),
        }
    }

    async fn entered(&self) {
        let entered = soon(self.entered.acquire()).await;
        entered.expect("the gate is never closed").forget();
    }

    fn release(&self) {
        self.open.add_permits(1);
    }

    /// Rows that stand before the gate until one is let pass.
    fn rows<DB: Base>(
        &self,
    ) -> impl for<'tx> FnOnce(&'tx mut sqlx::Transaction<'static, DB>) -> RowsFuture<'tx>
    + Send
    + 'static
    + use<DB> {
        let gate = self.clone();
        move |_| {
            Box::pin(async move {
                gate.entered.add_permits(1);
                gate.open.acquire().await?.forget();
                Ok(())
            })
        }
    }
}

async fn the_bus_has_heard_when_the_writer_returns<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let wanted = appointment(1, hour(10));
    soon(salon.slots.open(&wednesday()))
        .await
        .expect("the source answers");
    assert!(salon.slots.kept(&wednesday()).expect("a day").is_some());
    let own = row::<DB>(&wanted);
    let written = soon(salon.writer.book(wanted, own))
        .await
        .expect("it is free");
    assert_eq!(salon.heard(), [("booked", id(1))]);
    assert!(salon.slots.kept(&wednesday()).expect("a day").is_none());
    assert_eq!(salon.server.customers().await, ["1"]);
    let receipt = written.receipt.expect("it is new");
    assert!(soon(receipt.settled()).await.all_done());
    let moved = written.appointment.moved_to(hour(11));
    soon(salon.writer.move_to(moved, no_rows))
        .await
        .expect("it is free");
    let cancellation = Cancellation::of(15.into(), id(1));
    soon(salon.writer.cancel(cancellation, no_rows))
        .await
        .expect("it is booked");
    let heard = [("booked", id(1)), ("moved", id(1)), ("cancelled", id(1))];
    assert_eq!(salon.heard(), heard);
}

async fn rows_that_fail_leave_no_booking_and_no_event<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let failed = salon.writer.book(appointment(1, hour(10)), |tx| {
        Box::pin(async move {
            DB::write_row(tx, "1".to_owned()).await?;
            Err("the customer is unknown".into())
        })
    });
    let Err(WriteError::Rows(why)) = soon(failed).await else {
        panic!("the rows failed");
    };
    assert_eq!(why.to_string(), "the customer is unknown");
    assert!(salon.server.customers().await.is_empty());
    assert!(salon.server.booked().await.is_empty() && salon.heard().is_empty());
    soon(salon.writer.book(appointment(2, hour(10)), no_rows))
        .await
        .expect("it is free");
}

async fn rows_that_panic_leave_no_booking_and_no_event<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let writer = salon.writer.clone();
    let caller = tokio::spawn(async move {
        let broken = writer.book(appointment(1, hour(10)), |_| {
            Box::pin(async { panic!("the application has a bug") })
        });
        broken.await
    });
    let panicked = soon(caller).await.expect_err("it reaches the caller");
    assert!(panicked.is_panic());
    assert!(salon.server.booked().await.is_empty() && salon.heard().is_empty());
    soon(salon.writer.book(appointment(2, hour(10)), no_rows))
        .await
        .expect("it is free");
    soon(salon.writer.shutdown()).await;
}

async fn rows_that_end_the_transaction_are_found_out<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let ended = salon.writer.book(appointment(1, hour(10)), |tx| {
        Box::pin(async move {
            DB::execute(tx, "ROLLBACK").await?;
            Ok(())
        })
    });
    assert!(matches!(soon(ended).await, Err(WriteError::Rows(_))));
    assert!(salon.server.booked().await.is_empty() && salon.heard().is_empty());
}

async fn rows_that_take_too_long_are_rolled_back<DB: Base>() {
    let server = Server::<DB>::new().await;
    let salon = Salon::with(server, readers(), |writer| {
        writer.time_out(Duration::from_millis(500))
    });
    let stuck = salon
        .writer
        .book(appointment(1, hour(10)), Gate::new().rows::<DB>());
    assert!(matches!(soon(stuck).await, Err(WriteError::TimedOut)));
    assert!(salon.server.booked().await.is_empty() && salon.heard().is_empty());
}

async fn shutdown_waits_for_what_has_begun_and_refuses_the_rest<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let gate = Gate::new();
    let request = tokio::spawn({
        let (writer, rows) = (salon.writer.clone(), gate.rows::<DB>());
        async move { writer.book(appointment(1, hour(10)), rows).await }
    });
    gate.entered().await;
    // The client has gone away; the write has not.
    request.abort();
    assert!(
        soon(request)
            .await
            .expect_err("it was dropped")
            .is_cancelled()
    );
    let mut shutdown = pin!(salon.writer.shutdown());
    let waits = std::future::poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    let late = soon(salon.writer.book(appointment(2, hour(12)), no_rows));
    gate.release();
    let ((), late) = tokio::join!(soon(shutdown), late);
    assert!(matches!(late, Err(WriteError::Closed)));
    assert_eq!(salon.heard(), [("booked", id(1))]);
    assert_eq!(salon.server.booked().await, ["1"]);
    soon(salon.writer.shutdown()).await;
    let later = soon(salon.writer.book(appointment(3, hour(12)), no_rows)).await;
    assert!(matches!(later, Err(WriteError::Closed)));
}

async fn no_more_write_at_once_than_were_allowed<DB: Base>() {
    let server = Server::<DB>::new().await;
    let salon = Salon::with(server, readers(), |writer| {
        writer.in_flight(std::num::NonZeroU32::MIN)
    });
    let gate = Gate::new();
    let first = tokio::spawn({
        let (writer, rows) = (salon.writer.clone(), gate.rows::<DB>());
        async move { writer.book(appointment(1, hour(10)), rows).await }
    });
    gate.entered().await;
    let mut second = Box::pin(salon.writer.book(appointment(2, hour(12)), no_rows));
    let waits = std::future::poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    drop(second); // before its turn: it has not begun
    let third = salon.writer.book(appointment(3, hour(14)), no_rows);
    gate.release();
    soon(third).await.expect("it is its turn");
    soon(first).await.expect("it ended").expect("it is free");
    assert_eq!(salon.server.booked().await, ["1", "3"]);
}

async fn under_a_hold_nothing_from_before_the_commit_is_kept<DB: Base>() {
    let server = Server::<DB>::new().await;
    let open = |salon: &Salon<DB>| {
        let (slots, gate) = (salon.slots.clone(), Gate::new());
        let writer = salon.writer.clone();
        async move {
            slots.open(&wednesday()).await.expect("the source answers");
            let rows = gate.rows::<DB>();
            let number = fastrand::u64(..);
            let when = minutes(0, 1);
            let cancel = Cancellation::of(15.into(), id(number));
            let booked = tokio::spawn({
                let writer = writer.clone();
                async move { writer.book(appointment(number, when), rows).await }
            });
            gate.entered().await;
            // A reader between the check and the commit.
            slots.open(&wednesday()).await.expect("the source answers");
            let kept = slots.kept(&wednesday()).expect("a day").is_some();
            gate.release();
            soon(booked).await.expect("it ended").expect("it is free");
            soon(writer.cancel(cancel, no_rows))
                .await
                .expect("it is booked");
            kept
        }
    };
    let without = Salon::with(server.clone(), readers(), |writer| writer);
    assert!(open(&without).await);
    let with = Salon::with(server, readers(), |writer| {
        writer.hold(WhenUnconfirmed::Refuse)
    });
    assert!(!open(&with).await);
    // The dispatch has released it.
    soon(with.slots.open(&wednesday()))
        .await
        .expect("the source answers");
    assert!(with.slots.kept(&wednesday()).expect("a day").is_some());
}

async fn a_hold_ends_when_the_booking_is_rolled_back<DB: Base>() {
    let server = Server::<DB>::new().await;
    let salon = Salon::with(server, readers(), |writer| {
        writer.hold(WhenUnconfirmed::Refuse)
    });
    let failed = salon.writer.book(appointment(1, hour(10)), |_| {
        Box::pin(async { Err("no".into()) })
    });
    let failed = soon(failed).await;
    assert!(matches!(failed, Err(WriteError::Rows(_))));
    soon(salon.slots.open(&wednesday()))
        .await
        .expect("the source answers");
    assert!(salon.slots.kept(&wednesday()).expect("a day").is_some());
}

async fn a_transaction_that_may_outlast_its_hold_is_not_committed<DB: Base>() {
    let server = Server::<DB>::new().await;
    let short = readers().hold_time(Duration::from_secs(4));
    let salon = Salon::with(server, short, |writer| {
        writer
            .hold(WhenUnconfirmed::Refuse)
            .commit_time_out(Duration::from_secs(5))
    });
    let late = soon(salon.writer.book(appointment(1, hour(10)), no_rows)).await;
    assert!(matches!(late, Err(WriteError::TimedOut)), "{late:?}");
    assert!(salon.server.booked().await.is_empty() && salon.heard().is_empty());
    soon(salon.slots.open(&wednesday()))
        .await
        .expect("the source answers");
    assert!(salon.slots.kept(&wednesday()).expect("a day").is_some());
}

async fn an_unconfirmed_hold_refuses_or_commits_as_told<DB: Base>() {
    let mut redis = RedisServer::start().await.expect("it starts");
    let server = Server::<DB>::new().await;
    let salon = |policy| {
        let shared = readers().redis(Redis::at(redis.url().parse().expect("an address")));
        Salon::with(server.clone(), shared, |writer| writer.hold(policy))
    };
    let (careful, eager) = (
        salon(WhenUnconfirmed::Refuse),
        salon(WhenUnconfirmed::CommitAnyway),
    );
    until(async || {
        let booked = careful
            .slots
            .hold(&AppointmentBooked::new(appointment(9, hour(20))))
            .await;
        booked.is_ok_and(|hold| {
            hold.abandon();
            true
        })
    })
    .await;
    redis.kill().await.expect("it is ours");
    let refused = soon(careful.writer.book(appointment(1, hour(10)), no_rows)).await;
    assert!(matches!(refused, Err(WriteError::Unheld(_))), "{refused:?}");
    assert!(server.booked().await.is_empty() && careful.heard().is_empty());
    soon(eager.writer.book(appointment(2, hour(10)), no_rows))
        .await
        .expect("it is free");
    assert_eq!(server.booked().await, ["2"]);
    assert_eq!(eager.heard(), [("booked", id(2))]);
}

async fn a_repeated_operation_leaves_no_hold<DB: Base>() {
    let server = Server::<DB>::new().await;
    let salon = Salon::with(server, readers(), |writer| {
        writer.hold(WhenUnconfirmed::Refuse)
    });
    let key = vacancy_sqlx::OperationKey::try_from("4f1c").expect("a key");
    let booking = Booking::new(appointment(1, hour(10))).operation(key);
    for fresh in [true, false] {
        let written = soon(salon.writer.book(booking.clone(), no_rows)).await;
        assert_eq!(written.expect("it is free").receipt.is_some(), fresh);
        soon(salon.slots.open(&wednesday()))
            .await
            .expect("the source answers");
        assert!(salon.slots.kept(&wednesday()).expect("a day").is_some());
    }
}

/// PostgreSQL says yes to the COMMIT of a transaction in which something failed.
#[tokio::test]
async fn a_failed_statement_that_was_swallowed_leaves_no_event() {
    let salon = Salon::<Postgres>::new().await;
    let swallowed = salon.writer.book(appointment(1, hour(10)), |tx| {
        Box::pin(async move {
            let _ = Postgres::execute(tx, "SELECT 1 / 0").await;
            Ok(())
        })
    });
    assert!(matches!(soon(swallowed).await, Err(WriteError::Rows(_))));
    assert!(salon.server.booked().await.is_empty() && salon.heard().is_empty());
}

/// Polls a request, over and over, and drops it after so many polls. Whether it was dropped unfinished.
async fn dropped_after<F: Future>(polls: usize, request: F) -> bool {
    let mut request = pin!(request);
    for _ in 0..polls {
        let mut over = false;
        std::future::poll_fn(|cx| {
            over = request.as_mut().poll(cx).is_ready();
            Poll::Ready(())
        })
        .await;
        if over {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

/// A different slot for each number, and now and then the one before.
fn wanted(number: u64, rng: &mut fastrand::Rng) -> vacancy_slots::Appointment {
    let slot = number - u64::from(rng.u8(..10) == 0);
    let start = i64::try_from(slot).expect("a small number") * 10;
    appointment(number, minutes(start, start + 10))
}

/// As many polls as a request takes, or fewer: on every scale.
fn polls(rng: &mut fastrand::Rng) -> usize {
    1 << rng.u32(..15) | rng.usize(..4)
}

const DROPS: usize = 1_000;

async fn no_dropped_request_separates_commit_and_dispatch<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let mut rng = fastrand::Rng::with_seed(15);
    let (mut requests, mut dropped) = (0, 0);
    while dropped < DROPS {
        requests += 1;
        let wanted = wanted(requests, &mut rng);
        let own = row::<DB>(&wanted);
        let request = salon.writer.book(wanted, own);
        dropped += usize::from(dropped_after(polls(&mut rng), request).await);
    }
    soon(salon.writer.shutdown()).await;
    let (rows, heard) = (salon.server.customers().await, salon.heard_booked());
    eprintln!(
        "{requests} requests, {dropped} dropped: {} rows committed, {} events dispatched",
        rows.len(),
        heard.len()
    );
    assert_eq!(rows, heard);
    assert_eq!(salon.server.booked().await, heard);
    assert!(
        rows.len() > DROPS / 2,
        "most of those that were dropped went on"
    );
}

/// The same schedule finds what the writer is for.
async fn a_handler_that_commits_and_dispatches_itself_loses_events<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let guard = salon.server.guard();
    let mut rng = fastrand::Rng::with_seed(15);
    let mut dropped = 0;
    for number in 1..400 {
        let wanted = Booking::new(wanted(number, &mut rng));
        let request = async {
            let mut tx = guard.begin().await?;
            let change = guard.book(&mut tx, &wanted).await?;
            DB::write_row(&mut tx, number.to_string())
                .await
                .map_err(BookError::Database)?;
            tx.commit().await.map_err(BookError::Database)?;
            drop(change.dispatch(&salon.bus));
            Ok::<_, BookError>(())
        };
        dropped += usize::from(dropped_after(polls(&mut rng), request).await);
    }
    // On the write lock of all: what was begun before has ended.
    drop(soon(guard.begin()).await.expect("the database answers"));
    let (rows, heard) = (salon.server.customers().await, salon.heard_booked());
    eprintln!(
        "{dropped} dropped: {} rows committed, {} events dispatched",
        rows.len(),
        heard.len()
    );
    assert!(rows.len() > heard.len());
}

mod dropped_requests {
    use super::{Postgres, Sqlite};

    #[tokio::test]
    async fn never_separate_commit_and_dispatch_in_sqlite() {
        super::no_dropped_request_separates_commit_and_dispatch::<Sqlite>().await;
    }

    #[tokio::test]
    async fn never_separate_commit_and_dispatch_in_postgres() {
        super::no_dropped_request_separates_commit_and_dispatch::<Postgres>().await;
    }

    #[tokio::test]
    async fn lose_events_of_a_handler_that_dispatches_itself_in_sqlite() {
        super::a_handler_that_commits_and_dispatches_itself_loses_events::<Sqlite>().await;
    }
}
