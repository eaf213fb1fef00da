//! Impossible times book nothing, and invalidate more for it, never less.

mod support;

use http::StatusCode;
use serde_json::json;
use support::{
    payload::booking,
    salons::{ADA, ADA_TOO, Salons, hour_of},
};
use vacancy_calcom::{BookingChange, Defect, LONGEST_BOOKING, Verdict};
use vacancy_slots::Interval;

const EVERY_TRIGGER: [&str; 7] = [
    "BOOKING_CREATED",
    "BOOKING_RESCHEDULED",
    "BOOKING_CANCELLED",
    "BOOKING_REJECTED",
    "BOOKING_REQUESTED",
    "BOOKING_PAID",
    "BOOKING_PAYMENT_INITIATED",
];

/// That no event is made of it, whatever the trigger, and nothing noted; that everything of Ada's falls.
async fn is_impossible(start: &str, end: &str, expected: Defect) {
    for trigger in EVERY_TRIGGER {
        let salons = Salons::new();
        salons.fill().await;
        let payload = booking(trigger, "one").at(start, end);
        let received = salons.receive(&payload);
        assert_eq!(
            received.verdict(),
            Verdict::Defective(expected),
            "{trigger} {start} {end}"
        );
        assert_eq!(received.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let applied = received
            .apply(&salons.slots, &salons.bus)
            .expect("the bus is open");
        assert_eq!((applied.receipts.len(), salons.dispatched()), (0, 0));
        assert_eq!(
            salons.invalidated(),
            [ADA, ADA_TOO],
            "{trigger} {start} {end}"
        );
        // The right times are news.
        let (verdict, _) = salons.told(&booking("BOOKING_CREATED", "one"));
        assert_eq!(verdict, Verdict::Fresh, "{trigger}");
    }
}

#[tokio::test]
async fn an_end_at_or_before_the_start_books_nothing() {
    is_impossible(
        "2025-12-15T15:00:00Z",
        "2025-12-15T14:00:00Z",
        Defect::Reversed,
    )
    .await;
    is_impossible(
        "2025-12-15T15:00:00Z",
        "2025-12-15T15:00:00Z",
        Defect::Empty,
    )
    .await;
    // The same instant in two zones.
    is_impossible(
        "2025-12-15T15:00:00+01:00",
        "2025-12-15T14:00:00Z",
        Defect::Empty,
    )
    .await;
}

#[tokio::test]
async fn a_booking_of_a_century_invalidates_all_time() {
    is_impossible(
        "2025-12-15T15:00:00Z",
        "2125-12-15T15:00:00Z",
        Defect::TooLong,
    )
    .await;
    is_impossible(
        "2025-12-15T15:00:00Z",
        "9999-12-31T23:59:59Z",
        Defect::TooLong,
    )
    .await;
    is_impossible(
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        Defect::TooLong,
    )
    .await;
}

#[tokio::test]
async fn a_year_that_nobody_books_in_books_nothing() {
    is_impossible(
        "9999-12-31T22:00:00Z",
        "9999-12-31T23:00:00Z",
        Defect::OutOfRange,
    )
    .await;
    is_impossible(
        "1970-01-01T00:00:00Z",
        "1970-01-01T01:00:00Z",
        Defect::OutOfRange,
    )
    .await;
}

#[tokio::test]
async fn a_time_that_cannot_be_read_books_nothing() {
    // Without an offset nobody knows which instant it is.
    for unreadable in [
        "2025-12-15T15:00:00",
        "2025-12-15",
        "tomorrow",
        "2025-13-45T99:00:00Z",
        "+262143-12-31T23:59:59Z",
        "1765810800",
    ] {
        is_impossible(unreadable, "2025-12-15T16:00:00Z", Defect::UnreadableTimes).await;
        is_impossible("2025-12-15T14:00:00Z", unreadable, Defect::UnreadableTimes).await;
    }
}

#[tokio::test]
async fn missing_times_book_nothing() {
    for trigger in EVERY_TRIGGER {
        let salons = Salons::new();
        salons.fill().await;
        let payload = booking(trigger, "one")
            .without("startTime")
            .with("endTime", json!(null));
        let (verdict, events) = salons.told(&payload);
        assert_eq!(
            verdict,
            Verdict::Defective(Defect::MissingTimes),
            "{trigger}"
        );
        assert!(events.is_empty());
        assert_eq!(salons.invalidated(), [ADA, ADA_TOO], "{trigger}");
    }
}

#[tokio::test]
async fn a_missing_uid_invalidates_and_books_nothing() {
    for trigger in [
        "BOOKING_CREATED",
        "BOOKING_RESCHEDULED",
        "BOOKING_CANCELLED",
    ] {
        let salons = Salons::new();
        salons.fill().await;
        let (verdict, events) = salons.told(&booking(trigger, "one").without("uid"));
        assert_eq!(verdict, Verdict::Defective(Defect::MissingUid), "{trigger}");
        assert!(events.is_empty());
        assert_eq!(salons.invalidated(), [ADA, ADA_TOO], "{trigger}");
    }
}

#[tokio::test]
async fn a_long_booking_is_a_booking() {
    let salons = Salons::new();
    salons.fill().await;
    // Longer than the longest span that is invalidated as such, and months after the day that is kept.
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let long = Interval::new(start, start + LONGEST_BOOKING).unwrap();
    let (start, end) = (long.start().to_rfc3339(), long.end().to_rfc3339());
    let (verdict, events) = salons.told(&booking("BOOKING_CREATED", "one").at(&start, &end));
    assert_eq!((verdict, events.len()), (Verdict::Fresh, 1));
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}

#[tokio::test]
async fn every_form_of_an_instant_is_read() {
    for (start, end) in [
        ("2025-10-15T14:00:00Z", "2025-10-15T15:00:00Z"),
        ("2025-10-15T14:00:00.000Z", "2025-10-15T15:00:00.000Z"),
        ("2025-10-15T14:00:00+00:00", "2025-10-15T15:00:00+00:00"),
        ("2025-10-15T16:00:00+02:00", "2025-10-15T17:00:00.000+02:00"),
        ("2025-10-15T07:30:00-06:30", "2025-10-15T08:30:00-0630"),
        (" 2025-10-15t14:00:00z", "2025-10-15T15:00:00+0000 "),
    ] {
        let (_, events) = Salons::new().told(&booking("BOOKING_CREATED", "one").at(start, end));
        let [BookingChange::Booked(booked)] = &events[..] else {
            panic!("{start}: {events:?}");
        };
        assert_eq!(booked.appointment.intervals(), [hour_of(14)], "{start}");
    }
}
