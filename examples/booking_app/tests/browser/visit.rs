//! [`Visit`]: somebody looks at a salon of their own.

use std::{net::SocketAddr, time::Duration};

use booking_app::{Running, Settings, serve};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

use super::window::{Size, Window};

/// A salon, and a window on its page.
pub(crate) struct Visit {
    pub(crate) salon: Running,
    pub(crate) window: Window,
}

/// A salon on any free port with a quick calendar and nothing booked.
pub(crate) fn empty_salon() -> Settings {
    Settings {
        port: 0,
        calendar_delay: Duration::from_millis(20),
        calendar_lag: Duration::from_millis(200),
        empty: true,
        ..Settings::default()
    }
}

/// Opens a salon. Each has counters of its own, that no other test changes.
pub(crate) async fn open(settings: Settings) -> Running {
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    serve(settings, metrics).await.expect("the salon opens")
}

impl Visit {
    /// Visits a salon in which nothing is booked.
    pub(crate) async fn begin(size: Size) -> Self {
        Self::to(empty_salon(), size, &[]).await
    }

    pub(crate) async fn to(settings: Settings, size: Size, media: &[(&str, &str)]) -> Self {
        let salon = open(settings).await;
        let window = Window::open(salon.address(), size, media).await;
        window
            .until("document.querySelector('.slot[data-state=open]')")
            .await;
        window
            .until("document.querySelector('#connection').dataset.state === 'live'")
            .await;
        Self { salon, window }
    }

    /// Two days of the week on which everything is free.
    pub(crate) async fn free_days(&self) -> (String, String) {
        let days = "[...document.querySelectorAll('.day')].filter((day) => \
            day.querySelectorAll('.slot[data-state=open]').length === 9).map((day) => day.dataset.day)";
        self.window.until(&format!("{days}.length > 1")).await;
        let mut days: Vec<String> = self.window.read(days).await;
        let second = days.swap_remove(1);
        (days.swap_remove(0), second)
    }

    /// Books a slot by clicks, and waits for its card.
    pub(crate) async fn book(&self, slot: &str, name: &str) {
        self.window.click(slot).await;
        self.window
            .until("document.querySelector('#book').open")
            .await;
        self.window
            .until("document.activeElement.id === 'name'")
            .await;
        self.window
            .run("document.querySelector('#name').value = ''")
            .await;
        self.window.write(name).await;
        self.window.click("#book-form .primary").await;
        self.window.until(&shows_card(name)).await;
    }

    /// Ends the visit, and looks back: no error was told, nobody else was asked for anything, and
    /// nothing was wider than the window.
    pub(crate) async fn end(self) {
        // A phone would zoom out to what is too wide, so its own width says nothing.
        let reaches: i64 = self
            .window
            .read("document.documentElement.scrollWidth")
            .await;
        let width = self.window.width();
        let spilled: Vec<String> = self.window.read(SPILLED).await;
        let origin = origin(self.salon.address());
        let heard = self.window.close().await;
        self.salon.shutdown().await;
        assert!(reaches <= width, "{reaches} pixels wide, of {width}");
        assert_eq!(spilled, Vec::<String>::new(), "reaches out of its box");
        assert!(
            heard.requests.len() >= 6,
            "page, style, script, salon, slots, events"
        );
        let elsewhere = heard
            .requests
            .iter()
            .filter(|url| !url.starts_with(&origin) && !url.starts_with("data:"));
        assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&String>::new());
        assert!(heard.errors.is_empty(), "{:#?}", heard.errors);
        // Chromium itself calls this answer an error; for the page it is one of two.
        let unexpected: Vec<_> = heard
            .refusals
            .iter()
            .filter(|text| !text.contains("409"))
            .collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
    }
}

/// What reaches beyond the box that it belongs to.
const SPILLED: &str = "[...document.querySelectorAll('.day, .lane, .contender')].flatMap((box) => \
    [...box.querySelectorAll(':not(.unseen)')] \
      .filter((part) => part.getBoundingClientRect().right > box.getBoundingClientRect().right) \
      .map((part) => `${part.className} ${part.textContent}`))";

fn origin(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// The `nth` slot of a day, from 1.
pub(crate) fn slot(day: &str, nth: usize) -> String {
    format!("[data-day='{day}'] .slots li:nth-child({nth}) .slot")
}

/// That a slot is in `state`.
pub(crate) fn slot_is(slot: &str, state: &str) -> String {
    format!(
        "document.querySelector({})?.dataset.state === '{state}'",
        json!(slot)
    )
}

/// That there is a card with this name.
pub(crate) fn shows_card(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.card-name')].some((card) => card.textContent === {})",
        json!(name)
    )
}

/// That the page has told an outcome that begins so.
pub(crate) fn tells(outcome: &str) -> String {
    format!(
        "document.querySelector('#outcome').textContent.startsWith({})",
        json!(outcome)
    )
}
