//! [`Envelope`]: an event plus what delivery adds to it.

use std::{
    any::Any,
    fmt, mem,
    ops::Deref,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Event, guard::guarded, outcome::Marks, trace_context::TraceContext};

/// An event plus its id, the time of acceptance and what caused it.
///
/// Dereferences to the event. All listeners of the event share one envelope.
// What every listener touches lies side by side.
#[repr(C)]
pub struct Envelope<E> {
    marks: Marks,
    payload: Payload<E>,
    header: Header,
}

enum Payload<E> {
    Own(E),
    /// That of the envelope that is replayed, which is no replay itself.
    Replayed(Arc<Envelope<E>>),
    /// None any more: the envelope is a spare one, which nobody else has.
    Spent,
}

impl<E> Envelope<E> {
    #[inline]
    pub(crate) fn new(header: Header, marks: Marks, event: E) -> Self {
        Self {
            header,
            marks,
            payload: Payload::Own(event),
        }
    }

    /// Lets go of the event, if nobody else has the envelope, which then is a spare one.
    pub(crate) fn spend(envelope: &mut Arc<Self>) -> bool {
        let Some(envelope) = Arc::get_mut(envelope) else {
            return false;
        };
        envelope.header.cause = None;
        let payload = mem::replace(&mut envelope.payload, Payload::Spent);
        let _ = guarded(|| drop(payload));
        true
    }

    /// Makes a spare envelope that of another event with the same listeners.
    #[inline]
    pub(crate) fn renew(&mut self, header: Header, inline: usize, event: E) {
        self.header = header;
        self.marks.renew(inline);
        self.payload = Payload::Own(event);
    }

    /// Holds the event of `original` once more.
    pub(crate) fn replay(header: Header, marks: Marks, original: Arc<Self>) -> Self {
        let original = match &original.payload {
            Payload::Replayed(first) => Arc::clone(first),
            _ => original,
        };
        Self {
            header,
            marks,
            payload: Payload::Replayed(original),
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The event.
    pub fn event(&self) -> &E {
        match &self.payload {
            Payload::Own(event) => event,
            Payload::Replayed(original) => original.event(),
            Payload::Spent => unreachable!("nobody has a spare envelope"),
        }
    }

    /// The event's id.
    pub fn id(&self) -> EventId {
        self.header.id
    }

    /// When `dispatch` took the event. Events that wait for the router together have the time of the
    /// first of them: the clock would cost more than the rest of a dispatch.
    pub fn accepted_at(&self) -> SystemTime {
        self.header.accepted.at()
    }

    /// The event whose listener dispatched this one, if a listener did.
    pub fn cause(&self) -> Option<EventId> {
        self.header.cause.as_ref().map(|cause| cause.id)
    }

    /// How many events led to this one: 0 if no listener dispatched it.
    pub fn depth(&self) -> u32 {
        self.header.depth
    }

    /// The id under which the event was dispatched first, if this is a replay; see
    /// [`Bus::replay`](crate::Bus::replay).
    pub fn replay_of(&self) -> Option<EventId> {
        self.header.replay_of
    }
}

impl<E> Deref for Envelope<E> {
    type Target = E;

    fn deref(&self) -> &E {
        self.event()
    }
}

impl<E> fmt::Debug for Envelope<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// Identifies an event: unique across buses and processes.
///
/// Prints as the bus's random incarnation in hexadecimal, a dash, and the number of the event on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    incarnation: u64,
    sequence: u64,
}

impl EventId {
    pub(crate) fn new(incarnation: u64, sequence: u64) -> Self {
        Self {
            incarnation,
            sequence,
        }
    }

    /// The number of the event on its bus, from 1.
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.incarnation, self.sequence)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    /// Reads what an id prints, and nothing else.
    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (incarnation, sequence) = text.split_once('-').ok_or(InvalidEventId)?;
        let id = Self {
            incarnation: u64::from_str_radix(incarnation, 16).map_err(|_| InvalidEventId)?,
            sequence: sequence.parse().map_err(|_| InvalidEventId)?,
        };
        // Numbers can be written in more ways than one: with a sign, or with zeros before them.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(InvalidEventId)
        }
    }
}

/// A text is not the id of an event. Of a number alone, [`Bus::event_id`](crate::Bus::event_id) makes
/// an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event's id is sixteen hexadecimal digits in lower case, a dash and a number")]
pub struct InvalidEventId;

/// What is known of an event apart from its payload.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) id: EventId,
    pub(crate) name: &'static str,
    pub(crate) version: u16,
    pub(crate) depth: u32,
    pub(crate) accepted: Acceptance,
    pub(crate) cause: Option<Link>,
    /// The trace that it was dispatched in.
    pub(crate) trace: TraceContext,
    /// The id under which the event was dispatched first, if this is a replay to one listener.
    pub(crate) replay_of: Option<EventId>,
}

/// When an event was accepted, in nanoseconds since 1970; 0 until that is known.
#[derive(Debug, Default)]
pub(crate) struct Acceptance(AtomicU64);

impl Acceptance {
    pub(crate) fn now() -> Self {
        let acceptance = Self::default();
        acceptance.set(Self::clock());
        acceptance
    }

    /// The clock's nanoseconds, never 0.
    pub(crate) fn clock() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(1, |since| since.as_nanos() as u64)
    }

    /// Says when, unless that is known: an inline listener that asked has been told already.
    ///
    /// Relaxed: set by the publisher's thread before any other has the envelope.
    pub(crate) fn set(&self, nanos: u64) {
        if self.0.load(Ordering::Relaxed) == 0 {
            self.0.store(nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn at(&self) -> SystemTime {
        if self.0.load(Ordering::Relaxed) == 0 {
            self.set(Self::clock());
        }
        UNIX_EPOCH + Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl Header {
    /// Whether the event goes to one listener only.
    pub(crate) fn is_replay(&self) -> bool {
        self.replay_of.is_some()
    }

    /// The names and ids of the events that led to this one, the first cause first, this one last.
    pub(crate) fn chain(&self) -> Vec<(&'static str, EventId)> {
        let mut chain = vec![(self.name, self.id)];
        let mut next = self.cause.as_ref();
        while let Some(link) = next {
            chain.push((link.name, link.id));
            next = link.parent.as_deref();
        }
        chain.reverse();
        chain
    }
}

/// One step of a chain of causes. It outlives the envelope it was made from and holds no payload.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) id: EventId,
    pub(crate) name: &'static str,
    pub(crate) parent: Option<Arc<Link>>,
}

/// An envelope whose event type is forgotten.
pub(crate) trait Parcel: Any + Send + Sync {
    fn header(&self) -> &Header;
    fn marks(&self) -> &Marks;
    fn event(&self) -> &dyn Any;
}

impl<E: Event> Parcel for Envelope<E> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn marks(&self) -> &Marks {
        &self.marks
    }

    fn event(&self) -> &dyn Any {
        self.event()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, delivery::Origin};

    struct Ping(u64);

    impl Event for Ping {
        const NAME: &'static str = "ping";
    }

    fn header() -> Header {
        Origin::default().header::<Ping>(EventId::new(1, 1))
    }

    fn marks() -> Marks {
        Marks::single("mail".into(), false)
    }

    /// A letter that fails again and again would else hold all its replays, one inside the other.
    #[test]
    fn a_replay_of_a_replay_holds_the_first_event_alone() {
        let original = Arc::new(Envelope::new(header(), marks(), Ping(7)));
        let replay = Arc::new(Envelope::replay(header(), marks(), original));
        let held = Arc::downgrade(&replay);
        let again = Envelope::replay(header(), marks(), replay);
        assert_eq!(again.event().0, 7);
        assert!(held.upgrade().is_none());
    }
}
