//! [`Webhook`]: what a body says, before anything is looked up.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use vacancy_slots::Interval;

use crate::{
    defect::Defect,
    node::{Contradiction, Node},
    refusal::Refusal,
    trigger::Trigger,
};

/// The longest id of a booking or a seat that is taken for one, in bytes.
const MAX_ID: usize = 512;

/// The body of a webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) trigger: Trigger,
    /// When it was sent, by the sender's clock. Other copies of the same fact say otherwise.
    pub(crate) created_at: Option<DateTime<Utc>>,
    pub(crate) about: About,
}

/// What a webhook is about.
#[derive(Debug)]
pub(crate) enum About {
    /// Nothing that changes availability.
    Nothing,
    Booking(Box<Booking>),
    Absence(Absence),
}

/// What a webhook says of a booking.
#[derive(Debug)]
pub(crate) struct Booking {
    pub(crate) uid: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) times: Result<Interval, Defect>,
    /// The start and the length, where one is told without the other.
    pub(crate) start: Option<DateTime<Utc>>,
    pub(crate) status: Option<String>,
    pub(crate) organizer: Option<Person>,
    pub(crate) team: Option<String>,
    pub(crate) members: Vec<Person>,
    pub(crate) attendees: Vec<Person>,
    pub(crate) seated: bool,
    pub(crate) seat: Option<String>,
    pub(crate) recurring: bool,
    pub(crate) reason: Option<String>,
    pub(crate) sequence: Option<u64>,
    pub(crate) old_uid: Option<String>,
    pub(crate) old_times: Option<Interval>,
}

/// Somebody, by whatever Cal.com tells of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) username: Option<String>,
}

/// Days on which somebody is away.
#[derive(Debug)]
pub(crate) struct Absence {
    /// Who is away, and who serves in the meantime.
    pub(crate) people: Vec<Person>,
    /// As it is told: perhaps days of an unknown zone. `None` is any time.
    pub(crate) when: Option<Interval>,
}

impl Webhook {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let root: Node = serde_json::from_slice(body).map_err(|_| Refusal::NotJson)?;
        let name = root.text("triggerEvent")?.ok_or(Refusal::NotAWebhook)?;
        let trigger = Trigger::named(name);
        let about = match trigger {
            Trigger::BookingCreated
            | Trigger::BookingRescheduled
            | Trigger::BookingRequested
            | Trigger::BookingCancelled
            | Trigger::BookingRejected
            | Trigger::BookingPaid
            | Trigger::BookingPaymentInitiated => {
                About::Booking(Box::new(Booking::read(payload(&root)?)?))
            }
            Trigger::OooCreated => About::Absence(Absence::read(payload(&root)?)?),
            _ => About::Nothing,
        };
        let created_at = match about {
            About::Nothing => None,
            _ => root.text("createdAt")?.and_then(instant),
        };
        Ok(Self {
            trigger,
            created_at,
            about,
        })
    }
}

fn payload(root: &Node) -> Result<&Node, Refusal> {
    match root.get("payload")? {
        Some(payload @ Node::Object(_)) => Ok(payload),
        _ => Err(Refusal::NoPayload),
    }
}

impl Booking {
    fn read(payload: &Node) -> Result<Self, Contradiction> {
        let team = payload.get("team")?.unwrap_or(&Node::Null);
        // Nothing depends on what a reason says; one that contradicts itself is none.
        let reason = |key| payload.text(key).ok().flatten().map(str::to_owned);
        Ok(Self {
            uid: payload.id("uid")?.filter(|uid| uid.len() <= MAX_ID),
            event_type: payload.id("eventTypeId")?.filter(|id| id.len() <= MAX_ID),
            times: times(payload, "startTime", "endTime"),
            start: time(payload, "startTime").ok().flatten(),
            status: payload.text("status")?.map(str::to_ascii_uppercase),
            organizer: payload.get("organizer")?.map(Person::read).transpose()?,
            team: team.id("id")?,
            members: people(team.list("members")?)?,
            attendees: people(payload.list("attendees")?)?,
            seated: says_something(payload, "seatsPerTimeSlot"),
            seat: payload
                .id("attendeeSeatId")?
                .filter(|id| id.len() <= MAX_ID),
            recurring: says_something(payload, "recurringEvent"),
            reason: reason("cancellationReason").or_else(|| reason("rejectionReason")),
            sequence: payload.whole("iCalSequence")?,
            old_uid: payload
                .id("rescheduleUid")?
                .filter(|uid| uid.len() <= MAX_ID),
            old_times: times(payload, "rescheduleStartTime", "rescheduleEndTime").ok(),
        })
    }

    /// A name for the seat of these attendees, where the sender gives seats no ids. It does not tell who
    /// they are.
    pub(crate) fn attendees_digest(&self) -> String {
        let mut emails: Vec<_> = self
            .attendees
            .iter()
            .filter_map(|one| one.email.as_ref())
            .collect();
        emails.sort_unstable();
        emails.dedup();
        let mut digest = Sha256::new();
        digest.update(self.uid.as_deref().unwrap_or_default());
        for email in emails {
            digest.update([0]);
            digest.update(email);
        }
        hex::encode(&digest.finalize()[..8])
    }
}

impl Person {
    fn read(node: &Node) -> Result<Self, Contradiction> {
        Ok(Self {
            id: node.id("id")?,
            email: node.text("email")?.map(str::to_ascii_lowercase),
            username: node.text("username")?.map(str::to_ascii_lowercase),
        })
    }
}

fn people(nodes: &[Node]) -> Result<Vec<Person>, Contradiction> {
    nodes.iter().map(Person::read).collect()
}

impl Absence {
    fn read(payload: &Node) -> Result<Self, Contradiction> {
        let entry = payload.get("oooEntry")?.unwrap_or(payload);
        let mut people = Vec::new();
        for (node, key) in [
            (entry, "user"),
            (entry, "toUser"),
            (payload, "user"),
            (payload, "organizer"),
        ] {
            let person = node.get(key)?.map(Person::read).transpose()?;
            people.extend(person.filter(|person| !people.contains(person)));
        }
        let when = times(entry, "start", "end").or_else(|_| times(entry, "startTime", "endTime"));
        // Days of a zone that is not told, the last one included.
        let when = when.ok().and_then(|told| {
            let start = told.start().checked_sub_signed(TimeDelta::days(1))?;
            let end = told.end().checked_add_signed(TimeDelta::days(2))?;
            Interval::new(start, end).ok()
        });
        Ok(Self { people, when })
    }
}

/// Whether a key has a value that is not a way to say nothing.
fn says_something(payload: &Node, key: &'static str) -> bool {
    match payload.get(key) {
        Ok(None | Some(Node::Bool(false) | Node::Unsigned(0))) => false,
        Ok(Some(Node::List(list))) => !list.is_empty(),
        Ok(Some(Node::Object(object))) => !object.is_empty(),
        // Twice and differently: more is invalidated with it than without.
        Ok(Some(_)) | Err(_) => true,
    }
}

fn times(node: &Node, start: &'static str, end: &'static str) -> Result<Interval, Defect> {
    let (start, end) = (time(node, start)?, time(node, end)?);
    match (start, end, minutes(node)) {
        (Some(start), Some(end), _) => Defect::check(start, end),
        (Some(start), None, Some(length)) => {
            let end = start.checked_add_signed(length).ok_or(Defect::OutOfRange)?;
            Defect::check(start, end)
        }
        _ => Err(Defect::MissingTimes),
    }
}

fn time(node: &Node, key: &'static str) -> Result<Option<DateTime<Utc>>, Defect> {
    match node.get(key) {
        Err(Contradiction(_)) => Err(Defect::ContradictoryTimes),
        Ok(None) => Ok(None),
        Ok(Some(Node::Text(text))) => instant(text).map(Some).ok_or(Defect::UnreadableTimes),
        Ok(Some(_)) => Err(Defect::UnreadableTimes),
    }
}

/// The length of the event type, in minutes.
fn minutes(node: &Node) -> Option<TimeDelta> {
    let minutes = node.whole("length").ok().flatten()?;
    TimeDelta::try_minutes(i64::try_from(minutes).ok()?)
}

/// An instant with its offset from UTC; without one it is not known which instant is meant.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .ok()
        .map(|instant| instant.to_utc())
}

impl From<Contradiction> for Refusal {
    fn from(Contradiction(field): Contradiction) -> Self {
        Self::Contradictory { field }
    }
}
