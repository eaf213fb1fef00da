//! Availability answers that fall the moment a booking event is dispatched.

mod appointment;
mod ids;
mod interval;

pub use appointment::{Appointment, Buffers, InvalidAppointment, Revision};
pub use ids::{
    AppointmentId, AppointmentKind, BranchId, BranchKind, EventTypeId, EventTypeKind, Id, IdKind,
    InvalidId, MAX_ID_BYTES, ResourceId, ResourceKind, TenantId, TenantKind,
};
pub use interval::{Interval, InvalidInterval};
