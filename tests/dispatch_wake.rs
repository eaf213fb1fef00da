//! A prompt bus does not wait for the publisher's task to wait.

mod dispatch;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use dispatch::{Ping, within};
use vacancy::dispatch::{Bus, Envelope, Wake, listen_fn};

/// A prompt bus whose only listener calls `hear`.
fn prompt(hear: impl Fn(u64) + Send + Sync + 'static) -> Bus {
    let hears = move |ping: Arc<Envelope<Ping>>| {
        hear(ping.0);
        async { Ok(()) }
    };
    Bus::builder()
        .wake(Wake::Prompt)
        .listen(listen_fn::<Ping, _, _>("hears", hears))
        .build()
        .expect("the listener fits")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_starts_while_the_publisher_goes_on() {
    let (started, starts) = mpsc::channel();
    let started = Mutex::new(started);
    let bus = prompt(move |number| {
        let _ = started.lock().map(|started| started.send(number));
    });
    let publisher = bus.clone();
    let publishes = tokio::spawn(async move {
        for number in 0..200 {
            drop(publisher.dispatch(Ping(number)));
            // Its thread is not free before the listener has the event.
            let begun = starts.recv_timeout(Duration::from_secs(20));
            assert_eq!(begun, Ok(number));
            // The bus is idle again, and has been woken from here.
            tokio::task::yield_now().await;
        }
    });
    within(publishes).await.expect("each was heard");
    assert!(bus.shutdown(Duration::from_secs(20)).await.is_drained());
}

/// The task that makes it prompt ends with the bus.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_bus_leaves_no_task() {
    let bus = prompt(|_| ());
    for number in 0..1_000 {
        let receipt = bus.dispatch(Ping(number));
        if number % 500 == 0 {
            assert!(within(receipt.settled()).await.all_done());
        }
    }
    assert!(bus.shutdown(Duration::from_secs(20)).await.is_drained());
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    within(async {
        while tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
