//! What happened, for the checker.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{clock::Moment, menu::Offer};

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Events>);

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) reads: Vec<Read>,
    pub(crate) takings: Vec<Taking>,
    pub(crate) refusals: Vec<Refusal>,
    /// What was given up before it was noted as taken: the answers of two requests came in the wrong order.
    gone: HashMap<String, Moment>,
    pub(crate) page: u32,
    pub(crate) phone: u32,
    pub(crate) calcom: u32,
    pub(crate) moved: u32,
    pub(crate) cancelled: u32,
    pub(crate) found_nothing: u32,
    pub(crate) deliveries: u32,
    pub(crate) duplicates: u32,
    pub(crate) reordered: u32,
    pub(crate) lost: u32,
    /// Refused by Cal.com itself, which knew of another of its own.
    pub(crate) refused_at_calcom: u32,
    /// Retries on the phone that got another answer than the first one.
    pub(crate) retried_differently: u32,
}

/// Somebody was told what is free.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) began: Moment,
    pub(crate) ended: Moment,
    pub(crate) offers: Vec<Offer>,
    /// What the application said of itself.
    pub(crate) said_stale: u64,
    pub(crate) kept: bool,
    pub(crate) took: Duration,
}

/// Somebody has a time.
#[derive(Debug)]
pub(crate) struct Taking {
    pub(crate) id: String,
    pub(crate) offer: Offer,
    /// When whoever booked it was told so, or Cal.com that its webhook was received.
    pub(crate) answered: Moment,
    /// When the request that gave it up began, if one did.
    pub(crate) freed: Option<Moment>,
}

/// Somebody was refused a time that he had been offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) wanted: Offer,
    /// When he asked what was free.
    pub(crate) looked: Moment,
    /// Nobody could know better: the webhook of his booking was lost at first.
    pub(crate) lost: bool,
}

impl History {
    pub(crate) fn note(&self) -> MutexGuard<'_, Events> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_events(self) -> Events {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    pub(crate) fn took(&mut self, id: &str, offer: Offer, answered: Moment) {
        self.takings.push(Taking {
            id: id.to_owned(),
            offer,
            answered,
            freed: self.gone.remove(id),
        });
    }

    /// Gives up what is held under this id, or will be.
    pub(crate) fn freed(&mut self, id: &str, began: Moment) {
        let mut held = self.takings.iter_mut().rev();
        match held.find(|held| held.id == id && held.freed.is_none()) {
            Some(held) => held.freed = Some(began),
            None => drop(self.gone.insert(id.to_owned(), began)),
        }
    }
}
