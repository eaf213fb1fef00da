//! [`Policy`]: how a lane treats its listener and its queue.

use std::{
    borrow::Cow,
    error::Error,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

#[cfg(feature = "rate-limit")]
use crate::RateLimit;
use crate::Retry;

/// How a lane treats its listener and its queue.
///
/// # Examples
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use vacancy_dispatch::{Event, Policy, Retry};
///
/// struct Booked {
///     calendar: u64,
/// }
/// impl Event for Booked {
///     const NAME: &'static str = "appointment.booked";
/// }
///
/// let policy = Policy::<Booked>::new()
///     .time_out(Duration::from_secs(5))
///     .retry(Retry::new(NonZeroU32::MIN.saturating_add(2)))
///     .ordered_by(|booked| booked.calendar);
/// ```
pub struct Policy<E> {
    pub(crate) capacity: NonZeroUsize,
    pub(crate) overflow: Overflow,
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) time_out: Duration,
    pub(crate) attempt_time_out: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) permanent: Option<ErrorClass>,
    #[cfg(feature = "rate-limit")]
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) after: Vec<Cow<'static, str>>,
    pub(crate) enabled: bool,
    pub(crate) order_key: Option<KeyFn<E>>,
    pub(crate) coalesce_key: Option<KeyFn<E>>,
}

/// Says of an error whether another attempt cannot mend it.
pub(crate) type ErrorClass = Arc<dyn Fn(&(dyn Error + 'static)) -> bool + Send + Sync>;

/// What a full lane does with one more event. It never makes the publisher wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The new event becomes a dead letter with [`Reason::Overflowed`](crate::Reason::Overflowed).
    ///
    /// Each is buried, and where somebody hears [`Failed`](crate::Failed) and has room for it, each is one more event.
    /// Events that nobody will replay are shed without either by [`DropOldest`](Self::DropOldest).
    #[default]
    DeadLetter,
    /// The event that has waited longest makes room and ends as
    /// [`Outcome::Dropped`](crate::Outcome::Dropped).
    DropOldest,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadLetter => "dead letter",
            Self::DropOldest => "drop oldest",
        })
    }
}

impl<E> Policy<E> {
    /// The default policy.
    pub fn new() -> Self {
        Self {
            capacity: const { NonZeroUsize::new(1024).expect("1024 is not zero") },
            overflow: Overflow::default(),
            concurrency: NonZeroUsize::MIN,
            time_out: Duration::from_secs(30),
            attempt_time_out: None,
            retry: None,
            permanent: None,
            #[cfg(feature = "rate-limit")]
            rate_limit: None,
            after: Vec::new(),
            enabled: true,
            order_key: None,
            coalesce_key: None,
        }
    }

    /// Whether events are handled one by one in the order in which they come, and none of those that
    /// wait is ever replaced.
    pub(crate) fn is_plain(&self) -> bool {
        self.concurrency == NonZeroUsize::MIN
            && self.overflow == Overflow::DeadLetter
            && self.order_key.is_none()
            && self.coalesce_key.is_none()
    }

    /// Sets how many events may wait in the lane, those being handled not counted. Default: 1024.
    ///
    /// The largest capacity among an event's lanes also bounds the event's intake, where events wait
    /// for a moment before the lanes get them. A full intake makes the event a dead letter in every
    /// lane, whatever their [`Overflow`].
    #[must_use]
    pub fn capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets what a full lane does. Default: [`Overflow::DeadLetter`].
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Sets how many events the listener may handle at once. Default: 1, which keeps their order.
    ///
    /// With more, nothing is said about order, except by [`ordered_by`](Self::ordered_by).
    #[must_use]
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets the time that one event may take, all attempts and pauses included. Default: 30 s.
    ///
    /// Then the listener's future is dropped and the event becomes a dead letter with
    /// [`Reason::TimedOut`](crate::Reason::TimedOut). Code that blocks its thread is not stopped.
    #[must_use]
    pub fn time_out(mut self, time_out: Duration) -> Self {
        self.time_out = time_out;
        self
    }

    /// Sets the time that one attempt may take. Default: none of its own.
    ///
    /// Then the listener's future is dropped and the attempt counts as failed: it is retried as the
    /// policy says. The event's [`time_out`](Self::time_out) still holds over all attempts.
    #[must_use]
    pub fn attempt_time_out(mut self, time_out: Duration) -> Self {
        self.attempt_time_out = Some(time_out);
        self
    }

    /// Sets how a failed listener is called again. Default: it is not.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Says which errors another attempt cannot mend: they are not retried. Default: those that are
    /// [`Permanent`](crate::Permanent), which are never retried.
    ///
    /// `is_permanent` is given the listener's error, to be downcast. A panic in it makes a dead letter.
    #[must_use]
    pub fn permanent_if(
        mut self,
        is_permanent: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.permanent = Some(Arc::new(is_permanent));
        self
    }

    /// Sets how often the listener may be called, retries included. Default: without limit.
    ///
    /// An event that has to wait for its turn is being handled already, and its time-out has not
    /// begun.
    #[cfg(feature = "rate-limit")]
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Has the listener wait, for each event, until the listener of that name has an outcome for it,
    /// whichever. May be said several times.
    ///
    /// Only the order is bound, so the other's failure keeps nothing from this one; ask
    /// [`Failed`](crate::Failed) for that. An inline listener has always run before; one that is
    /// disabled is not waited for. Until then the event does not count against this lane's capacity.
    #[must_use]
    pub fn after(mut self, listener: impl Into<Cow<'static, str>>) -> Self {
        self.after.push(listener.into());
        self
    }

    /// Sets whether the listener takes part, for instance by configuration. Default: it does.
    ///
    /// One that is disabled is a row of the [`Topology`](crate::Topology) and nothing else: it is given
    /// no events, and no outcome is counted for it.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Keeps the order of events with equal keys, where the concurrency is more than 1.
    ///
    /// Keys are compared by a randomly keyed hash of 128 bits. `key` runs on the bus's own task, so
    /// it may not block; a panic makes a dead letter in this lane.
    #[must_use]
    pub fn ordered_by<K: Hash>(mut self, key: impl Fn(&E) -> K + Send + Sync + 'static) -> Self {
        self.order_key = Some(KeyFn::new(key));
        self
    }

    /// Lets an event take the place of a waiting one with an equal key.
    ///
    /// The older one ends as [`Outcome::Coalesced`](crate::Outcome::Coalesced). The newer one takes
    /// its place in the queue, so a key that changes all the time is handled all the same, and may
    /// overtake events with other keys. An event that comes while one with its key is being handled
    /// waits for the end of that, so a burst makes one leading run and one trailing run, which has
    /// seen the newest. Keys are compared as in [`ordered_by`](Self::ordered_by); unless that says
    /// otherwise, this key is also that of the order.
    #[must_use]
    pub fn coalesce_by<K: Hash>(mut self, key: impl Fn(&E) -> K + Send + Sync + 'static) -> Self {
        let key = KeyFn::new(key);
        self.order_key.get_or_insert_with(|| key.clone());
        self.coalesce_key = Some(key);
        self
    }
}

impl<E> Default for Policy<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for Policy<E> {
    fn clone(&self) -> Self {
        Self {
            capacity: self.capacity,
            overflow: self.overflow,
            concurrency: self.concurrency,
            time_out: self.time_out,
            attempt_time_out: self.attempt_time_out,
            retry: self.retry,
            permanent: self.permanent.clone(),
            #[cfg(feature = "rate-limit")]
            rate_limit: self.rate_limit,
            after: self.after.clone(),
            enabled: self.enabled,
            order_key: self.order_key.clone(),
            coalesce_key: self.coalesce_key.clone(),
        }
    }
}

impl<E> fmt::Debug for Policy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("capacity", &self.capacity)
            .field("overflow", &self.overflow)
            .field("concurrency", &self.concurrency)
            .field("time_out", &self.time_out)
            .field("attempt_time_out", &self.attempt_time_out)
            .field("retry", &self.retry)
            .field("after", &self.after)
            .field("enabled", &self.enabled)
            .field("ordered", &self.order_key.is_some())
            .field("coalesced", &self.coalesce_key.is_some())
            .finish_non_exhaustive()
    }
}

/// A key of an event, comparable without running the application's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(u64, u64);

#[cfg(test)]
impl Key {
    pub(crate) fn numbered(number: u8) -> Self {
        Self(number.into(), 0)
    }
}

/// The application's key function, its answer hashed.
pub(crate) struct KeyFn<E>(Arc<dyn Fn(&E) -> Key + Send + Sync>);

impl<E> Clone for KeyFn<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> KeyFn<E> {
    fn new<K: Hash>(key: impl Fn(&E) -> K + Send + Sync + 'static) -> Self {
        let (one, two) = (RandomState::new(), RandomState::new());
        Self(Arc::new(move |event| {
            let key = key(event);
            Key(one.hash_one(&key), two.hash_one(&key))
        }))
    }

    pub(crate) fn of(&self, event: &E) -> Key {
        (self.0)(event)
    }
}
