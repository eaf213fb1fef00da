//! A listener for every policy.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio::{task::yield_now, time::sleep};
use vacancy_dispatch::{
    BoxError, Delivery, Envelope, Failed, Overflow, Permanent, Policy, RateLimit, Retry, Skip,
    listen_fn,
};

use super::{Cast, some};
use crate::events::Booked;

pub(super) fn add(mut cast: Cast) -> Cast {
    let millis = Duration::from_millis;
    let policy = Policy::<Booked>::new;
    let three = const { NonZeroU32::new(3).expect("3 is not zero") };
    let retry = Retry::new(three)
        .first_pause(millis(1))
        .longest_pause(millis(4));
    let limit = RateLimit::per_second(const { NonZeroU32::new(1_000).expect("1,000 is not zero") });

    let retries = cast.counted("retries", |booked: Arc<Envelope<Booked>>| async move {
        let attempt = Delivery::current().map_or(1, |delivery| delivery.attempt());
        match booked.number % 10_000 {
            0..300 if attempt == 1 => Err("the first attempt fails".into()),
            300..304 if attempt == 1 => std::future::pending().await,
            304..306 => Err("every attempt fails".into()),
            306 => Err(Permanent::new("no attempt can succeed").into()),
            _ => Ok(()),
        }
    });
    let times_out = cast.counted("times out", |booked: Arc<Envelope<Booked>>| async move {
        if booked.number.is_multiple_of(5_000) {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let coalesces = cast.counted("coalesces", |_: Arc<Envelope<Booked>>| async {
        yield_now().await;
        Ok(())
    });
    let drops = cast.counted("drops oldest", |booked| naps(booked, 2_000));
    let overflows = cast.counted("overflows", |booked| naps(booked, 100_000));
    let limited = cast.counted("limited", |_: Arc<Envelope<Booked>>| async { Ok(()) });
    let paused = cast.counted("paused", |_: Arc<Envelope<Booked>>| async { Ok(()) });
    let skips = cast.counted("skips", |booked: Arc<Envelope<Booked>>| async move {
        if booked.number.is_multiple_of(2) {
            return Err(Skip.into());
        }
        Ok(())
    });
    let disabled = listen_fn("disabled", |_: Arc<Envelope<Booked>>| async {
        Err("never called".into())
    });
    let alerts = cast.counted(
        "alerts",
        |failed: Arc<Envelope<Failed<Booked>>>| async move {
            std::hint::black_box(failed.error());
            Ok(())
        },
    );

    let large = 1 << 16;
    cast.with(|bus| {
        bus.listen_with(
            retries,
            policy()
                .capacity(some(large))
                .concurrency(some(32))
                .retry(retry)
                .attempt_time_out(millis(5))
                .time_out(millis(100)),
        )
        .listen_with(
            times_out,
            policy()
                .capacity(some(large))
                .concurrency(some(8))
                .time_out(millis(5)),
        )
        .listen_with(
            coalesces,
            policy().coalesce_by(|booked| booked.number % 128),
        )
        .listen_with(
            drops,
            policy().capacity(some(64)).overflow(Overflow::DropOldest),
        )
        .listen_with(overflows, policy().capacity(some(512)))
        .listen_with(
            limited,
            policy()
                .capacity(some(64))
                .overflow(Overflow::DropOldest)
                .rate_limit(limit),
        )
        .listen_with(paused, policy().capacity(some(512)))
        .listen_with(skips, policy().capacity(some(large)))
        .listen_with(disabled, policy().enabled(false))
        .listen_with(alerts, Policy::new().capacity(some(large)))
    })
}

/// Is away for a moment, once in so many events.
async fn naps(booked: Arc<Envelope<Booked>>, once_in: u64) -> Result<(), BoxError> {
    if booked.number.is_multiple_of(once_in) {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
