//! Whether the events of an application, and who listens to them, are what was agreed.
//!
//! [`EventsLock`] compares a bus with a committed file, and [`assert_locked`] does so in a test.

mod lock;
mod printable;

pub use lock::{
    Change, EventChange, EventsLock, FieldChange, ListenerChange, LockError, SampleError,
    WriteError, assert_locked,
};
