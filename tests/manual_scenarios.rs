//! What was tried by hand after every release: a caller, a webhook, a move, a cancellation.

mod support;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use chrono_tz::Europe;
use support::{
    diary::{Bookable, Diary},
    soon,
};
use tokio::time::advance;
use vacancy::{
    dispatch::{BoxError, Bus, Listener, Receipt},
    slots::{
        Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, Interval,
        InvalidateSlotsCache, Slot, SlotsCache, SlotsQuery,
    },
};

/// Writes to the customer.
#[derive(Clone, Default)]
struct SendConfirmation(Arc<Mutex<Vec<String>>>);

impl SendConfirmation {
    fn write(&self, line: String) -> Result<(), BoxError> {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(line);
        Ok(())
    }

    fn sent(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Listener<AppointmentBooked> for SendConfirmation {
    async fn handle(&self, event: &AppointmentBooked) -> Result<(), BoxError> {
        self.write(format!("see you at {}", berlin(&event.appointment)))
    }
}

impl Listener<AppointmentRescheduled> for SendConfirmation {
    async fn handle(&self, event: &AppointmentRescheduled) -> Result<(), BoxError> {
        let (before, after) = (berlin(&event.previous), berlin(&event.appointment));
        self.write(format!("not at {before} but at {after}"))
    }
}

impl Listener<AppointmentCancelled> for SendConfirmation {
    async fn handle(&self, event: &AppointmentCancelled) -> Result<(), BoxError> {
        let reason = event.reason.as_deref().unwrap_or("no reason");
        self.write(format!("not at {}: {reason}", berlin(&event.appointment)))
    }
}

fn berlin(appointment: &Appointment) -> String {
    let start = appointment.intervals()[0].start();
    start
        .with_timezone(&Europe::Berlin)
        .format("%H:%M")
        .to_string()
}

/// Counts appointments in the books.
#[derive(Clone, Default)]
struct CountAppointments(Arc<Mutex<i32>>);

impl CountAppointments {
    fn add(&self, change: i32) -> Result<(), BoxError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += change;
        Ok(())
    }

    fn booked(&self) -> i32 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener<AppointmentBooked> for CountAppointments {
    async fn handle(&self, _: &AppointmentBooked) -> Result<(), BoxError> {
        self.add(1)
    }
}

impl Listener<AppointmentCancelled> for CountAppointments {
    async fn handle(&self, _: &AppointmentCancelled) -> Result<(), BoxError> {
        self.add(-1)
    }
}

/// A salon in Berlin with a phone, a calendar that takes seconds to hear of a booking, and two
/// services by the same hairdresser.
struct Salon {
    diary: Diary,
    slots: SlotsCache,
    bus: Bus,
    confirmation: SendConfirmation,
    statistics: CountAppointments,
}

const CUT: u64 = 123;
const COLOUR: u64 = 456;
const LAG: Duration = Duration::from_secs(5);

impl Salon {
    fn open() -> Self {
        let diary = Diary::new();
        for (service, length) in [(CUT, 60), (COLOUR, 120)] {
            let bookable = Bookable::new(length).host(42).branch(1).buffers(0, 15);
            diary.offer(15, service, bookable.zone(Europe::Berlin));
        }
        let slots = SlotsCache::builder(diary.clone())
            .directory(diary.directory())
            .source_lag(LAG)
            .build();
        let (confirmation, statistics) =
            (SendConfirmation::default(), CountAppointments::default());
        let bus = Bus::builder()
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .listen::<AppointmentBooked, _>(confirmation.clone())
            .listen::<AppointmentRescheduled, _>(confirmation.clone())
            .listen::<AppointmentCancelled, _>(confirmation.clone())
            .listen::<AppointmentBooked, _>(statistics.clone())
            .listen::<AppointmentCancelled, _>(statistics.clone())
            .require::<AppointmentBooked>("slots.fence")
            .require::<AppointmentRescheduled>("slots.fence")
            .require::<AppointmentCancelled>("slots.fence")
            .build()
            .expect("the listeners fit together");
        Self {
            diary,
            slots,
            bus,
            confirmation,
            statistics,
        }
    }

    /// What the agent reads out: the times of that afternoon, by Berlin's clocks.
    async fn times(&self, service: u64) -> Vec<String> {
        self.times_on(15, service).await
    }

    /// The times of an afternoon in October.
    async fn times_on(&self, day: u32, service: u64) -> Vec<String> {
        let hour = |hour: u32| format!("2025-10-{day}T{hour}:00:00+02:00");
        let query = SlotsQuery::new(15, service, interval(&hour(12), &hour(18)));
        let query = query.branch(1).zone(Europe::Berlin);
        let open = soon(self.slots.open(&query))
            .await
            .expect("the calendar answers");
        let time = |slot: &Slot| slot.start().with_timezone(&Europe::Berlin);
        open.iter()
            .map(|slot| time(slot).format("%H:%M").to_string())
            .collect()
    }

    /// Lets the calendar hear of all there is, and callers ask until every answer is kept.
    async fn settle(&self) {
        advance(LAG).await;
        for _ in 0..2 {
            let calls = self.diary.calls();
            for (day, service) in [(15, CUT), (15, COLOUR), (17, CUT)] {
                self.times_on(day, service).await;
            }
            if self.diary.calls() == calls {
                return;
            }
        }
        panic!("the answers are not kept");
    }

    /// Writes it into the calendar, then tells everybody.
    fn book(&self, appointment: &Appointment) -> Receipt {
        self.diary.book(appointment);
        self.bus
            .dispatch(AppointmentBooked::new(appointment.clone()))
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn interval(start: &str, end: &str) -> Interval {
    Interval::new(utc(start), utc(end)).expect("an interval")
}

/// A cut on that afternoon, from this time of Berlin to that.
fn cut(from: &str, to: &str) -> Appointment {
    let time = |time: &str| format!("2025-10-15T{time}:00+02:00");
    Appointment::new(7001.into(), 15.into(), interval(&time(from), &time(to)))
        .branch(1)
        .event_type(CUT)
        .resource(42)
        .buffers(Bookable::new(60).buffers(0, 15).own_buffers())
}

#[tokio::test(start_paused = true)]
async fn the_second_caller_is_not_offered_what_the_first_has_booked() {
    let salon = Salon::open();
    let hours = ["12:00", "13:00", "14:00", "15:00", "16:00", "17:00"];
    assert_eq!(salon.times(CUT).await, hours);
    assert_eq!(salon.times(COLOUR).await, ["13:00", "15:00"]);

    salon.diary.lags(); // the calendar's own cache has yet to hear of it
    let receipt = salon.book(&cut("14:00", "15:00"));
    // The other line was already ringing. Quarter of an hour to sweep up, too: three is gone.
    assert_eq!(salon.times(CUT).await, ["12:00", "16:00", "17:00"]);
    assert!(salon.times(COLOUR).await.is_empty());

    let report = soon(receipt.settled()).await;
    assert!(report.all_done(), "{report:?}");
    assert_eq!(salon.confirmation.sent(), ["see you at 14:00"]);
    assert_eq!(salon.statistics.booked(), 1);

    salon.diary.catches_up();
    advance(LAG).await;
    assert_eq!(salon.times(CUT).await, ["12:00", "16:00", "17:00"]);
    let calls = salon.diary.calls();
    salon.times(CUT).await;
    assert_eq!(salon.diary.calls(), calls);
    assert!(salon.bus.ledger().balanced());
}

/// A booking from the website reaches the phone through a webhook, sometimes twice.
#[tokio::test(start_paused = true)]
async fn a_booking_told_by_a_webhook_is_gone_for_the_phone() {
    let salon = Salon::open();
    assert!(salon.times(CUT).await.contains(&"14:00".to_owned()));
    let body = r#"{
        "event": "appointment.booked", "version": 1,
        "appointment": {
            "id": "bk_9f4d2b1e", "tenant": 15, "branch": "1", "event_type": 123, "resources": [42],
            "intervals": [{"start": "2025-10-15T14:00:00+02:00", "end": "2025-10-15T15:00:00+02:00"}],
            "buffers": {"after": 900},
            "revision": {"changed_at": "2025-10-14T08:00:00Z", "sequence": 0}
        },
        "sent_by": "a field that nobody knows"
    }"#;
    salon.diary.lags();
    let event: AppointmentBooked = serde_json::from_str(body).unwrap();
    salon.diary.book(&event.appointment);
    for _ in 0..2 {
        let receipt = salon
            .bus
            .dispatch(serde_json::from_str::<AppointmentBooked>(body).unwrap());
        assert_eq!(salon.times(CUT).await, ["12:00", "16:00", "17:00"]);
        assert!(soon(receipt.settled()).await.all_done());
    }
    assert_eq!(salon.confirmation.sent()[0], "see you at 14:00");

    // A late message about it does not bring back what was cancelled since.
    let cancelled = body.replace("appointment.booked", "appointment.cancelled");
    let cancelled = cancelled.replace("\"sequence\": 0", "\"sequence\": 1");
    let cancelled: AppointmentCancelled = serde_json::from_str(&cancelled).unwrap();
    salon
        .diary
        .cancel(&cancelled.appointment.tenant, &cancelled.appointment.id);
    salon.bus.dispatch(cancelled);
    salon.bus.dispatch(event);
    assert!(salon.times(CUT).await.contains(&"14:00".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_moved_appointment_frees_its_old_time_and_takes_its_new_one() {
    let salon = Salon::open();
    let before = cut("14:00", "15:00");
    soon(salon.book(&before).settled()).await;
    salon.settle().await;
    assert_eq!(salon.times(CUT).await, ["12:00", "16:00", "17:00"]);
    assert!(salon.times_on(17, CUT).await.contains(&"16:00".to_owned()));

    let friday = interval("2025-10-17T16:00:00+02:00", "2025-10-17T17:00:00+02:00");
    let after = before.clone().moved_to(friday);
    salon.diary.move_to(&before, &after);
    let receipt = salon
        .bus
        .dispatch(AppointmentRescheduled::new(before, after));
    let all = ["12:00", "13:00", "14:00", "15:00", "16:00", "17:00"];
    assert_eq!(salon.times(CUT).await, all);
    assert_eq!(salon.times(COLOUR).await, ["13:00", "15:00"]);
    assert_eq!(salon.times_on(17, CUT).await, ["12:00", "13:00", "14:00"]);
    assert!(soon(receipt.settled()).await.all_done());
    assert_eq!(
        salon.confirmation.sent(),
        ["see you at 14:00", "not at 14:00 but at 16:00"]
    );
    assert_eq!(salon.statistics.booked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_appointment_can_be_booked_by_the_next_caller() {
    let salon = Salon::open();
    let first = cut("14:00", "15:00");
    soon(salon.book(&first).settled()).await;
    salon.settle().await;
    assert!(!salon.times(CUT).await.contains(&"14:00".to_owned()));

    salon.diary.cancel(&first.tenant, &first.id);
    let cancelled = AppointmentCancelled::new(first)
        .reason("a cold")
        .actor("customer");
    let receipt = salon.bus.dispatch(cancelled);
    assert!(
        salon.times(CUT).await.contains(&"14:00".to_owned()),
        "at once, not after the lag"
    );
    assert!(soon(receipt.settled()).await.all_done());
    assert_eq!(salon.statistics.booked(), 0);

    let mut next = cut("14:00", "15:00");
    next.id = 7002.into();
    let receipt = salon.book(&next);
    assert!(!salon.times(CUT).await.contains(&"14:00".to_owned()));
    assert!(soon(receipt.settled()).await.all_done());
    let sent = [
        "see you at 14:00",
        "not at 14:00: a cold",
        "see you at 14:00",
    ];
    assert_eq!(salon.confirmation.sent(), sent);
    assert_eq!(salon.statistics.booked(), 1);
}
