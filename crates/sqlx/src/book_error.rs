//! Why the guard did not write.

use vacancy_slots::{AppointmentId, ResourceId, Revision};

use crate::unbookable::Unbookable;

/// Why a booking was not made, moved or cancelled. Nothing of it is in the transaction.
///
/// After [`Busy`](Self::Busy) and [`Database`](Self::Database), and after [`Taken`](Self::Taken) without `by`,
/// PostgreSQL accepts nothing more in the transaction but its rollback.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// Somebody else has it. Offer another slot.
    #[error("resource {resource} is taken at that time")]
    Taken {
        /// What is occupied.
        resource: ResourceId,
        /// One of those who occupy it; `None` where the database refused what the guard could not see, which
        /// takes a transaction of a stricter isolation than `READ COMMITTED`.
        by: Option<AppointmentId>,
    },
    /// There is no booked appointment of this id.
    #[error("there is no such appointment")]
    UnknownAppointment,
    /// An appointment of this id is booked. Move it instead.
    #[error("the appointment is booked already")]
    AlreadyBooked,
    /// It was changed since it was seen. Look again, and decide again.
    #[error("the appointment was changed since it was seen")]
    Conflict {
        /// The revision that it has now.
        stored: Revision,
    },
    /// Another request was made under this operation key. The client has a bug, or a bad source of keys.
    #[error("the operation key was used for another request")]
    OperationReused,
    /// The appointment cannot be booked as it is.
    #[error(transparent)]
    Unbookable(#[from] Unbookable),
    /// Others kept the database or the resource occupied for longer than the lock time-out, or the two got in
    /// each other's way. Try again.
    #[error("the database was busy")]
    Busy(#[source] sqlx::Error),
    /// The database failed, or is not reachable.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}
