//! [`Listener`], [`InlineListener`] and the functions that make listeners of closures.

use std::{any::type_name, borrow::Cow, fmt, marker::PhantomData, sync::Arc};

use crate::{Envelope, Event, Permanent};

/// Any error that a listener may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reacts to one type of event, asynchronously and in a lane of its own.
///
/// Implementors write `async fn handle(&self, event: &E) -> Result<(), BoxError>`. It is called on a
/// task of the listener's lane, once per event and attempt. An error is retried as the lane's
/// [`Policy`](crate::Policy) says, unless it is a [`Permanent`] one; [`Skip`](crate::Skip) says that
/// there was nothing to do. An error that is not retried, a panic and a time-out make a dead letter
/// and touch neither the publisher nor another listener.
///
/// The future is dropped at its time-out and at the end of a shutdown, so what it does between two
/// awaits may be the last that it does.
pub trait Listener<E: Event>: Send + Sync + 'static {
    /// Reacts to `event`.
    fn handle(&self, event: &E) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// The listener's name, unique among those of one event: by default the type's name without its
    /// path and parameters.
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(short_name(type_name::<Self>()))
    }

    /// What the lane calls. Only [`ListenFn`] replaces it, to own the envelope.
    #[doc(hidden)]
    fn receive(
        &self,
        envelope: &Arc<Envelope<E>>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.handle(envelope)
    }
}

/// Reacts to one type of event synchronously, inside `dispatch`, on the publisher's thread.
///
/// For work of nanoseconds that has to be done when `dispatch` returns, such as raising a fence. It
/// may not block: nothing bounds the time it takes. It runs even when the bus is closed. A panic is
/// caught and makes a dead letter.
pub trait InlineListener<E: Event>: Send + Sync + 'static {
    /// Reacts to `event`.
    fn handle(&self, event: &E);

    /// The listener's name, unique among those of one event: by default the type's name without its
    /// path and parameters.
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(short_name(type_name::<Self>()))
    }
}

impl<E: Event, L: Listener<E>> Listener<E> for Arc<L> {
    fn handle(&self, event: &E) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).handle(event)
    }

    fn name(&self) -> Cow<'static, str> {
        (**self).name()
    }

    fn receive(
        &self,
        envelope: &Arc<Envelope<E>>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).receive(envelope)
    }
}

impl<E: Event, L: InlineListener<E>> InlineListener<E> for Arc<L> {
    fn handle(&self, event: &E) {
        (**self).handle(event);
    }

    fn name(&self) -> Cow<'static, str> {
        (**self).name()
    }
}

/// Makes a [`Listener`] of a closure that owns the envelope it is given.
///
/// # Examples
///
/// ```
/// use vacancy_dispatch::{Bus, Event, listen_fn};
///
/// struct Cancelled(u32);
/// impl Event for Cancelled {
///     const NAME: &'static str = "appointment.cancelled";
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = Bus::builder()
///     .listen(listen_fn::<Cancelled, _, _>("log", |cancelled| async move {
///         assert_eq!(cancelled.0, 7);
///         Ok(())
///     }))
///     .build()?;
/// assert!(bus.dispatch(Cancelled(7)).settled().await.all_done());
/// # Ok(())
/// # }
/// ```
pub fn listen_fn<E, F, Fut>(name: impl Into<Cow<'static, str>>, handle: F) -> ListenFn<E, F>
where
    E: Event,
    F: Fn(Arc<Envelope<E>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    ListenFn {
        name: name.into(),
        handle,
        event: PhantomData,
    }
}

/// A closure that listens; made by [`listen_fn`].
pub struct ListenFn<E, F> {
    name: Cow<'static, str>,
    handle: F,
    event: PhantomData<fn(E)>,
}

impl<E, F> fmt::Debug for ListenFn<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListenFn").field(&self.name).finish()
    }
}

impl<E, F, Fut> Listener<E> for ListenFn<E, F>
where
    E: Event,
    F: Fn(Arc<Envelope<E>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    /// Fails: the closure takes an envelope, and only a bus has one.
    async fn handle(&self, _: &E) -> Result<(), BoxError> {
        Err(Permanent::new("a closure listener receives its events from a bus").into())
    }

    fn name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    fn receive(
        &self,
        envelope: &Arc<Envelope<E>>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        (self.handle)(Arc::clone(envelope))
    }
}

/// Makes an [`InlineListener`] of a closure.
pub fn inline_fn<E, F>(name: impl Into<Cow<'static, str>>, handle: F) -> InlineFn<E, F>
where
    E: Event,
    F: Fn(&E) + Send + Sync + 'static,
{
    InlineFn {
        name: name.into(),
        handle,
        event: PhantomData,
    }
}

/// A closure that listens inline; made by [`inline_fn`].
pub struct InlineFn<E, F> {
    name: Cow<'static, str>,
    handle: F,
    event: PhantomData<fn(E)>,
}

impl<E, F> fmt::Debug for InlineFn<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InlineFn").field(&self.name).finish()
    }
}

impl<E: Event, F: Fn(&E) + Send + Sync + 'static> InlineListener<E> for InlineFn<E, F> {
    fn handle(&self, event: &E) {
        (self.handle)(event);
    }

    fn name(&self) -> Cow<'static, str> {
        self.name.clone()
    }
}

/// The name of a type without its path and parameters.
pub(crate) fn short_name(name: &'static str) -> &'static str {
    let name = name.split_once('<').map_or(name, |(before, _)| before);
    name.rsplit_once("::").map_or(name, |(_, last)| last)
}
