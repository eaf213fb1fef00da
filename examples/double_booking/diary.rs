//! What is booked in truth.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;
use vacancy::slots::{Appointment, AppointmentId, Buffers, Interval, ResourceId, TenantId};

/// A host of a tenant.
type Place = (TenantId, ResourceId);

/// What is booked in truth, and what was at any earlier time.
///
/// Changes are numbered. Two of them may happen within the same millisecond, so what a reader could
/// know is told by number.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    places: BTreeMap<Place, Vec<Entry>>,
    current: HashMap<AppointmentId, Appointment>,
    changes: u64,
}

#[derive(Debug)]
struct Entry {
    id: AppointmentId,
    /// With the buffers of the appointment.
    busy: Interval,
    booked: Moment,
    freed: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    change: u64,
}

impl Diary {
    /// The number of the latest change.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// What is booked under an id now.
    pub(crate) fn appointment(&self, id: &AppointmentId) -> Option<&Appointment> {
        self.current.get(id)
    }

    /// Whether the appointment would meet another one than `replaced`: the check of the write path.
    pub(crate) fn conflicts(
        &self,
        appointment: &Appointment,
        replaced: Option<&AppointmentId>,
    ) -> bool {
        let needs = busy(appointment);
        appointment.resources.iter().any(|host| {
            self.entries(&appointment.tenant, host).any(|entry| {
                entry.freed.is_none() && Some(&entry.id) != replaced && entry.busy.overlaps(&needs)
            })
        })
    }

    /// Whether what the appointment needs was taken at the change of this number, and still is.
    pub(crate) fn was_taken(&self, appointment: &Appointment, change: u64) -> bool {
        let needs = busy(appointment);
        appointment.resources.iter().any(|host| {
            !self
                .taken(&appointment.tenant, host, needs, change)
                .is_empty()
        })
    }

    /// When the host was taken within `window` at the change of this number, and still is.
    pub(crate) fn taken(
        &self,
        tenant: &TenantId,
        host: &ResourceId,
        window: Interval,
        change: u64,
    ) -> Vec<Interval> {
        let entries = self.entries(tenant, host).filter(|entry| {
            entry.freed.is_none() && entry.booked.change <= change && entry.busy.overlaps(&window)
        });
        entries.map(|entry| entry.busy).collect()
    }

    /// When the host was taken within `window`, as of an instant.
    pub(crate) fn taken_at(
        &self,
        tenant: &TenantId,
        host: &ResourceId,
        window: Interval,
        at: Instant,
    ) -> Vec<Interval> {
        let entries = self.entries(tenant, host).filter(|entry| {
            entry.booked.at <= at
                && entry.freed.is_none_or(|freed| freed.at > at)
                && entry.busy.overlaps(&window)
        });
        entries.map(|entry| entry.busy).collect()
    }

    /// Enters an appointment, whether or not it meets another one.
    pub(crate) fn book(&mut self, appointment: &Appointment) {
        let booked = self.moment();
        for host in &appointment.resources {
            let place = (appointment.tenant.clone(), host.clone());
            self.places.entry(place).or_default().push(Entry {
                id: appointment.id.clone(),
                busy: busy(appointment),
                booked,
                freed: None,
            });
        }
        self.current
            .insert(appointment.id.clone(), appointment.clone());
    }

    /// Takes an appointment out, and gives it back.
    pub(crate) fn free(&mut self, id: &AppointmentId) -> Option<Appointment> {
        let appointment = self.current.remove(id)?;
        let freed = self.moment();
        for host in &appointment.resources {
            let place = (appointment.tenant.clone(), host.clone());
            let entries = self.places.get_mut(&place).into_iter().flatten();
            for entry in entries.filter(|entry| entry.id == *id && entry.freed.is_none()) {
                entry.freed = Some(freed);
            }
        }
        Some(appointment)
    }

    fn moment(&mut self) -> Moment {
        self.changes += 1;
        Moment {
            at: Instant::now(),
            change: self.changes,
        }
    }

    fn entries(&self, tenant: &TenantId, host: &ResourceId) -> impl Iterator<Item = &Entry> {
        let place = (tenant.clone(), host.clone());
        self.places.get(&place).into_iter().flatten()
    }
}

fn busy(appointment: &Appointment) -> Interval {
    let buffers = appointment.buffers.unwrap_or(Buffers::NONE);
    appointment.intervals()[0].widened(buffers.before(), buffers.after())
}
