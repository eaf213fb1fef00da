//! One booking, as the diary keeps it and the page shows it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use vacancy::slots::{Appointment, AppointmentId, EventTypeId, Interval, ResourceId, Revision};

use crate::salon::Salon;

/// One booking, as the diary keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Booking {
    pub(crate) id: AppointmentId,
    pub(crate) event_type: EventTypeId,
    pub(crate) host: ResourceId,
    pub(crate) time: Interval,
    pub(crate) name: String,
    /// Counts its changes, from 0.
    pub(crate) revision: u64,
    pub(crate) changed_at: DateTime<Utc>,
    pub(crate) cancelled: bool,
}

impl Booking {
    /// The same, as Vacancy reads it.
    pub(crate) fn appointment(&self, salon: &Salon) -> Appointment {
        let appointment = Appointment::new(self.id.clone(), salon.tenant.clone(), self.time)
            .branch(salon.branch.clone())
            .event_type(self.event_type.clone())
            .resource(self.host.clone())
            .revision(Revision::changed_at(self.changed_at).sequence(self.revision));
        match salon.event_type(self.event_type.as_str()) {
            Some(event_type) => appointment.buffers(event_type.buffers),
            None => appointment,
        }
    }
}

impl Serialize for Booking {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: &'a AppointmentId,
            event_type: &'a EventTypeId,
            host: &'a ResourceId,
            start: DateTime<Utc>,
            end: DateTime<Utc>,
            name: &'a str,
            revision: u64,
        }
        let fields = Fields {
            id: &self.id,
            event_type: &self.event_type,
            host: &self.host,
            start: self.time.start(),
            end: self.time.end(),
            name: &self.name,
            revision: self.revision,
        };
        fields.serialize(serializer)
    }
}
