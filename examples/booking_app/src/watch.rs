//! How invalidations end, for the page.

use std::sync::Arc;

use tokio::{sync::Semaphore, time::Instant};
use vacancy::dispatch::{Outcome, Receipt};

use crate::{feed::Feed, lanes::Lane};

/// Tells the page how the lane of the invalidation ended, which Vacancy registers itself and nobody else can
/// observe. Waits on tasks of its own, each until the outcome is there. A handle: `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    feed: Feed,
    /// One permit for each receipt.
    permits: Arc<Semaphore>,
}

/// How many receipts may be watched at a time. Further ones are not.
const MOST: u32 = 1024;

const LISTENER: &str = "slots.invalidate";

impl Watch {
    pub(crate) fn new(feed: Feed) -> Self {
        Self {
            feed,
            permits: Arc::new(Semaphore::new(MOST as usize)),
        }
    }

    /// Watches an event, if one was dispatched.
    pub(crate) fn begin(&self, event: &'static str, receipt: Option<Receipt>) {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let (Some(receipt), Ok(permit)) = (receipt, permit) else {
            return;
        };
        let feed = self.feed.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            // Dead ones are told of with the other dead letters.
            if let Ok(Outcome::Done | Outcome::Skipped) = receipt.reached(LISTENER).await {
                feed.send(
                    "lane",
                    &Lane::done(event, receipt.id(), LISTENER, begun.elapsed()),
                );
            }
            drop(permit);
        });
    }

    /// Watches no more, and waits for the last outcome. For after the shutdown of the bus.
    pub(crate) async fn end(&self) {
        if let Ok(all) = self.permits.acquire_many(MOST).await {
            all.forget();
        }
        self.permits.close();
    }
}
