//! [`PhoneDesk`]: the application, as the phone agent sees it.

use std::error::Error;
use std::future::Future;

use vacancy_slots::Slot;

use crate::{CallId, OperationKey, Reply, Request};

/// The application, as the phone agent sees it.
///
/// Implementors write `async fn serve(&self, call: &PhoneCall, request: Request) -> Result<Reply,
/// DeskError>`.
///
/// It is called on a task of its own, which goes on when the agent hangs up or stops waiting. One
/// operation is asked for once, however often the agent retries, as long as this process remembers
/// it; see [`Retell`](crate::Retell#operations). When it panics, or takes longer than
/// [`operation_time_out`](crate::RetellBuilder::operation_time_out) and is dropped, the agent is told
/// that a person has to look, and a change is not tried again.
pub trait PhoneDesk: Send + Sync + 'static {
    /// Does what the caller wants, or says why not.
    fn serve(
        &self,
        call: &PhoneCall,
        request: Request,
    ) -> impl Future<Output = Result<Reply, DeskError>> + Send;
}

/// The phone call that a request came in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhoneCall {
    /// Its id; known for every change.
    pub id: Option<CallId>,
    /// The agent's id, where the body tells: an application of several tenants knows by it whose
    /// agent is speaking.
    pub agent: Option<String>,
    /// Names the operation. The idempotency key for the write path.
    pub operation: OperationKey,
}

/// Why the desk did not do what the caller wanted. Each says whether a retry asks again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// Somebody else has the time. A retry gets the same answer.
    #[error("the time is taken")]
    Taken {
        /// Free times to offer, the best first.
        alternatives: Vec<Slot>,
    },
    /// There is no such appointment, service or person. A retry gets the same answer.
    #[error("there is nothing of this name")]
    NotFound,
    /// A rule forbids it, or something has to be asked first. A retry gets the same answer.
    #[error("the desk refuses")]
    Refused {
        /// What the agent can say.
        say: String,
    },
    /// It could not be done now. A retry asks the desk again, with the same operation key, so only
    /// for what was not done, or is recognised by that key.
    #[error("the desk could not answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl DeskError {
    /// It could not be done now; a retry asks again.
    pub fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }
}
