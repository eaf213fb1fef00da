//! The day: some book, many look, and neither gets far ahead of the other.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use chrono::{Days, NaiveDate, Utc, Weekday};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    checker::{Verdict, check},
    people::People,
    visitor::{Cache, Visitor},
};

/// How many people book at a time.
const AT_THE_DESK: u32 = 24;
/// How many others look at a time.
const LOOKING: u32 = 48;
/// Of how many bookings there is room for in a week, so that about every third wish is for a busy one.
const A_WEEK: u32 = 70;

/// How long the day is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) bookings: u32,
    pub(crate) reads: u32,
    pub(crate) seed: u64,
}

/// One day, from the first look to the last late webhook.
#[derive(Debug)]
pub(crate) struct Day {
    people: Arc<People>,
    script: Script,
    weeks: Vec<NaiveDate>,
}

/// Keeps those who look and those who book together.
#[derive(Debug)]
struct Pace {
    looks: Semaphore,
    bookings: Semaphore,
    looked: AtomicU32,
    booked: AtomicU32,
    script: Script,
}

impl Day {
    pub(crate) fn new(salon: SocketAddr, cache: Cache, script: Script) -> Self {
        let soonest = Utc::now().date_naive() + Days::new(10);
        let first = soonest.week(Weekday::Mon).first_day();
        let weeks = first
            .iter_weeks()
            .take((script.bookings / A_WEEK + 4) as usize);
        let weeks: Vec<_> = weeks.collect();
        Self {
            people: Arc::new(People::new(Visitor::new(salon, cache), weeks.clone())),
            script,
            weeks,
        }
    }

    /// Plays it, and says what came of it.
    pub(crate) async fn play(self) -> anyhow::Result<Verdict> {
        let begun = Instant::now();
        let pace = Arc::new(Pace::new(self.script));
        let mut tasks = JoinSet::new();
        let next = Arc::new(AtomicU32::new(0));
        for _ in 0..AT_THE_DESK {
            let (people, pace, next) = (self.people.clone(), pace.clone(), next.clone());
            tasks.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= pace.script.bookings {
                        return Ok(());
                    }
                    pace.bookings.acquire().await?.forget();
                    people
                        .wish(&mut draw(pace.script.seed, 1, number), number)
                        .await?;
                    pace.one_booked();
                }
            });
        }
        let next = Arc::new(AtomicU32::new(0));
        for _ in 0..LOOKING {
            let (people, pace, next) = (self.people.clone(), pace.clone(), next.clone());
            tasks.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= pace.script.reads {
                        return Ok(());
                    }
                    pace.looks.acquire().await?.forget();
                    people.look(&mut draw(pace.script.seed, 2, number)).await?;
                    pace.one_looked();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            let done: anyhow::Result<()> = done?;
            done?;
        }
        self.people.deliver_what_was_lost().await?;
        let took = begun.elapsed();
        let mut diary = Vec::new();
        for week in &self.weeks {
            diary.extend(self.people.visitor.diary(*week).await?);
        }
        let people = Arc::into_inner(self.people).expect("everybody has gone home");
        Ok(check(people.visitor.history.into_events(), diary, took))
    }
}

impl Pace {
    fn new(script: Script) -> Self {
        Self {
            looks: Semaphore::new(Self::looks(script, AT_THE_DESK * 2) as usize),
            bookings: Semaphore::new(AT_THE_DESK as usize * 2),
            looked: AtomicU32::new(0),
            booked: AtomicU32::new(0),
            script,
        }
    }

    /// How many looks go with so many bookings.
    fn looks(script: Script, bookings: u32) -> u32 {
        let looks = u64::from(script.reads) * u64::from(bookings);
        (looks.div_ceil(u64::from(script.bookings.max(1)))) as u32
    }

    fn one_booked(&self) {
        let booked = self.booked.fetch_add(1, Ordering::Relaxed);
        let more = Self::looks(self.script, booked + 1) - Self::looks(self.script, booked);
        self.looks.add_permits(more as usize);
    }

    fn one_looked(&self) {
        let looked = u64::from(self.looked.fetch_add(1, Ordering::Relaxed));
        let bookings =
            |looks| looks * u64::from(self.script.bookings) / u64::from(self.script.reads);
        let more = bookings(looked + 1) - bookings(looked);
        self.bookings.add_permits(more as usize);
    }
}

/// What one person's choices are drawn from: the same in every run.
fn draw(seed: u64, kind: u64, number: u32) -> fastrand::Rng {
    let mut mix = fastrand::Rng::with_seed(seed ^ (kind << 32) ^ u64::from(number));
    fastrand::Rng::with_seed(mix.u64(..))
}
