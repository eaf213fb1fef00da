//! [`DeadLetter`]: an event that one listener's lane gave up on.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use crate::{
    Event, EventId, Reason,
    envelope::{Header, Parcel},
    guard::guarded,
};

/// An event that one listener's lane gave up on, with the reason.
///
/// It shares the event with its other listeners and keeps it alive until the bus evicts the letter
/// to make room for newer ones.
pub struct DeadLetter {
    /// From 1, in the order of the deaths on the bus. Given under the lock of those that are kept, so nothing is ordered.
    number: AtomicU64,
    died_at: SystemTime,
    death: Death,
}

/// What a lane gives up on, and why.
pub(crate) struct Death {
    pub(crate) parcel: Arc<dyn Parcel>,
    pub(crate) listener: Cow<'static, str>,
    pub(crate) reason: Reason,
    /// Empty where nothing is to be said beyond the reason.
    pub(crate) error: String,
    pub(crate) attempts: u32,
}

impl DeadLetter {
    /// The name of the event.
    pub fn event_name(&self) -> &'static str {
        self.death.parcel.header().name
    }

    /// The version of the event.
    pub fn event_version(&self) -> u16 {
        self.death.parcel.header().version
    }

    /// The id of the event.
    pub fn id(&self) -> EventId {
        self.death.parcel.header().id
    }

    /// The id under which the event was dispatched first, if it died in a replay.
    pub fn replay_of(&self) -> Option<EventId> {
        self.death.parcel.header().replay_of
    }

    fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    pub(crate) fn parcel(&self) -> &Arc<dyn Parcel> {
        &self.death.parcel
    }

    /// The event itself, if it is an `E`.
    pub fn event<E: Event>(&self) -> Option<&E> {
        self.death.parcel.event().downcast_ref()
    }

    /// The name of the listener that did not handle the event.
    pub fn listener(&self) -> &str {
        &self.death.listener
    }

    /// Why the lane gave up.
    pub fn reason(&self) -> Reason {
        self.death.reason
    }

    /// The error or panic message, its sources included; for the other reasons, what was exceeded.
    pub fn error(&self) -> &str {
        &self.death.error
    }

    /// How often the listener was called for this event.
    pub fn attempts(&self) -> u32 {
        self.death.attempts
    }

    /// When `dispatch` took the event.
    pub fn accepted_at(&self) -> SystemTime {
        self.death.parcel.header().accepted.at()
    }

    /// When the lane gave up.
    pub fn died_at(&self) -> SystemTime {
        self.died_at
    }

    /// The names and ids of the events that led to this one, the first cause first, this one last.
    pub fn causation(&self) -> Vec<(&'static str, EventId)> {
        self.death.parcel.header().chain()
    }

    /// The causation as `a#1 → b#2`: names, and numbers of the events on their bus.
    pub fn causation_text(&self) -> String {
        Causation(self.death.parcel.header()).to_string()
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("event", &self.event_name())
            .field("id", &self.id())
            .field("listener", &self.death.listener)
            .field("reason", &self.death.reason)
            .field("error", &self.death.error)
            .field("attempts", &self.death.attempts)
            .finish_non_exhaustive()
    }
}

impl Death {
    fn log(&self) {
        let header = self.parcel.header();
        let caused = header.cause.is_some();
        tracing::warn!(
            event = header.name,
            id = %header.id,
            listener = %self.listener,
            reason = %self.reason,
            attempts = self.attempts,
            error = self.error,
            causation = caused.then(|| tracing::field::display(Causation(header))),
            "dead letter"
        );
    }
}

/// The chain of causes as one line, put together only for who reads it.
struct Causation<'a>(&'a Header);

impl fmt::Display for Causation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, id)) in self.0.chain().iter().enumerate() {
            let arrow = if place == 0 { "" } else { " → " };
            write!(f, "{arrow}{name}#{}", id.sequence())?;
        }
        Ok(())
    }
}

/// The newest dead letters of a bus.
pub(crate) struct DeadLetters {
    ring: Mutex<Ring>,
    capacity: NonZeroUsize,
}

struct Ring {
    /// In ascending order of their numbers.
    letters: VecDeque<Arc<DeadLetter>>,
    buried: u64,
    evicted: u64,
}

impl DeadLetters {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            ring: Mutex::new(Ring {
                letters: VecDeque::new(),
                buried: 0,
                evicted: 0,
            }),
            capacity,
        }
    }

    /// Keeps a letter of each and says so in the log, without the payload.
    ///
    /// All at once: a flood of events that nobody has room for is buried by who dispatches it.
    pub(crate) fn bury(&self, deaths: impl Iterator<Item = Death>) -> Vec<Arc<DeadLetter>> {
        let died_at = SystemTime::now();
        let buried = deaths.map(|death| {
            // The subscriber is the application's code, and the mark of this event is claimed.
            let _ = guarded(|| death.log());
            Arc::new(DeadLetter {
                number: AtomicU64::new(0),
                died_at,
                death,
            })
        });
        let buried: Vec<_> = buried.collect();
        // Made here, since other lanes wait for the lock.
        let mut evicted = Vec::with_capacity(buried.len());
        let mut ring = self.lock();
        for letter in &buried {
            ring.buried += 1;
            letter.number.store(ring.buried, Ordering::Relaxed);
            if ring.letters.len() >= self.capacity.get() {
                ring.evicted += 1;
                evicted.extend(ring.letters.pop_front());
            }
            ring.letters.push_back(Arc::clone(letter));
        }
        drop(ring);
        for letter in evicted {
            // The last hold on an event: its drop may panic.
            let _ = guarded(|| drop(letter));
        }
        buried
    }

    pub(crate) fn all(&self) -> Vec<Arc<DeadLetter>> {
        self.lock().letters.iter().cloned().collect()
    }

    /// Gives a letter away, if it is kept; of several that ask, one gets it.
    pub(crate) fn remove(&self, letter: &DeadLetter) -> Option<Arc<DeadLetter>> {
        let mut ring = self.lock();
        let place = ring
            .letters
            .binary_search_by_key(&letter.number(), |letter| letter.number());
        let place = place.ok()?;
        // A letter of another bus may have the number.
        if !std::ptr::eq(&*ring.letters[place], letter) {
            return None;
        }
        ring.letters.remove(place)
    }

    /// Takes back a letter that was given away.
    pub(crate) fn restore(&self, letter: Arc<DeadLetter>) {
        let mut ring = self.lock();
        let place = ring
            .letters
            .partition_point(|other| other.number() < letter.number());
        ring.letters.insert(place, letter);
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.lock().evicted
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Envelope, delivery::Origin, outcome::Marks};

    struct Ping;

    impl Event for Ping {
        const NAME: &'static str = "ping";
    }

    fn death(number: u64) -> Death {
        let header = Origin::default().header::<Ping>(EventId::new(1, number));
        Death {
            parcel: Arc::new(Envelope::new(
                header,
                Marks::single("mail".into(), false),
                Ping,
            )),
            listener: "mail".into(),
            reason: Reason::Failed,
            error: String::new(),
            attempts: 1,
        }
    }

    /// A lane refuses a replay in the very moment of a shutdown, when the letter has been given away.
    #[test]
    fn a_letter_that_is_taken_back_has_its_place_again() {
        let letters = DeadLetters::new(const { NonZeroUsize::new(3).expect("3 is not zero") });
        let buried = letters.bury((1..=4).map(death));
        assert_eq!((buried.len(), letters.evicted()), (4, 1));
        let kept = |places: &[usize]| {
            let all = letters.all();
            let expected = places.iter().map(|place| &buried[*place]);
            all.len() == places.len() && all.iter().zip(expected).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        assert!(kept(&[1, 2, 3]));
        for place in [1, 2, 3] {
            let given = letters.remove(&buried[place]).expect("is kept");
            assert!(letters.remove(&given).is_none());
            letters.restore(given);
            assert!(kept(&[1, 2, 3]), "{place}");
        }
        assert!(letters.remove(&buried[0]).is_none(), "was evicted");
    }
}
