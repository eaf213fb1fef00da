//! Ours, the peer that every program has with tokio, and the floors that one would write by hand.

mod broadcast;
mod callbacks;
mod channel;
mod channels;
mod tasks;
mod vacancy;

use crate::dispatch::Entrant;

/// The contenders that need nothing but tokio.
pub fn entrants() -> Vec<Entrant> {
    vec![
        Entrant::of::<vacancy::Vacancy<false>>(),
        Entrant::of::<vacancy::Vacancy<true>>(),
        Entrant::of::<callbacks::Callbacks>(),
        Entrant::of::<tasks::Tasks>(),
        Entrant::of::<channels::Channels>(),
        Entrant::of::<channel::Channel>(),
        Entrant::of::<broadcast::Broadcast>(),
    ]
}
