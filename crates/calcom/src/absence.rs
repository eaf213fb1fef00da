//! What somebody's absence comes to.

use crate::{
    directory::CalcomDirectory,
    place::{all_time, at_listing, listings_of},
    received::{Ignored, Received, Verdict},
    trigger::Trigger,
    webhook::Absence,
};

impl Received {
    /// Somebody is away, for all whom he works for. No trigger tells when that is lifted, and so it is never an
    /// appointment: what is free in those days is for the source to say.
    pub(crate) fn absence(
        directory: &dyn CalcomDirectory,
        trigger: Trigger,
        absence: &Absence,
    ) -> Self {
        let when = absence.when.unwrap_or_else(all_time);
        let people = absence.people.iter();
        let listings = people.flat_map(|person| listings_of(directory, person));
        let mut received = Self::new(trigger, Verdict::Touched);
        for listing in listings {
            received.invalidate(at_listing(&listing, when));
        }
        if received.invalidations.is_empty() {
            received.verdict = Verdict::Ignored(Ignored::NobodyKnown);
        }
        received
    }
}
