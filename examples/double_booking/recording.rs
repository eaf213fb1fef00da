//! A recorded day: the directory, and the webhooks of the calendar in the order of their time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use vacancy::slots::{Appointment, AppointmentId, EventTypeId, Interval, Revision};

use super::directory::{Directory, EventType};
use super::field::Field;

/// The most bytes that a recording may have.
const MAX_BYTES: u64 = 64 << 20;

/// Triggers that change nothing about what is free.
const WITHOUT_EFFECT: [&str; 6] = [
    "PING",
    "MEETING_STARTED",
    "MEETING_ENDED",
    "RECORDING_READY",
    "BOOKING_NO_SHOW_UPDATED",
    "INSTANT_MEETING",
];

/// What happened on the recorded day.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) directory: Directory,
    pub(crate) changes: Vec<Change>,
}

/// One webhook.
#[derive(Debug)]
pub(crate) struct Change {
    /// When the calendar reported it.
    pub(crate) at: DateTime<Utc>,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    /// Somebody picked a slot that they had been offered, and confirmed it.
    Picked(Appointment),
    /// Somebody who sees the calendar entered it there, without asking for offers: by phone, or
    /// because it is no slot of its event type.
    Entered(Appointment),
    Rescheduled {
        from: AppointmentId,
        to: Appointment,
    },
    Cancelled {
        id: AppointmentId,
        reason: Option<String>,
    },
    /// The webhook of a booking came once more.
    Repeated(AppointmentId),
}

/// Why a file is not a recording.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordingError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    #[error("line {line} {problem}")]
    Line { line: usize, problem: String },
}

impl Recording {
    /// Reads all of a file, or says what is wrong with it.
    pub(crate) fn open(path: &Path) -> Result<Self, RecordingError> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(RecordingError::TooLarge);
        }
        Self::parse(&bytes)
    }

    /// Reads the lines of a file. Blank ones count, and say nothing.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, RecordingError> {
        // Some editors mark a file as UTF-8 in this way.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = Reader::default();
        let mut last = 1;
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            last = index + 1;
            reader
                .line(last, line)
                .map_err(|problem| RecordingError::Line {
                    line: last,
                    problem,
                })?;
        }
        reader.finish().map_err(|problem| RecordingError::Line {
            line: last,
            problem,
        })
    }

    /// How many picked a slot.
    pub(crate) fn callers(&self) -> usize {
        self.picked().count()
    }

    /// What was picked, and when it was confirmed.
    pub(crate) fn picked(&self) -> impl Iterator<Item = (DateTime<Utc>, &Appointment)> {
        self.changes.iter().filter_map(|change| match &change.what {
            What::Picked(appointment) => Some((change.at, appointment)),
            _ => None,
        })
    }
}

#[derive(Default)]
struct Reader {
    directory: Directory,
    changes: Vec<Change>,
    /// By uid; those that were cancelled or moved away are gone.
    bookings: HashMap<AppointmentId, Booking>,
    last: Option<(usize, DateTime<Utc>)>,
}

struct Booking {
    line: usize,
    interval: Interval,
    event_type: EventTypeId,
    gone_since: Option<usize>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(line).map_err(|error| {
            format!(
                "byte {} is not UTF-8; expected JSON",
                error.valid_up_to() + 1
            )
        })?;
        let value: Value = serde_json::from_str(text).map_err(|error| {
            // The parser sees one line, and calls it line 1.
            let problem = error.to_string();
            let problem = problem.replace(" at line 1 ", " at ");
            format!("is not JSON: {problem}; expected one object a line")
        })?;
        if !value.is_object() {
            return Err("is JSON, but no object; expected one object a line".to_owned());
        }
        let line = Field::line(&value);
        if let Some(branch) = line.get("directory").present() {
            if let Some((first, _)) = self.last {
                return Err(format!(
                    "`directory` comes after the webhook of line {first}; expected it before all webhooks"
                ));
            }
            return self.directory.add(&branch);
        }
        if self.directory.is_empty() {
            return Err("no `directory` yet; expected {\"directory\":{…}} lines first".to_owned());
        }
        self.webhook(number, &line)
    }

    fn webhook(&mut self, number: usize, line: &Field<'_>) -> Result<(), String> {
        let trigger = line.get("triggerEvent");
        let name = trigger.text()?.replace('.', "_").to_uppercase();
        if WITHOUT_EFFECT.contains(&name.as_str()) {
            return Ok(());
        }
        let created = line.get("createdAt");
        let at = created.instant()?;
        if let Some((earlier, last)) = self.last
            && at < last
        {
            return Err(created.wrong(&format!("no time before that of line {earlier}, {last}")));
        }
        if let Some(first) = self.changes.first()
            && at - first.at > TimeDelta::days(7)
        {
            return Err(created.wrong("a time within seven days of the first webhook"));
        }
        let payload = line.get("payload");
        let what = match name.as_str() {
            "BOOKING_CREATED" => self.created(number, at, &payload)?,
            "BOOKING_RESCHEDULED" => Some(self.rescheduled(number, at, &payload)?),
            "BOOKING_CANCELLED" => self.cancelled(number, &payload)?,
            _ => {
                return Err(trigger.wrong(
                    "\"BOOKING_CREATED\", \"BOOKING_RESCHEDULED\" or \"BOOKING_CANCELLED\"",
                ));
            }
        };
        self.last = Some((number, at));
        self.changes.extend(what.map(|what| Change { at, what }));
        Ok(())
    }

    fn created(
        &mut self,
        number: usize,
        at: DateTime<Utc>,
        payload: &Field<'_>,
    ) -> Result<Option<What>, String> {
        let (appointment, slot_length) = self.appointment(at, payload)?;
        let interval = appointment.intervals()[0];
        if let Some(known) = self.bookings.get(&appointment.id) {
            if known.interval != interval {
                let free = format!("a uid other than that of line {}", known.line);
                return Err(payload.get("uid").wrong(&free));
            }
            return Ok(known
                .gone_since
                .is_none()
                .then_some(What::Repeated(appointment.id)));
        }
        self.remember(number, &appointment)?;
        let phoned = payload.get("metadata").get("source").text() == Ok("phone");
        Ok(Some(match phoned || interval.duration() != slot_length {
            true => What::Entered(appointment),
            false => What::Picked(appointment),
        }))
    }

    fn rescheduled(
        &mut self,
        number: usize,
        at: DateTime<Utc>,
        payload: &Field<'_>,
    ) -> Result<What, String> {
        let (to, _) = self.appointment(at, payload)?;
        let field = payload.get("rescheduleUid");
        let from = field.id()?;
        let booking = self.booking(&field, &from)?;
        if let Some(line) = booking.gone_since {
            return Err(field.wrong(&format!("a booking that line {line} did not end")));
        }
        for (name, instant) in [
            ("rescheduleStartTime", booking.interval.start()),
            ("rescheduleEndTime", booking.interval.end()),
        ] {
            let field = payload.get(name);
            if field.instant()? != instant {
                let expected = format!("{instant}, as line {} says", booking.line);
                return Err(field.wrong(&expected));
            }
        }
        booking.gone_since = Some(number);
        if self.bookings.contains_key(&to.id) {
            return Err(payload.get("uid").wrong("a uid that was not used before"));
        }
        self.remember(number, &to)?;
        Ok(What::Rescheduled { from, to })
    }

    fn cancelled(&mut self, number: usize, payload: &Field<'_>) -> Result<Option<What>, String> {
        let field = payload.get("uid");
        let id = field.id()?;
        let booking = self.booking(&field, &id)?;
        // Some cancellations name no event type; one that does has to mean the booking's.
        let event_type = payload.get("eventTypeId");
        if let Some(event_type) = event_type.present()
            && event_type.id()? != booking.event_type
        {
            let expected = format!("{}, as line {} says", booking.event_type, booking.line);
            return Err(event_type.wrong(&expected));
        }
        if booking.gone_since.is_some() {
            return Ok(None);
        }
        booking.gone_since = Some(number);
        let reason = payload.get("cancellationReason").text().ok();
        Ok(Some(What::Cancelled {
            id,
            reason: reason
                .filter(|reason| !reason.is_empty())
                .map(str::to_owned),
        }))
    }

    fn booking(&mut self, field: &Field<'_>, id: &AppointmentId) -> Result<&mut Booking, String> {
        self.bookings
            .get_mut(id)
            .ok_or_else(|| field.wrong("the uid of a booking on an earlier line"))
    }

    fn remember(&mut self, line: usize, appointment: &Appointment) -> Result<(), String> {
        let event_type = appointment
            .event_type
            .clone()
            .ok_or("names no event type")?;
        self.bookings.insert(
            appointment.id.clone(),
            Booking {
                line,
                interval: appointment.intervals()[0],
                event_type,
                gone_since: None,
            },
        );
        Ok(())
    }

    /// The booking that a payload describes, and the length of the slots of its event type.
    fn appointment(
        &self,
        at: DateTime<Utc>,
        payload: &Field<'_>,
    ) -> Result<(Appointment, Duration), String> {
        let id = payload.get("uid").id()?;
        let (start, end) = (payload.get("startTime"), payload.get("endTime"));
        let first = start.instant()?;
        let interval = Interval::new(first, end.instant()?)
            .map_err(|_| end.wrong(&format!("an instant after `payload.startTime`, {first}")))?;
        let email = payload.get("organizer").get("email");
        let host = self
            .directory
            .host(email.text()?)
            .ok_or_else(|| email.wrong("the e-mail address of a host of the directory"))?;
        let field = payload.get("eventTypeId");
        let event_type: &EventType = self
            .directory
            .event_type(&host.tenant, &field.id()?)
            .filter(|event_type| event_type.hosts.contains(&host.id))
            .ok_or_else(|| {
                let expected = format!("an event type of the organizer, host {}", host.id);
                field.wrong(&expected)
            })?;
        let appointment = Appointment::new(id, host.tenant.clone(), interval)
            .branch(event_type.branch.clone())
            .event_type(event_type.id.clone())
            .resource(host.id.clone())
            .buffers(event_type.buffers)
            .revision(Revision::changed_at(at));
        Ok((appointment, event_type.length))
    }

    fn finish(self) -> Result<Recording, String> {
        if self.directory.is_empty() {
            return Err(
                "the file says nothing; expected {\"directory\":{…}} lines, then webhooks"
                    .to_owned(),
            );
        }
        let recording = Recording {
            directory: self.directory,
            changes: self.changes,
        };
        match recording.callers() {
            0 => Err("the file ends without anybody who picked a slot; expected a webhook \"BOOKING_CREATED\" after the directory".to_owned()),
            _ => Ok(recording),
        }
    }
}
