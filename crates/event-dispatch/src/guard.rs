//! Running code of the application without falling with it.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs foreign code, such as the drop of an event, and catches its panic.
#[inline]
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| Panic(Some(payload)))
}

/// A caught panic.
pub(crate) struct Panic(Option<Box<dyn Any + Send>>);

impl Panic {
    /// Its message.
    pub(crate) fn message(self) -> String {
        let Some(payload) = &self.0 else {
            return String::new();
        };
        if let Some(text) = payload.downcast_ref::<&str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "the panic carried no message".to_owned()
        }
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        let payload = self.0.take();
        // A payload may panic in its own drop. That one is leaked, or this could go on for ever.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(second);
        }
    }
}
