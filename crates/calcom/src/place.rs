//! [`Place`]: whose a booking is, and whom it occupies.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use vacancy_slots::{
    Appointment, AppointmentId, BranchId, Buffers, EventTypeId, Interval, ResourceId, Revision,
    TenantId,
};

use crate::{
    directory::{CalcomDirectory, Clue, Listing},
    webhook::{Booking, Person},
};

/// Why it is not known whose a booking is, though somebody in it is known.
///
/// Everything that it may be about is invalidated at all of them, and no event is made of it: an event would
/// tell one tenant of the bookings of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unresolved {
    /// The event type, or the people, belong to several tenants, and nothing else tells which one it is.
    SeveralTenants,
    /// The event type stands for several of one tenant's, and the host does not tell which one it is.
    SeveralEventTypes,
    /// The event type is one tenant's, and the host another's.
    Contradictory,
    /// Nobody is known but somebody who attends, and may do so as a customer.
    AttendeesOnly,
}

impl Unresolved {
    /// What it is called in metrics, logs and answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SeveralTenants => "several_tenants",
            Self::SeveralEventTypes => "several_event_types",
            Self::Contradictory => "contradictory",
            Self::AttendeesOnly => "attendees_only",
        }
    }
}

/// Whose a booking is.
#[derive(Debug)]
pub(crate) enum Resolution {
    Resolved(Place),
    /// With everything it may be about.
    Unresolved(Unresolved, Vec<Listing>),
    Nobody,
}

/// Whose a booking is, and whom it occupies.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) tenant: TenantId,
    pub(crate) branch: Option<BranchId>,
    pub(crate) event_type: Option<EventTypeId>,
    /// Whom it occupies; all whom it may occupy, where the host is not known.
    pub(crate) resources: Vec<ResourceId>,
    /// All whom it may have occupied before it was moved.
    pub(crate) anybody: Vec<ResourceId>,
    pub(crate) buffers: Option<Buffers>,
    pub(crate) length: Option<Duration>,
}

impl Place {
    /// An appointment there.
    pub(crate) fn appointment(
        &self,
        id: AppointmentId,
        interval: Interval,
        revision: Revision,
    ) -> Appointment {
        let mut appointment =
            Appointment::new(id, self.tenant.clone(), interval).revision(revision);
        appointment.branch.clone_from(&self.branch);
        appointment.event_type.clone_from(&self.event_type);
        appointment.resources.clone_from(&self.resources);
        appointment.buffers = self.buffers;
        appointment
    }

    /// The same place, as it is where nobody knows whom the booking occupied.
    pub(crate) fn of_anybody(&self) -> Self {
        Self {
            resources: self.anybody.clone(),
            ..self.clone()
        }
    }

    /// Takes over what is not known of it from an earlier state.
    pub(crate) fn complete(&mut self, earlier: &Appointment) {
        if self.event_type.is_none() {
            self.event_type.clone_from(&earlier.event_type);
        }
        if self.branch.is_none() {
            self.branch.clone_from(&earlier.branch);
        }
        if self.resources.is_empty() {
            self.resources.clone_from(&earlier.resources);
        }
        self.buffers = self.buffers.or(earlier.buffers);
    }

    /// The place of an appointment that is remembered.
    pub(crate) fn remembered(appointment: &Appointment) -> Self {
        Self {
            tenant: appointment.tenant.clone(),
            branch: appointment.branch.clone(),
            event_type: appointment.event_type.clone(),
            resources: appointment.resources.clone(),
            anybody: appointment.resources.clone(),
            buffers: appointment.buffers,
            length: None,
        }
    }
}

/// As long as time can be told.
pub(crate) fn all_time() -> Interval {
    Interval::new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC)
        .expect("time ends after it begins")
}

/// An appointment that stands for whatever `listing` may be about.
pub(crate) fn at_listing(listing: &Listing, interval: Interval) -> Appointment {
    let mut appointment = Appointment::new(0.into(), listing.tenant.clone(), interval)
        .revision(Revision::changed_at(DateTime::<Utc>::UNIX_EPOCH));
    appointment.branch.clone_from(&listing.branch);
    appointment.event_type.clone_from(&listing.event_type);
    appointment.resources.clone_from(&listing.resources);
    appointment.buffers = listing.buffers;
    appointment
}

/// Everything that the directory knows of a person.
pub(crate) fn listings_of(directory: &dyn CalcomDirectory, person: &Person) -> Vec<Listing> {
    let clues = [
        person.id.as_deref().map(Clue::User),
        person.email.as_deref().map(Clue::Email),
        person.username.as_deref().map(Clue::Username),
    ];
    let clues = clues.into_iter().flatten();
    clues.flat_map(|clue| directory.listings(&clue)).collect()
}

/// Says whose `booking` is.
///
/// The tenants of the event type are narrowed to those of the organizer, and, while several are left, to those
/// of the team and then of the attendees. Nothing is ever the first of several.
pub(crate) fn resolve(directory: &dyn CalcomDirectory, booking: &Booking) -> Resolution {
    let all = |people: &[Person]| -> Vec<Listing> {
        people
            .iter()
            .flat_map(|one| listings_of(directory, one))
            .collect()
    };
    let of = |clue: Option<Clue<'_>>| {
        clue.map(|clue| directory.listings(&clue))
            .unwrap_or_default()
    };
    let types = of(booking.event_type.as_deref().map(Clue::EventType));
    let team = of(booking.team.as_deref().map(Clue::Team));
    let organizer = booking
        .organizer
        .iter()
        .flat_map(|one| listings_of(directory, one));
    let organizer: Vec<_> = organizer.collect();
    let members = all(&booking.members);
    let attendees = all(&booking.attendees);
    let candidates = |tenants: Option<&BTreeSet<TenantId>>| -> Vec<Listing> {
        let known = [&types, &organizer, &members, &team];
        let known = known.into_iter().flatten();
        let within = known.filter(|one| tenants.is_none_or(|these| these.contains(&one.tenant)));
        within.cloned().collect()
    };

    let mut tenants = tenants_of(&types);
    if tenants.is_empty() && organizer.is_empty() && members.is_empty() && team.is_empty() {
        return match attendees.is_empty() {
            true => Resolution::Nobody,
            false => Resolution::Unresolved(Unresolved::AttendeesOnly, attendees),
        };
    }
    let together: Vec<_> = members.iter().chain(&team).cloned().collect();
    for (group, decides) in [
        (&organizer, true),
        (&together, organizer.is_empty()),
        (&attendees, false),
    ] {
        let theirs = tenants_of(group);
        if theirs.is_empty() || (tenants.len() == 1 && !decides) {
            continue;
        }
        if tenants.is_empty() {
            tenants = theirs;
            continue;
        }
        let common: BTreeSet<_> = tenants.intersection(&theirs).cloned().collect();
        match common.is_empty() {
            false => tenants = common,
            true if decides => {
                return Resolution::Unresolved(Unresolved::Contradictory, candidates(None));
            }
            true => {}
        }
    }
    let several = tenants.len() > 1;
    let Some(tenant) = tenants.first().filter(|_| !several).cloned() else {
        return Resolution::Unresolved(Unresolved::SeveralTenants, candidates(Some(&tenants)));
    };

    let here = |listings: &[Listing]| -> Vec<Listing> {
        let here = listings.iter().filter(|listing| listing.tenant == tenant);
        here.cloned().collect()
    };
    let hosts = [here(&organizer), here(&members)].concat();
    let Ok(event_type) = only_type(here(&types), &hosts) else {
        return Resolution::Unresolved(Unresolved::SeveralEventTypes, candidates(Some(&tenants)));
    };
    let occupied = resources_of(hosts.iter().chain(&here(&attendees)));
    let anybody = resources_of(hosts.iter().chain(&event_type).chain(&here(&team)));
    let anybody = resources_of_all(occupied.clone(), anybody);
    let branches: BTreeSet<_> = hosts
        .iter()
        .filter_map(|host| host.branch.clone())
        .collect();
    let branch = event_type.as_ref().and_then(|one| one.branch.clone());
    let branch = branch.or_else(|| branches.first().filter(|_| branches.len() == 1).cloned());
    // The organizer serves. Somebody else who is known does not tell that nobody unknown does.
    let organizer_known = here(&organizer).iter().any(|one| !one.resources.is_empty());
    let resources = match organizer_known {
        true => occupied,
        false => anybody.clone(),
    };
    Resolution::Resolved(Place {
        tenant,
        branch,
        resources,
        anybody,
        buffers: event_type.as_ref().and_then(|one| one.buffers),
        length: event_type.as_ref().and_then(|one| one.length),
        event_type: event_type.and_then(|one| one.event_type),
    })
}

struct Several;

/// The one event type that the hosts serve, if there is any.
fn only_type(mut types: Vec<Listing>, hosts: &[Listing]) -> Result<Option<Listing>, Several> {
    types.dedup();
    let served = |one: &Listing| {
        let by = |host: &Listing| host.resources.iter().any(|who| one.resources.contains(who));
        hosts.iter().any(by)
    };
    let same_branch =
        |one: &Listing| one.branch.is_some() && hosts.iter().any(|host| host.branch == one.branch);
    let narrowings: [&dyn Fn(&Listing) -> bool; 2] = [&served, &same_branch];
    for narrowing in narrowings {
        if types.len() > 1 && types.iter().any(narrowing) {
            types.retain(narrowing);
        }
    }
    match types.len() {
        0 | 1 => Ok(types.pop()),
        _ => Err(Several),
    }
}

fn tenants_of(listings: &[Listing]) -> BTreeSet<TenantId> {
    listings
        .iter()
        .map(|listing| listing.tenant.clone())
        .collect()
}

fn resources_of<'a>(listings: impl Iterator<Item = &'a Listing>) -> Vec<ResourceId> {
    resources_of_all(Vec::new(), listings.flat_map(|one| one.resources.clone()))
}

fn resources_of_all(
    mut all: Vec<ResourceId>,
    more: impl IntoIterator<Item = ResourceId>,
) -> Vec<ResourceId> {
    for resource in more {
        if !all.contains(&resource) {
            all.push(resource);
        }
    }
    all
}
