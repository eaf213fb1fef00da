//! [`Overheard`]: what a page says on its console and asks the network for.

use std::sync::Arc;

use chromiumoxide::{
    Page,
    cdp::{
        IntoEventKind,
        browser_protocol::{
            log::{EventEntryAdded, LogEntryLevel, LogEntrySource},
            network::EventRequestWillBeSent,
        },
        js_protocol::runtime::{ConsoleApiCalledType, EventConsoleApiCalled, EventExceptionThrown},
    },
};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

/// What a page says and asks for, from its beginning to its end.
pub(crate) struct Overheard {
    said: JoinHandle<Vec<String>>,
    thrown: JoinHandle<Vec<String>>,
    logged: JoinHandle<Vec<(bool, String)>>,
    asked: JoinHandle<Vec<String>>,
}

/// All that was overheard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Errors of scripts, and what they called errors.
    pub(crate) errors: Vec<String>,
    /// Answers that Chromium itself counts as errors: each with a status of 400 and above.
    pub(crate) refusals: Vec<String>,
    /// The addresses of all requests.
    pub(crate) requests: Vec<String>,
}

impl Overheard {
    /// Listens to a page that has not been asked to load anything.
    pub(crate) async fn of(page: &Page) -> Self {
        page.enable_log().await.expect("a log");
        Self {
            said: collect(page, |event: &EventConsoleApiCalled| {
                let is_error = matches!(
                    event.r#type,
                    ConsoleApiCalledType::Error | ConsoleApiCalledType::Assert
                );
                is_error.then(|| format!("{:?}", event.args))
            })
            .await,
            thrown: collect(page, |event: &EventExceptionThrown| {
                Some(format!("{:?}", event.exception_details))
            })
            .await,
            logged: collect(page, |event: &EventEntryAdded| {
                let entry = &event.entry;
                let of_network = entry.source == LogEntrySource::Network;
                (entry.level == LogEntryLevel::Error).then(|| {
                    (
                        of_network,
                        format!(
                            "{} {}",
                            entry.url.as_deref().unwrap_or_default(),
                            entry.text
                        ),
                    )
                })
            })
            .await,
            asked: collect(page, |event: &EventRequestWillBeSent| {
                Some(event.request.url.clone())
            })
            .await,
        }
    }

    /// All of it, once the page is closed.
    pub(crate) async fn all(self) -> Heard {
        let mut heard = Heard {
            errors: self.said.await.expect("no panic"),
            requests: self.asked.await.expect("no panic"),
            ..Heard::default()
        };
        heard.errors.extend(self.thrown.await.expect("no panic"));
        for (of_network, text) in self.logged.await.expect("no panic") {
            if of_network {
                &mut heard.refusals
            } else {
                &mut heard.errors
            }
            .push(text);
        }
        heard
    }
}

/// Keeps of each event what `keep` makes of it, until the page is closed.
async fn collect<E, T>(
    page: &Page,
    keep: impl Fn(&E) -> Option<T> + Send + 'static,
) -> JoinHandle<Vec<T>>
where
    E: IntoEventKind + Send + Sync + Unpin + 'static,
    T: Send + 'static,
{
    let mut events = page.event_listener::<E>().await.expect("a listener");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(event) = events.next().await {
            let event: Arc<E> = event;
            kept.extend(keep(&event));
        }
        kept
    })
}
