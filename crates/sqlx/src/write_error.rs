//! Why the writer did not write, or cannot say.

use vacancy_dispatch::BoxError;

use crate::book_error::BookError;

/// Why [`Writer`](crate::Writer) gives no appointment.
///
/// After all but [`Unknown`](Self::Unknown) nothing was written, for certain, and the event was not dispatched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The guard refused it, or the database failed.
    #[error(transparent)]
    Refused(#[from] BookError),
    /// The application's own rows could not be written. The source is what the closure returned.
    #[error("the application's rows were not written")]
    Rows(#[source] BoxError),
    /// The hold was not confirmed, and the policy is to refuse then. Try again.
    #[error("the hold was not confirmed")]
    Unheld(#[source] BoxError),
    /// It took longer than the time-out, or than the hold lasts, and was rolled back. Try again.
    #[error("the transaction took too long")]
    TimedOut,
    /// The connection was lost during the commit, and the database could not be asked in time whether it went
    /// through. Readers are safe: until a [hold](vacancy_slots::SlotsCache::hold) ends, they are given nothing
    /// from before. No event was dispatched.
    ///
    /// Ask again later, with the same operation key, or look for the appointment. An application that finds it
    /// dispatches the event then.
    #[error("whether it was committed is not known")]
    Unknown(#[source] BoxError),
    /// The writer was shut down.
    #[error("the writer was shut down")]
    Closed,
}
