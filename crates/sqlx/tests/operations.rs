//! A retried operation gives its first result; a stale one is refused.

mod support;

use chrono::{TimeDelta, Utc};
use vacancy_slots::{Appointment, Revision};
use vacancy_sqlx::{BookError, Booking, Cancellation, OperationKey, WriteError, Written, no_rows};

use support::{Base, Salon, appointment, hour, id, in_both_databases, salon::row, soon};

in_both_databases! {
    a_retried_booking_returns_the_first_result,
    retries_at_once_make_one_booking,
    a_key_of_another_request_is_refused,
    a_key_belongs_to_a_tenant,
    a_retried_move_returns_the_first_result,
    a_retried_cancellation_does_not_cancel_what_was_booked_since,
    a_refused_operation_can_be_tried_again,
    a_forgotten_key_is_a_new_request,
    an_appointment_is_booked_once,
    a_stale_revision_is_a_conflict,
    every_change_raises_the_revision,
    what_is_not_booked_is_unknown,
}

fn key(text: &str) -> OperationKey {
    OperationKey::try_from(text).expect("a key")
}

async fn book<DB: Base>(
    salon: &Salon<DB>,
    booking: impl Into<Booking> + Send,
) -> Result<Written, WriteError> {
    let booking = booking.into();
    soon(salon.writer.book(booking, no_rows)).await
}

async fn cancel<DB: Base>(
    salon: &Salon<DB>,
    cancellation: Cancellation,
) -> Result<Written, WriteError> {
    soon(salon.writer.cancel(cancellation, no_rows)).await
}

#[track_caller]
fn refused(result: Result<Written, WriteError>) -> BookError {
    match result {
        Err(WriteError::Refused(error)) => error,
        other => panic!("the guard refuses it: {other:?}"),
    }
}

async fn a_retried_booking_returns_the_first_result<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    // The server makes a new id and a new time of change for each request.
    let attempt = async |number| {
        let wanted = appointment(number, hour(10));
        let own = row::<DB>(&wanted);
        let booking = Booking::new(wanted).operation(key("4f1c"));
        soon(salon.writer.book(booking, own))
            .await
            .expect("it is free, or the same")
    };
    let first = attempt(1).await;
    let again = attempt(2).await;
    assert!(first.receipt.is_some() && again.receipt.is_none());
    assert_eq!(again.appointment, first.appointment);
    assert_eq!(salon.server.customers().await, ["1"]);
    assert_eq!(salon.heard(), [("booked", id(1))]);
    // And still so when it was moved since.
    let moved = first.appointment.clone().moved_to(hour(11));
    soon(salon.writer.move_to(moved, no_rows))
        .await
        .expect("it is free");
    assert_eq!(attempt(3).await.appointment, first.appointment);
}

async fn retries_at_once_make_one_booking<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let mut attempts = tokio::task::JoinSet::new();
    for number in 0..20_u64 {
        let salon = salon.clone();
        attempts.spawn(async move {
            // Of different resources, so that nothing but the key brings them together.
            let mut wanted = appointment(number, hour(10));
            wanted.resources = vec![(number % 2).into()];
            let booking = Booking::new(wanted).operation(key("4f1c"));
            soon(salon.writer.book(booking, no_rows)).await
        });
    }
    let mut fresh = 0;
    for attempt in soon(attempts.join_all()).await {
        match attempt {
            Ok(written) => fresh += usize::from(written.receipt.is_some()),
            Err(WriteError::Refused(BookError::OperationReused)) => {}
            Err(error) => panic!("it is the same request or another: {error:?}"),
        }
    }
    assert_eq!((fresh, salon.heard().len()), (1, 1));
    assert_eq!(salon.server.booked().await.len(), 1);
}

async fn a_key_of_another_request_is_refused<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let first = Booking::new(appointment(1, hour(10))).operation(key("4f1c"));
    let booked = book(&salon, first.clone())
        .await
        .expect("it is free")
        .appointment;
    let others: [Appointment; 3] = [
        appointment(2, hour(11)),
        appointment(2, hour(10)).resource(7),
        appointment(2, hour(10)).event_type(9),
    ];
    for other in others {
        let other = Booking::new(other).operation(key("4f1c"));
        let error = refused(book(&salon, other).await);
        assert!(matches!(error, BookError::OperationReused), "{error:?}");
    }
    let larger = first
        .clone()
        .capacity(std::num::NonZeroU32::new(2).expect("two"));
    let error = refused(book(&salon, larger).await);
    assert!(matches!(error, BookError::OperationReused), "{error:?}");
    let moved = Booking::new(booked).operation(key("4f1c"));
    let error = refused(soon(salon.writer.move_to(moved, no_rows)).await);
    assert!(matches!(error, BookError::OperationReused), "{error:?}");
    let cancellation = Cancellation::of(15.into(), id(1)).operation(key("4f1c"));
    let error = refused(cancel(&salon, cancellation).await);
    assert!(matches!(error, BookError::OperationReused), "{error:?}");
    assert_eq!(salon.server.booked().await, ["1"]);
}

async fn a_key_belongs_to_a_tenant<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let ours = appointment(1, hour(10));
    let mut theirs = ours.clone();
    theirs.tenant = 16.into();
    for appointment in [ours, theirs] {
        let booking = Booking::new(appointment).operation(key("4f1c"));
        let written = book(&salon, booking).await.expect("it is free");
        assert!(written.receipt.is_some());
    }
}

async fn a_retried_move_returns_the_first_result<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let first = book(&salon, appointment(1, hour(10)))
        .await
        .expect("it is free");
    let attempt = async |seen: Appointment| {
        let booking = Booking::new(seen.moved_to(hour(11))).operation(key("77aa"));
        soon(salon.writer.move_to(booking, no_rows)).await
    };
    let moved = attempt(first.appointment.clone())
        .await
        .expect("it is free");
    assert!(moved.receipt.is_some());
    // Whether the client has looked again in between or not.
    for seen in [first.appointment, moved.appointment.clone()] {
        let again = attempt(seen).await.expect("it is the same");
        assert!(again.receipt.is_none());
        assert_eq!(again.appointment, moved.appointment);
    }
    assert_eq!(salon.heard(), [("booked", id(1)), ("moved", id(1))]);
}

async fn a_retried_cancellation_does_not_cancel_what_was_booked_since<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    book(&salon, appointment(1, hour(10)))
        .await
        .expect("it is free");
    let plain = Cancellation::of(15.into(), id(1));
    let keyed = plain.clone().operation(key("77aa"));
    let first = cancel(&salon, keyed.clone()).await.expect("it is booked");
    assert!(first.receipt.is_some());
    let again = cancel(&salon, plain)
        .await
        .expect("it was cancelled before");
    assert!(again.receipt.is_none());
    assert_eq!(again.appointment, first.appointment);
    book(&salon, appointment(1, hour(12)))
        .await
        .expect("it is free");
    let again = cancel(&salon, keyed).await.expect("it is the same");
    assert_eq!(again.appointment, first.appointment);
    assert_eq!(salon.server.booked().await, ["1"]);
    let heard = [("booked", id(1)), ("cancelled", id(1)), ("booked", id(1))];
    assert_eq!(salon.heard(), heard);
}

async fn a_refused_operation_can_be_tried_again<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    book(&salon, appointment(1, hour(10)))
        .await
        .expect("it is free");
    let wanted = Booking::new(appointment(2, hour(10))).operation(key("4f1c"));
    let error = refused(book(&salon, wanted.clone()).await);
    assert!(matches!(error, BookError::Taken { .. }), "{error:?}");
    cancel(&salon, Cancellation::of(15.into(), id(1)))
        .await
        .expect("it is booked");
    let written = book(&salon, wanted).await.expect("it is free now");
    assert!(written.receipt.is_some());
}

async fn a_forgotten_key_is_a_new_request<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let guard = salon.server.guard();
    let wanted = Booking::new(appointment(1, hour(10))).operation(key("4f1c"));
    book(&salon, wanted.clone()).await.expect("it is free");
    let hour_ago = Utc::now() - TimeDelta::hours(1);
    let gone = guard
        .forget_operations(hour_ago)
        .await
        .expect("the database answers");
    assert_eq!(gone, 0);
    let in_an_hour = Utc::now() + TimeDelta::hours(1);
    let gone = guard
        .forget_operations(in_an_hour)
        .await
        .expect("the database answers");
    assert_eq!(gone, 1);
    let error = refused(book(&salon, wanted).await);
    assert!(matches!(error, BookError::AlreadyBooked), "{error:?}");
}

async fn an_appointment_is_booked_once<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    book(&salon, appointment(1, hour(10)))
        .await
        .expect("it is free");
    let error = refused(book(&salon, appointment(1, hour(12))).await);
    assert!(matches!(error, BookError::AlreadyBooked), "{error:?}");
    book(&salon, appointment(2, hour(12)))
        .await
        .expect("nothing of the refused one stays");
}

async fn a_stale_revision_is_a_conflict<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let seen = book(&salon, appointment(1, hour(10)))
        .await
        .expect("it is free")
        .appointment;
    let moved = soon(
        salon
            .writer
            .move_to(seen.clone().moved_to(hour(11)), no_rows),
    )
    .await;
    let now = moved.expect("it is free").appointment.revision;
    let stale = soon(
        salon
            .writer
            .move_to(seen.clone().moved_to(hour(12)), no_rows),
    )
    .await;
    let error = refused(stale);
    assert!(
        matches!(error, BookError::Conflict { stored } if stored == now),
        "{error:?}"
    );
    let of = || Cancellation::of(15.into(), id(1));
    let error = refused(cancel(&salon, of().seen(seen.revision)).await);
    assert!(
        matches!(error, BookError::Conflict { stored } if stored == now),
        "{error:?}"
    );
    cancel(&salon, of().seen(now))
        .await
        .expect("it was seen as it is");
}

async fn every_change_raises_the_revision<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    // From a clock that goes an hour ahead of ours.
    let ahead = Revision::changed_at(Utc::now() + TimeDelta::hours(1)).sequence(7);
    let wanted = appointment(1, hour(10)).revision(ahead);
    let booked = book(&salon, wanted).await.expect("it is free").appointment;
    assert_eq!(booked.revision, ahead);
    let moved = soon(
        salon
            .writer
            .move_to(booked.clone().moved_to(hour(11)), no_rows),
    )
    .await;
    let moved = moved.expect("it is free").appointment;
    let cancelled = cancel(&salon, Cancellation::of(15.into(), id(1))).await;
    let cancelled = cancelled.expect("it is booked").appointment;
    let again = book(&salon, appointment(1, hour(10)))
        .await
        .expect("it is free")
        .appointment;
    let states = [booked, moved, cancelled, again];
    let raised = |pair: &[Appointment]| {
        let (before, after) = (pair[0].revision, pair[1].revision);
        after.sequence > before.sequence && after.changed_at > before.changed_at
    };
    assert!(states.windows(2).all(raised), "{states:?}");
}

async fn what_is_not_booked_is_unknown<DB: Base>() {
    let salon = Salon::<DB>::new().await;
    let error = refused(cancel(&salon, Cancellation::of(15.into(), id(1))).await);
    assert!(matches!(error, BookError::UnknownAppointment), "{error:?}");
    let error = refused(soon(salon.writer.move_to(appointment(1, hour(10)), no_rows)).await);
    assert!(matches!(error, BookError::UnknownAppointment), "{error:?}");
    let booked = book(&salon, appointment(1, hour(10)))
        .await
        .expect("it is free")
        .appointment;
    let other = Cancellation::of(16.into(), id(1));
    let error = refused(cancel(&salon, other).await);
    assert!(matches!(error, BookError::UnknownAppointment), "{error:?}");
    cancel(&salon, Cancellation::of(15.into(), id(1)))
        .await
        .expect("it is booked");
    let error = refused(soon(salon.writer.move_to(booked.moved_to(hour(11)), no_rows)).await);
    assert!(matches!(error, BookError::UnknownAppointment), "{error:?}");
}
