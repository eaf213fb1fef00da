//! One file for each peer.

mod bevy_observers;
mod evno_bus;
mod flume_channels;
mod jaeb_bus;
mod kameo_message_bus;
mod mod_events_dispatcher;
mod ractor_output_port;
mod tokio_events_bus;

use vacancy_benches::dispatch::{self, Entrant};

/// Ours, the floors and the peers.
pub fn entrants() -> Vec<Entrant> {
    let mut entrants = dispatch::entrants();
    entrants.extend([
        Entrant::of::<flume_channels::Flume>(),
        Entrant::of::<ractor_output_port::Ractor>(),
        Entrant::of::<kameo_message_bus::Kameo>(),
        Entrant::of::<tokio_events_bus::TokioEvents>(),
        Entrant::of::<evno_bus::Evno>(),
        Entrant::of::<jaeb_bus::Jaeb>(),
        Entrant::of::<mod_events_dispatcher::ModEvents>(),
        Entrant::of::<bevy_observers::Bevy>(),
    ]);
    entrants
}
