//! [`Failed`]: the event that a listener gave up on another.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    BusBuilder, DeadLetter, Envelope, Event, EventId, Reason, bus::Core, delivery::Origin,
};

/// Says that a listener's lane gave up on an event: it became a dead letter.
///
/// An event like any other, dispatched by the bus itself when somebody listens to it: whoever wants to
/// be alerted implements `Listener<Failed<AppointmentBooked>>`. Its name is that of the event with
/// `.failed` behind it. It is caused by the event that failed, so a chain of failures is bounded like
/// any other: a failure at the end of the longest chain is kept as a dead letter and not dispatched.
/// After the bus was closed, failures are dead letters only; and so they are while those who listen to
/// failures are so far behind that their [intake](crate::Policy::capacity) is full, which
/// [`Ledger::untold`](crate::Ledger::untold) counts.
///
/// # Examples
///
/// ```
/// use vacancy_dispatch::{BoxError, Bus, Event, Failed, Listener, listen_fn};
///
/// struct Booked(u64);
/// impl Event for Booked {
///     const NAME: &'static str = "appointment.booked";
/// }
///
/// struct Alert;
/// impl Listener<Failed<Booked>> for Alert {
///     async fn handle(&self, failed: &Failed<Booked>) -> Result<(), BoxError> {
///         assert_eq!((failed.event().0, failed.listener()), (7, "mail"));
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = Bus::builder()
///     .listen(listen_fn::<Booked, _, _>("mail", |_| async { Err("no route".into()) }))
///     .listen(Alert)
///     .build()?;
/// bus.dispatch(Booked(7)).settled().await;
/// assert_eq!(bus.dead_letters()[0].error(), "no route");
/// # Ok(())
/// # }
/// ```
pub struct Failed<E> {
    letter: Arc<DeadLetter>,
    envelope: Arc<Envelope<E>>,
}

impl<E: Event> Failed<E> {
    const FULL_NAME: &'static Name = &Name::of_failed(E::NAME);

    fn new(letter: Arc<DeadLetter>, envelope: Arc<Envelope<E>>) -> Self {
        Self { letter, envelope }
    }

    /// The event that failed.
    pub fn event(&self) -> &E {
        self.envelope.event()
    }

    /// The id of the event that failed.
    pub fn id(&self) -> EventId {
        self.envelope.id()
    }

    /// The name of the listener that did not handle it.
    pub fn listener(&self) -> &str {
        self.letter.listener()
    }

    /// Why its lane gave up.
    pub fn reason(&self) -> Reason {
        self.letter.reason()
    }

    /// The error or panic message; for the other reasons, what was exceeded.
    pub fn error(&self) -> &str {
        self.letter.error()
    }

    /// All that is known of the failure; what [`Bus::replay`](crate::Bus::replay) takes.
    pub fn letter(&self) -> &Arc<DeadLetter> {
        &self.letter
    }
}

impl<E> fmt::Debug for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failed").field(&self.letter).finish()
    }
}

impl<E: Event> Event for Failed<E> {
    const NAME: &'static str = Self::FULL_NAME.as_str();
    const VERSION: u16 = E::VERSION;

    fn connect(bus: &mut BusBuilder) {
        bus.draft::<E>().on_failure = Some(|core, failures| {
            // The letters tell it already. Letters of those who could not be told would displace them, and a bus
            // that has too much to do would do little else.
            for (letter, envelope) in failures.take(core.room_for::<Self>()) {
                let failed = Self::new(letter, Arc::clone(envelope));
                drop(core.dispatch(failed, Origin::caused_by(envelope.header())));
            }
            let untold = failures.count() as u64;
            core.untold.fetch_add(untold, Ordering::Relaxed);
        });
    }
}

/// Dispatches failures; there is one if somebody listens to them.
pub(crate) type OnFailure<E> =
    for<'a> fn(&Arc<Core>, &mut dyn Iterator<Item = (Arc<DeadLetter>, &'a Arc<Envelope<E>>)>);

/// A name put together while compiling, where a `String` cannot be.
struct Name {
    bytes: [u8; LONGEST],
    length: usize,
}

const LONGEST: usize = 128;

impl Name {
    const fn of_failed(event: &str) -> Self {
        let (event, suffix) = (event.as_bytes(), b".failed");
        let length = event.len() + suffix.len();
        assert!(length <= LONGEST, "the name of the event is too long");
        let mut bytes = [0; LONGEST];
        let (front, rest) = bytes.split_at_mut(event.len());
        front.copy_from_slice(event);
        rest.split_at_mut(suffix.len()).0.copy_from_slice(suffix);
        Self { bytes, length }
    }

    const fn as_str(&self) -> &str {
        let (name, _) = self.bytes.split_at(self.length);
        match std::str::from_utf8(name) {
            Ok(name) => name,
            Err(_) => panic!("two strings make a string"),
        }
    }
}
