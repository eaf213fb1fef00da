//! The key is told to nobody but Cal.com: by no `Debug`, no error, no log line. Neither is anything
//! of an answer's body, nor the base address.

mod fake_calcom;

use std::{
    error::Error,
    fmt::Debug,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use chrono_tz::Tz;
use fake_calcom::{Bookable, FakeCalcom, KEY, days, failure, read};
use tracing::Level;
use vacancy_calcom::{CalcomBuildError, CalcomEventType, CalcomSlots};
use vacancy_slots::SlotsQuery;

const USER: &str = "marie.curie";
const PATH: &str = "secret-path";
const BODY: &str = "Skłodowska";

/// All that was shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    fn debug(&self, value: &impl Debug) {
        self.text(&format!("{value:?} {value:#?}\n"));
    }

    fn error(&self, error: &dyn Error) {
        self.text(&format!("{error} {error:?}\n"));
        if let Some(source) = error.source() {
            self.error(source);
        }
    }

    fn text(&self, text: &str) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.extend_from_slice(text.as_bytes());
    }

    fn is_clean(&self, expected: &[&str]) {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = String::from_utf8_lossy(&shown);
        for secret in [KEY, USER, PATH, BODY] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        for expected in expected {
            assert!(all.contains(expected), "no {expected} in {all}");
        }
    }
}

impl io::Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wednesday() -> SlotsQuery {
    SlotsQuery::new(15, 123, days("2025-10-15", "2025-10-15", Tz::UTC))
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_shown_has_the_key_in_it() {
    let shown = Shown::default();
    let writer = shown.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _log = tracing::subscriber::set_default(log);

    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(60).slug(USER, "cut"));
    let event_type = CalcomEventType::of_user("cut", USER);
    shown.debug(&event_type);
    let builder = calcom.builder().retries(0);
    let builder = builder.event_types(move |_| vec![event_type.clone()]);
    shown.debug(&builder);
    let source = builder.build().unwrap();
    shown.debug(&source);
    shown.debug(source.limit());
    read(&source, &wednesday()).await.unwrap();

    let json = [("content-type", "application/json")];
    for (status, body) in [
        (
            200,
            format!(r#"{{"status":"success","data":{{"{BODY}":[]}}}}"#),
        ),
        (200, format!(r#"{{"status":"success","data":"{BODY}"}}"#)),
        (200, format!(r#"{{"status":"{BODY}","data":{{}}}}"#)),
        (200, BODY.to_owned()),
        (400, BODY.to_owned()),
        (401, KEY.to_owned()),
        (500, BODY.to_owned()),
        (302, BODY.to_owned()),
    ] {
        calcom.answers(status, &json, &body);
        let error = failure(&source, &wednesday()).await;
        shown.debug(&error);
        shown.error(&error);
    }

    let gone = FakeCalcom::start().await.url();
    let gone = CalcomSlots::builder(KEY).base_url(format!("{gone}/{PATH}"));
    shown.debug(&gone);
    let gone = gone.retries(0).build().unwrap();
    shown.debug(&gone);
    let error = failure(&gone, &wednesday()).await;
    shown.debug(&error);
    shown.error(&error);

    calcom.answers(429, &[("retry-after", "2000")], KEY);
    let error = failure(&source, &wednesday()).await;
    shown.error(&error);
    shown.debug(source.limit());

    shown.is_clean(&[
        "CalcomSlotsBuilder",
        "CalcomSlots ",
        "Cal.com answered",
        "calls to Cal.com are paused",
        "answered with status 500",
        "not slots by day",
        "cannot be reached",
    ]);
}

#[test]
fn a_setting_that_cannot_be_used_is_not_repeated() {
    let shown = Shown::default();
    let build = |key: &str, url: &str| {
        let error = CalcomSlots::builder(key).base_url(url).build().unwrap_err();
        shown.error(&error);
        error
    };
    for key in ["", "  ", "cal_live_swordfish\nx: y"] {
        let error = build(key, "http://127.0.0.1");
        assert!(matches!(error, CalcomBuildError::ApiKey), "{error:?}");
    }
    for url in [
        "",
        "secret-path",
        "ftp://secret-path",
        "https://marie.curie:cal_live_swordfish@127.0.0.1",
        "https://127.0.0.1?key=cal_live_swordfish",
    ] {
        let error = build(KEY, url);
        assert!(matches!(error, CalcomBuildError::BaseUrl), "{error:?}");
    }
    shown.is_clean(&["cannot be sent", "http or https"]);
}

/// The client's TLS is its own.
#[tokio::test]
async fn no_provider_of_cryptography_is_needed_nor_installed() {
    CalcomSlots::builder(KEY).build().expect("https");
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
