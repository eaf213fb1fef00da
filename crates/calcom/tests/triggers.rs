//! What becomes of each trigger.

mod support;

use http::StatusCode;
use serde_json::json;
use support::{
    payload::{Payload, absence, booking},
    salons::{ADA, ADA_TOO, GRACE, Salons, hour_of},
};
use vacancy_calcom::{BookingChange, Ignored, Trigger, Verdict, Widening};
use vacancy_slots::AppointmentId;

fn id(text: &str) -> AppointmentId {
    text.parse().expect("what the test made is right")
}

/// Delivers it to salons whose answers are kept, and says which are not any more.
async fn told(payload: &Payload) -> (Verdict, Vec<BookingChange>, Vec<(u64, u64, u64)>) {
    let salons = Salons::new();
    salons.fill().await;
    let (verdict, events) = salons.told(payload);
    (verdict, events, salons.invalidated())
}

#[tokio::test]
async fn created_books() {
    for trigger in ["BOOKING_CREATED", "BOOKING.CREATED", "booking.created"] {
        let (verdict, events, invalidated) = told(&booking(trigger, "one")).await;
        assert_eq!(verdict, Verdict::Fresh);
        let [BookingChange::Booked(booked)] = &events[..] else {
            panic!("{trigger}: {events:?}");
        };
        let appointment = &booked.appointment;
        assert_eq!(appointment.id, id("one"));
        assert_eq!(appointment.tenant, 15.into());
        assert_eq!(appointment.event_type, Some(123.into()));
        assert_eq!(appointment.resources, [42.into()]);
        assert_eq!(appointment.intervals(), [hour_of(14)]);
        // Ada's other event type too, and nobody else's.
        assert_eq!(invalidated, [ADA, ADA_TOO], "{trigger}");
    }
}

#[tokio::test]
async fn rescheduled_moves() {
    for trigger in [
        "BOOKING_RESCHEDULED",
        "BOOKING.UPDATED",
        "BOOKING.RESCHEDULED",
    ] {
        let payload = booking(trigger, "two").hour(16).replaces("one", 9);
        let (verdict, events, invalidated) = told(&payload).await;
        assert_eq!(verdict, Verdict::Fresh);
        let [BookingChange::Rescheduled(moved)] = &events[..] else {
            panic!("{trigger}: {events:?}");
        };
        assert_eq!(
            (&moved.appointment.id, &moved.previous.id),
            (&id("two"), &id("one"))
        );
        assert_eq!(moved.appointment.intervals(), [hour_of(16)]);
        assert_eq!(moved.previous.intervals(), [hour_of(9)]);
        assert_eq!(invalidated, [ADA, ADA_TOO]);
    }
}

#[tokio::test]
async fn cancelled_and_rejected_free() {
    for (trigger, key) in [
        ("BOOKING_CANCELLED", "cancellationReason"),
        ("BOOKING.CANCELLED", "cancellationReason"),
        ("BOOKING_REJECTED", "rejectionReason"),
    ] {
        let payload = booking(trigger, "one").with(key, json!("ill"));
        let (verdict, events, invalidated) = told(&payload).await;
        assert_eq!(verdict, Verdict::Fresh);
        let [BookingChange::Cancelled(cancelled)] = &events[..] else {
            panic!("{trigger}: {events:?}");
        };
        assert_eq!(cancelled.appointment.id, id("one"));
        assert_eq!(cancelled.reason.as_deref(), Some("ill"));
        assert_eq!(invalidated, [ADA, ADA_TOO]);
    }
}

#[tokio::test]
async fn requests_and_payments_invalidate_and_book_nothing() {
    for trigger in [
        "BOOKING_REQUESTED",
        "BOOKING_PAID",
        "BOOKING_PAYMENT_INITIATED",
    ] {
        let (verdict, events, invalidated) = told(&booking(trigger, "one")).await;
        assert_eq!((verdict, events), (Verdict::Touched, vec![]), "{trigger}");
        assert_eq!(invalidated, [ADA, ADA_TOO], "{trigger}");
    }
}

#[tokio::test]
async fn a_request_for_a_move_invalidates_where_it_was() {
    // Far enough from the new time that only the old one reaches this day.
    let elsewhere =
        booking("BOOKING_REQUESTED", "two").at("2025-11-20T10:00:00Z", "2025-11-20T11:00:00Z");
    let (_, _, invalidated) = told(&elsewhere).await;
    assert_eq!(invalidated, []);
    let (_, events, invalidated) = told(&elsewhere.clone().replaces("one", 9)).await;
    assert_eq!((events.len(), invalidated), (0, vec![ADA, ADA_TOO]));
    // Newer builds leave the old time out.
    let unknown = elsewhere.with("rescheduleUid", json!("one"));
    let salons = Salons::new();
    salons.fill().await;
    let received = salons.receive(&unknown);
    assert_eq!(received.widened(), [Widening::OldTimesUnknown]);
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}

#[tokio::test]
async fn an_absence_invalidates_its_days() {
    let away = absence("2025-10-13T00:00:00Z", "2025-10-15T00:00:00Z");
    let (verdict, events, invalidated) = told(&away).await;
    assert_eq!((verdict, events), (Verdict::Touched, vec![]));
    assert_eq!(invalidated, [ADA, ADA_TOO]);
    // Days of a zone that is not told may begin and end a day away.
    let ended = absence("2025-10-10T00:00:00Z", "2025-10-13T00:00:00Z");
    assert_eq!(told(&ended).await.2, [ADA, ADA_TOO]);
    let long_ago = absence("2025-09-01T00:00:00Z", "2025-09-03T00:00:00Z");
    assert_eq!(told(&long_ago).await.2, []);
    for (start, end) in [
        ("2025-09-03T00:00:00Z", "2025-09-01T00:00:00Z"),
        ("some day", "another"),
        ("1925-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
    ] {
        assert_eq!(
            told(&absence(start, end)).await.2,
            [ADA, ADA_TOO],
            "{start}"
        );
    }
    let stranger = json!({"start": "2025-10-13T00:00:00Z", "end": "2025-10-15T00:00:00Z",
        "user": {"email": "who@knows.example"}});
    let nobody = away.clone().with("oooEntry", stranger);
    assert_eq!(
        told(&nobody).await.0,
        Verdict::Ignored(Ignored::NobodyKnown)
    );
    // Somebody who works for both is away from both.
    let kim = json!({"start": "2025-10-13T00:00:00Z", "end": "2025-10-15T00:00:00Z",
        "user": {"email": "kim@free.example"}, "toUser": {"username": "Grace"}});
    let salons = Salons::new();
    salons.fill().await;
    let received = salons.receive(&away.with("oooEntry", kim));
    let tenants: Vec<_> = received
        .invalidations()
        .iter()
        .map(|one| one.tenant.as_str())
        .collect();
    assert_eq!(tenants, ["15", "16", "15"]);
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [GRACE]);
}

#[tokio::test]
async fn what_has_no_effect_is_ignored_with_or_without_a_payload() {
    let names = [
        "BOOKING_NO_SHOW_UPDATED",
        "MEETING_STARTED",
        "MEETING_ENDED",
        "RECORDING_READY",
        "RECORDING_TRANSCRIPTION_GENERATED",
        "INSTANT_MEETING",
        "AFTER_HOSTS_CAL_VIDEO_NO_SHOW",
        "AFTER_GUESTS_CAL_VIDEO_NO_SHOW",
    ];
    for name in names {
        let (verdict, events, invalidated) = told(&booking(name, "one")).await;
        assert_eq!(verdict, Verdict::Ignored(Ignored::NoEffect), "{name}");
        assert_eq!(verdict.status(), StatusCode::OK);
        assert_eq!((events.len(), invalidated.len()), (0, 0), "{name}");
        // Flat: the fields of the payload beside the trigger.
        let salons = Salons::new();
        let flat = json!({"triggerEvent": name, "uid": "one", "startTime": "now", "length": 30});
        let body = flat.to_string().into_bytes();
        let received = salons
            .webhooks
            .receive(&support::signed(&body), &body)
            .unwrap();
        assert_eq!(
            received.verdict(),
            Verdict::Ignored(Ignored::NoEffect),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_ping_invalidates_nothing() {
    for name in ["PING", "ping", "Ping"] {
        let now = "2025-10-15T14:00:00Z";
        let ping = booking(name, "x")
            .without("uid")
            .without("eventTypeId")
            .at(now, now);
        let (verdict, events, invalidated) = told(&ping).await;
        assert_eq!(verdict, Verdict::Ignored(Ignored::NoEffect));
        assert_eq!((events.len(), invalidated.len()), (0, 0));
    }
}

#[tokio::test]
async fn an_unknown_trigger_is_ignored_by_name() {
    let salons = Salons::new();
    let name = "BOOKING_TELEPORTED";
    let received = salons.receive(&booking(name, "one"));
    assert_eq!(
        received.verdict(),
        Verdict::Ignored(Ignored::UnknownTrigger)
    );
    assert_eq!(received.trigger(), &Trigger::Unknown(name.to_owned()));
    assert_eq!(received.status(), StatusCode::OK);
    assert!(received.invalidations().is_empty());
    let long = "é".repeat(5000);
    let received = salons.receive(&booking(&long, "one"));
    assert_eq!(received.trigger(), &Trigger::Unknown("é".repeat(64)));
    assert_eq!(received.trigger().label(), "unknown");
}

#[tokio::test]
async fn the_end_may_be_told_by_a_length() {
    let payload = booking("BOOKING_CREATED", "one").without("endTime");
    let (verdict, events, _) = told(&payload).await;
    assert!(events.is_empty());
    assert_eq!(verdict.reason(), Some("missing_times"));
    let (_, events, _) = told(&payload.with("length", json!(60))).await;
    let [BookingChange::Booked(booked)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(booked.appointment.intervals(), [hour_of(14)]);
}
