//! The story: what A does, when Redis goes and comes back, and what both nodes made of it.

use std::{io, net::SocketAddr, process, time::Duration};

use tokio::time::{Instant, sleep, sleep_until, timeout};
use vacancy::dispatch::BoxError;
use vacancy::slots::SlotsCache;

use super::{
    agenda::{HOSTS, HalfHours, half_hours_of, query},
    calendar::Calendar,
    clock::now,
    order::{Answer, Diary, LEASE, Mode, Order, Settings},
    other_node::OtherNode,
    reader::is_leased,
    server::{Server, ServerError},
    verdict::{Booking, Reads, judge},
    writer::{Booked, Writing, Written},
};

/// For how long A books and B reads in each consistency.
pub(crate) const LONG: Duration = Duration::from_secs(3);
/// How long both are watched before Redis goes, and after everything is confirmed again.
pub(crate) const BESIDE: Duration = Duration::from_secs(1);
/// The parts of the time without Redis.
pub(crate) const PART: Duration = Duration::from_millis(500);
pub(crate) const PARTS: u32 = 4;
/// How long to wait until everything is confirmed again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Both nodes, their calendar and their Redis.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) server: Server,
    calendar: Calendar,
    address: SocketAddr,
    b: OtherNode,
}

/// What happened in one consistency while Redis was there.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) mode: Mode,
    pub(crate) booked: Vec<Booked>,
    pub(crate) reads: Reads,
}

/// What happened when Redis was pulled away.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) periods: Vec<Period>,
    /// From the moment Redis was back until A had nothing left to confirm.
    pub(crate) caught_up: Option<Duration>,
    /// How much A had to confirm when Redis was back.
    pub(crate) outstanding: u64,
    /// How many other incarnations of Redis A and B have met meanwhile.
    pub(crate) incarnations: [u64; 2],
    /// What A and B offer in the end, and what is open.
    pub(crate) offers: [[HalfHours; HOSTS]; 2],
    pub(crate) open: [HalfHours; HOSTS],
}

/// A part of the time, and what each node did in it.
#[derive(Debug)]
pub(crate) struct Period {
    pub(crate) when: When,
    pub(crate) booked: Vec<Booked>,
    /// Invalidations that Redis had not confirmed when it ended.
    pub(crate) pending: u64,
    pub(crate) a: Reads,
    pub(crate) b: Reads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    /// The n-th part of the time without Redis.
    Gone(u32),
    /// Until everything was confirmed.
    Back,
    After,
}

/// Why the story cannot be told to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoryError {
    #[error(
        "redis accepts connections, but gave node {node} no lease: is it Redis 6.2 or newer, and the \
             password right?"
    )]
    NoLease { node: char },
    #[error("node B: {0}")]
    B(#[source] io::Error),
    #[error("node B said something else than was asked")]
    Confused,
    #[error("node A: {0}")]
    A(#[source] BoxError),
    #[error("the calendar cannot be served: {0}")]
    Calendar(#[source] io::Error),
    #[error("redis could not be pulled away: {0}")]
    PullAway(#[source] io::Error),
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl Story {
    /// Starts B and opens the calendar.
    pub(crate) async fn begin(server: Server) -> Result<Self, StoryError> {
        let calendar = Calendar::new();
        let address = calendar.serve().await.map_err(StoryError::Calendar)?;
        let b = OtherNode::start().map_err(StoryError::B)?;
        Ok(Self {
            server,
            calendar,
            address,
            b,
        })
    }

    /// The process ids of A and B.
    pub(crate) fn pids(&self) -> [u32; 2] {
        [process::id(), self.b.pid().unwrap_or(0)]
    }

    /// A books and B reads, with nothing in their way.
    pub(crate) async fn fresh(&mut self, mode: Mode) -> Result<Fresh, StoryError> {
        let (slots, writing) = self.set_out(mode, "fresh").await?;
        let began = now();
        sleep(LONG).await;
        let written = writing.end().await.map_err(StoryError::A)?;
        let diary = self.judged(&written, &[began, now()]).await?;
        drop(slots);
        Ok(Fresh {
            mode,
            booked: written.booked,
            reads: diary.periods.first().copied().unwrap_or_default(),
        })
    }

    /// A books and B reads, and Redis is pulled away and comes back.
    pub(crate) async fn outage(&mut self, mode: Mode) -> Result<Outage, StoryError> {
        let (slots, writing) = self.set_out(mode, "outage").await?;
        let pending = || slots.statistics().level2.pending;
        let incarnations = || slots.statistics().level2.incarnations;
        let met_before = incarnations();
        let mut bounds = vec![now()];
        let mut periods = Vec::new();
        let mut ended = |when| {
            bounds.push(now());
            periods.push((when, pending()));
        };

        sleep(BESIDE).await;
        ended(When::Before);
        self.server
            .pull_away()
            .await
            .map_err(StoryError::PullAway)?;
        let gone = Instant::now();
        for nth in 1..PARTS {
            sleep_until(gone + PART * nth).await;
            ended(When::Gone(nth));
        }
        sleep_until(gone + PART * PARTS).await;
        self.server.bring_back().await?;
        ended(When::Gone(PARTS));
        let outstanding = pending();
        let back = Instant::now();
        let confirmed = async {
            while pending() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
            back.elapsed()
        };
        let caught_up = timeout(PATIENCE, confirmed).await.ok();
        ended(When::Back);
        sleep(BESIDE).await;
        ended(When::After);

        let written = writing.end().await.map_err(StoryError::A)?;
        let diary = self.judged(&written, &bounds).await?;
        let mut offers = [0; HOSTS];
        for (host, offers) in offers.iter_mut().enumerate() {
            let open = slots.open(&query(host)).await;
            *offers = half_hours_of(&open.map_err(|error| StoryError::A(error.into()))?);
        }
        let a = judge(&written.reads, &written.bookings(), &bounds);
        let within = |bound: &[u64]| {
            let booked = written.booked.iter();
            let within =
                booked.filter(|booked| (bound[0]..bound[1]).contains(&booked.booking.dispatched));
            within.copied().collect()
        };
        let periods = periods
            .into_iter()
            .zip(bounds.windows(2))
            .zip(a.iter().zip(&diary.periods));
        Ok(Outage {
            periods: periods
                .map(|(((when, pending), bound), (a, b))| Period {
                    when,
                    booked: within(bound),
                    pending,
                    a: *a,
                    b: *b,
                })
                .collect(),
            caught_up,
            outstanding,
            incarnations: [incarnations() - met_before, diary.incarnations],
            offers: [offers, diary.offers],
            open: *self.calendar.open(),
        })
    }

    /// Lets B read and A book, both through new caches.
    async fn set_out(
        &mut self,
        mode: Mode,
        chapter: &str,
    ) -> Result<(SlotsCache, Writing), StoryError> {
        self.calendar.clear();
        let settings = Settings {
            redis: self.server.url(),
            // A Redis that others use, too, is left with nothing that the next run could find.
            namespace: format!("two_nodes {chapter} {mode} {} {}", process::id(), now()),
            mode,
        };
        let slots = settings.cache(self.calendar.clone());
        let slots = slots.map_err(ServerError::Url)?;
        if !is_leased(&slots).await {
            return Err(StoryError::NoLease { node: 'A' });
        }
        let calendar = self.address;
        let order = Order::Read { settings, calendar };
        match self.b.tell(&order).await.map_err(StoryError::B)? {
            Answer::Reading => {}
            Answer::NoLease => return Err(StoryError::NoLease { node: 'B' }),
            Answer::Read(_) => return Err(StoryError::Confused),
        }
        // A strict writer waits one lease after it has first met a Redis: nodes may still trust what they
        // heard from the one before. That is part of the outage, and not of what comes before it.
        sleep(LEASE + LEASE / 4).await;
        let writing = Writing::begin(slots.clone(), self.calendar.clone());
        Ok((slots, writing.map_err(StoryError::A)?))
    }

    /// Ends B's reads and has them judged.
    async fn judged(&mut self, written: &Written, bounds: &[u64]) -> Result<Diary, StoryError> {
        let order = Order::Judge {
            bookings: written.bookings(),
            bounds: bounds.to_vec(),
        };
        match self.b.tell(&order).await.map_err(StoryError::B)? {
            Answer::Read(diary) => Ok(diary),
            Answer::Reading | Answer::NoLease => Err(StoryError::Confused),
        }
    }
}

impl Written {
    fn bookings(&self) -> Vec<Booking> {
        self.booked.iter().map(|booked| booked.booking).collect()
    }
}
