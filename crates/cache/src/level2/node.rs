//! This cache as one of the nodes that share a level 2: what its tasks and its readers share.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    task::JoinSet,
};

use super::{
    acknowledgements::Acknowledgements,
    backplane, courier,
    names::partition_of,
    outbox::Outbox,
    partition::Partition,
    progress::Progress,
    store::{NodeId, Store},
};
use crate::{
    fence::HoldId,
    fences::Fences,
    level2::settings::Consistency,
    statistics::{Counter, Level2Statistics},
};

/// Values that may be on their way to Redis at a time. Further ones are not written.
const WRITES: usize = 256;

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) store: Box<dyn Store>,
    pub(crate) fences: Arc<Fences>,
    pub(crate) parts: Box<[Part]>,
    pub(crate) times: Times,
    pub(crate) consistency: Consistency,
    pub(crate) entry_limit: usize,
    pub(crate) counters: Counters,
    pub(crate) writes: Arc<Semaphore>,
    /// An acknowledgement is due in some partition.
    pub(crate) owes: Notify,
    /// The subscription is suspected to hear nothing any more.
    pub(crate) deaf: Notify,
    holds: AtomicU64,
    begun: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
}

/// What belongs to one partition.
pub(crate) struct Part {
    pub(crate) partition: Arc<Partition>,
    pub(crate) outbox: Outbox,
    pub(crate) progress: Progress,
    pub(crate) acknowledgements: Acknowledgements,
    /// Invalidations have failed, and not all of them have been made up for.
    pub(crate) recovering: AtomicBool,
    /// The server has answered while there was something to make up for.
    pub(crate) answers: Notify,
}

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) lease: Duration,
    pub(crate) confirm_within: Duration,
    pub(crate) ttl: Duration,
    pub(crate) settle: Duration,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) fenced: Counter,
    pub(crate) expired: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) oversized: Counter,
    pub(crate) held: Counter,
    pub(crate) bypassed: Counter,
    pub(crate) errors: Counter,
    pub(crate) written: Counter,
    pub(crate) unwritten: Counter,
    pub(crate) raises: Counter,
    pub(crate) confirmed: Counter,
    pub(crate) unconfirmed: Counter,
    pub(crate) notices: Counter,
    pub(crate) gaps: Counter,
    pub(crate) incarnations: Counter,
    pub(crate) leases: Counter,
    pub(crate) lost_holds: Counter,
}

impl Node {
    pub(crate) fn new(
        id: NodeId,
        store: Box<dyn Store>,
        fences: Arc<Fences>,
        partitions: u16,
        times: Times,
        consistency: Consistency,
        entry_limit: usize,
    ) -> Arc<Self> {
        let part = |index| Part {
            partition: Arc::new(Partition::new(index)),
            outbox: Outbox::default(),
            progress: Progress::default(),
            acknowledgements: Acknowledgements::default(),
            recovering: AtomicBool::new(false),
            answers: Notify::new(),
        };
        Arc::new(Self {
            id,
            store,
            fences,
            parts: (0..partitions).map(part).collect(),
            times,
            consistency,
            entry_limit,
            counters: Counters::default(),
            writes: Arc::new(Semaphore::new(WRITES)),
            owes: Notify::new(),
            deaf: Notify::new(),
            holds: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            tasks: Mutex::new(JoinSet::new()),
        })
    }

    pub(crate) fn part(&self, tenant: &str) -> &Part {
        // Never empty, and the index is less than its length.
        let partitions = u16::try_from(self.parts.len()).unwrap_or(u16::MAX);
        &self.parts[usize::from(partition_of(tenant, partitions))]
    }

    /// Begins the tasks, once, as soon as there is a runtime to run them.
    pub(crate) fn begin(self: &Arc<Self>) {
        if self.begun.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if self.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        tasks.spawn_on(backplane::hear(Arc::clone(self)), &runtime);
        tasks.spawn_on(backplane::acknowledge(Arc::clone(self)), &runtime);
        for index in 0..self.parts.len() {
            tasks.spawn_on(backplane::pulse(Arc::clone(self), index), &runtime);
            tasks.spawn_on(courier::deliver(Arc::clone(self), index), &runtime);
        }
    }

    /// Ends the tasks.
    pub(crate) fn end(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }

    /// A hold that no other node or process has.
    pub(crate) fn next_hold(&self) -> HoldId {
        let nth = self.holds.fetch_add(1, Ordering::Relaxed);
        (HoldId::from(self.id) << 64) | HoldId::from(nth)
    }

    /// How long a writer waits, by its own clock, until a lease that was granted before has run out.
    ///
    /// A node counts its lease from the sending of its pulse, a writer from an answer that came later. So
    /// it suffices that no clock goes faster than another one by more than one part in 32.
    pub(crate) fn patience(&self) -> Duration {
        self.times.lease + self.times.lease / 32
    }

    pub(crate) fn statistics(&self) -> Level2Statistics {
        let counters = &self.counters;
        let pending: usize = self.parts.iter().map(|part| part.outbox.len()).sum();
        Level2Statistics {
            hits: counters.hits.get(),
            misses: counters.misses.get(),
            fenced: counters.fenced.get(),
            expired: counters.expired.get(),
            unreadable: counters.unreadable.get(),
            oversized: counters.oversized.get(),
            held: counters.held.get(),
            bypassed: counters.bypassed.get(),
            errors: counters.errors.get(),
            written: counters.written.get(),
            unwritten: counters.unwritten.get(),
            raises: counters.raises.get(),
            confirmed: counters.confirmed.get(),
            pending: pending as u64,
            unconfirmed: counters.unconfirmed.get(),
            notices: counters.notices.get(),
            gaps: counters.gaps.get(),
            incarnations: counters.incarnations.get(),
            leases: counters.leases.get(),
            lost_holds: counters.lost_holds.get(),
        }
    }
}

impl Part {
    /// Whether level 2 may be asked: it answers, and nothing that failed is outstanding.
    pub(crate) fn is_usable(&self) -> bool {
        self.partition.is_reachable() && !self.recovering.load(Ordering::Acquire)
    }
}
