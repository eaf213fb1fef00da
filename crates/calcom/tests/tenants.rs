//! A tenant is told by what the event type and the hosts have in common, and never guessed.

mod support;

use serde_json::json;
use support::{
    payload::{Payload, booking},
    salons::{ADA, ADA_TOO, BOB, Chair, GRACE, Salons},
};
use vacancy_calcom::{
    BookingChange, Clue, Ignored, Listing, StaticCalcomDirectory, Unresolved, Verdict, Widening,
};
use vacancy_slots::Appointment;

async fn told(payload: &Payload) -> (Verdict, Option<Appointment>, Vec<Chair>) {
    let salons = Salons::new();
    salons.fill().await;
    let (verdict, mut events) = salons.told(payload);
    let booked = events.pop().map(|event| match event {
        BookingChange::Booked(booked) => booked.appointment,
        other => panic!("{other:?}"),
    });
    (verdict, booked, salons.invalidated())
}

fn created() -> Payload {
    booking("BOOKING_CREATED", "one")
}

fn shared() -> Payload {
    created().with("eventTypeId", json!(5000))
}

#[tokio::test]
async fn an_event_type_of_two_tenants_is_told_by_its_host() {
    let (verdict, booked, invalidated) = told(&shared().host("bob@barber.example")).await;
    let booked = booked.unwrap();
    assert_eq!(verdict, Verdict::Fresh);
    assert_eq!(
        (booked.tenant, booked.event_type),
        (16.into(), Some(160.into()))
    );
    assert_eq!(invalidated, [BOB]);

    let (_, booked, invalidated) = told(&shared()).await;
    let booked = booked.unwrap();
    assert_eq!(
        (booked.tenant, booked.event_type),
        (15.into(), Some(150.into()))
    );
    assert_eq!(invalidated, [ADA, ADA_TOO]);
}

#[tokio::test]
async fn an_event_type_of_two_tenants_is_told_by_the_team_or_an_attendee() {
    let stranger = || shared().host("new@hire.example");
    for payload in [
        stranger().with("team", json!({"id": 77, "members": []})),
        stranger().with(
            "team",
            json!({"members": [{"email": "bob@barber.example"}]}),
        ),
        stranger().attended_by(&["client@elsewhere.example", "Bob@barber.example"]),
        // A host of both is told by the others.
        shared()
            .host("kim@free.example")
            .attended_by(&["bob@barber.example"]),
    ] {
        let (verdict, booked, invalidated) = told(&payload).await;
        assert_eq!(verdict, Verdict::Fresh, "{payload:?}");
        assert_eq!(booked.unwrap().tenant, 16.into(), "{payload:?}");
        assert_eq!(invalidated, [BOB], "{payload:?}");
    }
}

#[tokio::test]
async fn an_event_type_of_two_tenants_that_nothing_tells_invalidates_both_and_books_nothing() {
    for payload in [
        shared().host("new@hire.example"),
        shared().without("organizer"),
        shared().host("kim@free.example"),
    ] {
        for trigger in ["BOOKING_CREATED", "BOOKING_CANCELLED", "BOOKING_PAID"] {
            let mut body = payload.value();
            body["triggerEvent"] = json!(trigger);
            let body = body.to_string().into_bytes();
            let salons = Salons::new();
            salons.fill().await;
            let received = salons
                .webhooks
                .receive(&support::signed(&body), &body)
                .unwrap();
            assert_eq!(
                received.verdict(),
                Verdict::Unresolved(Unresolved::SeveralTenants)
            );
            assert!(received.events().is_empty());
            received.apply(&salons.slots, &salons.bus).unwrap();
            assert_eq!(salons.dispatched(), 0);
            // All of both tenants' that the event type's hosts serve.
            assert_eq!(
                salons.invalidated(),
                [ADA, ADA_TOO, BOB],
                "{trigger} {payload:?}"
            );
        }
    }
}

#[tokio::test]
async fn ids_of_another_tenant_book_nothing_and_invalidate_both() {
    let (verdict, booked, invalidated) = told(&created().host("bob@barber.example")).await;
    assert_eq!(verdict, Verdict::Unresolved(Unresolved::Contradictory));
    assert_eq!((booked, invalidated), (None, vec![ADA, ADA_TOO, BOB]));
}

#[tokio::test]
async fn a_move_of_another_tenants_booking_does_not_touch_it() {
    let salons = Salons::new();
    salons.deliver(&created());
    salons.fill().await;
    let foreign = shared().host("bob@barber.example").value();
    let mut foreign = foreign;
    foreign["triggerEvent"] = json!("BOOKING_RESCHEDULED");
    foreign["payload"]["uid"] = json!("two");
    foreign["payload"]["rescheduleUid"] = json!("one");
    let body = foreign.to_string().into_bytes();
    let received = salons
        .webhooks
        .receive(&support::signed(&body), &body)
        .unwrap();
    // Tenant 16 never had it.
    assert_eq!(received.widened(), [Widening::OldTimesUnknown]);
    assert!(
        received
            .invalidations()
            .iter()
            .all(|one| one.tenant == 16.into())
    );
    received.apply(&salons.slots, &salons.bus).unwrap();
    assert_eq!(salons.invalidated(), [BOB]);
    // Nor is tenant 15's over.
    assert_eq!(salons.told(&created().sent(5)).0, Verdict::Duplicate);
}

#[tokio::test]
async fn a_missing_or_unknown_event_type_is_told_by_its_host() {
    for payload in [
        created().without("eventTypeId"),
        created().with("eventTypeId", json!(null)),
        created().with("eventTypeId", json!(999)),
    ] {
        let salons = Salons::new();
        salons.fill().await;
        let received = salons.receive(&payload);
        assert_eq!(received.verdict(), Verdict::Fresh);
        assert_eq!(received.widened(), [Widening::MissingEventType]);
        let [BookingChange::Booked(booked)] = received.events() else {
            panic!("{:?}", received.events());
        };
        assert_eq!(booked.appointment.tenant, 15.into());
        assert_eq!(booked.appointment.event_type, None);
        assert_eq!(booked.appointment.resources, [42.into()]);
        received.apply(&salons.slots, &salons.bus).unwrap();
        assert_eq!(salons.invalidated(), [ADA, ADA_TOO], "{payload:?}");
    }
}

#[tokio::test]
async fn a_cancellation_without_an_event_type_is_told_by_what_is_remembered() {
    let salons = Salons::new();
    salons.deliver(&created());
    salons.fill().await;
    let bare = booking("BOOKING_CANCELLED", "one")
        .without("eventTypeId")
        .without("organizer");
    let (verdict, events) = salons.told(&bare);
    assert_eq!(verdict, Verdict::Fresh);
    let [BookingChange::Cancelled(cancelled)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(cancelled.appointment.event_type, Some(123.into()));
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
}

#[tokio::test]
async fn an_event_type_of_two_tenants_is_told_by_what_is_remembered() {
    let salons = Salons::new();
    salons.deliver(&shared().host("bob@barber.example"));
    salons.fill().await;
    let cancelled = booking("BOOKING_CANCELLED", "one")
        .with("eventTypeId", json!(5000))
        .without("organizer");
    let (verdict, events) = salons.told(&cancelled);
    assert_eq!(verdict, Verdict::Fresh);
    let [BookingChange::Cancelled(cancelled)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(cancelled.appointment.tenant, 16.into());
    assert_eq!(salons.invalidated(), [BOB]);
}

#[tokio::test]
async fn an_unknown_event_type_is_ignored_only_if_nobody_is_known() {
    let nobody = created()
        .with("eventTypeId", json!(999))
        .host("new@hire.example");
    let (verdict, booked, invalidated) = told(&nobody).await;
    assert_eq!(verdict, Verdict::Ignored(Ignored::NobodyKnown));
    assert_eq!((booked, invalidated), (None, vec![]));
    // A host of the salon may be a customer somewhere else.
    let customer = nobody.attended_by(&["grace@salon.example"]);
    let (verdict, booked, invalidated) = told(&customer).await;
    assert_eq!(verdict, Verdict::Unresolved(Unresolved::AttendeesOnly));
    assert_eq!((booked, invalidated), (None, vec![GRACE]));
}

#[tokio::test]
async fn an_unknown_host_counts_as_all_who_serve() {
    let (verdict, booked, invalidated) = told(&created().host("new@hire.example")).await;
    assert_eq!(verdict, Verdict::Fresh);
    assert_eq!(booked.unwrap().resources, [42.into()]);
    assert_eq!(invalidated, [ADA, ADA_TOO]);
}

#[tokio::test]
async fn team_members_are_occupied_too() {
    let team = json!({"id": 5, "members": [{"email": "grace@salon.example"}]});
    let (_, booked, invalidated) = told(&created().with("team", team)).await;
    assert_eq!(booked.unwrap().resources, [42.into(), 43.into()]);
    assert_eq!(invalidated, [ADA, ADA_TOO, GRACE]);
}

#[tokio::test]
async fn an_event_type_that_stands_for_two_of_a_tenant_is_told_by_the_host() {
    let two = || {
        StaticCalcomDirectory::new()
            .list(
                Clue::EventType("4711"),
                Listing::new(15).branch(1).event_type(123).resource(42),
            )
            .list(
                Clue::EventType("4711"),
                Listing::new(15).branch(2).event_type(124).resource(43),
            )
            .list(
                Clue::Email("grace@salon.example"),
                Listing::new(15).resource(43),
            )
            .list(
                Clue::Email("boss@salon.example"),
                Listing::new(15).branch(1),
            )
    };
    for (host, event_type) in [("grace@salon.example", 124), ("boss@salon.example", 123)] {
        let salons = Salons::of(two());
        let (_, events) = salons.told(&created().host(host));
        let [BookingChange::Booked(booked)] = &events[..] else {
            panic!("{host}: {events:?}");
        };
        assert_eq!(
            booked.appointment.event_type,
            Some(event_type.into()),
            "{host}"
        );
    }
    let salons = Salons::of(two());
    salons.fill().await;
    let (verdict, events) = salons.told(&created().host("new@hire.example"));
    assert_eq!(verdict, Verdict::Unresolved(Unresolved::SeveralEventTypes));
    assert!(events.is_empty());
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO, GRACE]);
}

#[test]
fn debug_shows_no_addresses() {
    let clues = [Clue::Email("ada@salon.example"), Clue::Username("ada")];
    let shown = format!("{clues:?} {:?}", support::salons::directory());
    assert!(!shown.contains("ada"), "{shown}");
}
