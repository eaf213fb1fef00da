//! Node B: reads in a loop when it is told to, and says what it has seen.

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    task::{JoinHandle, block_in_place},
    time::{sleep, timeout},
};
use vacancy::dispatch::BoxError;
use vacancy::slots::SlotsCache;

use super::{
    agenda::{HOSTS, half_hours_of, query},
    calendar::RemoteCalendar,
    clock::now,
    order::{Answer, Diary, Order},
    verdict::{Observation, judge},
};

/// How long a node waits for its first lease.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads under way.
struct Reading {
    slots: SlotsCache,
    /// How many other incarnations of Redis it had met before.
    incarnations: u64,
    stop: oneshot::Sender<()>,
    reads: JoinHandle<Vec<Observation>>,
}

/// Does what it is told until nobody tells it anything any more.
pub(crate) async fn obey() -> Result<(), BoxError> {
    let mut orders = io::stdin().lines();
    let mut reading = None;
    while let Some(line) = block_in_place(|| orders.next()).transpose()? {
        let answer = match (serde_json::from_str(&line)?, reading.take()) {
            (Order::Read { settings, calendar }, _) => {
                let slots = settings.cache(RemoteCalendar::at(calendar))?;
                let leased = is_leased(&slots).await;
                reading = leased.then(|| Reading::begin(slots));
                match leased {
                    true => Answer::Reading,
                    false => Answer::NoLease,
                }
            }
            (Order::Judge { .. }, None) => return Err("there is nothing to judge".into()),
            (Order::Judge { bookings, bounds }, Some(reading)) => {
                let (reads, mut diary) = reading.end().await?;
                diary.periods = judge(&reads, &bookings, &bounds);
                Answer::Read(diary)
            }
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        io::stdout().write_all(&line)?;
        io::stdout().flush()?;
    }
    Ok(())
}

/// Waits until the node may answer from its own memory; false if Redis takes too long.
pub(crate) async fn is_leased(slots: &SlotsCache) -> bool {
    let leased = async {
        while slots.statistics().level2.leases == 0 {
            // The first call begins the node's tasks.
            let _ = slots.kept(&query(0));
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, leased).await.is_ok()
}

impl Reading {
    fn begin(slots: SlotsCache) -> Self {
        let (stop, stopped) = oneshot::channel();
        let reads = tokio::spawn(read(slots.clone(), stopped));
        Self {
            incarnations: slots.statistics().level2.incarnations,
            slots,
            stop,
            reads,
        }
    }

    async fn end(self) -> Result<(Vec<Observation>, Diary), BoxError> {
        drop(self.stop);
        let reads = self.reads.await?;
        let mut offers = [0; HOSTS];
        for (host, offers) in offers.iter_mut().enumerate() {
            *offers = half_hours_of(&self.slots.open(&query(host)).await?);
        }
        let diary = Diary {
            periods: Vec::new(),
            offers,
            incarnations: self.slots.statistics().level2.incarnations - self.incarnations,
        };
        Ok((reads, diary))
    }
}

/// Reads one host after the other, without a pause.
async fn read(slots: SlotsCache, mut stop: oneshot::Receiver<()>) -> Vec<Observation> {
    let queries: Vec<_> = (0..HOSTS).map(query).collect();
    let mut reads = Vec::new();
    while stop.try_recv() == Err(TryRecvError::Empty) {
        for (host, query) in queries.iter().enumerate() {
            let began = now();
            let answer = slots.open(query).await;
            reads.push(Observation::new(began, host, &answer));
        }
        // A read that level 1 answers does not wait for anything, so the others would never run.
        tokio::task::yield_now().await;
    }
    reads
}
