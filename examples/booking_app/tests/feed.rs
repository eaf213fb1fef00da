//! What the page hears while things happen, and what happens at the end.

mod salon;

use salon::{Salon, at, cut, monday, settings};
use serde_json::json;

#[tokio::test]
async fn a_booking_is_told_from_its_dispatch_to_the_last_listener() {
    let salon = Salon::open(settings()).await;
    let mut events = salon.events().await;
    salon.slots("cut", "ada", "vacancy").await;
    let day = json!(monday());
    events
        .until("day", |told| {
            told["state"] == "filled" && told["host"] == "ada" && told["day"] == day
        })
        .await;

    let (_, booked) = salon.book(&cut(9, "k")).await;
    let dispatched = events.until("dispatched", |_| true).await;
    assert_eq!(dispatched["event"], "appointment.booked");
    assert_eq!(dispatched["booking"], booked["id"]);
    let fenced = events.until("day", |told| told["state"] == "fenced").await;
    assert_eq!((&fenced["host"], &fenced["day"]), (&json!("ada"), &day));

    // The listeners are independent of one another, so in any order.
    let mut left = vec![
        "confirmation",
        "statistics",
        "calendar.sync",
        "slots.invalidate",
    ];
    let mut booking = None;
    while !left.is_empty() || booking.is_none() {
        let (kind, told) = events.next().await.unwrap();
        if kind == "lane" && ["done", "dead"].contains(&told["outcome"].as_str().unwrap()) {
            assert_eq!(told["event_id"], dispatched["id"]);
            left.retain(|listener| told["listener"] != *listener);
        }
        if kind == "booking" {
            booking = Some(told);
        }
    }
    let booking = booking.unwrap();
    assert_eq!(
        (&booking["state"], &booking["name"]),
        (&json!("booked"), &json!("Mia"))
    );
    assert_eq!(
        (&booking["id"], &booking["start"]),
        (&booked["id"], &json!(at(9)))
    );
    salon.close().await;
}

#[tokio::test]
async fn a_listener_that_fails_is_seen_to_be_tried_again() {
    let salon = Salon::open(settings()).await;
    let mut events = salon.events().await;
    for (number, hour) in (9..18).enumerate() {
        salon.book(&cut(hour, &format!("key {number}"))).await;
    }
    // About every third attempt fails, drawn from the seed.
    let failed = events
        .until("lane", |told| told["outcome"] == "failed")
        .await;
    assert_eq!(failed["listener"], "calendar.sync");
    assert!(
        failed["reason"]
            .as_str()
            .unwrap()
            .contains("did not answer")
    );
    let retried = events
        .until("lane", |told| told["outcome"] == "retried")
        .await;
    assert_eq!(retried["listener"], "calendar.sync");
    assert!(retried["attempt"].as_u64() > Some(1));
    salon.close().await;
}

#[tokio::test]
async fn a_ttl_cache_offers_what_is_taken_and_vacancy_does_not() {
    let salon = Salon::open(settings()).await;
    for cache in ["vacancy", "ttl"] {
        assert!(salon::offers(
            &salon.slots("cut", "ada", cache).await,
            &at(9),
            "ada"
        ));
    }
    salon.book(&cut(9, "k")).await;
    let vacancy = salon.slots("cut", "ada", "vacancy").await;
    let ttl = salon.slots("cut", "ada", "ttl").await;
    assert!(!salon::offers(&vacancy, &at(9), "ada"));
    assert_eq!(vacancy["stale"], 0);
    assert!(salon::offers(&ttl, &at(9), "ada"));
    assert_eq!(ttl["stale"], 1);

    let mut events = salon.events().await;
    let counts = events.until("counts", |_| true).await;
    assert_eq!(counts["stale"], json!({"vacancy": 0, "ttl": 1}));
    assert_eq!(counts["reads"], json!({"vacancy": 2, "ttl": 2}));
    assert_eq!(counts["hits"]["ttl"], 1);
    salon.close().await;
}

#[tokio::test]
async fn the_end_finishes_what_was_begun() {
    let folder = tempfile::tempdir().unwrap();
    let settings = booking_app::Settings {
        database: Some(folder.path().join("diary.sqlite")),
        ..settings()
    };
    let salon = Salon::open(settings.clone()).await;
    let mut events = salon.events().await;
    let (_, booked) = salon.book(&cut(9, "k")).await;
    let report = salon.close().await;
    assert!(report.is_drained(), "{report:?}");
    while events.next().await.is_some() {}

    let salon = Salon::open(settings).await;
    assert_eq!(salon.bookings().await, [booked]);
    salon.close().await;
}
