//! What was tried by hand after every release, over HTTP: a caller, a webhook, a move, a cancellation; with the
//! cache server stopped and started again in between.

mod salon;

use booking_app::Settings;
use reqwest::StatusCode;
use salon::{Salon, at, booked_at_calcom, cut, offers, prompt, settings, soon};
use serde_json::json;
use vacancy_testbed::{RedisServer, Reply};

/// A salon in Berlin with a phone, a page and a Redis.
struct Street {
    salon: Salon,
    redis: RedisServer,
}

impl Street {
    async fn open(settings: Settings) -> Self {
        let redis = soon(RedisServer::start()).await.expect("redis starts");
        let salon = Salon::open(Settings {
            redis: Some(redis.url().parse().expect("an address")),
            ..settings
        });
        let street = Self {
            salon: salon.await,
            redis,
        };
        // Without an answer in Redis its loss would be none.
        assert!(street.offers("cut", 14).await);
        soon(async {
            while street.redis.command(&["DBSIZE"]).await.expect("it answers") == Reply::Integer(0)
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        street
    }

    /// Whether Ada is offered for this hour, to the page and to the phone.
    async fn offers(&self, service: &str, hour: u32) -> bool {
        let slots = self.salon.slots(service, "ada", "vacancy").await;
        assert_eq!(slots["stale"], 0);
        let on_the_page = offers(&slots, &at(hour), "ada");
        let wish = json!({"event_type": service, "resource": "ada", "start": at(hour), "days": 1});
        let (status, said) = self
            .salon
            .phone("a call", "check_availability", &wish)
            .await;
        assert_eq!(status, StatusCode::OK, "{said}");
        let local = format!("T{hour}:00:00");
        let on_the_phone = said["slots"].as_array().is_some_and(|slots| {
            let mut starts = slots.iter().filter_map(|slot| slot["start"].as_str());
            starts.any(|start| start.contains(&local))
        });
        // The agent is told of the first few only.
        assert!(on_the_page || !on_the_phone, "{said}");
        on_the_page
    }

    async fn book(&self, hour: u32, key: &str) -> StatusCode {
        self.salon.book(&cut(hour, key)).await.0
    }

    async fn redis_stops(&mut self) {
        soon(self.redis.kill()).await.expect("redis stops");
    }

    async fn redis_starts(&mut self) {
        soon(self.redis.restart())
            .await
            .expect("redis starts again");
    }

    async fn close(self) {
        let report = self.salon.close().await;
        assert!(report.is_drained(), "{report:?}");
    }
}

#[tokio::test]
async fn the_second_caller_is_not_offered_what_the_first_has_booked() {
    let mut street = Street::open(settings()).await;
    assert_eq!(street.book(14, "first").await, StatusCode::CREATED);
    assert!(!street.offers("cut", 14).await);
    assert!(
        !street.offers("colour", 13).await,
        "it would last until three"
    );
    assert!(street.offers("colour", 12).await);

    street.redis_stops().await;
    assert!(!street.offers("cut", 14).await);
    assert_eq!(street.book(12, "second").await, StatusCode::CREATED);
    assert!(!street.offers("cut", 12).await);
    assert!(!street.offers("colour", 12).await);

    street.redis_starts().await;
    for hour in [12, 14] {
        assert!(!street.offers("cut", hour).await);
        assert_eq!(
            street.book(hour, &format!("late {hour}")).await,
            StatusCode::CONFLICT
        );
    }
    assert_eq!(street.book(16, "third").await, StatusCode::CREATED);
    assert!(!street.offers("cut", 16).await);
    assert_eq!(street.salon.bookings().await.len(), 3);
    street.close().await;
}

#[tokio::test]
async fn a_booking_told_by_a_webhook_is_gone_for_the_phone() {
    let mut street = Street::open(prompt()).await;
    let created = booked_at_calcom("BOOKING_CREATED", "bk-9f4d", 14);
    let cancelled = booked_at_calcom("BOOKING_CANCELLED", "bk-9f4d", 14);
    assert_eq!(street.salon.webhook(&created).await.1["outcome"], "fresh");
    assert!(!street.offers("cut", 14).await);
    let wish = json!({"event_type": "cut", "resource": "ada", "start": at(14)});
    let (_, said) = street
        .salon
        .phone("call 1", "book_appointment", &wish)
        .await;
    assert_eq!(said["status"], "taken", "{said}");

    street.redis_stops().await;
    assert_eq!(
        street.salon.webhook(&created).await.1["outcome"],
        "duplicate"
    );
    assert!(!street.offers("cut", 14).await);
    assert_eq!(street.salon.webhook(&cancelled).await.1["outcome"], "fresh");
    assert!(street.offers("cut", 14).await);

    // A late message about it does not bring back what was cancelled since.
    street.redis_starts().await;
    let late = street.salon.webhook(&created).await.1;
    assert_ne!(late["outcome"], "fresh");
    assert!(street.offers("cut", 14).await);
    assert!(street.salon.bookings().await.is_empty());
    let (_, said) = street
        .salon
        .phone("call 2", "book_appointment", &wish)
        .await;
    assert_eq!(said["status"], "booked", "{said}");
    street.close().await;
}

#[tokio::test]
async fn a_moved_appointment_frees_its_old_time_and_takes_its_new_one() {
    let mut street = Street::open(prompt()).await;
    let (_, booked) = street.salon.book(&cut(14, "first")).await;
    let id = booked["id"].as_str().expect("an id");
    assert!(!street.offers("cut", 14).await);

    street.redis_stops().await;
    let (status, moved) = street.salon.reschedule(id, &json!({"start": at(16)})).await;
    assert_eq!(status, StatusCode::OK, "{moved}");
    assert!(street.offers("cut", 14).await);
    assert!(street.offers("colour", 14).await);
    assert!(!street.offers("cut", 16).await);

    street.redis_starts().await;
    assert!(street.offers("cut", 14).await);
    assert!(!street.offers("cut", 16).await);
    assert!(!street.offers("colour", 15).await);
    assert_eq!(street.book(14, "second").await, StatusCode::CREATED);
    assert!(!street.offers("cut", 14).await);
    street.close().await;
}

#[tokio::test]
async fn a_cancelled_appointment_can_be_booked_by_the_next_caller() {
    let mut street = Street::open(prompt()).await;
    let (_, booked) = street.salon.book(&cut(14, "first")).await;
    let id = booked["id"].as_str().expect("an id");
    assert!(!street.offers("cut", 14).await);

    street.redis_stops().await;
    assert_eq!(street.salon.cancel(id).await, StatusCode::NO_CONTENT);
    assert!(street.offers("cut", 14).await, "at once, not after the lag");
    assert_eq!(street.book(14, "second").await, StatusCode::CREATED);
    assert!(!street.offers("cut", 14).await);

    street.redis_starts().await;
    assert!(!street.offers("cut", 14).await);
    assert_eq!(street.book(14, "third").await, StatusCode::CONFLICT);
    assert_eq!(street.salon.bookings().await.len(), 1);
    street.close().await;
}
