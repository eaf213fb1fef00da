//! Any course of bookings, moves and cancellations leads where a naive diary leads.

mod support;

use std::{num::NonZeroU32, time::Duration};

use chrono::DateTime;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use sqlx::{Postgres, Sqlite};
use tokio::runtime::Runtime;
use vacancy_slots::{Appointment, AppointmentId, Buffers, ResourceId, Revision, TenantId};
use vacancy_sqlx::{BookError, Booking, BookingGuard, Cancellation, Change};

use support::{Base, Server, minutes};

/// What one step wants, in minutes.
#[derive(Clone, Debug)]
struct Wish {
    id: u64,
    event_type: u64,
    resources: Vec<u64>,
    intervals: Vec<(i64, i64)>,
    before: u64,
    after: u64,
    seats: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Book(Wish),
    Move(Wish),
    Cancel(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let resources = prop::sample::subsequence(vec![1, 2], 1..=2);
    // Few times, so that they meet, touch and miss one another by a minute.
    let interval = (0..6_i64, 1..4_i64, 0..2_i64)
        .prop_map(|(start, length, odd)| (start * 10 + odd, start * 10 + odd + length * 10));
    let intervals = prop_oneof![
        4 => prop::collection::vec(interval.clone(), 1),
        1 => prop::collection::vec(interval, 2..4),
    ];
    let buffer = || prop_oneof![Just(0), Just(1), Just(10)];
    let wish = (
        (0..6_u64, 1..4_u64, resources, intervals),
        (buffer(), buffer(), 1..3_u32),
    );
    let wish = wish.prop_map(|(what, how)| Wish {
        id: what.0,
        event_type: what.1,
        resources: what.2,
        intervals: what.3,
        before: how.0,
        after: how.1,
        seats: how.2,
    });
    prop_oneof![
        4 => wish.clone().prop_map(Step::Book),
        2 => wish.prop_map(Step::Move),
        1 => (0..6_u64).prop_map(Step::Cancel),
    ]
}

impl Wish {
    /// Of each event type it is known: the first is for one alone.
    fn capacity(&self) -> u32 {
        u32::try_from(self.event_type).expect("a small number")
    }

    fn booking(&self, tenant: &TenantId) -> Booking {
        self.revised(tenant, Revision::changed_at(DateTime::UNIX_EPOCH))
    }

    fn revised(&self, tenant: &TenantId, revision: Revision) -> Booking {
        let interval = |&(start, end): &(i64, i64)| minutes(start, end);
        let first = interval(&self.intervals[0]);
        let mut appointment = Appointment::new(self.id.into(), tenant.clone(), first);
        for other in &self.intervals[1..] {
            appointment = appointment.occurrence(interval(other));
        }
        let minutes = |number| Duration::from_secs(number * 60);
        appointment.resources = self
            .resources
            .iter()
            .map(|&id| ResourceId::from(id))
            .collect();
        let appointment = appointment
            .revision(revision)
            .event_type(self.event_type)
            .buffers(Buffers::new(minutes(self.before), minutes(self.after)))
            .seats(NonZeroU32::new(self.seats).expect("a seat"));
        Booking::new(appointment).capacity(NonZeroU32::new(self.capacity()).expect("a seat"))
    }

    /// Each minute that it blocks, and of which gathering: minute by minute, as a child would.
    fn blocked(&self) -> Vec<(i64, Vec<(i64, i64)>)> {
        let mut intervals = self.intervals.clone();
        intervals.sort_unstable();
        intervals.dedup();
        let (before, after) = (self.before.cast_signed(), self.after.cast_signed());
        let blocks = |&(start, end): &(i64, i64), minute: i64| {
            start - before <= minute && minute < end + after
        };
        let mut minute = -20;
        let mut blocked = Vec::new();
        while minute < 200 {
            let mut run = Vec::new();
            let mut of_run = Vec::new();
            while intervals.iter().any(|interval| blocks(interval, minute)) {
                run.push(minute);
                let here = intervals.iter().filter(|interval| blocks(interval, minute));
                of_run.extend(here.copied());
                minute += 1;
            }
            of_run.sort_unstable();
            of_run.dedup();
            blocked.extend(run.into_iter().map(|minute| (minute, of_run.clone())));
            minute += 1;
        }
        blocked
    }

    /// Whether the two cannot be beside each other, seats aside.
    fn excludes(&self, other: &Self) -> bool {
        let shared = self.capacity() > 1 && self.event_type == other.event_type;
        let theirs = other.blocked();
        self.blocked().into_iter().any(|(minute, gathering)| {
            let there = theirs.iter().find(|(theirs, _)| *theirs == minute);
            there.is_some_and(|(_, theirs)| !shared || gathering != *theirs)
        })
    }
}

#[derive(Default)]
struct Diary(Vec<Wish>);

impl Diary {
    fn has_room(&self, wish: &Wish) -> bool {
        let others = || self.0.iter().filter(|other| other.id != wish.id);
        wish.resources.iter().all(|resource| {
            let here = || others().filter(|other| other.resources.contains(resource));
            let seated = |minute: i64| -> u32 {
                let blocks = |other: &&Wish| other.blocked().iter().any(|(m, _)| *m == minute);
                here().filter(blocks).map(|other| other.seats).sum()
            };
            let all_seated = || {
                let mut blocked = wish.blocked().into_iter();
                blocked.all(|(minute, _)| seated(minute) + wish.seats <= wish.capacity())
            };
            !here().any(|other| wish.excludes(other)) && (wish.capacity() == 1 || all_seated())
        })
    }

    fn has(&self, id: u64) -> bool {
        self.0.iter().any(|wish| wish.id == id)
    }

    fn remove(&mut self, id: u64) {
        self.0.retain(|wish| wish.id != id);
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Done,
    Taken,
    AlreadyBooked,
    NotBooked,
}

impl Diary {
    fn play(&mut self, step: &Step) -> Came {
        match step {
            Step::Book(wish) if self.has(wish.id) => Came::AlreadyBooked,
            Step::Move(wish) if !self.has(wish.id) => Came::NotBooked,
            Step::Cancel(id) if !self.has(*id) => Came::NotBooked,
            Step::Book(wish) | Step::Move(wish) if !self.has_room(wish) => Came::Taken,
            Step::Book(wish) | Step::Move(wish) => {
                self.remove(wish.id);
                self.0.push(wish.clone());
                Came::Done
            }
            Step::Cancel(id) => {
                self.remove(*id);
                Came::Done
            }
        }
    }
}

async fn play<DB: Base>(guard: &BookingGuard<DB>, tenant: &TenantId, step: &Step) -> Came {
    let mut tx = guard.begin().await.expect("the database answers");
    let change = match step {
        Step::Book(wish) => guard.book(&mut tx, &wish.booking(tenant)).await,
        Step::Move(wish) => {
            let id = AppointmentId::from(wish.id);
            let mut booking = wish.booking(tenant);
            let seen = guard.find(tenant, &id).await.expect("the database answers");
            if let Some(seen) = seen {
                booking = wish.revised(tenant, seen.revision);
            }
            guard.move_to(&mut tx, &booking).await
        }
        Step::Cancel(id) => {
            let cancellation = Cancellation::of(tenant.clone(), (*id).into());
            guard.cancel(&mut tx, &cancellation).await
        }
    };
    let came = match change {
        Ok(Change::Repeated(_)) | Err(BookError::UnknownAppointment) => Came::NotBooked,
        Ok(_) => Came::Done,
        Err(BookError::Taken { by: Some(_), .. }) => Came::Taken,
        Err(BookError::AlreadyBooked) => Came::AlreadyBooked,
        Err(error) => panic!("no step leads there: {error:?}"),
    };
    match came {
        Came::Done => tx.commit().await.expect("the database answers"),
        _ => tx.rollback().await.expect("the database answers"),
    }
    came
}

fn agrees_with_a_naive_diary<DB: Base>() {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::<DB>::new());
    let guard = server.guard();
    let config = Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    };
    // A tenant each, since what one has the other does not see.
    let number = std::cell::Cell::new(0);
    let steps = prop::collection::vec(step(), 1..16);
    let agreed = TestRunner::new(config).run(&steps, |steps| {
        number.set(number.get() + 1);
        let tenant = TenantId::from(number.get());
        runtime.block_on(async {
            let mut diary = Diary::default();
            for (place, step) in steps.iter().enumerate() {
                let expected = diary.play(step);
                let came = play(&guard, &tenant, step).await;
                prop_assert_eq!(came, expected, "step {}", place);
            }
            let all = guard.booked(&tenant, minutes(-60, 24 * 60)).await;
            let mut ids: Vec<_> = diary.0.iter().map(|wish| wish.id.to_string()).collect();
            ids.sort();
            let mut booked: Vec<_> = all
                .expect("the database answers")
                .iter()
                .map(|booked| booked.id.to_string())
                .collect();
            booked.sort();
            prop_assert_eq!(booked, ids);
            Ok::<_, TestCaseError>(())
        })
    });
    if let Err(error) = agreed {
        panic!("{error}");
    }
}

#[test]
fn the_guard_agrees_with_a_naive_diary_in_sqlite() {
    agrees_with_a_naive_diary::<Sqlite>();
}

#[test]
fn the_guard_agrees_with_a_naive_diary_in_postgres() {
    agrees_with_a_naive_diary::<Postgres>();
}
