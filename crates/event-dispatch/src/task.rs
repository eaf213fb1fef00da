//! The tasks of a bus: counted, aborted with it, and never gone unnoticed.

use std::sync::{Arc, atomic::Ordering};

use tokio::runtime::Handle;

use crate::bus::Core;

/// Lets the core count a future until it is gone, and runs `ended` then, however it ends.
pub(crate) fn counted<F: Future<Output = ()>, G: FnOnce()>(
    core: &Arc<Core>,
    future: F,
    ended: G,
) -> impl Future<Output = ()> + use<F, G> {
    core.tasks.fetch_add(1, Ordering::AcqRel);
    let guard = Guard {
        core: Arc::clone(core),
        ended: Some(ended),
    };
    async move {
        let _guard = guard;
        future.await;
    }
}

/// Starts a task that the core may abort.
pub(crate) fn spawn(
    core: &Core,
    runtime: &Handle,
    task: impl Future<Output = ()> + Send + 'static,
) {
    core.adopt(runtime.spawn(task).abort_handle());
}

/// Reports the end of a future, also when its task was aborted or its runtime ended.
struct Guard<G: FnOnce()> {
    core: Arc<Core>,
    ended: Option<G>,
}

impl<G: FnOnce()> Drop for Guard<G> {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended();
        }
        self.core.task_ended();
    }
}
