//! [`Watch`]: relieves routers that a listener blocks.
//!
//! # Invariants
//!
//! 1. While a router polls a worker, the watch is awake: a router says that it polls before it asks
//!    whether the watch is awake, and the watch goes to sleep before it asks whether a router polls.
//! 2. It holds the core only while it looks, so it keeps no bus open.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify, time::timeout};

use crate::{bus::Core, duty::Duty};

/// How long a router may poll one worker, at least; at most twice as long.
const PATIENCE: Duration = Duration::from_millis(5);

/// After so many looks at routers that do nothing, the watch sleeps until it is called.
const QUIET: u32 = 200;

/// Relieves routers that a listener blocks.
#[derive(Default)]
pub(crate) struct Watch {
    called: AtomicBool,
    ended: AtomicBool,
    news: Notify,
}

impl Watch {
    pub(crate) fn is_awake(&self) -> bool {
        self.called.load(Ordering::SeqCst)
    }

    /// Called by a router that is about to poll workers.
    pub(crate) fn call(&self) {
        if !self.called.swap(true, Ordering::SeqCst) {
            self.news.notify_one();
        }
    }

    /// Called when nothing is left to watch.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.news.notify_one();
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Watches until the bus is gone.
    pub(crate) async fn run(self: Arc<Self>, core: Weak<Core>, runtime: Handle) {
        while !self.has_ended() {
            self.news.notified().await;
            let mut seen = Vec::new();
            let mut quiet = 0;
            while !self.has_ended() && quiet < QUIET {
                let _ = timeout(PATIENCE, self.news.notified()).await;
                let Some(core) = core.upgrade() else { return };
                quiet += 1;
                seen.resize(core.in_order.len(), Duty::default());
                for (route, seen) in core.in_order.iter().zip(&mut seen) {
                    let now = route.duty();
                    if now != *seen {
                        quiet = 0;
                    } else if now.is_polling() {
                        quiet = 0;
                        Arc::clone(route).relieve(now, &core, &runtime);
                    }
                    *seen = now;
                }
                if quiet == QUIET {
                    self.called.store(false, Ordering::SeqCst);
                    let polling = core.in_order.iter().any(|route| route.duty().is_polling());
                    if polling {
                        self.called.store(true, Ordering::SeqCst);
                        quiet = 0;
                    }
                }
            }
        }
    }
}
