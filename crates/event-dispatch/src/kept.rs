//! [`Kept`]: the events themselves, for a test that asks what was dispatched.
//!
//! Without the feature `testing` nothing is kept, and nothing is paid.

use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::{Mutex, OnceLock, PoisonError};

#[cfg(feature = "testing")]
use crate::envelope::Parcel;
use crate::{Envelope, Event};

/// The events that a bus under test has accepted.
#[derive(Default)]
pub(crate) struct Kept {
    /// Set by a test before the first event.
    #[cfg(feature = "testing")]
    parcels: OnceLock<Mutex<Vec<Arc<dyn Parcel>>>>,
}

impl Kept {
    /// Whether a test wants them.
    #[cfg(feature = "testing")]
    pub(crate) fn are_wanted(&self) -> bool {
        self.parcels.get().is_some()
    }

    /// Keeps an event, if a test wants it.
    #[cfg(feature = "testing")]
    pub(crate) fn keep<E: Event>(&self, envelope: &Arc<Envelope<E>>) {
        if let Some(parcels) = self.parcels.get() {
            let parcel = Arc::clone(envelope) as _;
            let mut parcels = parcels.lock().unwrap_or_else(PoisonError::into_inner);
            parcels.push(parcel);
        }
    }

    #[cfg(not(feature = "testing"))]
    pub(crate) fn are_wanted(&self) -> bool {
        false
    }

    #[cfg(not(feature = "testing"))]
    pub(crate) fn keep<E: Event>(&self, _: &Arc<Envelope<E>>) {}
}

#[cfg(feature = "testing")]
impl Kept {
    /// Wants them from now on.
    pub(crate) fn want(&self) {
        let _ = self.parcels.set(Mutex::default());
    }

    /// Those from this one on, in the order in which they were accepted.
    pub(crate) fn from(&self, first: usize) -> Vec<Arc<dyn Parcel>> {
        self.with(|parcels| parcels[first..].to_vec())
    }

    /// Gives the first of them away.
    pub(crate) fn take(&self, count: usize) -> Vec<Arc<dyn Parcel>> {
        self.with(|parcels| parcels.drain(..count).collect())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Vec<Arc<dyn Parcel>>) -> T) -> T {
        let parcels = self.parcels.get_or_init(Mutex::default);
        look(&mut parcels.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
