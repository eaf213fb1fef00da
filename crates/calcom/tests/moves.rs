//! Where a webhook leaves out what it changes, more is invalidated, and never nothing.

mod support;

use serde_json::json;
use support::{
    payload::{Payload, booking},
    salons::{ADA, ADA_TOO, GRACE, Salons, hour_of},
};
use vacancy_calcom::{BookingChange, Verdict, Widening};
use vacancy_slots::AppointmentRescheduled;

/// Far from the day that is kept.
fn elsewhere(payload: Payload) -> Payload {
    payload.at("2025-12-15T10:00:00Z", "2025-12-15T11:00:00Z")
}

fn moved_away() -> Payload {
    elsewhere(booking("BOOKING_RESCHEDULED", "two")).with("rescheduleUid", json!("one"))
}

fn rescheduled(events: &[BookingChange]) -> &AppointmentRescheduled {
    match events {
        [BookingChange::Rescheduled(moved)] => moved,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_move_without_the_old_time_uses_what_is_remembered() {
    let salons = Salons::new();
    salons.deliver(&booking("BOOKING_CREATED", "one"));
    salons.fill().await;
    let received = salons.receive(&moved_away());
    assert_eq!(received.widened(), []);
    let previous = &rescheduled(received.events()).previous;
    assert_eq!(
        (previous.id.as_str(), previous.intervals()),
        ("one", &[hour_of(14)][..])
    );
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}

#[tokio::test]
async fn a_move_from_an_unknown_time_invalidates_all_time_with_every_copy() {
    let salons = Salons::new();
    for expected in [Verdict::Fresh, Verdict::Duplicate, Verdict::Duplicate] {
        salons.fill().await;
        let received = salons.receive(&moved_away());
        assert_eq!(received.widened(), [Widening::OldTimesUnknown]);
        assert_eq!(
            received.apply(&salons.slots, &salons.bus).unwrap().verdict,
            expected
        );
        assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
    }
}

#[tokio::test]
async fn an_update_that_names_no_other_booking_is_about_its_own() {
    let salons = Salons::new();
    salons.deliver(&booking("BOOKING.CREATED", "one"));
    salons.fill().await;
    let update = elsewhere(booking("BOOKING.UPDATED", "one")).sent(1000);
    let received = salons.receive(&update);
    let moved = rescheduled(received.events());
    assert_eq!(moved.appointment.id, moved.previous.id);
    assert_eq!(moved.previous.intervals(), [hour_of(14)]);
    assert_eq!(received.widened(), []);
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
    // By now it is forgotten when it was.
    salons.fill().await;
    let copy = salons.receive(&update);
    assert!(copy.duplicate());
    assert_eq!(copy.widened(), [Widening::OldTimesUnknown]);
    copy.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}

#[tokio::test]
async fn a_move_to_another_host_frees_the_old_one() {
    let salons = Salons::with_a_deaf_calendar(None);
    salons.deliver(&booking("BOOKING_CREATED", "one"));
    let moved = booking("BOOKING_RESCHEDULED", "two")
        .with("eventTypeId", json!(4712))
        .host("grace@salon.example")
        .hour(16)
        .replaces("one", 14);
    let (_, events) = salons.told(&moved);
    assert_eq!(rescheduled(&events).previous.resources, [42.into()]);
    assert_eq!(salons.open_hours(ADA).await.len(), 10);
    assert!(!salons.open_hours(GRACE).await.contains(&16));
}

#[tokio::test]
async fn a_move_to_what_is_over_frees_where_it_was() {
    let salons = Salons::with_a_deaf_calendar(None);
    salons.deliver(&booking("BOOKING_CREATED", "one"));
    salons.deliver(&booking("BOOKING_CANCELLED", "two").hour(16));
    let (verdict, events) = salons.told(
        &booking("BOOKING_RESCHEDULED", "two")
            .hour(16)
            .replaces("one", 14),
    );
    assert_eq!(verdict, Verdict::Fresh);
    let [BookingChange::Cancelled(left)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(left.appointment.id.as_str(), "one");
    assert_eq!(salons.open_hours(ADA).await.len(), 10);
}

/// The second move had the same key as the first, which was taken for a copy of it: the old booking stayed.
#[tokio::test]
async fn a_move_to_where_the_booking_is_already_frees_where_it_was() {
    let salons = Salons::with_a_deaf_calendar(None);
    let moved = |from, old, sent| {
        booking("BOOKING_RESCHEDULED", "two")
            .hour(16)
            .replaces(from, old)
            .sent(sent)
    };
    salons.deliver(&booking("BOOKING_CREATED", "one"));
    // It went to 16, to 10 and back to 16; the first of these comes last.
    salons.deliver(&moved("two", 10, 180_000));
    let (verdict, events) = salons.told(&moved("one", 14, 60_000));
    assert_eq!(verdict, Verdict::Fresh);
    let left = rescheduled(&events);
    assert_eq!(
        (left.previous.id.as_str(), left.appointment.id.as_str()),
        ("one", "two")
    );
    assert_eq!(left.appointment.intervals(), [hour_of(16)]);
    assert_eq!(salons.open_hours(ADA).await.len(), 9);
    assert_eq!(salons.told(&moved("one", 14, 60_003)).0, Verdict::Duplicate);
}

#[tokio::test]
async fn a_booking_that_was_moved_away_does_not_end_again() {
    let salons = Salons::new();
    salons.deliver(&booking("BOOKING_CREATED", "one"));
    salons.deliver(
        &booking("BOOKING_RESCHEDULED", "two")
            .hour(16)
            .replaces("one", 14),
    );
    // Some versions cancel the old one besides.
    salons.fill().await;
    let (verdict, events) = salons.told(&booking("BOOKING_CANCELLED", "one").sent(60_000));
    assert_eq!((verdict, events), (Verdict::Superseded, vec![]));
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}

#[tokio::test]
async fn a_cancelled_series_invalidates_all_time_of_its_host() {
    let weekly = json!({"freq": 2, "count": 12, "interval": 1});
    let cancelled = elsewhere(booking("BOOKING_CANCELLED", "one"));
    // Its occurrences are not named: one of them is on the day that is kept.
    let salons = Salons::new();
    salons.fill().await;
    let received = salons.receive(&cancelled.clone().with("recurringEvent", weekly.clone()));
    assert_eq!(received.widened(), [Widening::Series]);
    assert_eq!(received.events().len(), 1);
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
    // Only the rest of it was cancelled, and so it does not say that it is a series.
    let salons = Salons::new();
    let made = elsewhere(booking("BOOKING_CREATED", "one")).with("recurringEvent", weekly);
    salons.deliver(&made);
    salons.fill().await;
    let received = salons.receive(&cancelled);
    assert_eq!(received.widened(), [Widening::Series]);
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
    // One that is no series leaves other days alone.
    let salons = Salons::new();
    salons.fill().await;
    salons.deliver(&cancelled);
    assert_eq!(salons.invalidated(), []);
}

#[tokio::test]
async fn a_cancellation_also_invalidates_where_the_booking_is_remembered() {
    let salons = Salons::new();
    salons.deliver(&booking("BOOKING_CREATED", "one"));
    salons.fill().await;
    // It was moved, and the webhook of that was lost.
    salons.deliver(&elsewhere(booking("BOOKING_CANCELLED", "one")));
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}

#[tokio::test]
async fn a_cancellation_without_times_uses_what_is_remembered() {
    let salons = Salons::new();
    salons.deliver(&booking("BOOKING_CREATED", "one"));
    salons.fill().await;
    let bare = booking("BOOKING_CANCELLED", "one")
        .without("startTime")
        .without("endTime");
    let (verdict, events) = salons.told(&bare);
    assert_eq!((verdict, events.len()), (Verdict::Fresh, 1));
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}
