//! Why an appointment cannot be booked whatever is free.

use crate::booking::{MAX_BOOKED_ID_BYTES, MAX_OCCUPIED_ROWS, MAX_SHARED_RUN};

/// What is wrong with an appointment that is to be booked. Asking again will not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unbookable {
    /// It names no resource, so nothing could be guarded.
    #[error("the appointment names no resource")]
    NoResource,
    /// It does not say what it keeps free around itself. Fill in what the directory knows.
    #[error("the appointment does not say its buffers")]
    NoBuffers,
    /// It wants a seat beside others, and names no event type to share with.
    #[error("an appointment that shares its slot has to name its event type")]
    NoEventType,
    /// One of its ids is too long for the database's index, or contains a zero byte.
    #[error("an id has more than {MAX_BOOKED_ID_BYTES} bytes, or a zero among them")]
    Id,
    /// It starts before the year 1 or ends after the year 9999, with its buffers.
    #[error("the appointment lies outside of the years 1 to 9999")]
    OutOfRange,
    /// Its intervals, resources and seats are too many together, or more than [`MAX_SHARED_RUN`] intervals of a
    /// shared slot follow each other closely. Book them apart.
    #[error(
        "the appointment occupies more than {MAX_OCCUPIED_ROWS} rows, or shares more than \
         {MAX_SHARED_RUN} intervals in a row"
    )]
    TooMuch,
}
