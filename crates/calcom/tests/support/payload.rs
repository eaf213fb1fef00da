//! Bodies as Cal.com sends them.

use serde_json::{Map, Value, json};

/// A webhook to be.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    trigger: String,
    created_at: Value,
    payload: Map<String, Value>,
}

/// Booking `uid` of event type 4711 with Ada, on 15 October 2025 from 14 to 15 UTC.
pub(crate) fn booking(trigger: &str, uid: &str) -> Payload {
    Payload {
        trigger: trigger.to_owned(),
        created_at: json!("2025-10-01T08:00:00.000Z"),
        payload: Map::new(),
    }
    .with("uid", json!(uid))
    .with("bookingId", json!(90_210))
    .with("eventTypeId", json!(4711))
    .with("status", json!("ACCEPTED"))
    .with("title", json!("Haircut"))
    .with(
        "attendees",
        json!([{"email": "client@elsewhere.example", "timeZone": "Europe/Berlin"}]),
    )
    .at("2025-10-15T14:00:00Z", "2025-10-15T15:00:00Z")
    .host("ada@salon.example")
}

/// Ada is away.
pub(crate) fn absence(start: &str, end: &str) -> Payload {
    let user = json!({"id": 1, "username": "ada", "email": "ada@salon.example"});
    Payload {
        trigger: "OOO_CREATED".to_owned(),
        created_at: json!("2025-10-01T08:00:00.000Z"),
        payload: Map::new(),
    }
    .with(
        "oooEntry",
        json!({"id": 5, "start": start, "end": end, "user": user, "toUser": null}),
    )
}

impl Payload {
    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.payload.insert(key.to_owned(), value);
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.payload.remove(key);
        self
    }

    pub(crate) fn at(self, start: &str, end: &str) -> Self {
        self.with("startTime", json!(start))
            .with("endTime", json!(end))
    }

    /// From 15 October 2025 at this hour of UTC, for an hour.
    pub(crate) fn hour(self, hour: u32) -> Self {
        let (start, end) = hour_at(hour);
        self.at(&start, &end)
    }

    pub(crate) fn host(self, email: &str) -> Self {
        let zone = json!({"email": email, "timeZone": "Europe/Berlin", "utcOffset": 120});
        self.with("organizer", zone)
    }

    /// Says which booking it replaces, and when that was.
    pub(crate) fn replaces(self, uid: &str, hour: u32) -> Self {
        let (start, end) = hour_at(hour);
        self.with("rescheduleUid", json!(uid))
            .with("rescheduleId", json!(90_209))
            .with("rescheduleStartTime", json!(start))
            .with("rescheduleEndTime", json!(end))
    }

    pub(crate) fn seat(self, seat: &str) -> Self {
        self.with("seatsPerTimeSlot", json!(5))
            .with("attendeeSeatId", json!(seat))
    }

    pub(crate) fn attended_by(self, emails: &[&str]) -> Self {
        let attendees: Vec<_> = emails.iter().map(|email| json!({"email": email})).collect();
        self.with("attendees", json!(attendees))
    }

    /// Sent so many milliseconds after the first of October, 8 o'clock.
    pub(crate) fn sent(mut self, milliseconds: i64) -> Self {
        let first = "2025-10-01T08:00:00Z"
            .parse::<chrono::DateTime<chrono::Utc>>()
            .expect("what the test made is right");
        self.created_at = json!(first + chrono::TimeDelta::milliseconds(milliseconds));
        self
    }

    pub(crate) fn value(&self) -> Value {
        json!({
            "triggerEvent": self.trigger,
            "createdAt": self.created_at,
            "payload": self.payload,
        })
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&self.value()).expect("what the test made is right")
    }
}

fn hour_at(hour: u32) -> (String, String) {
    let at = |hour| format!("2025-10-15T{hour:02}:00:00Z");
    (at(hour), at(hour + 1))
}
