//! Bookings by page, webhook and phone: one diary, one truth.

mod salon;

use booking_app::Settings;
use reqwest::StatusCode;
use salon::{Salon, at, booked_at_calcom, cut, offers, prompt, settings, soon};
use serde_json::json;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[tokio::test]
async fn a_retried_booking_returns_the_first_result() {
    let salon = Salon::open(settings()).await;
    let (status, first) = salon.book(&cut(9, "one")).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    assert_eq!(first["start"], at(9));
    assert_eq!(first["name"], "Mia");
    let (status, again) = salon.book(&cut(9, "one")).await;
    assert_eq!((status, &again), (StatusCode::CREATED, &first));
    let (status, body) = salon.book(&cut(10, "one")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body["error"], "key_reused");
    assert_eq!(salon.bookings().await, [first]);
    salon.close().await;
}

#[tokio::test]
async fn of_two_who_want_the_same_slot_one_gets_it_and_the_other_alternatives() {
    let salon = Salon::open(settings()).await;
    let (one, two) = (cut(14, "one"), cut(14, "two"));
    let (one, two) = tokio::join!(salon.book(&one), salon.book(&two));
    let lost = match (one.0, two.0) {
        (StatusCode::CREATED, StatusCode::CONFLICT) => two.1,
        (StatusCode::CONFLICT, StatusCode::CREATED) => one.1,
        statuses => panic!("{statuses:?}"),
    };
    assert_eq!(lost["error"], "taken");
    let alternatives = lost["alternatives"].as_array().unwrap();
    assert_eq!(alternatives.len(), 3);
    for alternative in alternatives {
        assert_ne!(
            (&alternative["start"], &alternative["host"]),
            (&json!(at(14)), &json!("ada"))
        );
        let order = json!({
            "event_type": "cut", "name": "Noah", "key": alternative["start"].to_string() + "again",
            "host": alternative["host"], "start": alternative["start"],
        });
        let (status, body) = salon.book(&order).await;
        assert_eq!(status, StatusCode::CREATED, "{alternative}: {body}");
    }
    salon.close().await;
}

#[tokio::test]
async fn a_moved_booking_frees_its_old_time_and_takes_its_new_one() {
    let salon = Salon::open(prompt()).await;
    let (_, booked) = salon.book(&cut(9, "one")).await;
    let id = booked["id"].as_str().unwrap();
    let (status, moved) = salon
        .reschedule(id, &json!({"start": at(11), "host": "grace"}))
        .await;
    assert_eq!(status, StatusCode::OK, "{moved}");
    assert_eq!(
        (&moved["start"], &moved["host"]),
        (&json!(at(11)), &json!("grace"))
    );
    assert!(moved["revision"].as_u64() > booked["revision"].as_u64());
    let open = salon.slots("cut", "", "vacancy").await;
    assert!(offers(&open, &at(9), "ada"));
    assert!(!offers(&open, &at(11), "grace"));

    let (_, other) = salon.book(&cut(9, "two")).await;
    let other = other["id"].as_str().unwrap();
    let there = json!({"start": at(11), "host": "grace"});
    let (status, refused) = salon.reschedule(other, &there).await;
    assert_eq!(
        (status, &refused["error"]),
        (StatusCode::CONFLICT, &json!("taken"))
    );
    assert!(!refused["alternatives"].as_array().unwrap().is_empty());
    assert!(!offers(
        &salon.slots("cut", "", "vacancy").await,
        &at(9),
        "ada"
    ));
    salon.close().await;
}

#[tokio::test]
async fn a_cancelled_booking_can_be_cancelled_again_and_its_time_booked_again() {
    let salon = Salon::open(prompt()).await;
    let (_, booked) = salon.book(&cut(9, "one")).await;
    let id = booked["id"].as_str().unwrap();
    assert_eq!(salon.cancel(id).await, StatusCode::NO_CONTENT);
    assert_eq!(salon.cancel(id).await, StatusCode::NO_CONTENT);
    assert!(offers(
        &salon.slots("cut", "ada", "vacancy").await,
        &at(9),
        "ada"
    ));
    assert_eq!(salon.book(&cut(9, "two")).await.0, StatusCode::CREATED);
    salon.close().await;
}

/// A handler that commits and then dispatches is dropped between the two when its client goes away.
#[tokio::test]
async fn a_booking_whose_client_hangs_up_is_made_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("diary.sqlite");
    let salon = Salon::open(Settings {
        database: Some(file.clone()),
        ..settings()
    });
    let salon = salon.await;
    let mut events = salon.events().await;
    let generation =
        async || salon.slots("cut", "ada", "vacancy").await["days"][0]["generation"].clone();
    let before = generation().await;

    // Somebody else writes, so that the booking has to wait.
    let options = SqliteConnectOptions::new().filename(&file);
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let order = cut(9, "k").to_string();
    let head = format!(
        "POST /bookings HTTP/1.1\r\nhost: salon\r\ncontent-length: {}\r\n\r\n",
        order.len()
    );
    let mut client = TcpStream::connect(salon.address()).await.unwrap();
    soon(client.write_all((head + &order).as_bytes()))
        .await
        .unwrap();
    // Its day is held: the booking has begun.
    soon(async { while generation().await == before {} }).await;
    drop(client);
    generation().await; // the application has seen that he is gone
    assert!(salon.bookings().await.is_empty());
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();

    let told = events.until("dispatched", |_| true).await;
    assert_eq!(salon.bookings().await[0]["id"], told["booking"]);
    salon.close().await;
}

#[tokio::test]
async fn a_booking_made_at_calcom_is_in_the_diary_and_in_no_offer() {
    let salon = Salon::open(prompt()).await;
    assert!(offers(
        &salon.slots("cut", "ada", "vacancy").await,
        &at(9),
        "ada"
    ));
    let created = booked_at_calcom("BOOKING_CREATED", "u-1", 9);
    assert_eq!(
        salon.webhook(&created).await,
        (StatusCode::OK, json!({"outcome": "fresh"}))
    );
    assert!(!offers(
        &salon.slots("cut", "ada", "vacancy").await,
        &at(9),
        "ada"
    ));
    assert_eq!(salon.book(&cut(9, "k")).await.0, StatusCode::CONFLICT);
    // Copies, and one that comes late.
    assert_eq!(salon.webhook(&created).await.1["outcome"], "duplicate");
    let bookings = salon.bookings().await;
    assert_eq!(bookings.len(), 1);
    assert_eq!(
        (&bookings[0]["id"], &bookings[0]["start"]),
        (&json!("u-1"), &json!(at(9)))
    );

    let mut moved = booked_at_calcom("BOOKING_RESCHEDULED", "u-2", 15);
    moved["payload"]["rescheduleUid"] = json!("u-1");
    moved["payload"]["rescheduleStartTime"] = created["payload"]["startTime"].clone();
    moved["payload"]["rescheduleEndTime"] = created["payload"]["endTime"].clone();
    assert_eq!(salon.webhook(&moved).await.1["outcome"], "fresh");
    let open = salon.slots("cut", "ada", "vacancy").await;
    assert!(!offers(&open, &at(15), "ada"));
    assert!(offers(&open, &at(9), "ada"));
    assert_eq!(salon.bookings().await[0]["id"], "u-2");

    let cancelled = booked_at_calcom("BOOKING_CANCELLED", "u-2", 15);
    assert_eq!(salon.webhook(&cancelled).await.0, StatusCode::OK);
    assert!(salon.bookings().await.is_empty());
    assert!(offers(
        &salon.slots("cut", "ada", "vacancy").await,
        &at(15),
        "ada"
    ));
    salon.close().await;
}

#[tokio::test]
async fn webhooks_in_any_order_end_in_the_same_diary() {
    let salon = Salon::open(prompt()).await;
    let created = booked_at_calcom("BOOKING_CREATED", "u-1", 9);
    let cancelled = booked_at_calcom("BOOKING_CANCELLED", "u-1", 9);
    for body in [&cancelled, &created, &cancelled, &created] {
        assert_eq!(salon.webhook(body).await.0, StatusCode::OK);
    }
    assert!(salon.bookings().await.is_empty());
    assert!(offers(
        &salon.slots("cut", "ada", "vacancy").await,
        &at(9),
        "ada"
    ));
    salon.close().await;
}

#[tokio::test]
async fn a_booking_at_calcom_of_a_time_that_is_taken_here_is_a_conflict() {
    let salon = Salon::open(settings()).await;
    let (_, mine) = salon.book(&cut(9, "k")).await;
    let created = booked_at_calcom("BOOKING_CREATED", "u-1", 9);
    assert_eq!(
        salon.webhook(&created).await,
        (StatusCode::OK, json!({"outcome": "conflict"}))
    );
    assert_eq!(salon.bookings().await, [mine]);
    salon.close().await;
}

#[tokio::test]
async fn the_phone_books_from_the_same_diary() {
    let salon = Salon::open(settings()).await;
    let wish = json!({"event_type": "cut", "resource": "ada", "start": at(9), "name": "Ida"});
    let (status, booked) = salon.phone("call-1", "book_appointment", &wish).await;
    assert_eq!(
        (status, &booked["status"]),
        (StatusCode::OK, &json!("booked")),
        "{booked}"
    );
    let again = salon.phone("call-1", "book_appointment", &wish).await;
    assert_eq!(again, (status, booked), "a retry hears of the same booking");
    assert_eq!(salon.bookings().await.len(), 1);
    assert_eq!(salon.bookings().await[0]["name"], "Ida");
    assert!(!offers(
        &salon.slots("cut", "ada", "vacancy").await,
        &at(9),
        "ada"
    ));

    let (_, other) = salon.phone("call-2", "book_appointment", &wish).await;
    assert_eq!(other["status"], "taken", "{other}");
    salon.close().await;
}
