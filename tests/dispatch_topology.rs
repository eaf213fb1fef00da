//! The topology says who listens to what, to people and to programs (D8).

use std::{num::NonZeroUsize, time::Duration};

use vacancy::dispatch::{
    Batch, BatchListener, Batching, BoxError, Bus, BusBuilder, Event, Listener, Policy, Topology,
    inline_fn, listen_fn,
};

struct Booked;

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
    const VERSION: u16 = 2;
}

struct Cancelled;

impl Event for Cancelled {
    const NAME: &'static str = "appointment.cancelled";
}

fn idle<E: Event>(name: &str) -> impl Listener<E> + use<E> {
    listen_fn::<E, _, _>(name.to_owned(), |_| async { Ok(()) })
}

struct Count;

impl<E: Event> BatchListener<E> for Count {
    async fn handle(&self, _: &Batch<E>) -> Result<(), BoxError> {
        Ok(())
    }
}

async fn topology(builder: BusBuilder) -> Topology {
    builder.build().expect("fits together").topology()
}

#[tokio::test]
async fn a_column_that_would_be_empty_is_left_out() {
    let topology = topology(Bus::builder().listen(idle::<Cancelled>("mail"))).await;
    let expected = "\
event                  version  listener  kind  capacity  overflow     concurrency  time-out
appointment.cancelled  1        mail      lane  1024      dead letter  1            30s
";
    assert_eq!(topology.to_string(), expected);
}

/// `sync` is disabled everywhere, `mail` for one of its events.
fn ordered() -> BusBuilder {
    let second = Duration::from_secs(1);
    let policy = || Policy::new().capacity(NonZeroUsize::MIN);
    Bus::builder()
        .inline(inline_fn("fence", |_: &Booked| ()))
        .listen_with(
            idle::<Booked>("mail"),
            policy()
                .after("fence")
                .after("Count")
                .attempt_time_out(second),
        )
        .listen_batches(Count, Batching::up_to(NonZeroUsize::MIN), policy())
        .listen_with(idle::<Booked>("sync"), policy().after("mail"))
        .listen_with(idle::<Cancelled>("mail"), Policy::new().enabled(false))
        .disable("sync")
}

#[tokio::test]
async fn the_table_says_what_is_disabled_and_what_comes_first() {
    let expected = "\
event                  version  listener  kind    capacity  overflow     concurrency  time-out  attempt  batch    after         disabled
appointment.booked     2        fence     inline  -         -            -            -         -        -        -             -
appointment.booked     2        mail      lane    1         dead letter  1            30s       1s       -        fence, Count  -
appointment.booked     2        Count     lane    1         dead letter  1            30s       -        up to 1  -             -
appointment.booked     2        sync      lane    1         dead letter  1            30s       -        -        mail          yes
appointment.cancelled  1        mail      lane    1024      dead letter  1            30s       -        -        -             yes
";
    assert_eq!(topology(ordered()).await.to_string(), expected);
}
