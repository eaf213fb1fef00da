//! Availability answers that fall the moment a booking event is dispatched.

mod appointment;
mod events;
mod ids;
mod interval;
mod local_day;
mod query;
mod rules;
mod slot;

pub use appointment::{Appointment, Buffers, InvalidAppointment, Revision};
pub use events::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled};
pub use ids::{
    AppointmentId, AppointmentKind, BranchId, BranchKind, EventTypeId, EventTypeKind, Id, IdKind,
    InvalidId, MAX_ID_BYTES, ResourceId, ResourceKind, TenantId, TenantKind,
};
pub use interval::{Interval, InvalidInterval};
pub use local_day::LocalDay;
pub use query::{MAX_QUERY_DAYS, QueryError, SlotsQuery};
pub use rules::{
    Directory, EventTypeRules, Grid, LimitPeriod, NoDirectory, StaticDirectory, UNKNOWN_REACH,
};
pub use slot::{Seats, Slot};
