//! Every event ends in exactly one counted outcome at every listener (D3).

mod dispatch;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use dispatch::{Ping, within};
use vacancy::dispatch::{
    BoxError, Bus, Entry, Envelope, Event, Overflow, Policy, Reason, Skip, inline_fn, listen_fn,
};

struct Pong(u64);

impl Event for Pong {
    const NAME: &'static str = "pong";
}

/// D3: 4 publishers, 1,000,000 events, 6 listeners, all outcomes, and a shutdown in the midst.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_exact_after_a_million_events() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 250_000;

    async fn mixed(number: u64) -> Result<(), BoxError> {
        match number % 1000 {
            1 => Err("failed".into()),
            2 => Err(Skip.into()),
            3 => std::panic::resume_unwind(Box::new("without a message on the terminal")),
            _ => Ok(()),
        }
    }
    let small = NonZeroUsize::new(64).expect("not zero");
    let bus = Bus::builder()
        .inline(inline_fn("inline", |_: &Ping| ()))
        .listen_with(
            listen_fn::<Ping, _, _>("mixed", |ping: Arc<Envelope<Ping>>| mixed(ping.0)),
            Policy::new().capacity(NonZeroUsize::new(100_000).expect("not zero")),
        )
        .listen_with(
            listen_fn::<Ping, _, _>("drops", |_| tokio::task::yield_now().ok()),
            Policy::new().capacity(small).overflow(Overflow::DropOldest),
        )
        .listen_with(
            listen_fn::<Ping, _, _>("coalesces", |_| tokio::task::yield_now().ok()),
            Policy::new().coalesce_by(|ping: &Ping| ping.0 % 8),
        )
        .listen_with(
            listen_fn::<Pong, _, _>("keyed", |pong: Arc<Envelope<Pong>>| mixed(pong.0)),
            Policy::new()
                .concurrency(NonZeroUsize::new(3).expect("not zero"))
                .ordered_by(|pong: &Pong| pong.0 % 5),
        )
        .listen_with(
            listen_fn::<Pong, _, _>("hangs", |_| std::future::pending()),
            Policy::new().capacity(small).overflow(Overflow::DropOldest),
        )
        .build()
        .expect("the listeners fit together");
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let bus = bus.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    if (number + publisher).is_multiple_of(4) {
                        bus.dispatch(Pong(number));
                    } else {
                        bus.dispatch(Ping(number));
                    }
                    if number % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for publisher in publishers {
        // A million events take a while without optimising, beside other tests.
        let ended = tokio::time::timeout(Duration::from_secs(300), publisher).await;
        ended
            .expect("the publisher ends")
            .expect("a publisher never panics");
    }
    // "hangs" never ends, so this abandons what it has.
    let report = within(bus.shutdown(Duration::from_millis(200))).await;
    let late = bus.dispatch(Ping(0));
    assert!(within(late.settled()).await.is_closed());

    let ledger = bus.ledger();
    assert!(ledger.balanced(), "{ledger:#?}");
    assert_eq!(ledger.refused, 1);
    let entry = |event, listener| ledger.entry(event, listener).expect("is listed");
    let (pings, pongs) = (
        entry("ping", "mixed").accepted,
        entry("pong", "hangs").accepted,
    );
    assert_eq!(pings + pongs, PUBLISHERS * EACH);
    assert_eq!(ledger.totals().abandoned, report.abandoned.len() as u64);
    // What this test means to have met, it has met.
    let mixed = entry("ping", "mixed");
    assert!(
        mixed.done > 0 && mixed.dead > 0 && mixed.skipped > 0,
        "{mixed:?}"
    );
    assert!(entry("ping", "drops").dropped > 0);
    assert!(entry("ping", "coalesces").coalesced > 0);
    assert!(entry("pong", "hangs").abandoned > 0);
}

trait ThenOk: Future + Sized {
    /// The same, with `Ok` as its answer.
    async fn ok(self) -> Result<(), BoxError> {
        self.await;
        Ok(())
    }
}

impl<F: Future> ThenOk for F {}

/// D3: the dead are told apart by what they died of.
#[tokio::test(start_paused = true)]
async fn the_reasons_of_the_dead_add_up_to_the_dead() {
    let bus = Bus::builder()
        .inline(inline_fn("inline", |ping: &Ping| {
            if ping.0 == 0 {
                std::panic::resume_unwind(Box::new("without a message on the terminal"));
            }
        }))
        .listen_with(
            listen_fn::<Ping, _, _>("mixed", |ping: Arc<Envelope<Ping>>| async move {
                match ping.0 {
                    0 | 1 => Err("failed".into()),
                    2 => std::future::pending().await,
                    _ => Ok(()),
                }
            }),
            Policy::new().time_out(Duration::from_secs(1)),
        )
        .build()
        .expect("the listeners fit together");
    for number in 0..4 {
        within(bus.dispatch(Ping(number)).settled()).await;
    }
    let ledger = bus.ledger();
    assert!(ledger.balanced(), "{ledger:#?}");
    let reasons = |entry: &Entry| {
        let all: Vec<_> = entry.reasons().collect();
        let dead: u64 = all.iter().map(|(_, dead)| dead).sum();
        assert_eq!(dead, entry.dead);
        let met = all.into_iter().filter(|(_, dead)| *dead > 0);
        met.collect::<Vec<_>>()
    };
    let of = |listener| reasons(ledger.entry("ping", listener).expect("is listed"));
    assert_eq!(of("inline"), [(Reason::Panicked, 1)]);
    assert_eq!(of("mixed"), [(Reason::Failed, 2), (Reason::TimedOut, 1)]);
    assert_eq!(
        reasons(&ledger.totals()),
        [
            (Reason::Failed, 2),
            (Reason::Panicked, 1),
            (Reason::TimedOut, 1)
        ]
    );
}

/// D3: nobody's events are counted too.
#[tokio::test]
async fn an_event_that_nobody_hears_is_counted() {
    let bus = Bus::builder().build().expect("an empty bus is a bus");
    let report = within(bus.dispatch(Ping(1)).settled()).await;
    assert!(!report.is_closed());
    assert_eq!(report.outcomes().count(), 0);
    assert_eq!(bus.ledger().unheard, 1);
}
