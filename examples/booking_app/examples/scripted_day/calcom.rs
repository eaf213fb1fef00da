//! Cal.com: takes bookings of its own, and tells the salon of them as webhooks do.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{clock::Moment, menu::Offer, visitor::instant};

/// Takes bookings of its own. Of the salon's others it knows nothing.
#[derive(Debug, Default)]
pub(crate) struct Calcom(Mutex<Vec<(String, Offer)>>);

/// A webhook about a booking that somebody made after a look at what was free.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) about: About,
    pub(crate) uid: String,
    pub(crate) offer: Offer,
    pub(crate) looked: Moment,
    /// Counts what has happened to the booking, so that later news have later times.
    number: u32,
}

/// What has happened.
#[derive(Clone, Debug)]
pub(crate) enum About {
    Created,
    Rescheduled { from: String, was: Offer },
    Cancelled,
}

impl Calcom {
    /// Takes a booking; false when Cal.com itself knows that it is taken.
    pub(crate) fn take(&self, uid: &str, offer: Offer) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = taken.iter().all(|(_, other)| !other.excludes(&offer));
        if free {
            taken.push((uid.to_owned(), offer));
        }
        free
    }

    pub(crate) fn free(&self, uid: &str) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|(other, _)| other != uid);
    }
}

impl Webhook {
    pub(crate) fn created(uid: &str, offer: Offer, looked: Moment) -> Self {
        Self {
            about: About::Created,
            uid: uid.to_owned(),
            offer,
            looked,
            number: 0,
        }
    }

    /// It was moved, which gives it another uid.
    pub(crate) fn rescheduled(&self, uid: &str, to: Offer, looked: Moment) -> Self {
        Self {
            about: About::Rescheduled {
                from: self.uid.clone(),
                was: self.offer,
            },
            uid: uid.to_owned(),
            offer: to,
            looked,
            number: self.number + 1,
        }
    }

    pub(crate) fn cancelled(&self) -> Self {
        Self {
            about: About::Cancelled,
            number: self.number + 1,
            ..self.clone()
        }
    }

    /// As it is sent.
    pub(crate) fn body(&self) -> Value {
        let trigger = match &self.about {
            About::Created => "BOOKING_CREATED",
            About::Rescheduled { .. } => "BOOKING_RESCHEDULED",
            About::Cancelled => "BOOKING_CANCELLED",
        };
        let mut body = json!({
            "triggerEvent": trigger,
            "createdAt": format!("2026-01-01T08:{:02}:00.000Z", self.number),
            "payload": {
                "uid": self.uid,
                "eventTypeId": self.offer.service().calcom_id,
                "status": "ACCEPTED",
                "startTime": instant(self.offer.start()),
                "endTime": instant(self.offer.end()),
                "organizer": {
                    "email": format!("{}@salon.example", self.offer.host()),
                    "timeZone": "Europe/Berlin",
                },
                "attendees": [{"email": "customer@example.org", "timeZone": "Europe/Berlin"}],
            },
        });
        if let About::Rescheduled { from, was } = &self.about {
            body["payload"]["rescheduleUid"] = json!(from);
            body["payload"]["rescheduleStartTime"] = json!(instant(was.start()));
            body["payload"]["rescheduleEndTime"] = json!(instant(was.end()));
        }
        body
    }
}
