//! Availability answers that fall the moment a booking event is dispatched.

mod affected;
mod appointment;
mod events;
mod ids;
mod interval;
mod key;
mod local_day;
mod overlay;
mod query;
mod rules;
mod slot;

pub use affected::{MAX_BUSY_SPAN, MAX_BUSY_SPANS, answer_span, busy_spans};
pub use appointment::{Appointment, Buffers, InvalidAppointment, Revision};
pub use events::{AppointmentBooked, AppointmentCancelled, AppointmentRescheduled};
pub use ids::{
    AppointmentId, AppointmentKind, BranchId, BranchKind, EventTypeId, EventTypeKind, Id, IdKind,
    InvalidId, MAX_ID_BYTES, ResourceId, ResourceKind, TenantId, TenantKind,
};
pub use interval::{Interval, InvalidInterval};
pub use key::{DayKey, InvalidKey, SlotsKey};
pub use local_day::LocalDay;
pub use overlay::{MAX_OVERLAY_CHANGES, Overlay};
pub use query::{MAX_QUERY_DAYS, QueryError, SlotsQuery};
pub use rules::{
    Directory, EventTypeRules, Grid, LimitPeriod, NoDirectory, StaticDirectory, UNKNOWN_REACH,
};
pub use slot::{Seats, Slot};
