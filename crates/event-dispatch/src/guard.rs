//! Running code of the application without falling with it.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs foreign code, such as the drop of an event, and catches its panic.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(run)).map_err(Panic::new)
}

/// The message of a caught panic.
pub(crate) struct Panic(pub(crate) String);

impl Panic {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = if let Some(text) = payload.downcast_ref::<&str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "the panic carried no message".to_owned()
        };
        // A payload may panic in its own drop. That one is leaked, or this could go on for ever.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(second);
        }
        Self(text)
    }
}
