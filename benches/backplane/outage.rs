//! What it costs a node to be cut off for a second while others write.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use vacancy_testbed::{Fault, Proxy, RedisServer};

use crate::feed::{Backplane, Feed, Writer};

const OUTAGE: Duration = Duration::from_secs(1);

/// A notice each, from one writer.
const EVERY: Duration = Duration::from_millis(1);

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(10);

/// What the node found when it was back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovery {
    /// Notices that it had missed and was then told.
    pub(crate) recovered: u64,
    /// Notices that it had missed and never saw: it forgets everything it has cached.
    pub(crate) missed: u64,
    /// From the end of the fault until it knew that it had all notices, or which it had not.
    pub(crate) current: Duration,
}

/// Cuts a node off while a writer goes on.
pub(crate) async fn outage(backplane: Backplane) -> Recovery {
    let server = RedisServer::start().await.expect("a server can be started");
    let proxy = Proxy::start(server.address()).await.expect("a free port");
    let mut writer = Writer::open(backplane, &server.url())
        .await
        .expect("the server answers");
    let writing = tokio::spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            writer.send().await.expect("the server answers");
        }
    });

    let (report, mut recovered) = watch::channel(None);
    let healed = Arc::new(watch::channel(None).0);
    let node = tokio::spawn(node(backplane, proxy.url(), healed.subscribe(), report));
    sleep(OUTAGE / 2).await;
    proxy.set(Fault::Cut);
    sleep(OUTAGE).await;
    healed.send_replace(Some(Instant::now()));
    proxy.set(Fault::None);
    let recovery = recovered
        .wait_for(Option::is_some)
        .await
        .expect("the node reports before it ends")
        .expect("just waited for");
    node.abort();
    writing.abort();
    recovery
}

/// Hears notices until the connection breaks, connects again, and reports what that gave.
async fn node(
    backplane: Backplane,
    url: String,
    healed: watch::Receiver<Option<Instant>>,
    report: watch::Sender<Option<Recovery>>,
) {
    let mut applied = 0;
    let mut numbers = Vec::new();
    let mut feed = connect(backplane, &url, applied).await;
    while feed.next(&mut numbers).await {
        applied = numbers.drain(..).next_back().unwrap_or(applied);
    }

    // Read once the notices arrive, so that nothing lies between.
    let (mut feed, number) = loop {
        let mut feed = connect(backplane, &url, applied).await;
        if let Ok(number) = feed.number().await {
            break (feed, number);
        }
    };
    let mut recovery = Recovery::default();
    if backplane == Backplane::Streams {
        while applied < number && feed.next(&mut numbers).await {
            for number in numbers.drain(..) {
                recovery.recovered += 1;
                recovery.missed += number - applied - 1;
                applied = number;
            }
        }
    } else {
        recovery.missed = number - applied;
    }
    let healed = healed.borrow().expect("nothing connects before");
    recovery.current = healed.elapsed();
    report.send_replace(Some(recovery));
}

async fn connect(backplane: Backplane, url: &str, last: u64) -> Feed {
    loop {
        match Feed::open(backplane, url, last).await {
            Ok(feed) => return feed,
            Err(_) => sleep(RETRY).await,
        }
    }
}
