//! What is not an appointment is refused with an error that says why.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use vacancy::slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, Buffers,
    Interval, InvalidInterval, Revision,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn appointment() -> Appointment {
    Appointment::between(
        7001.into(),
        15.into(),
        at("2025-10-15T14:00:00Z"),
        at("2025-10-15T15:00:00Z"),
    )
    .unwrap()
    .branch(1)
    .event_type(123)
    .resource(42)
    .buffers(Buffers::new(
        Duration::from_secs(300),
        Duration::from_millis(599_001),
    ))
    .revision(Revision::changed_at(at("2025-10-01T09:00:00Z")).sequence(3))
}

#[test]
fn an_appointment_ends_after_it_starts() {
    let (start, end) = (at("2025-10-15T14:00:00Z"), at("2025-10-15T15:00:00Z"));
    assert_eq!(
        Appointment::between(1.into(), 1.into(), start, start).unwrap_err(),
        InvalidInterval::Empty { at: start }
    );
    assert_eq!(
        Appointment::between(1.into(), 1.into(), end, start).unwrap_err(),
        InvalidInterval::Reversed {
            start: end,
            end: start
        }
    );
}

#[test]
fn an_appointment_comes_back_as_it_was_written() {
    let next = Interval::new(at("2025-10-22T14:00:00Z"), at("2025-10-22T15:00:00Z")).unwrap();
    let series = appointment().occurrence(next);
    let json = serde_json::to_value(&series).unwrap();
    assert_eq!(json["id"], "7001");
    assert_eq!(json["buffers"], json!({"before": 300, "after": 600}));
    assert_eq!(serde_json::from_value::<Appointment>(json).unwrap(), series);
}

#[test]
fn what_is_read_is_validated() {
    let change = |change: fn(&mut Value)| {
        let mut json = serde_json::to_value(appointment()).unwrap();
        change(&mut json);
        serde_json::from_value::<Appointment>(json).map_err(|error| error.to_string())
    };
    let refused = [
        change(|json| json["intervals"] = json!([])),
        change(|json| json["intervals"][0]["end"] = json["intervals"][0]["start"].clone()),
        change(|json| json["tenant"] = json!("")),
        change(|json| json["id"] = json!(-1)),
        change(|json| json["id"] = json!(1.5)),
        change(|json| json["seats"] = json!(0)),
        change(|json| json["buffers"]["before"] = json!(-60)),
        change(|json| json["revision"] = Value::Null),
    ];
    for (n, result) in refused.iter().enumerate() {
        assert!(result.is_err(), "{n}: {result:?}");
    }
    assert!(
        refused[0]
            .as_ref()
            .unwrap_err()
            .contains("at least one interval")
    );
    assert!(refused[1].as_ref().unwrap_err().contains("is empty"));

    assert_eq!(
        change(|json| json["tenant"] = json!(15)).unwrap(),
        appointment()
    );
    assert_eq!(
        change(|json| json["colour"] = json!("red")).unwrap(),
        appointment()
    );
    let zone =
        change(|json| json["intervals"][0]["start"] = json!("2025-10-15T16:00:00.000+02:00"));
    assert_eq!(zone.unwrap(), appointment());
}

#[test]
fn an_event_is_read_only_as_what_it_is() {
    let booked = serde_json::to_value(AppointmentBooked::new(appointment())).unwrap();
    assert_eq!(
        (&booked["event"], &booked["version"]),
        (&json!("appointment.booked"), &json!(1))
    );
    assert!(serde_json::from_value::<AppointmentBooked>(booked.clone()).is_ok());
    let error = serde_json::from_value::<AppointmentCancelled>(booked.clone()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected the event \"appointment.cancelled\"")
    );

    let mut newer = booked;
    newer["version"] = json!(2);
    newer["appointment"] = json!({});
    let error = serde_json::from_value::<AppointmentBooked>(newer).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn a_reschedule_carries_both_places() {
    let later = Interval::new(at("2025-10-16T08:00:00Z"), at("2025-10-16T09:00:00Z")).unwrap();
    let event = AppointmentRescheduled::new(appointment(), appointment().moved_to(later).branch(2));
    let json = serde_json::to_string(&event).unwrap();
    let read: AppointmentRescheduled = serde_json::from_str(&json).unwrap();
    assert_eq!(read, event);
    assert_eq!(read.appointment.intervals(), [later]);
    assert_eq!(read.previous, appointment());
}

#[test]
fn a_higher_sequence_is_newer_whatever_the_clocks_say() {
    let old = Revision::changed_at(at("2025-10-02T00:00:00Z")).sequence(1);
    let new = Revision::changed_at(at("2025-10-01T00:00:00Z")).sequence(2);
    assert!(new > old);
    assert!(Revision::changed_at(at("2025-10-03T00:00:00Z")) < old);
}
