//! What excludes what: of bookings that overlap one is made, and those that only touch all are.

mod support;

use std::{num::NonZeroU32, time::Duration};

use sqlx::{Postgres, Sqlite};
use tokio::task::JoinSet;
use vacancy_slots::{Appointment, Buffers, Interval};
use vacancy_sqlx::{
    BookError, Booking, BookingGuard, Cancellation, Change, MAX_BOOKED_ID_BYTES, Unbookable,
};

use support::{Base, Server, appointment, hour, id, in_both_databases, minutes, soon};

in_both_databases! {
    of_fifty_that_want_one_slot_exactly_one_gets_it,
    of_fifty_that_want_ten_seats_exactly_ten_get_one,
    bookings_that_touch_are_both_made,
    bookings_with_buffers_need_both_of_them_between,
    a_booking_gets_all_of_its_resources_or_none,
    every_interval_of_a_series_is_guarded,
    an_appointment_is_not_in_its_own_way,
    another_tenant_has_resources_of_its_own,
    seats_are_shared_by_one_event_type_at_one_time,
    an_appointment_takes_as_many_seats_as_it_says,
    a_move_frees_what_it_leaves,
    a_refused_move_that_is_rolled_back_leaves_the_appointment,
    a_cancelled_slot_can_be_booked_again,
    the_rows_of_a_transaction_that_is_rolled_back_are_gone_with_the_booking,
    what_cannot_be_guarded_is_refused_by_name,
    times_are_rounded_outward_to_microseconds,
    the_tables_are_made_once_by_several_at_once,
    booked_appointments_are_found_by_the_time_they_block,
}

async fn book<DB: Base>(
    guard: &BookingGuard<DB>,
    booking: impl Into<Booking>,
) -> Result<Appointment, BookError> {
    soon(async {
        let mut tx = guard.begin().await?;
        let change = guard.book(&mut tx, &booking.into()).await?;
        tx.commit().await.expect("the commit goes through");
        Ok(change.appointment().clone())
    })
    .await
}

async fn move_to<DB: Base>(
    guard: &BookingGuard<DB>,
    booking: impl Into<Booking>,
) -> Result<Change, BookError> {
    soon(async {
        let mut tx = guard.begin().await?;
        let change = guard.move_to(&mut tx, &booking.into()).await?;
        tx.commit().await.expect("the commit goes through");
        Ok(change)
    })
    .await
}

#[track_caller]
fn taken_by(result: Result<Appointment, BookError>, by: u64) {
    match result {
        Err(BookError::Taken {
            by: Some(other), ..
        }) => assert_eq!(other, id(by)),
        other => panic!("it is taken by {by}: {other:?}"),
    }
}

fn seats(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("some seats")
}

/// Lets fifty try at once, each on a connection as it gets one. Those who won.
async fn race<DB: Base>(server: &Server<DB>, booking: impl Fn(u64) -> Booking) -> Vec<Appointment> {
    let mut racers = JoinSet::new();
    for number in 0..50 {
        let (guard, booking) = (server.guard(), booking(number));
        racers.spawn(async move { book(&guard, booking).await });
    }
    let mut won = Vec::new();
    for result in soon(racers.join_all()).await {
        match result {
            Ok(appointment) => won.push(appointment),
            Err(BookError::Taken { by: Some(_), .. }) => {}
            Err(error) => panic!("a loser is told that it is taken: {error:?}"),
        }
    }
    won
}

async fn of_fifty_that_want_one_slot_exactly_one_gets_it<DB: Base>() {
    let server = Server::<DB>::new().await;
    let won = race(&server, |number| appointment(number, hour(10)).into()).await;
    assert_eq!(won.len(), 1);
    assert_eq!(server.booked().await, [won[0].id.to_string()]);
}

async fn of_fifty_that_want_ten_seats_exactly_ten_get_one<DB: Base>() {
    let server = Server::<DB>::new().await;
    let class = |number| Booking::new(appointment(number, hour(10))).capacity(seats(10));
    assert_eq!(race(&server, class).await.len(), 10);
    assert_eq!(server.booked().await.len(), 10);
}

async fn bookings_that_touch_are_both_made<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    book(&guard, appointment(1, hour(10)))
        .await
        .expect("it is free");
    book(&guard, appointment(2, hour(11)))
        .await
        .expect("it begins where the first ends");
    book(&guard, appointment(3, hour(9)))
        .await
        .expect("it ends where the first begins");
    let across = Interval::new(
        hour(10).end() - chrono::TimeDelta::microseconds(1),
        hour(12).start(),
    );
    let across = appointment(4, across.expect("it has a length"));
    taken_by(book(&guard, across).await, 1);
}

async fn bookings_with_buffers_need_both_of_them_between<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let minute = Duration::from_secs(60);
    let first = appointment(1, minutes(600, 660)).buffers(Buffers::new(5 * minute, 10 * minute));
    book(&guard, first).await.expect("it is free");
    // After the first 10 have to stay free, before the second 15: 25 between them.
    let later = |number, start| {
        appointment(number, minutes(start, start + 30)).buffers(Buffers::new(15 * minute, minute))
    };
    taken_by(book(&guard, later(2, 684)).await, 1);
    book(&guard, later(3, 685)).await.expect("both buffers fit");
    // After the second 20, before the first 5.
    let earlier = |number, end| {
        appointment(number, minutes(end - 30, end)).buffers(Buffers::new(minute, 20 * minute))
    };
    taken_by(book(&guard, earlier(4, 576)).await, 1);
    book(&guard, earlier(5, 575))
        .await
        .expect("both buffers fit");
}

async fn a_booking_gets_all_of_its_resources_or_none<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let mut room = appointment(1, hour(10));
    room.resources = vec![7.into()];
    book(&guard, room).await.expect("it is free");
    let both = appointment(2, hour(10)).resource(7);
    taken_by(book(&guard, both.clone()).await, 1);
    book(&guard, appointment(3, hour(10)))
        .await
        .expect("host 42 was not taken");
    taken_by(book(&guard, both).await, 3);
}

async fn every_interval_of_a_series_is_guarded<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let series = appointment(1, hour(8))
        .occurrence(hour(12))
        .occurrence(hour(16));
    book(&guard, series).await.expect("it is free");
    for (number, start) in [(2, 8), (3, 12), (4, 16)] {
        taken_by(book(&guard, appointment(number, hour(start))).await, 1);
    }
    let other = appointment(5, hour(9))
        .occurrence(hour(11))
        .occurrence(hour(15));
    book(&guard, other).await.expect("it lies between");
    let late = appointment(6, hour(20)).occurrence(hour(11));
    taken_by(book(&guard, late).await, 5);
    book(&guard, appointment(7, hour(20)))
        .await
        .expect("nothing of a refused series stays");
}

async fn an_appointment_is_not_in_its_own_way<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let ten = Duration::from_secs(600);
    let series = |number| {
        appointment(number, minutes(600, 660))
            .occurrence(minutes(660, 720))
            .buffers(Buffers::new(ten, ten))
    };
    let booked = book(&guard, series(1))
        .await
        .expect("its buffers are its own");
    let moved = booked.occurrence(minutes(725, 740));
    let _ = move_to(&guard, moved)
        .await
        .expect("what it has is its own");
    taken_by(book(&guard, series(2)).await, 1);
    let class = |number| {
        let mut class = series(number);
        class.resources = vec![7.into()];
        Booking::new(class).capacity(seats(2))
    };
    book(&guard, class(3))
        .await
        .expect("its buffers are its own");
    book(&guard, class(4))
        .await
        .expect("the other seat is free");
    assert!(matches!(
        book(&guard, class(5)).await,
        Err(BookError::Taken { .. })
    ));
}

async fn another_tenant_has_resources_of_its_own<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let ours = appointment(1, hour(10));
    let mut theirs = ours.clone();
    theirs.tenant = 16.into();
    theirs.id = id(2);
    book(&guard, ours).await.expect("it is free");
    book(&guard, theirs)
        .await
        .expect("it is free for the other tenant");
}

async fn seats_are_shared_by_one_event_type_at_one_time<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let class = |number, when| Booking::new(appointment(number, when)).capacity(seats(3));
    book(&guard, class(1, hour(10))).await.expect("it is free");
    book(&guard, class(2, hour(10)))
        .await
        .expect("it has a seat");
    taken_by(book(&guard, class(3, minutes(630, 690))).await, 1);
    taken_by(book(&guard, class(4, minutes(600, 690))).await, 1);
    let other = Booking::new(appointment(5, hour(10)).event_type(9)).capacity(seats(3));
    taken_by(book(&guard, other).await, 1);
    taken_by(book(&guard, appointment(6, hour(10))).await, 1);
    book(&guard, appointment(7, hour(11)))
        .await
        .expect("it only touches");
}

async fn an_appointment_takes_as_many_seats_as_it_says<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let party = |number, size| {
        let party = appointment(number, hour(10)).seats(seats(size));
        Booking::new(party).capacity(seats(5))
    };
    book(&guard, party(1, 3)).await.expect("there are five");
    taken_by(book(&guard, party(2, 3)).await, 1);
    book(&guard, party(3, 2)).await.expect("two are left");
    taken_by(book(&guard, party(4, 1)).await, 1);
}

async fn a_move_frees_what_it_leaves<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let first = book(&guard, appointment(1, hour(10)))
        .await
        .expect("it is free");
    let moved = move_to(&guard, first.clone().moved_to(minutes(630, 690))).await;
    let Ok(Change::Rescheduled(event)) = moved else {
        panic!("half of the old time is its own: {moved:?}");
    };
    assert_eq!(event.previous, first);
    assert!(event.appointment.revision > first.revision);
    book(&guard, appointment(2, minutes(600, 630)))
        .await
        .expect("it was left");
    taken_by(book(&guard, appointment(3, minutes(660, 690))).await, 1);
}

async fn a_refused_move_that_is_rolled_back_leaves_the_appointment<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let first = book(&guard, appointment(1, hour(10)))
        .await
        .expect("it is free");
    book(&guard, appointment(2, hour(12)))
        .await
        .expect("it is free");
    let refused = move_to(&guard, first.clone().moved_to(hour(12))).await;
    assert!(matches!(refused, Err(BookError::Taken { .. })));
    taken_by(book(&guard, appointment(3, hour(10))).await, 1);
    let found = guard
        .find(&15.into(), &id(1))
        .await
        .expect("the database answers");
    assert_eq!(found, Some(first));
}

async fn a_cancelled_slot_can_be_booked_again<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let first = book(&guard, appointment(1, hour(10)))
        .await
        .expect("it is free");
    let mut tx = guard.begin().await.expect("the database answers");
    let cancellation = Cancellation::of(15.into(), id(1))
        .reason("rain")
        .actor("front desk");
    let change = guard
        .cancel(&mut tx, &cancellation)
        .await
        .expect("it is booked");
    tx.commit().await.expect("the commit goes through");
    let Change::Cancelled(event) = change else {
        panic!("it was cancelled: {change:?}");
    };
    assert_eq!(event.reason.as_deref(), Some("rain"));
    assert_eq!(event.actor.as_deref(), Some("front desk"));
    let found = guard
        .find(&15.into(), &id(1))
        .await
        .expect("the database answers");
    assert_eq!(found, None);
    book(&guard, appointment(2, hour(10)))
        .await
        .expect("it is free again");
    let again = book(&guard, appointment(1, hour(12)))
        .await
        .expect("so is the id");
    assert!(again.revision > event.appointment.revision);
    assert!(event.appointment.revision > first.revision);
}

async fn the_rows_of_a_transaction_that_is_rolled_back_are_gone_with_the_booking<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let mut tx = guard.begin().await.expect("the database answers");
    let booking = Booking::new(appointment(1, hour(10)));
    let _ = guard.book(&mut tx, &booking).await.expect("it is free");
    DB::write_row(&mut tx, "1".to_owned())
        .await
        .expect("the row is written");
    tx.rollback().await.expect("the rollback goes through");
    assert!(server.customers().await.is_empty() && server.booked().await.is_empty());
    book(&guard, appointment(2, hour(10)))
        .await
        .expect("it is free");
}

async fn what_cannot_be_guarded_is_refused_by_name<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let unbookable = async |booking: Booking| match book(&guard, booking).await {
        Err(BookError::Unbookable(why)) => why,
        other => panic!("it cannot be guarded: {other:?}"),
    };
    let good = appointment(1, hour(10));
    let mut nobody = good.clone();
    nobody.resources.clear();
    assert_eq!(unbookable(nobody.into()).await, Unbookable::NoResource);
    let mut wide = good.clone();
    wide.buffers = None;
    assert_eq!(unbookable(wide.into()).await, Unbookable::NoBuffers);
    let mut anything = good.clone();
    anything.event_type = None;
    let shared = Booking::new(anything).capacity(seats(2));
    assert_eq!(unbookable(shared).await, Unbookable::NoEventType);
    for text in ["x".repeat(MAX_BOOKED_ID_BYTES + 1), "a\0b".to_owned()] {
        let named = good
            .clone()
            .resource(vacancy_slots::ResourceId::try_from(text).expect("an id"));
        assert_eq!(unbookable(named.into()).await, Unbookable::Id);
    }
    let crowd = Booking::new(good.clone().seats(seats(5000))).capacity(seats(5000));
    assert_eq!(unbookable(crowd).await, Unbookable::TooMuch);
    let run = (0..25).fold(appointment(1, minutes(0, 10)), |run, number| {
        run.occurrence(minutes(number * 10, number * 10 + 10))
    });
    let run = Booking::new(run).capacity(seats(2));
    assert_eq!(unbookable(run).await, Unbookable::TooMuch);
    let ages = Duration::from_secs(20_000 * 366 * 24 * 3600);
    let long = good.clone().buffers(Buffers::new(ages, Duration::ZERO));
    assert_eq!(unbookable(long.into()).await, Unbookable::OutOfRange);
    let longest = "x".repeat(MAX_BOOKED_ID_BYTES);
    let mut named = good.resource(vacancy_slots::ResourceId::try_from(&*longest).expect("an id"));
    named.tenant = longest.parse().expect("an id");
    named.event_type = longest.parse().ok();
    named.id = longest.parse().expect("an id");
    book(&guard, named.clone())
        .await
        .expect("the longest ids fit");
    named.id = id(2);
    let run = (0..24).fold(named.moved_to(minutes(720, 721)), |run, number| {
        run.occurrence(minutes(720 + number, 721 + number))
    });
    let shared = Booking::new(run).capacity(seats(2));
    book(&guard, shared)
        .await
        .expect("the longest ids fit in a session");
}

async fn times_are_rounded_outward_to_microseconds<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let nanosecond = chrono::TimeDelta::nanoseconds(1);
    let odd = Interval::new(hour(10).start() + nanosecond, hour(10).end() + nanosecond);
    let booked = book(&guard, appointment(1, odd.expect("it has a length"))).await;
    let end = hour(10).end() + chrono::TimeDelta::microseconds(1);
    let whole = Interval::new(hour(10).start(), end).expect("it has a length");
    assert_eq!(booked.expect("it is free").intervals(), [whole]);
    taken_by(book(&guard, appointment(2, hour(11))).await, 1);
}

async fn the_tables_are_made_once_by_several_at_once<DB: Base>() {
    let server = DB::empty().await;
    let mut processes = JoinSet::new();
    for _ in 0..4 {
        let guard = server.guard();
        processes.spawn(async move { guard.migrate().await });
    }
    for made in soon(processes.join_all()).await {
        made.expect("the tables are made, or there");
    }
    let guard = server.guard();
    book(&guard, appointment(1, hour(10)))
        .await
        .expect("it is free");
    guard.migrate().await.expect("the tables are there");
    assert_eq!(server.booked().await, ["1"]);
}

async fn booked_appointments_are_found_by_the_time_they_block<DB: Base>() {
    let server = Server::<DB>::new().await;
    let guard = server.guard();
    let ten = Duration::from_secs(600);
    let late = appointment(1, hour(14)).occurrence(hour(20));
    let early = appointment(2, hour(12)).buffers(Buffers::new(Duration::ZERO, ten));
    let late = book(&guard, late).await.expect("it is free");
    let early = book(&guard, early).await.expect("it is free");
    let found = async |from, to| {
        let found = guard.booked(&15.into(), minutes(from, to)).await;
        found.expect("the database answers")
    };
    assert_eq!(found(0, 24 * 60).await, [early.clone(), late.clone()]);
    assert_eq!(found(13 * 60 + 9, 13 * 60 + 10).await, [early]);
    assert!(found(13 * 60 + 10, 14 * 60).await.is_empty());
    assert_eq!(found(20 * 60, 21 * 60).await, [late]);
}

/// The constraint alone, without the guard's locks and its look.
#[tokio::test]
async fn postgres_itself_keeps_sessions_apart() {
    let server = Server::<Postgres>::new().await;
    let insert = |resource: &str, from: u8, to: u8, session: &str, seat: u8, by: &str| {
        let day = "2025-10-15T";
        let sql = format!(
            "INSERT INTO vacancy_occupied VALUES ('15', '{resource}', '{day}{from}:00Z', \
             '{day}{to}:00Z', '{session}', {seat}, '{by}')"
        );
        let pool = server.pool.clone();
        async move {
            let inserted = sqlx::query(&sql).execute(&pool).await;
            inserted.map(drop).map_err(|error| {
                let code = error.as_database_error().and_then(|error| error.code());
                code.expect("the database says why").into_owned()
            })
        }
    };
    let (excluded, duplicate) = (Err("23P01".to_owned()), Err("23505".to_owned()));
    assert_eq!(insert("42", 10, 12, "one", 0, "1").await, Ok(()));
    assert_eq!(insert("42", 11, 13, "two", 0, "2").await, excluded);
    assert_eq!(insert("42", 12, 13, "two", 0, "2").await, Ok(()));
    assert_eq!(insert("7", 10, 12, "two", 0, "3").await, Ok(()));
    assert_eq!(insert("42", 10, 12, "one", 1, "4").await, Ok(()));
    assert_eq!(insert("42", 10, 12, "one", 1, "5").await, duplicate);
}

/// A snapshot from before the other booking does not see it; the constraint does.
#[tokio::test]
async fn a_stricter_isolation_level_is_refused_too() {
    let server = Server::<Postgres>::new().await;
    let guard = server.guard();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    let mut tx = server
        .pool
        .begin_with(begin)
        .await
        .expect("the database answers");
    let look = sqlx::query("SELECT 1 FROM vacancy_bookings");
    look.execute(&mut *tx).await.expect("the snapshot is taken");
    book(&guard, appointment(1, hour(10)))
        .await
        .expect("it is free");
    let booking = Booking::new(appointment(2, hour(10)));
    let refused = soon(guard.book(&mut tx, &booking)).await;
    assert!(
        matches!(refused, Err(BookError::Taken { by: None, .. })),
        "{refused:?}"
    );
}

/// A transaction that has read before another one wrote cannot write any more.
#[tokio::test]
async fn an_sqlite_transaction_that_began_to_read_is_told_to_try_again() {
    let server = Server::<Sqlite>::new().await;
    let guard = server.guard();
    let mut tx = server.pool.begin().await.expect("the database answers");
    let look = sqlx::query("SELECT 1 FROM vacancy_bookings");
    look.execute(&mut *tx).await.expect("the snapshot is taken");
    book(&guard, appointment(1, hour(10)))
        .await
        .expect("it is free");
    let booking = Booking::new(appointment(2, hour(12)));
    let refused = soon(guard.book(&mut tx, &booking)).await;
    assert!(matches!(refused, Err(BookError::Busy(_))), "{refused:?}");
}

/// Another writer keeps the lock for longer than this one waits.
#[tokio::test]
async fn a_resource_that_stays_locked_is_busy() {
    let server = Server::<Postgres>::new().await;
    let guard = server.guard().lock_time_out(Duration::from_millis(1));
    let mut tx = guard.begin().await.expect("the database answers");
    let first = Booking::new(appointment(1, hour(10)));
    let _ = guard.book(&mut tx, &first).await.expect("it is free");
    let busy = book(&guard, appointment(2, hour(12))).await;
    assert!(matches!(busy, Err(BookError::Busy(_))), "{busy:?}");
    tx.commit().await.expect("the commit goes through");
    book(&guard, appointment(2, hour(12)))
        .await
        .expect("it is free");
}
