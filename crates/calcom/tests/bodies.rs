//! Bodies that are not what they should be are refused with a reason, and nothing panics.

mod support;

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde_json::json;
use support::{
    payload::booking,
    salons::{ADA, ADA_TOO, Salons},
    signed,
};
use vacancy_calcom::{BookingChange, Received, Refusal, Verdict};

fn receive(salons: &Salons, body: &[u8]) -> Result<Received, Refusal> {
    salons.webhooks.receive(&signed(body), body)
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let salons = Salons::with(|webhooks| webhooks.body_limit(1000.try_into().unwrap()));
    let mut body = booking("BOOKING_CREATED", "one").body();
    assert!(body.len() < 1000);
    body.resize(1000, b' ');
    assert!(receive(&salons, &body).is_ok());
    body.push(b' ');
    let refusal = receive(&salons, &body).unwrap_err();
    assert_eq!(refusal, Refusal::TooLarge { limit: 1000 });
    assert_eq!(refusal.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_body_cut_at_any_byte_is_refused_and_notes_nothing() {
    let salons = Salons::new();
    let body = booking("BOOKING_CREATED", "one")
        .with("seatsPerTimeSlot", json!(3))
        .body();
    for length in 0..body.len() {
        let refusal = receive(&salons, &body[..length]).unwrap_err();
        assert_eq!(refusal, Refusal::NotJson, "cut at {length}");
        assert_eq!(refusal.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(receive(&salons, &body).unwrap().verdict(), Verdict::Fresh);
}

#[tokio::test]
async fn what_is_not_a_webhook_is_refused() {
    let salons = Salons::new();
    let not_json: [&[u8]; 4] = [b"", b"uid=one&startTime=now", b"\xff\xfe{}", b"{} {}"];
    for body in not_json {
        assert_eq!(receive(&salons, body).unwrap_err(), Refusal::NotJson);
    }
    // Templates may send anything that is JSON.
    for body in [
        json!({"content": "A new booking: Haircut"}),
        json!({"triggerEvent": null, "payload": {}}),
        json!({"triggerEvent": 7}),
        json!({"triggerEvent": " "}),
        json!([booking("BOOKING_CREATED", "one").value()]),
        json!("BOOKING_CREATED"),
        json!(null),
    ] {
        let refusal = receive(&salons, body.to_string().as_bytes()).unwrap_err();
        assert_eq!(refusal, Refusal::NotAWebhook, "{body}");
        assert_eq!(refusal.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    for body in [
        json!({"triggerEvent": "BOOKING_CREATED", "uid": "one"}),
        json!({"triggerEvent": "BOOKING_CREATED", "payload": null}),
        json!({"triggerEvent": "BOOKING_CREATED", "payload": "one"}),
        json!({"triggerEvent": "OOO_CREATED", "payload": []}),
    ] {
        let refusal = receive(&salons, body.to_string().as_bytes()).unwrap_err();
        assert_eq!(refusal, Refusal::NoPayload, "{body}");
        assert_eq!(refusal.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn a_form_is_refused_as_one() {
    let salons = Salons::new();
    let body = booking("BOOKING_CREATED", "one").body();
    for kind in [
        "application/x-www-form-urlencoded; charset=utf-8",
        "Multipart/Form-Data; boundary=x",
    ] {
        let mut headers = signed(&body);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let refusal = salons.webhooks.receive(&headers, &body).unwrap_err();
        assert_eq!(refusal, Refusal::Form);
        assert_eq!(refusal.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}

#[tokio::test]
async fn depth_does_not_overflow_the_stack() {
    let salons = Salons::new();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}0{}", open.repeat(20_000), close.repeat(20_000));
        assert_eq!(
            receive(&salons, deep.as_bytes()).unwrap_err(),
            Refusal::NotJson
        );
        let cut = open.repeat(20_000);
        assert_eq!(
            receive(&salons, cut.as_bytes()).unwrap_err(),
            Refusal::NotJson
        );
    }
}

#[tokio::test]
async fn a_key_that_says_the_same_twice_says_it_once() {
    let salons = Salons::new();
    let body = String::from_utf8(booking("BOOKING_CREATED", "one").body()).unwrap();
    let body = body.replacen(
        r#""uid":"one""#,
        r#""uid":"one","title":"Cut","uid":"one""#,
        1,
    );
    let received = receive(&salons, body.as_bytes()).unwrap();
    assert_eq!(received.verdict(), Verdict::Fresh);
}

#[tokio::test]
async fn a_key_that_says_two_things_is_refused_where_it_matters() {
    let salons = Salons::new();
    let body = String::from_utf8(booking("BOOKING_CREATED", "one").body()).unwrap();
    let put = |second: &str| {
        let body = body.replacen(r#""payload":{"#, &format!(r#""payload":{{{second},"#), 1);
        receive(&salons, body.as_bytes()).map(|received| received.verdict())
    };
    let contradictory = |field| Err(Refusal::Contradictory { field });
    assert_eq!(put(r#""uid":"two""#), contradictory("uid"));
    assert_eq!(put(r#""eventTypeId":4712"#), contradictory("eventTypeId"));
    assert_eq!(put(r#""eventTypeId":"4711""#), contradictory("eventTypeId"));
    assert_eq!(put(r#""status":"CANCELLED""#), contradictory("status"));
    let other_host = r#""organizer":{"email":"bob@barber.example","timeZone":"Europe/Berlin"}"#;
    assert_eq!(put(other_host), contradictory("email"));
    assert_eq!(put(r#""organizer":null"#), contradictory("organizer"));
    assert_eq!(
        put(r#""uid":"two""#).unwrap_err().status(),
        StatusCode::UNPROCESSABLE_ENTITY
    );
    // What nothing depends on may say what it likes.
    assert_eq!(
        put(r#""title":"Colour","price":null,"price":3"#),
        Ok(Verdict::Fresh)
    );

    let twice = r#"{"triggerEvent":"PING","triggerEvent":"BOOKING_CREATED","payload":{}}"#;
    let refusal = receive(&salons, twice.as_bytes()).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Contradictory {
            field: "triggerEvent"
        }
    );
}

#[tokio::test]
async fn two_times_in_one_body_invalidate_and_book_nothing() {
    let salons = Salons::new();
    salons.fill().await;
    let body = String::from_utf8(booking("BOOKING_CREATED", "one").body()).unwrap();
    let body = body.replacen(
        r#""payload":{"#,
        r#""payload":{"startTime":"2025-10-15T11:00:00Z","#,
        1,
    );
    let received = receive(&salons, body.as_bytes()).unwrap();
    assert_eq!(received.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(received.events().is_empty());
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}

#[tokio::test]
async fn unknown_fields_nulls_and_loose_types_are_borne() {
    let plain = booking("BOOKING_CREATED", "one");
    let booked = |payload: &support::payload::Payload| match Salons::new().told(payload).1.pop() {
        Some(BookingChange::Booked(booked)) => booked.appointment,
        other => panic!("{other:?}"),
    };
    let expected = booked(&plain);
    let mut loose = plain
        .with(
            "inventedTomorrow",
            json!({"deeply": [[[{"nested": true}]]]}),
        )
        .with("eventTypeId", json!("4711"))
        .with("bookingId", json!(null))
        .with("price", json!(null))
        .with("length", json!("60"))
        .with("recurringEvent", json!(null))
        .with("seatsPerTimeSlot", json!(null))
        .with("attendeeSeatId", json!(null))
        .with("iCalSequence", json!(null))
        .with("cancellationReason", json!(null))
        .with("team", json!(null))
        .with("attendees", json!(null))
        .with("rescheduleUid", json!(null))
        .with(
            "organizer",
            json!({
                "id": 1, "email": "ADA@Salon.example", "name": null,
                "timeZone": "Europe/Berlin", "utcOffset": 120, "timeFormat": 24,
            }),
        );
    for calendar in [json!(null), json!([]), json!([{"id": 3}]), json!({"id": 3})] {
        for format in [json!("h:mma"), json!(12)] {
            loose = loose
                .with("destinationCalendar", calendar.clone())
                .with("timeFormat", format);
            assert_eq!(booked(&loose), expected);
        }
    }
}

#[tokio::test]
async fn any_type_in_any_place_is_borne() {
    let salons = Salons::new();
    let fields = [
        "uid",
        "eventTypeId",
        "startTime",
        "endTime",
        "status",
        "organizer",
        "attendees",
        "team",
        "seatsPerTimeSlot",
        "attendeeSeatId",
        "recurringEvent",
        "iCalSequence",
        "length",
        "rescheduleUid",
        "rescheduleStartTime",
        "rescheduleEndTime",
        "oooEntry",
        "user",
        "cancellationReason",
    ];
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!([]),
        json!([null, [], {}, "x", 7]),
        json!({}),
        json!({"id": [], "email": {}}),
        json!("x".repeat(10_000)),
    ];
    for trigger in [
        "BOOKING_CREATED",
        "BOOKING_RESCHEDULED",
        "BOOKING_CANCELLED",
        "BOOKING_REQUESTED",
        "BOOKING_PAID",
        "OOO_CREATED",
    ] {
        for field in fields {
            for value in &odd {
                let payload = booking(trigger, "one").with(field, value.clone());
                let received = salons.receive(&payload);
                drop(received.apply(&salons.slots, &salons.bus).unwrap());
            }
        }
    }
}
