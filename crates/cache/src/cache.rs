//! The cache: read through it, and invalidate.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    answer::{Answer, Source},
    builder::Builder,
    cover::{Cover, Scope, Span},
    entry::{Entry, Fall, Guards},
    fence::HoldId,
    fences::Fences,
    flight::Flight,
    hold::Hold,
    l1::L1,
    level2::{Lapse, Level2, look_all},
    map::Map,
    statistics::{Counters, Statistics},
    token::Token,
    turn::{Follower, Landed, Landing, Look, Retry, Ticket, Turn},
    unconfirmed::Unconfirmed,
};

/// What a key has to be. Every type that fits is one.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}

impl<T: Hash + Eq + Clone + Send + Sync + 'static> Key for T {}

/// A read-through cache that serves a value only while every fence it was loaded under stands.
///
/// `K` is the key, `V` the value, `E` the error of the loader. An error is given to the readers
/// that wait for the load and is never kept; wrap an error that is not `Clone` in an [`Arc`].
///
/// A handle: `clone` is cheap and shares everything. The cache owns no task; dropping the last
/// handle frees it.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use vacancy_cache::{Cache, Cover, Scope, Source, Span};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache: Cache<&str, Vec<u32>, Infallible> = Cache::builder().build();
/// let chair = Scope::new("salon 15", "resource", "chair 1");
/// let covers = || [Cover::new(chair.clone(), Span::new(0, 86_400))];
///
/// let open = cache.get_or_load(&"today", covers, async || Ok(vec![14, 15])).await.unwrap();
/// assert_eq!(*open, [14, 15]);
///
/// cache.invalidate(&chair, Span::new(50_400, 54_000)); // somebody has booked 14:00
///
/// let open = cache.get_or_load(&"today", covers, async || Ok(vec![15])).await.unwrap();
/// assert_eq!((&**open, open.source()), (&[15][..], Source::Loaded));
/// # }
/// ```
pub struct Cache<K: Key, V, E>(Arc<Inner<K, V, E>>);

/// What the handles of one cache share.
pub(crate) struct Inner<K: Key, V, E> {
    pub(crate) l1: L1<K, V>,
    pub(crate) level2: Option<Level2<K, V>>,
    pub(crate) fences: Arc<Fences>,
    /// Lets so many loads through at a time.
    pub(crate) loads: Arc<Semaphore>,
    pub(crate) holds: AtomicU64,
    pub(crate) flights: Map<K, Arc<Flight<Landed<V, E>>>>,
    pub(crate) counters: Counters,
    pub(crate) ttl: Duration,
}

/// Longer holds are taken as this long.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// The nearest level that may answer a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Nearest {
    /// This process, as far as it has heard of what others invalidated.
    #[default]
    Level1,
    /// The level that all processes share, or the origin.
    Level2,
    /// The origin: for who wants a newer value while the kept one goes on serving others. That one is
    /// replaced when the load ends, and stays when it fails.
    Origin,
}

/// The right to one load at the origin: see [`Cache::admission`]. Dropping it lets the next one through.
#[derive(Debug)]
#[must_use = "the next load is let through when it is dropped"]
pub struct Admission(
    #[expect(dead_code, reason = "held for what its drop does")] Option<OwnedSemaphorePermit>,
);

/// Why level 1 has no answer.
enum Unserved {
    Absent,
    Doubted,
    Fallen(Fall),
    Expired,
}

impl<K: Key, V: Send + Sync + 'static, E: Clone + Send + Sync + 'static> Cache<K, V, E> {
    /// Settings for a new cache.
    pub fn builder() -> Builder<K, V, E> {
        Builder::new()
    }

    pub(crate) fn new(inner: Inner<K, V, E>) -> Self {
        Self(Arc::new(inner))
    }

    /// Gives the value of `key`, asking `load` when none is kept that stands.
    ///
    /// `covers` says which scopes and spans the value depends on. It is called when a load may
    /// begin, and has to give the same covers for the same key each time.
    ///
    /// # Consistency
    ///
    /// A call that begins after [`invalidate`](Self::invalidate) of one of its covers has returned
    /// never gives a value whose load began before it. A value may be older than the last change
    /// that nobody invalidated, by the time to live at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. When this call is the one that loads, dropping it cancels the load, and one
    /// of the calls that wait for it takes over.
    ///
    /// # Errors
    ///
    /// The loader's own. Calls that share a load share its error, except that a call which waited
    /// for another one's load tries once more first: the failure of one reader's load does not fail
    /// the others. So an outage costs two loads for all who wait together, and each of them learns of
    /// it after two at the most.
    pub async fn get_or_load<C>(
        &self,
        key: &K,
        covers: impl Fn() -> C,
        load: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<Answer<V>, E>
    where
        C: IntoIterator<Item = Cover>,
    {
        let mut turn = self.begin(key, Nearest::Level1, &covers);
        let mut failed_before = false;
        loop {
            let follower = match turn {
                Turn::Hit(answer) => return Ok(answer),
                Turn::Follow(follower) => follower,
                Turn::Load(ticket) => {
                    let ticket = match ticket.look().await {
                        Look::Found(answer) => return Ok(answer),
                        Look::Missing(ticket) => ticket,
                    };
                    let _admission = self.admission().await;
                    let begun = ticket.depart();
                    return match load().await {
                        Ok(value) => Ok(begun.fill(value)),
                        Err(error) => {
                            begun.fail(error.clone());
                            Err(error)
                        }
                    };
                }
            };
            let retry = match follower.await {
                Landing::Answer(answer) => return Ok(answer),
                Landing::Failed(error, _) if failed_before => return Err(error),
                Landing::Failed(_, retry) => {
                    failed_before = true;
                    retry
                }
                Landing::Lost(retry) => retry,
            };
            turn = self.begin_again(key, Nearest::Level1, &covers, retry);
        }
    }

    /// Gives the value of `key` if one is kept that stands. Never loads.
    ///
    /// # Consistency
    ///
    /// As for [`get_or_load`](Self::get_or_load).
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Answer<V>> {
        let counters = &self.0.counters;
        match self.0.standing(key) {
            Ok(entry) => {
                counters.hits.add();
                return Some(Answer::new(entry, Source::Level1));
            }
            Err(Unserved::Absent) => {}
            Err(Unserved::Doubted) => counters.doubted.add(),
            Err(Unserved::Fallen(Fall::Met)) => counters.fenced.add(),
            Err(Unserved::Fallen(Fall::Forgotten)) => counters.log_overflows.add(),
            Err(Unserved::Expired) => counters.expired.add(),
        }
        None
    }

    /// Begins one turn of reading `key`: for readers that load several keys at a stroke.
    ///
    /// A reader that holds several turns [`look`](Self::look)s for its tickets in level 2, loads the others
    /// under an [`admission`](Self::admission), and ends them all before it waits for its followers; then no
    /// two readers can wait for each other. [`get_or_load`](Self::get_or_load) is this for one key.
    ///
    /// # Consistency
    ///
    /// As for [`get_or_load`](Self::get_or_load), counted from this call.
    pub fn begin<C>(&self, key: &K, nearest: Nearest, covers: impl FnOnce() -> C) -> Turn<K, V, E>
    where
        C: IntoIterator<Item = Cover>,
    {
        if let Some(answer) = self.nearest(key, nearest) {
            return Turn::Hit(answer);
        }
        let inner = &self.0;
        inner.fences.release_quiet();
        if let Some(flight) = inner
            .flights
            .get(key)
            .filter(|flight| inner.may_join(flight, nearest))
        {
            return self.follow(flight);
        }
        match inner.board(key, nearest, covers) {
            (flight, true) => self.lead(key, nearest, flight),
            (flight, false) => self.follow(flight),
        }
    }

    /// Begins another turn after the load that this reader waited for has brought nothing.
    ///
    /// All who waited for that load share the next one: one of them gets its ticket.
    ///
    /// # Consistency
    ///
    /// As for [`get_or_load`](Self::get_or_load), counted from when the reader's first turn began.
    pub fn begin_again<C>(
        &self,
        key: &K,
        nearest: Nearest,
        covers: impl FnOnce() -> C,
        retry: Retry<V, E>,
    ) -> Turn<K, V, E>
    where
        C: IntoIterator<Item = Cover>,
    {
        if let Some(answer) = self.nearest(key, nearest) {
            return Turn::Hit(answer);
        }
        match retry.0.succeed(|| self.0.board(key, nearest, covers)) {
            (flight, true) => self.lead(key, nearest, flight),
            (flight, false) => self.follow(flight),
        }
    }

    /// Asks level 2 for all tickets at once, in one round trip. Without a level 2, or while it does not
    /// answer, all of them are missing.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: readers that wait for one of the tickets take over.
    pub async fn look(&self, tickets: Vec<Ticket<K, V, E>>) -> Vec<Look<K, V, E>> {
        look_all(tickets).await
    }

    /// Waits until the origin may be asked once more: see [`Builder::max_loads`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: whoever is next takes its place.
    pub async fn admission(&self) -> Admission {
        // The semaphore is never closed; if it were, nobody would have to wait.
        Admission(Arc::clone(&self.0.loads).acquire_owned().await.ok())
    }

    fn nearest(&self, key: &K, nearest: Nearest) -> Option<Answer<V>> {
        match nearest {
            Nearest::Level1 => self.get(key),
            Nearest::Level2 | Nearest::Origin => None,
        }
    }

    fn lead(&self, key: &K, nearest: Nearest, flight: Arc<Flight<Landed<V, E>>>) -> Turn<K, V, E> {
        let ticket = Ticket::new(Arc::clone(&self.0), key.clone(), nearest, flight);
        // Another reader's load may have ended between the look into level 1 and now.
        if nearest == Nearest::Level1
            && let Ok(entry) = self.0.standing(key)
        {
            ticket.found(&entry);
            self.0.counters.hits.add();
            return Turn::Hit(Answer::new(entry, Source::Level1));
        }
        Turn::Load(ticket)
    }

    fn follow(&self, flight: Arc<Flight<Landed<V, E>>>) -> Turn<K, V, E> {
        self.0.counters.coalesced.add();
        Turn::Follow(Follower::new(flight))
    }

    /// Makes every value untrue that covers some of `span` of `scope`; whether anybody held one,
    /// or was loading one.
    ///
    /// Costs the same whatever is cached: it raises a fence, and the values behind it are not
    /// served again. An empty span invalidates nothing.
    ///
    /// # Consistency
    ///
    /// When it returns, no call that begins later in this process gives a value that it reached. A load
    /// under way is served to the readers that began before, and kept for nobody.
    pub fn invalidate(&self, scope: &Scope, span: Span) -> bool {
        if let Some(level2) = &self.0.level2 {
            level2.invalidate(&[Cover::new(scope.clone(), span)]);
        }
        self.0.counters.invalidations.add();
        self.0.fences.invalidate(scope, span)
    }

    /// Makes every value untrue that meets one of `covers`, as [`invalidate`](Self::invalidate) does; how many
    /// of their scopes anybody held a value of, or was loading one.
    ///
    /// With a level 2, what belongs to one tenant goes there together, in one round trip.
    ///
    /// # Consistency
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub fn invalidate_all(&self, covers: &[Cover]) -> usize {
        // Before the fences: whoever finds one raised must not be answered by level 2, which has not
        // heard of it yet.
        if let Some(level2) = &self.0.level2 {
            level2.invalidate(covers);
        }
        self.0.raise(covers)
    }

    /// Waits until all that was invalidated before for `tenant` is confirmed: see
    /// `Consistency`, a setting of level 2. Without a level 2 it is confirmed at once.
    ///
    /// The token that it gives lets another process's [`has_heard`](Self::has_heard) say whether it knows
    /// as much.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: waiting changes nothing.
    ///
    /// # Errors
    ///
    /// [`Unconfirmed`] when it takes longer than the settings of level 2 allow, counted from now, or from as
    /// long ago as `elapsed` says.
    pub async fn confirmed(
        &self,
        tenant: &str,
        elapsed: Option<Duration>,
    ) -> Result<Token, Unconfirmed> {
        let Some(level2) = &self.0.level2 else {
            return Ok(Token::local());
        };
        let within = level2.confirm_within();
        let within = within.saturating_sub(elapsed.unwrap_or_default());
        level2.confirmed(tenant, within).await
    }

    /// Whether this process knows all that the token stands for. If not, a reader who wants answers as
    /// new as the token begins at [`Nearest::Level2`].
    #[must_use]
    pub fn has_heard(&self, token: &Token) -> bool {
        let level2 = self.0.level2.as_ref();
        level2.is_none_or(|level2| level2.has_heard(token))
    }

    /// Whether level 1 may answer for `tenant` now. Always, without a level 2; with one, while this
    /// process has heard from it within the lease.
    #[must_use]
    pub fn is_leased(&self, tenant: &str) -> bool {
        let level2 = self.0.level2.as_ref();
        level2.is_none_or(|level2| level2.is_leased(tenant))
    }

    /// Invalidates `covers`, and lets nothing be kept or shared that is loaded for them until the hold is
    /// [released](Self::release), or for as long as it `lasts`.
    ///
    /// To be taken before the origin is changed, and for longer than the change can take.
    ///
    /// # Consistency
    ///
    /// When it has returned, no call that begins after the change gives a value from before it: in this
    /// process; in all with a level 2 in strict consistency; within the lease in bounded consistency. That
    /// holds even if the hold is never released. Where Redis loses the hold before the change (restart,
    /// flush, failover, eviction), the processes that have heard of it keep it; for one that has not, it
    /// holds from the confirmation of the release on, as without a hold.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may leave a hold, which ends by itself.
    ///
    /// # Errors
    ///
    /// [`Unconfirmed`] when level 2 does not confirm it in time, or not before it is over. It is then
    /// released, and the change had better not be made; made all the same, it is as if without a hold.
    pub async fn hold(&self, covers: &[Cover], lasts: Duration) -> Result<Hold, Unconfirmed> {
        let inner = &self.0;
        let lasts = lasts.min(LONGEST_HOLD);
        let begun = Instant::now();
        let hold = Hold::new(inner.next_hold(), covers, begun + lasts);
        for cover in covers {
            let Cover { scope, span } = cover;
            inner
                .fences
                .hold_span(scope, *span, hold.id(), hold.until());
        }
        let Some(level2) = &inner.level2 else {
            return Ok(hold);
        };
        let held = level2.hold(&hold, lasts).await;
        let waited = begun.elapsed();
        let hold = match held {
            Ok(id) if waited < lasts => hold.shared(id),
            failed => {
                self.release(&hold);
                return Err(failed.err().unwrap_or(Unconfirmed::Redis { waited }));
            }
        };
        // What level 2 was asked before it knew of the hold may have been kept since.
        for cover in covers {
            inner.fences.invalidate(&cover.scope, cover.span);
        }
        Ok(hold)
    }

    /// Invalidates what is held, and ends the hold. To be called after the change, or when it is sure not
    /// to happen.
    ///
    /// # Consistency
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub fn release(&self, hold: &Hold) {
        let inner = &self.0;
        if let Some(level2) = &inner.level2 {
            level2.release(hold.covers(), hold.shared_id());
        }
        inner.raise(hold.covers());
        for Cover { scope, span } in hold.covers() {
            inner.fences.release_span(scope, *span, hold.id());
        }
    }

    /// What the cache has done so far, and what it holds. Tidies up first, so the figures of what it
    /// holds are exact when nobody else is at work.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let inner = &self.0;
        let level2 = inner.level2.as_ref().map(Level2::statistics);
        inner.counters.snapshot(
            inner.l1.size(),
            inner.fences.len() as u64,
            level2.unwrap_or_default(),
        )
    }
}

impl<K: Key, V: Send + Sync + 'static, E: Clone + Send + Sync + 'static> Inner<K, V, E> {
    /// The entry of `key`, if it may be served.
    #[inline]
    fn standing(&self, key: &K) -> Result<Arc<Entry<V>>, Unserved> {
        let entry = self.l1.get(key).ok_or(Unserved::Absent)?;
        // The lease first: up to when it was looked at, this process had heard of everything, and
        // the fences tell of it.
        if let Some(trust) = &entry.trust {
            trust.check().map_err(|lapse| match lapse {
                Lapse::Doubted => Unserved::Doubted,
                Lapse::Expired => Unserved::Expired,
            })?;
        }
        entry
            .guards
            .check(&self.fences, &self.counters)
            .map_err(Unserved::Fallen)?;
        // The deadline last: a thread that is paused before it must not hand out a value that has
        // grown too old meanwhile. For the fences it is enough to be looked at after the read began.
        if entry.trust.is_none() && entry.deadline <= Instant::now() {
            return Err(Unserved::Expired);
        }
        Ok(entry)
    }

    /// Raises the fences here; how many there were to raise.
    fn raise(&self, covers: &[Cover]) -> usize {
        let mut found = 0;
        for Cover { scope, span } in covers {
            self.counters.invalidations.add();
            found += usize::from(self.fences.invalidate(scope, *span));
        }
        found
    }

    fn next_hold(&self) -> HoldId {
        match &self.level2 {
            Some(level2) => level2.next_hold(),
            None => self.holds.fetch_add(1, Ordering::Relaxed).into(),
        }
    }

    /// Whether a reader that begins now may wait for this load: not if an invalidation has
    /// overtaken it, or may have.
    fn may_join(&self, flight: &Flight<Landed<V, E>>, nearest: Nearest) -> bool {
        // The lease before the fences, as for a kept value.
        flight.is_open(nearest == Nearest::Level1)
            && flight.guards.check(&self.fences, &self.counters).is_ok()
    }

    /// The flight for a reader of `key` that begins now: the one in the air if it may be joined,
    /// else a new one, to be led by that reader.
    fn board<C>(
        &self,
        key: &K,
        nearest: Nearest,
        covers: impl FnOnce() -> C,
    ) -> (Arc<Flight<Landed<V, E>>>, bool)
    where
        C: IntoIterator<Item = Cover>,
    {
        // Before the load: an invalidation that lands while it runs must make this fill too old.
        let trust = self.level2.as_ref().map(|level2| level2.trust(key));
        let guards = Guards::take(&self.fences, covers());
        let own = Arc::new(Flight::new(guards, trust));
        self.flights.settle(key, |present| match present {
            Some(other) if self.may_join(other, nearest) => ((Arc::clone(other), false), None),
            _ => ((Arc::clone(&own), true), Some(Arc::clone(&own))),
        })
    }
}

impl<K: Key, V, E> Clone for Cache<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Key, V, E> fmt::Debug for Cache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("ttl", &self.0.ttl)
            .finish_non_exhaustive()
    }
}
