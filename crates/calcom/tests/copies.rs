//! Events come with one of the copies; invalidations with every one.

mod support;

use std::{num::NonZeroUsize, thread, time::Duration};

use http::StatusCode;
use serde_json::json;
use support::{
    payload::{Payload, booking},
    salons::{ADA, ADA_TOO, Salons},
    signed, soon,
};
use vacancy_calcom::{BookingChange, Received, Undelivered, Verdict};
use vacancy_slots::Appointment;

fn all() -> [Payload; 4] {
    [
        booking("BOOKING_CREATED", "one"),
        booking("BOOKING_RESCHEDULED", "two")
            .hour(16)
            .replaces("one", 14),
        booking("BOOKING_CANCELLED", "two").hour(16),
        booking("BOOKING_REJECTED", "three"),
    ]
}

#[tokio::test]
async fn a_copy_invalidates_again_and_dispatches_nothing() {
    let salons = Salons::new();
    for (done, payload) in all().iter().enumerate() {
        assert_eq!(salons.deliver(payload).receipts.len(), 1);
        assert_eq!(salons.dispatched(), done + 1);
        // The same bytes, and what another subscription sends of the same fact.
        for sent in [0, 7, 90_000] {
            salons.fill().await;
            let copy = salons.receive(&payload.clone().sent(sent));
            assert!(copy.duplicate(), "{payload:?}");
            assert_eq!(copy.status(), StatusCode::OK);
            assert!(copy.events().is_empty());
            copy.apply(&salons.slots, &salons.bus).unwrap();
            assert_eq!(salons.dispatched(), done + 1);
            assert_eq!(salons.invalidated(), [ADA, ADA_TOO], "{payload:?}");
        }
    }
}

#[tokio::test]
async fn a_replay_of_something_older_invalidates_and_dispatches_nothing() {
    let salons = Salons::new();
    let [created, moved, cancelled, _] = all();
    for payload in [&created, &moved, &cancelled] {
        salons.deliver(payload);
    }
    for (replayed, expected) in [
        (&created, Verdict::Superseded),
        (&moved, Verdict::Duplicate),
        (&cancelled, Verdict::Duplicate),
    ] {
        salons.fill().await;
        let (verdict, events) = salons.told(&replayed.clone().sent(600_000));
        assert_eq!((verdict, events), (expected, vec![]), "{replayed:?}");
        assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
    }
    assert_eq!(salons.dispatched(), 3);
}

#[tokio::test]
async fn another_status_or_time_is_no_copy() {
    let salons = Salons::new();
    let pending = booking("BOOKING_CREATED", "one").with("status", json!("PENDING"));
    assert_eq!(salons.told(&pending).0, Verdict::Fresh);
    assert_eq!(
        salons.told(&booking("BOOKING_CREATED", "one").sent(1)).0,
        Verdict::Fresh
    );
    assert_eq!(
        salons
            .told(&booking("BOOKING_CREATED", "one").hour(9).sent(2))
            .0,
        Verdict::Fresh
    );
    assert_eq!(
        salons.told(&booking("BOOKING_CREATED", "two")).0,
        Verdict::Fresh
    );
}

#[tokio::test]
async fn of_copies_that_arrive_together_one_has_the_events() {
    let salons = Salons::new();
    for round in 0..50 {
        let body = booking("BOOKING_CREATED", &format!("round {round}")).body();
        let headers = signed(&body);
        let received: Vec<Received> = thread::scope(|scope| {
            let receive = || salons.webhooks.receive(&headers, &body).unwrap();
            let copies: Vec<_> = (0..4).map(|_| scope.spawn(receive)).collect();
            copies
                .into_iter()
                .map(|copy| copy.join().unwrap())
                .collect()
        });
        let fresh = received
            .iter()
            .filter(|copy| !copy.events().is_empty())
            .count();
        assert_eq!(fresh, 1);
        assert!(received.iter().all(|copy| !copy.invalidations().is_empty()));
    }
}

#[tokio::test]
async fn what_was_received_and_not_applied_comes_again() {
    let salons = Salons::new();
    for payload in all() {
        let first = salons.receive(&payload);
        let events = first.events().to_vec();
        assert_eq!(events.len(), 1);
        // While the first one is in good hands the second is a copy.
        assert!(salons.receive(&payload).events().is_empty());
        drop(first); // its handler was cancelled
        let second = salons.receive(&payload);
        assert_eq!(second.events(), events, "{payload:?}");
        second.keep();
        assert!(salons.receive(&payload).duplicate());
    }
}

#[tokio::test]
async fn what_a_closed_bus_did_not_take_comes_again() {
    let salons = Salons::new();
    let payload = booking("BOOKING_CREATED", "one");
    salons.fill().await;
    soon(salons.bus.shutdown(Duration::ZERO)).await;
    let refused = salons.receive(&payload).apply(&salons.slots, &salons.bus);
    assert_eq!(
        refused.unwrap_err().status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(salons.invalidated(), [ADA, ADA_TOO]);
    let again = salons.receive(&payload);
    assert_eq!(again.events().len(), 1);
    let again: Result<_, Undelivered> = again.apply(&salons.slots, &salons.bus);
    assert!(again.is_err());
}

#[tokio::test]
async fn a_cancelled_booking_whose_events_failed_does_not_come_back() {
    let salons = Salons::new();
    drop(salons.receive(&booking("BOOKING_CANCELLED", "one")));
    let (verdict, events) = salons.told(&booking("BOOKING_CREATED", "one"));
    assert_eq!((verdict, events), (Verdict::Superseded, vec![]));
    let (verdict, events) = salons.told(&booking("BOOKING_CANCELLED", "one"));
    assert_eq!((verdict, events.len()), (Verdict::Fresh, 1));
}

#[tokio::test]
async fn the_memory_is_bounded_in_bookings() {
    let three = NonZeroUsize::new(3).unwrap();
    let salons = Salons::with(|webhooks| webhooks.memory(three));
    let created = |n: u32| booking("BOOKING_CREATED", &format!("booking {n}"));
    for n in 0..3 {
        salons.deliver(&created(n));
    }
    // Heard of again, so that the second one is the oldest.
    assert_eq!(salons.told(&created(0)).0, Verdict::Duplicate);
    salons.deliver(&created(3));
    assert_eq!(salons.told(&created(0)).0, Verdict::Duplicate);
    assert_eq!(salons.told(&created(2)).0, Verdict::Duplicate);
    assert_eq!(salons.told(&created(3)).0, Verdict::Duplicate);
    assert_eq!(salons.told(&created(1)).0, Verdict::Fresh);
}

#[tokio::test(start_paused = true)]
async fn the_memory_is_bounded_in_time() {
    let day = Duration::from_secs(24 * 3600);
    let salons = Salons::with(|webhooks| webhooks.memory_time(day));
    let payload = booking("BOOKING_CREATED", "one");
    salons.deliver(&payload);
    tokio::time::advance(day - Duration::from_secs(1)).await;
    assert_eq!(salons.told(&payload).0, Verdict::Duplicate);
    tokio::time::advance(day).await;
    assert_eq!(salons.told(&payload).0, Verdict::Fresh);
}

#[tokio::test]
async fn a_booking_that_keeps_its_uid_may_go_back_and_forth() {
    let salons = Salons::new();
    let to = |hour, sent| {
        booking("BOOKING_RESCHEDULED", "one")
            .hour(hour)
            .replaces("one", 8)
            .sent(sent)
    };
    salons.deliver(&booking("BOOKING_CREATED", "one").hour(9));
    for (sent, hour) in [(1000, 10), (2000, 11), (3000, 10), (4000, 11)] {
        let (verdict, events) = salons.told(&to(hour, sent));
        assert_eq!((verdict, events.len()), (Verdict::Fresh, 1), "at {sent}");
        // A copy that another subscription sent at the same time.
        assert_eq!(
            salons.told(&to(hour, sent + 5)).0,
            Verdict::Duplicate,
            "at {sent}"
        );
    }
    assert_eq!(salons.told(&to(10, 1000)).0, Verdict::Superseded);
}

#[tokio::test]
async fn a_sequence_outranks_the_clock() {
    let salons = Salons::new();
    let to = |hour, sequence: u64, sent| {
        booking("BOOKING_RESCHEDULED", "one")
            .hour(hour)
            .replaces("one", 8)
            .with("iCalSequence", json!(sequence))
            .sent(sent)
    };
    assert_eq!(salons.told(&to(11, 2, 1000)).0, Verdict::Fresh);
    // Sent late.
    assert_eq!(salons.told(&to(10, 1, 9000)).0, Verdict::Superseded);
    assert_eq!(salons.told(&to(12, 3, 0)).0, Verdict::Fresh);
}

#[tokio::test]
async fn revisions_put_the_changes_of_a_booking_in_order() {
    let salons = Salons::new();
    let appointment = |payload: &Payload| -> Appointment {
        match salons.told(payload).1.pop() {
            Some(BookingChange::Booked(booked)) => booked.appointment,
            Some(BookingChange::Rescheduled(moved)) => moved.appointment,
            Some(BookingChange::Cancelled(cancelled)) => cancelled.appointment,
            other => panic!("{other:?}"),
        }
    };
    // By clocks that say the opposite.
    let created = appointment(&booking("BOOKING_CREATED", "one").sent(9000));
    let moved = booking("BOOKING_RESCHEDULED", "one")
        .hour(9)
        .replaces("one", 14)
        .sent(9500);
    let moved = appointment(&moved.with("iCalSequence", json!(4)));
    let cancelled = appointment(&booking("BOOKING_CANCELLED", "one").hour(9).sent(0));
    assert_eq!((&created.id, &moved.id), (&moved.id, &cancelled.id));
    assert!(created.revision < moved.revision && moved.revision < cancelled.revision);
}
