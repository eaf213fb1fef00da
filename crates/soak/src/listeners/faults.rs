//! Listeners at fault, and the stand-ins that take their lanes in the quiet run.

use std::{num::NonZeroU32, panic::resume_unwind, sync::Arc, thread, time::Duration};

use tokio::time::sleep;
use vacancy_dispatch::{BoxError, Envelope, Failed, Policy, Retry};

use super::{Cast, some};
use crate::events::Booked;

/// Whether the faults happen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faults {
    /// Stand-ins have the lanes, and do nothing.
    Inert,
    /// They happen.
    Real,
}

/// What a listener does wrong, and once in how many events.
#[derive(Clone, Copy)]
enum Fault {
    Panic,
    Hang,
    /// Is away, so that its small lane overflows.
    Nap,
    Fail,
    /// Blocks its thread.
    Block,
    /// Panics when its future is dropped.
    PanicInDrop,
    /// None of its own: the operator pauses it.
    Paused,
}

const ALL: [(&str, Fault, u64); 7] = [
    ("panics", Fault::Panic, 100),
    ("hangs", Fault::Hang, 2_000),
    ("overflows", Fault::Nap, 2_000),
    ("fails", Fault::Fail, 200),
    ("blocks", Fault::Block, 200_000),
    ("panics in drop", Fault::PanicInDrop, 200),
    ("paused", Fault::Paused, 1),
];

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        without_message();
    }
}

/// Panics, and says nothing on the terminal.
fn without_message() {
    resume_unwind(Box::new("the listener's own fault"));
}

pub(super) fn add(mut cast: Cast, faults: Faults) -> Cast {
    let three = const { NonZeroU32::new(3).expect("3 is not zero") };
    let retry = Retry::new(three).first_pause(Duration::from_millis(1));
    for (name, fault, once_in) in ALL {
        let listener = cast.counted(name, move |booked: Arc<Envelope<Booked>>| async move {
            if faults == Faults::Real && booked.number.is_multiple_of(once_in) {
                happen(fault, &booked).await?;
            }
            Ok(())
        });
        let policy = Policy::new()
            .capacity(some(512))
            .concurrency(some(4))
            .time_out(Duration::from_millis(10));
        let policy = match fault {
            Fault::Fail => policy.retry(retry),
            Fault::Nap => policy.capacity(some(16)).concurrency(some(1)),
            _ => policy,
        };
        cast = cast.with(|bus| bus.listen_with(listener, policy));
    }
    let alerts = cast.counted("alerts", |_: Arc<Envelope<Failed<Booked>>>| async {
        Ok(())
    });
    let large = Policy::new().capacity(some(1 << 16));
    cast.with(|bus| bus.listen_with(alerts, large))
}

async fn happen(fault: Fault, booked: &Booked) -> Result<(), BoxError> {
    match fault {
        Fault::Panic => without_message(),
        Fault::Hang => std::future::pending().await,
        Fault::Nap => sleep(Duration::from_millis(5)).await,
        Fault::Fail => return Err("fails".into()),
        Fault::Block => thread::sleep(Duration::from_millis(1 + booked.number / 7 % 5)),
        Fault::PanicInDrop => {
            let _guard = PanicsInDrop;
            // Dropped at the time-out, with the guard.
            std::future::pending::<()>().await;
        }
        Fault::Paused => {}
    }
    Ok(())
}
