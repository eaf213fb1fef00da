//! The primitives that fences and flights are built on, so that the model checker can stand in for
//! the standard library.
//!
//! Under `--cfg vacancy_loom` the tests of this crate run the very same cache over loom's types:
//! see `model.rs`.

#[cfg(not(all(test, vacancy_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

#[cfg(all(test, vacancy_loom))]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

/// Locks, and takes the state as it is when a holder panicked: every critical section in this
/// crate leaves its data valid at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
