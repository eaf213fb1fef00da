//! A seat is taken and given back without the others.

mod support;

use http::HeaderValue;
use proptest::prelude::*;
use serde_json::json;
use support::{
    payload::{Payload, booking},
    salons::{ADA, ADA_TOO, Salons},
    signed,
};
use vacancy_calcom::{BookingChange, Verdict};
use vacancy_slots::AppointmentId;

fn take(seat: &str) -> Payload {
    booking("BOOKING_CREATED", "class").seat(seat)
}

fn leave(seat: &str) -> Payload {
    booking("BOOKING_CANCELLED", "class")
        .seat(seat)
        .sent(60_000)
}

/// Off for all.
fn off() -> Payload {
    booking("BOOKING_CANCELLED", "class")
        .with("seatsPerTimeSlot", json!(5))
        .sent(120_000)
}

/// As versions without ids of seats send it.
fn old_style(trigger: &str, email: &str) -> Payload {
    booking(trigger, "class")
        .with("seatsPerTimeSlot", json!(5))
        .attended_by(&[email])
}

fn ids(events: &[BookingChange]) -> Vec<&AppointmentId> {
    events.iter().map(id_of).collect()
}

fn id_of(event: &BookingChange) -> &AppointmentId {
    match event {
        BookingChange::Booked(booked) => &booked.appointment.id,
        BookingChange::Cancelled(cancelled) => &cancelled.appointment.id,
        other => panic!("{other:?}"),
    }
}

fn id(text: &str) -> AppointmentId {
    text.parse().expect("what the test made is right")
}

#[tokio::test]
async fn every_seat_of_a_booking_is_booked() {
    let salons = Salons::with_a_deaf_calendar(Some(5));
    for (taken, seat) in ["a", "b", "c"].into_iter().enumerate() {
        let (verdict, events) = salons.told(&take(seat));
        assert_eq!(verdict, Verdict::Fresh);
        assert_eq!(ids(&events), [&id(&format!("class/{seat}"))]);
        assert_eq!(salons.told(&take(seat).sent(9)).0, Verdict::Duplicate);
        assert_eq!(salons.seats_left(ADA, 14).await, 4 - taken as u32);
    }
}

#[tokio::test]
async fn a_seat_that_is_given_back_leaves_the_others_taken() {
    let salons = Salons::with_a_deaf_calendar(Some(5));
    for seat in ["a", "b", "c"] {
        salons.deliver(&take(seat));
    }
    let (verdict, events) = salons.told(&leave("b"));
    assert_eq!(
        (verdict, ids(&events)),
        (Verdict::Fresh, vec![&id("class/b")])
    );
    assert_eq!(salons.seats_left(ADA, 14).await, 3);
    assert_eq!(salons.told(&leave("b").sent(60_007)).0, Verdict::Duplicate);
    // It stays given back, and the others can be.
    assert_eq!(salons.told(&take("b")).0, Verdict::Superseded);
    assert_eq!(salons.told(&take("d")).0, Verdict::Fresh);
    assert_eq!(salons.told(&leave("a")).0, Verdict::Fresh);
    assert_eq!(salons.seats_left(ADA, 14).await, 3);
}

#[tokio::test]
async fn seats_without_ids_are_told_by_who_takes_them() {
    let salons = Salons::with_a_deaf_calendar(Some(5));
    for email in ["one@client.example", "two@client.example"] {
        let (verdict, events) = salons.told(&old_style("BOOKING_CREATED", email));
        assert_eq!(verdict, Verdict::Fresh, "{email}");
        assert!(!ids(&events)[0].as_str().contains("client"), "{events:?}");
        let copy = old_style("BOOKING_CREATED", &email.to_uppercase()).sent(9);
        assert_eq!(salons.told(&copy).0, Verdict::Duplicate);
    }
    assert_eq!(salons.seats_left(ADA, 14).await, 3);
    salons.deliver(&old_style("BOOKING_CANCELLED", "one@client.example").sent(60_000));
    assert_eq!(salons.seats_left(ADA, 14).await, 4);
    // Whose seat it is about is not known: nobody's is given back, and everything is invalidated.
    let received = salons.receive(&old_style("BOOKING_CANCELLED", "who@client.example"));
    assert!(!received.invalidations().is_empty());
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.seats_left(ADA, 14).await, 4);
}

#[tokio::test]
async fn a_seat_without_an_id_may_be_taken_again() {
    let salons = Salons::with_a_deaf_calendar(Some(5));
    let made = |sent| old_style("BOOKING_CREATED", "one@client.example").sent(sent);
    let off = |sent| old_style("BOOKING_CANCELLED", "one@client.example").sent(sent);
    for (payload, expected, left) in [
        (made(1000), Verdict::Fresh, 4),
        (off(2000), Verdict::Fresh, 5),
        (made(1500), Verdict::Superseded, 5),
        (made(3000), Verdict::Fresh, 4),
        (off(2500), Verdict::Superseded, 4),
        (made(3005), Verdict::Duplicate, 4),
    ] {
        assert_eq!(salons.told(&payload).0, expected, "{payload:?}");
        assert_eq!(salons.seats_left(ADA, 14).await, left, "{payload:?}");
    }
}

#[tokio::test]
async fn a_cancellation_for_all_gives_every_seat_back() {
    let salons = Salons::with_a_deaf_calendar(Some(5));
    for seat in ["a", "b", "c"] {
        salons.deliver(&take(seat));
    }
    salons.deliver(&leave("b"));
    let (verdict, events) = salons.told(&off());
    assert_eq!(verdict, Verdict::Fresh);
    assert_eq!(ids(&events), [&id("class"), &id("class/a"), &id("class/c")]);
    assert_eq!(salons.seats_left(ADA, 14).await, 5);
    assert_eq!(salons.told(&off().sent(120_003)).0, Verdict::Duplicate);
    assert_eq!(salons.told(&take("late")).0, Verdict::Superseded);
}

#[tokio::test]
async fn a_server_that_names_seats_names_none_only_for_all() {
    let salons = Salons::new();
    let body = off().body();
    let mut headers = signed(&body);
    headers.insert(
        "x-cal-webhook-version",
        HeaderValue::from_static("2021-10-20"),
    );
    let received = salons.webhooks.receive(&headers, &body).unwrap();
    assert_eq!(ids(received.events()), [&id("class")]);
    drop(received);
    // Of another server it is not known, so the booking as a whole is not said to be off.
    let salons = Salons::new();
    let (_, events) = salons.told(&off());
    assert_ne!(ids(&events), [&id("class")]);
}

#[tokio::test]
async fn a_failed_cancellation_for_all_comes_again_with_every_seat() {
    let salons = Salons::new();
    salons.deliver(&take("a"));
    salons.deliver(&take("b"));
    drop(salons.receive(&off()));
    let (_, events) = salons.told(&off());
    assert_eq!(ids(&events), [&id("class"), &id("class/a"), &id("class/b")]);
}

#[tokio::test]
async fn a_seat_is_moved_without_the_others() {
    let salons = Salons::with_a_deaf_calendar(Some(5));
    salons.deliver(&take("a"));
    salons.deliver(&take("b"));
    let moved = booking("BOOKING_RESCHEDULED", "later class")
        .hour(16)
        .replaces("class", 14);
    let (verdict, events) = salons.told(&moved.seat("a").sent(60_000));
    assert_eq!(verdict, Verdict::Fresh);
    let [BookingChange::Rescheduled(moved)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(
        (&moved.previous.id, &moved.appointment.id),
        (&id("class/a"), &id("later class/a"))
    );
    assert_eq!(salons.seats_left(ADA, 14).await, 4);
    assert_eq!(salons.seats_left(ADA, 16).await, 4);
    assert_eq!(salons.told(&take("c")).0, Verdict::Fresh);
}

#[tokio::test]
async fn ids_of_seats_and_bookings_never_meet() {
    let of = |payload: &Payload| match Salons::new().told(payload).1.pop() {
        Some(BookingChange::Booked(booked)) => booked.appointment.id,
        other => panic!("{other:?}"),
    };
    let whole = of(&booking("BOOKING_CREATED", "class/a"));
    assert_ne!(of(&take("a")), whole);
    let escaped = of(&booking("BOOKING_CREATED", "class%2Fa"));
    assert_ne!(escaped, whole);
}

#[tokio::test]
async fn every_seats_delivery_invalidates() {
    let salons = Salons::new();
    for payload in [
        take("a"),
        take("a"),
        take("b"),
        leave("a"),
        off(),
        take("late"),
        off(),
    ] {
        salons.fill().await;
        salons.deliver(&payload);
        assert_eq!(salons.invalidated(), [ADA, ADA_TOO], "{payload:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_seats_that_are_left_do_not_depend_on_the_order(
        (taken, left, for_all, deliveries) in
            (1_usize..4, 0_usize..3, any::<bool>()).prop_flat_map(|(taken, left, for_all)| {
                let left = left.min(taken);
                let mut facts: Vec<_> = ["a", "b", "c"][..taken].iter().map(|seat| take(seat)).collect();
                facts.extend(["a", "b", "c"][..left].iter().map(|seat| leave(seat)));
                facts.extend(for_all.then(off));
                let copies = facts.iter().cloned().map(|fact| fact.sent(60_001));
                let all: Vec<_> = facts.iter().cloned().chain(copies).collect();
                (Just(taken), Just(left), Just(for_all), Just(all).prop_shuffle())
            }),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let seats = runtime.block_on(async {
            let salons = Salons::with_a_deaf_calendar(Some(5));
            for delivery in &deliveries {
                salons.deliver(delivery);
            }
            salons.seats_left(ADA, 14).await
        });
        let expected = if for_all { 5 } else { 5 - (taken - left) as u32 };
        prop_assert_eq!(seats, expected);
    }
}
