//! [`Batch`]: several events handled at once; [`BatchListener`], which handles them, and [`Batching`],
//! which says how many.

use std::{
    any::type_name, borrow::Cow, fmt, num::NonZeroUsize, ops::Deref, sync::Arc, time::Duration,
};

use crate::{BoxError, Envelope, Event, listener::short_name};

/// Events of one type that a listener handles at once, in the order of its lane; never empty.
pub struct Batch<E>(Vec<Arc<Envelope<E>>>);

impl<E> Batch<E> {
    pub(crate) fn of(events: &[Arc<Envelope<E>>]) -> Self {
        Self(events.to_vec())
    }
}

impl<E> Deref for Batch<E> {
    type Target = [Arc<Envelope<E>>];

    fn deref(&self) -> &[Arc<Envelope<E>>] {
        &self.0
    }
}

impl<'a, E> IntoIterator for &'a Batch<E> {
    type Item = &'a Arc<Envelope<E>>;
    type IntoIter = std::slice::Iter<'a, Arc<Envelope<E>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<E> fmt::Debug for Batch<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

/// Reacts to several events of one type at once, asynchronously and in a lane of its own: for what is
/// cheaper together, such as one statement for many rows.
///
/// As with a [`Listener`](crate::Listener), an error is retried as the lane's policy says, for the
/// whole batch, and all its events have one outcome. So what it does must bear repetition, or happen
/// at once, as in a transaction. What it dispatches is caused by the first event of the batch.
///
/// # Examples
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use vacancy_dispatch::{Batch, BatchListener, Batching, BoxError, Bus, Event, Policy};
///
/// struct Booked(u64);
/// impl Event for Booked {
///     const NAME: &'static str = "appointment.booked";
/// }
///
/// struct CountBookings;
///
/// impl BatchListener<Booked> for CountBookings {
///     async fn handle(&self, batch: &Batch<Booked>) -> Result<(), BoxError> {
///         let ids: Vec<u64> = batch.iter().map(|booked| booked.0).collect();
///         assert!(ids.len() <= 100); // one INSERT for all of them
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hundred = NonZeroUsize::new(100).ok_or("not zero")?;
/// let batching = Batching::up_to(hundred).linger(Duration::from_millis(20));
/// let bus = Bus::builder()
///     .listen_batches(CountBookings, batching, Policy::new())
///     .build()?;
/// assert!(bus.dispatch(Booked(7)).settled().await.all_done());
/// # Ok(())
/// # }
/// ```
pub trait BatchListener<E: Event>: Send + Sync + 'static {
    /// Reacts to all events of `batch`.
    fn handle(&self, batch: &Batch<E>) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// The listener's name, unique among those of one event: by default the type's name without its
    /// path and parameters.
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(short_name(type_name::<Self>()))
    }
}

/// How many events a [`BatchListener`] is given at once, and how long the first of them waits for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    pub(crate) most: NonZeroUsize,
    pub(crate) linger: Duration,
}

impl Batching {
    /// At most `events` at once, and whatever waits when the listener is free: nobody waits for more.
    pub fn up_to(events: NonZeroUsize) -> Self {
        Self {
            most: events,
            linger: Duration::ZERO,
        }
    }

    /// Sets how long a batch that is not full waits for more. Default: not at all.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }
}

impl fmt::Display for Batching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up to {}", self.most)?;
        match self.linger {
            Duration::ZERO => Ok(()),
            linger => write!(f, " within {linger:?}"),
        }
    }
}
