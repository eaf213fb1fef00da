//! Streams are live and lossy, and count what they missed (D8).

mod dispatch;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use dispatch::{Ping, within};
use vacancy::dispatch::{Bus, Event, EventStream, Live, Policy, listen_fn};

async fn number(stream: &mut EventStream<Ping>) -> Option<u64> {
    match within(stream.next()).await? {
        Live::Event(ping) => Some(ping.0),
        Live::Missed(missed) => panic!("missed {missed}"),
    }
}

fn bus() -> Bus {
    let policy = Policy::new().capacity(NonZeroUsize::new(100_000).expect("not zero"));
    let lane = listen_fn::<Ping, _, _>("lane", |_| async { Ok(()) });
    Bus::builder()
        .listen_with(lane, policy)
        .build()
        .expect("fits together")
}

/// D8: with a listener beside it or without.
#[tokio::test]
async fn a_stream_sees_what_is_dispatched_while_it_lives() {
    for bus in [
        bus(),
        Bus::builder().build().expect("an empty bus is a bus"),
    ] {
        within(bus.dispatch(Ping(0)).settled()).await;
        let (mut one, mut two) = (bus.stream::<Ping>(), bus.stream::<Ping>());
        bus.dispatch(Ping(1));
        assert_eq!(number(&mut one).await, Some(1));
        drop(one);
        bus.dispatch(Ping(2));
        assert_eq!(number(&mut two).await, Some(1));
        assert_eq!(number(&mut two).await, Some(2));
    }
}

/// Else it would fill up with events that nobody can take out.
#[tokio::test]
async fn a_stream_that_was_dropped_keeps_no_event() {
    struct Held(#[expect(dead_code, reason = "it is counted")] Arc<()>);
    impl Event for Held {
        const NAME: &'static str = "held";
    }
    let bus = Bus::builder()
        .listen(listen_fn::<Held, _, _>("lane", |_| async { Ok(()) }))
        .build()
        .expect("fits together");
    drop(bus.stream::<Held>());
    let held = Arc::new(());
    bus.dispatch(Held(Arc::clone(&held)));
    within(bus.shutdown(Duration::from_secs(5))).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

/// D8: nothing is missed in silence.
#[tokio::test]
async fn a_stream_that_falls_behind_counts_what_it_missed() {
    const EVENTS: u64 = 5000;
    let bus = bus();
    let mut stream = bus.stream::<Ping>();
    let mut last = None;
    for sent in 0..EVENTS {
        last = Some(bus.dispatch(Ping(sent)));
    }
    let last = last.expect("some were sent");
    assert!(within(last.settled()).await.all_done());
    within(bus.shutdown(Duration::from_secs(5))).await;
    let Some(Live::Missed(missed)) = within(stream.next()).await else {
        panic!("none missed")
    };
    let mut seen = 0;
    while let Some(ping) = number(&mut stream).await {
        assert_eq!(ping, missed + seen);
        seen += 1;
    }
    assert!(missed > 0 && seen > 0);
    assert_eq!(missed + seen, EVENTS);
}

/// D7.
#[tokio::test]
async fn streams_end_when_the_bus_is_shut_down() {
    struct Unrouted;
    impl vacancy::dispatch::Event for Unrouted {
        const NAME: &'static str = "unrouted";
    }
    let bus = bus();
    let (mut routed, mut unrouted) = (bus.stream::<Ping>(), bus.stream::<Unrouted>());
    bus.dispatch(Ping(7));
    within(bus.shutdown(Duration::from_secs(5))).await;
    assert_eq!(number(&mut routed).await, Some(7));
    assert_eq!(number(&mut routed).await, None);
    assert!(within(unrouted.next()).await.is_none());
    assert_eq!(number(&mut bus.stream::<Ping>()).await, None);
    assert!(within(bus.stream::<Unrouted>().next()).await.is_none());
}
