//! The application as its tests see it: over HTTP.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

use std::time::Duration;

use booking_app::{Running, Secrets, Settings, serve};
use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use vacancy::dispatch::ShutdownReport;

/// Waits, and fails the test when it takes longer than any machine needs.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), what)
        .await
        .expect("it should have come by now")
}

/// An empty diary behind a calendar that answers at once, and goes on with old answers for two seconds.
pub(crate) fn settings() -> Settings {
    Settings {
        port: 0,
        empty: true,
        calendar_delay: Duration::ZERO,
        ..Settings::default()
    }
}

/// The same, behind a calendar that knows of everything at once: what is freed can be offered again only when the
/// calendar says so.
pub(crate) fn prompt() -> Settings {
    Settings {
        calendar_lag: Duration::ZERO,
        ..settings()
    }
}

/// A running application and somebody who talks to it.
pub(crate) struct Salon {
    running: Running,
    client: Client,
}

/// A status and a body.
pub(crate) type Answer = (StatusCode, Value);

impl Salon {
    pub(crate) async fn open(settings: Settings) -> Self {
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        Self::open_with(settings, metrics).await
    }

    /// The same, with metrics that somebody records.
    pub(crate) async fn open_with(settings: Settings, metrics: PrometheusHandle) -> Self {
        // Fails where there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = soon(serve(settings, metrics)).await;
        Self {
            running: running.expect("the application starts"),
            client: Client::new(),
        }
    }

    pub(crate) async fn close(self) -> ShutdownReport {
        soon(self.running.shutdown()).await
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.running.address()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address());
        self.client.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// The slots of seven days from a Monday.
    pub(crate) async fn slots(&self, event_type: &str, host: &str, cache: &str) -> Value {
        let from = monday();
        let path =
            format!("/slots?event_type={event_type}&host={host}&from={from}&days=7&cache={cache}");
        let (status, body) = self.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    pub(crate) async fn book(&self, order: &Value) -> Answer {
        answer(self.request(Method::POST, "/bookings").json(order)).await
    }

    pub(crate) async fn reschedule(&self, id: &str, to: &Value) -> Answer {
        let path = format!("/bookings/{id}");
        answer(self.request(Method::PATCH, &path).json(to)).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> StatusCode {
        let path = format!("/bookings/{id}");
        answer(self.request(Method::DELETE, &path)).await.0
    }

    pub(crate) async fn bookings(&self) -> Vec<Value> {
        let path = format!("/bookings?from={}&days=7", monday());
        let (status, body) = self.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body.as_array().expect("a list").clone()
    }

    /// What Cal.com sends, signed as it signs.
    pub(crate) async fn webhook(&self, body: &Value) -> Answer {
        let body = body.to_string();
        let secret = vacancy_calcom::Secret::new(Secrets::default().calcom).expect("not empty");
        let request = self.request(Method::POST, "/webhooks/calcom");
        let signature = secret.sign(body.as_bytes());
        let request = request.header(vacancy_calcom::SIGNATURE_HEADER, signature);
        answer(
            request
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    /// What the phone agent asks for, signed as Retell signs.
    pub(crate) async fn phone(&self, call: &str, function: &str, args: &Value) -> Answer {
        let body = json!({"name": function, "call": {"call_id": call}, "args": args}).to_string();
        let key = vacancy_retell::ApiKey::new(Secrets::default().retell);
        let signature = key.sign(body.as_bytes(), Utc::now());
        let request = self.request(Method::POST, "/retell/functions");
        let request = request.header(vacancy_retell::SIGNATURE_HEADER, signature);
        answer(
            request
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    pub(crate) async fn events(&self) -> Events {
        let response = soon(self.request(Method::GET, "/events").send()).await;
        Events {
            response: response.expect("the feed opens"),
            text: String::new(),
        }
    }
}

/// Sends it; a body that is not JSON is given as text.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = soon(request.send()).await.expect("the application answers");
    let status = response.status();
    let text = soon(response.text()).await.expect("the whole body comes");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}

/// The feed of a running application.
pub(crate) struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// The next message, by its kind; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = message.lines();
                    lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
                };
                let (kind, data) = (field("event: "), field("data: "));
                self.text = rest.to_owned();
                // Comments keep the connection alive.
                let (Some(kind), Some(data)) = (kind, data) else {
                    continue;
                };
                let data = serde_json::from_str(&data).expect("messages are JSON");
                return Some((kind, data));
            }
            let chunk = soon(self.response.chunk()).await.expect("the feed goes on");
            self.text += std::str::from_utf8(&chunk?).expect("messages are UTF-8");
        }
    }

    /// The next message of this kind that fits.
    pub(crate) async fn until(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (next, data) = self.next().await.expect("the feed goes on");
            if next == kind && fits(&data) {
                return data;
            }
        }
    }
}

/// A Monday that nobody has booked yet, ten days from now or later.
pub(crate) fn monday() -> chrono::NaiveDate {
    let soonest = Utc::now().date_naive() + chrono::Days::new(10);
    let monday = soonest.week(chrono::Weekday::Mon).first_day();
    monday + chrono::Days::new(7)
}

/// The instant at which the clocks in Berlin show this hour on that Monday.
pub(crate) fn at(hour: u32) -> String {
    use chrono::TimeZone;
    let local = monday().and_hms_opt(hour, 0, 0).expect("an hour");
    let start = chrono_tz::Europe::Berlin.from_local_datetime(&local);
    instant(start.single().expect("no clock changes").to_utc())
}

pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// An order of a cut by Ada.
pub(crate) fn cut(hour: u32, key: &str) -> Value {
    json!({"event_type": "cut", "host": "ada", "start": at(hour), "name": "Mia", "key": key})
}

/// Whether an answer offers this time with this host.
pub(crate) fn offers(slots: &Value, start: &str, host: &str) -> bool {
    let slots = slots["slots"].as_array().expect("a list").iter();
    let mut at_start = slots.filter(|slot| slot["start"] == start);
    at_start.any(|slot| {
        let hosts = slot["hosts"].as_array().expect("a list");
        hosts.iter().any(|offered| offered == host)
    })
}

/// A webhook about a cut by Ada.
pub(crate) fn booked_at_calcom(trigger: &str, uid: &str, hour: u32) -> Value {
    let start: DateTime<Utc> = at(hour).parse().expect("a time");
    json!({
        "triggerEvent": trigger,
        "createdAt": instant(Utc::now()),
        "payload": {
            "uid": uid,
            "eventTypeId": 101,
            "status": "ACCEPTED",
            "startTime": instant(start),
            "endTime": instant(start + chrono::TimeDelta::minutes(45)),
            "organizer": {"email": "ada@salon.example", "timeZone": "Europe/Berlin"},
            "attendees": [{"email": "customer@example.org", "timeZone": "Europe/Berlin"}],
        },
    })
}
