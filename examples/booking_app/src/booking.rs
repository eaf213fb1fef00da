//! One booking, as it is shown.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use vacancy::slots::{Appointment, AppointmentId, EventTypeId, ResourceId};

/// An appointment with the name of its customer. In serialized form, what the page shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Booking {
    pub(crate) appointment: Appointment,
    pub(crate) name: String,
}

#[derive(Serialize)]
struct Fields<'a> {
    id: &'a AppointmentId,
    event_type: Option<&'a EventTypeId>,
    host: Option<&'a ResourceId>,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    name: &'a str,
    revision: u64,
}

impl Serialize for Booking {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let appointment = &self.appointment;
        // Never empty.
        let time = appointment.intervals()[0];
        let fields = Fields {
            id: &appointment.id,
            event_type: appointment.event_type.as_ref(),
            host: appointment.resources.first(),
            start: time.start(),
            end: time.end(),
            name: &self.name,
            revision: appointment.revision.sequence.unwrap_or(0),
        };
        fields.serialize(serializer)
    }
}
