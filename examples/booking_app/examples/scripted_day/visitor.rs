//! Somebody who talks to the salon, over HTTP.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, ensure};
use booking_app::Secrets;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    clock::{Clock, Moment},
    history::{History, Read},
    menu::{HOSTS, Offer, SERVICES},
};

/// Whose answers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    Vacancy,
    Ttl,
}

/// Somebody who talks to the salon, and notes what he hears.
#[derive(Debug)]
pub(crate) struct Visitor {
    client: Client,
    salon: String,
    cache: Cache,
    pub(crate) clock: Clock,
    pub(crate) history: History,
}

/// What came of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// He has it, under this id.
    Booked(String),
    Refused,
}

#[derive(Deserialize)]
struct Slots {
    slots: Vec<Slot>,
    days: Vec<Day>,
    stale: u64,
}

#[derive(Deserialize)]
struct Slot {
    start: DateTime<Utc>,
    hosts: Vec<String>,
}

#[derive(Deserialize)]
struct Day {
    source: String,
}

impl Visitor {
    pub(crate) fn new(salon: SocketAddr, cache: Cache) -> Self {
        // Fails where there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: Client::new(),
            salon: format!("http://{salon}"),
            cache,
            clock: Clock::default(),
            history: History::default(),
        }
    }

    /// Asks for the free times of seven days, and notes what was offered. Gives the moment of asking.
    pub(crate) async fn look(
        &self,
        service: u8,
        host: Option<u8>,
        from: NaiveDate,
    ) -> anyhow::Result<(Moment, Vec<Offer>)> {
        let id = SERVICES[usize::from(service)].id;
        let host = host.map_or("", |host| HOSTS[usize::from(host)]);
        let cache = match self.cache {
            Cache::Vacancy => "vacancy",
            Cache::Ttl => "ttl",
        };
        let salon = &self.salon;
        let url =
            format!("{salon}/slots?event_type={id}&host={host}&from={from}&days=7&cache={cache}");
        let (began, at) = (self.clock.now(), Instant::now());
        let response = self.client.get(url).send().await?.error_for_status()?;
        let body = response.bytes().await?;
        let (ended, took) = (self.clock.now(), at.elapsed());
        let answer: Slots = serde_json::from_slice(&body).context("slots cannot be read")?;
        let mut offers = Vec::new();
        for slot in answer.slots {
            for name in slot.hosts {
                let host = HOSTS.iter().position(|host| *host == name);
                offers.push(Offer {
                    service,
                    host: u8::try_from(host.context("an unknown host")?)?,
                    start: slot.start.timestamp(),
                });
            }
        }
        self.history.note().reads.push(Read {
            began,
            ended,
            offers: offers.clone(),
            said_stale: answer.stale,
            kept: answer
                .days
                .iter()
                .all(|day| day.source.starts_with("level")),
            took,
        });
        Ok((began, offers))
    }

    /// Books on the page.
    pub(crate) async fn book(&self, offer: &Offer, key: &str) -> anyhow::Result<Answer> {
        let order = json!({
            "event_type": offer.service().id,
            "host": offer.host(),
            "start": instant(offer.start()),
            "name": "somebody",
            "key": key,
        });
        let request = self.client.post(format!("{}/bookings", self.salon));
        match send(request.json(&order)).await? {
            (StatusCode::CREATED, booked) => Ok(Answer::Booked(text(&booked["id"]))),
            (StatusCode::CONFLICT, _) => Ok(Answer::Refused),
            (status, body) => anyhow::bail!("booking: {status} {body}"),
        }
    }

    /// Moves a booking on the page.
    pub(crate) async fn reschedule(&self, id: &str, to: &Offer) -> anyhow::Result<Answer> {
        let wish = json!({"host": to.host(), "start": instant(to.start())});
        let request = self.client.patch(format!("{}/bookings/{id}", self.salon));
        match send(request.json(&wish)).await? {
            (StatusCode::OK, booked) => Ok(Answer::Booked(text(&booked["id"]))),
            (StatusCode::CONFLICT, _) => Ok(Answer::Refused),
            (status, body) => anyhow::bail!("moving: {status} {body}"),
        }
    }

    /// Cancels a booking on the page.
    pub(crate) async fn cancel(&self, id: &str) -> anyhow::Result<()> {
        let request = self.client.delete(format!("{}/bookings/{id}", self.salon));
        let (status, body) = send(request).await?;
        ensure!(
            status == StatusCode::NO_CONTENT,
            "cancelling: {status} {body}"
        );
        Ok(())
    }

    /// Has the phone agent book, and call again as long as it is told that the booking runs.
    pub(crate) async fn call(&self, offer: &Offer, call: &str) -> anyhow::Result<Answer> {
        let wish = json!({
            "name": "book_appointment",
            "call": {"call_id": call},
            "args": {
                "event_type": offer.service().id,
                "resource": offer.host(),
                "start": instant(offer.start()),
            },
        });
        let body = wish.to_string();
        let key = vacancy_retell::ApiKey::new(Secrets::default().retell);
        loop {
            let signature = key.sign(body.as_bytes(), Utc::now());
            let request = self.client.post(format!("{}/retell/functions", self.salon));
            let request = request.header(vacancy_retell::SIGNATURE_HEADER, signature);
            let (status, said) = send(request.body(body.clone())).await?;
            match said["status"].as_str() {
                Some("booked") => return Ok(Answer::Booked(text(&said["appointment_id"]))),
                Some("taken") => return Ok(Answer::Refused),
                Some("running") => {}
                _ => anyhow::bail!("on the phone: {status} {said}"),
            }
        }
    }

    /// Delivers a webhook. Gives what it was taken for.
    pub(crate) async fn deliver(&self, webhook: &Value) -> anyhow::Result<String> {
        let body = webhook.to_string();
        let secret = vacancy_calcom::Secret::new(Secrets::default().calcom);
        let signature = secret.context("the secret is empty")?.sign(body.as_bytes());
        let request = self.client.post(format!("{}/webhooks/calcom", self.salon));
        let request = request.header(vacancy_calcom::SIGNATURE_HEADER, signature);
        let request = request.header("content-type", "application/json");
        let (status, said) = send(request.body(body)).await?;
        ensure!(status == StatusCode::OK, "webhook: {status} {said}");
        Ok(text(&said["outcome"]))
    }

    /// The ids of what the diary has in seven days.
    pub(crate) async fn diary(&self, from: NaiveDate) -> anyhow::Result<Vec<String>> {
        let url = format!("{}/bookings?from={from}&days=7", self.salon);
        let (_, bookings) = send(self.client.get(url)).await?;
        let bookings = bookings.as_array().context("a list of bookings")?;
        Ok(bookings
            .iter()
            .map(|booking| text(&booking["id"]))
            .collect())
    }
}

async fn send(request: RequestBuilder) -> anyhow::Result<(StatusCode, Value)> {
    let response = request.send().await?;
    let (status, body) = (response.status(), response.bytes().await?);
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
