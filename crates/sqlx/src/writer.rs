//! Commit and hand-off as one.
//!
//! # Invariants
//!
//! 1. From the first statement to the dispatch, everything runs in a task of the writer. The caller's future
//!    only waits for it, so dropping that future separates nothing.
//! 2. Between the end of COMMIT and the dispatch there is no await.
//! 3. A hold is abandoned only where the transaction is sure not to be committed.

use std::{
    fmt,
    num::NonZeroU32,
    panic::resume_unwind,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::Transaction;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{Instrument, Span, warn};
use vacancy_dispatch::{BoxError, Bus, Receipt};
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled, BookingEvent,
    SlotsCache, SlotsHold, Target,
};

use crate::{
    book_error::BookError,
    booking::{Booking, Cancellation},
    change::Change,
    dialect::Dialect,
    guard::{BookingGuard, failed},
    write_error::WriteError,
};

/// What the closure for the application's own rows returns: `Box::pin(async move { … })`.
pub type RowsFuture<'tx> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'tx>>;

/// Writes nothing of the application's own, for [`Writer::book`] and its siblings.
pub fn no_rows<'tx, DB: Dialect>(_tx: &'tx mut Transaction<'static, DB>) -> RowsFuture<'tx> {
    Box::pin(async { Ok(()) })
}

/// How long to wait before asking again whether a commit went through.
const PAUSE: Duration = Duration::from_millis(50);

/// What to do about a booking whose hold Redis, or a process in strict consistency, does not confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnconfirmed {
    /// Refuse it, with [`WriteError::Unheld`]. No reader is offered what is taken.
    Refuse,
    /// Commit and dispatch as without a hold. Other processes may offer what is taken until Redis is back, for
    /// the time to live at most; the guard refuses whoever wants it.
    CommitAnyway,
}

/// What was written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Written {
    /// The appointment as it is now, with its revision; of an operation that was repeated, as it was when the
    /// operation was first asked for.
    pub appointment: Appointment,
    /// The receipt of the event. `None` for what was not written now but before: an operation that was repeated,
    /// a cancellation of what was cancelled.
    pub receipt: Option<Receipt>,
}

/// Books, moves and cancels: transaction, commit and dispatch in one task that the writer owns.
///
/// A web server drops a request's future when its client goes away. Were that future to commit and then to
/// dispatch, some commits would have no event. Here it only waits.
///
/// A handle: `clone` is cheap, and all clones are one writer. It owns a task for each write that has begun, on
/// the runtime of the caller, and [`shutdown`](Self::shutdown) joins them. Each ends within the time-outs. A write
/// goes on when all handles are dropped.
///
/// # Consistency
///
/// An event is dispatched exactly for what was committed, while the process lives. A process that dies between
/// COMMIT and dispatch takes the event with it, as it takes all events. With a [`hold`](WriterBuilder::hold) no
/// reader is offered what was taken even then.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(feature = "sqlite")]
/// # async fn book(
/// #     pool: sqlx::SqlitePool,
/// #     slots: vacancy_slots::SlotsCache,
/// #     bus: vacancy_dispatch::Bus,
/// #     appointment: vacancy_slots::Appointment,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use vacancy_sqlx::{Booking, BookingGuard, WhenUnconfirmed, Writer};
///
/// let guard = BookingGuard::new(pool);
/// guard.migrate().await?;
/// let writer = Writer::builder(guard, slots, bus).hold(WhenUnconfirmed::Refuse).build();
///
/// let id = appointment.id.to_string();
/// let written = writer
///     .book(Booking::new(appointment), |tx| {
///         Box::pin(async move {
///             let insert = sqlx::query("INSERT INTO customers (appointment, name) VALUES ($1, $2)");
///             insert.bind(id).bind("Ada").execute(&mut **tx).await?;
///             Ok(())
///         })
///     })
///     .await?;
/// # let _ = written;
///
/// writer.shutdown().await; // before the bus
/// # Ok(())
/// # }
/// ```
pub struct Writer<DB: Dialect>(Arc<Inner<DB>>);

impl<DB: Dialect> Clone for Writer<DB> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<DB: Dialect> fmt::Debug for Writer<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("guard", &self.0.guard)
            .field("hold", &self.0.hold)
            .finish_non_exhaustive()
    }
}

/// The settings of a [`Writer`]. Every one has a default, and no combination is wrong.
#[must_use = "settings do nothing until `build`"]
pub struct WriterBuilder<DB: Dialect> {
    inner: Inner<DB>,
}

impl<DB: Dialect> fmt::Debug for WriterBuilder<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterBuilder")
            .field("guard", &self.inner.guard)
            .field("hold", &self.inner.hold)
            .field("time_out", &self.inner.time_out)
            .field("commit_time_out", &self.inner.commit_time_out)
            .field("in_flight", &self.inner.most)
            .finish_non_exhaustive()
    }
}

impl<DB: Dialect> WriterBuilder<DB> {
    /// Takes a [hold](SlotsCache::hold) before each write. By default none is taken, and between the commit and
    /// the dispatch other readers may be offered what was taken.
    ///
    /// The transaction then has to end, commit included, before the hold does; one that may not is rolled back.
    pub fn hold(mut self, when_unconfirmed: WhenUnconfirmed) -> Self {
        self.inner.hold = Some(when_unconfirmed);
        self
    }

    /// How long a write may take before its commit, with the hold and the application's own rows. Default 10 s.
    /// Then it is rolled back.
    pub fn time_out(mut self, time: Duration) -> Self {
        self.inner.time_out = time;
        self
    }

    /// How long the commit may take, and then, if it fails, how long to ask whether it went through. Default
    /// 5 s each. Then it is [`WriteError::Unknown`].
    pub fn commit_time_out(mut self, time: Duration) -> Self {
        self.inner.commit_time_out = time;
        self
    }

    /// How many writes may be under way. Default 1024. More wait for their turn, in order; one that is dropped
    /// while it waits has not begun.
    pub fn in_flight(mut self, most: NonZeroU32) -> Self {
        self.inner.most = most;
        self
    }

    /// Makes the writer.
    pub fn build(mut self) -> Writer<DB> {
        self.inner.in_flight = Arc::new(Semaphore::new(self.inner.most.get() as usize));
        Writer(Arc::new(self.inner))
    }
}

impl<DB: Dialect> Writer<DB> {
    /// Settings for a new writer: over the guard's database, for readers of `slots`, with events for `bus`.
    ///
    /// The bus needs [`InvalidateSlotsCache`](vacancy_slots::InvalidateSlotsCache) of the same `slots`.
    pub fn builder(guard: BookingGuard<DB>, slots: SlotsCache, bus: Bus) -> WriterBuilder<DB> {
        let inner = Inner {
            guard,
            slots,
            bus,
            hold: None,
            time_out: Duration::from_secs(10),
            commit_time_out: Duration::from_secs(5),
            most: const { NonZeroU32::new(1024).unwrap() },
            in_flight: Arc::new(Semaphore::new(0)),
            closed: AtomicBool::new(false),
        };
        WriterBuilder { inner }
    }

    /// Books an appointment, with the application's own rows, and dispatches [`AppointmentBooked`].
    ///
    /// `rows` runs in the transaction when the guard has agreed; not for a repeated operation. It must not end
    /// the transaction.
    ///
    /// # Consistency
    ///
    /// When it has returned an appointment, no read of this process that begins later gives an answer from before
    /// it. What other processes give: see [`WriterBuilder::hold`].
    ///
    /// # Cancel safety
    ///
    /// Once begun, the write goes on to its end when the future is dropped: committed and dispatched, or neither.
    /// Whoever does not know the outcome asks again with the same [operation key](Booking::operation).
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    ///
    /// # Panics
    ///
    /// When `rows` panics; the transaction is rolled back.
    pub async fn book(
        &self,
        booking: impl Into<Booking> + Send,
        rows: impl for<'tx> FnOnce(&'tx mut Transaction<'static, DB>) -> RowsFuture<'tx>
        + Send
        + 'static,
    ) -> Result<Written, WriteError> {
        self.write(Request::Book(booking.into()), rows).await
    }

    /// Moves a booked appointment and dispatches [`AppointmentRescheduled`]: see [`BookingGuard::move_to`].
    ///
    /// # Consistency
    ///
    /// As for [`book`](Self::book).
    ///
    /// # Cancel safety
    ///
    /// As for [`book`](Self::book).
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    ///
    /// # Panics
    ///
    /// When `rows` panics; the transaction is rolled back.
    pub async fn move_to(
        &self,
        booking: impl Into<Booking> + Send,
        rows: impl for<'tx> FnOnce(&'tx mut Transaction<'static, DB>) -> RowsFuture<'tx>
        + Send
        + 'static,
    ) -> Result<Written, WriteError> {
        self.write(Request::Move(booking.into()), rows).await
    }

    /// Cancels a booked appointment and dispatches [`AppointmentCancelled`]: see [`BookingGuard::cancel`].
    ///
    /// With a [`hold`](WriterBuilder::hold), one that somebody else changes at that moment is a
    /// [`BookError::Conflict`], even where the request does not say what was seen.
    ///
    /// # Consistency
    ///
    /// As for [`book`](Self::book).
    ///
    /// # Cancel safety
    ///
    /// As for [`book`](Self::book).
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    ///
    /// # Panics
    ///
    /// When `rows` panics; the transaction is rolled back.
    pub async fn cancel(
        &self,
        cancellation: Cancellation,
        rows: impl for<'tx> FnOnce(&'tx mut Transaction<'static, DB>) -> RowsFuture<'tx>
        + Send
        + 'static,
    ) -> Result<Written, WriteError> {
        self.write(Request::Cancel(cancellation), rows).await
    }

    /// Takes no more writes and waits for those under way, each of which ends within the time-outs.
    ///
    /// Shut the writer down before the bus, so that the bus hears of all that was committed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing new begins either way, and it can be called again.
    pub async fn shutdown(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        // Fails when it was shut down before.
        let all = self.0.in_flight.acquire_many(self.0.most.get()).await;
        self.0.in_flight.close();
        drop(all);
    }

    async fn write(
        &self,
        request: Request,
        rows: impl for<'tx> FnOnce(&'tx mut Transaction<'static, DB>) -> RowsFuture<'tx>
        + Send
        + 'static,
    ) -> Result<Written, WriteError> {
        let turn = Arc::clone(&self.0.in_flight).acquire_owned().await;
        let turn = turn.map_err(|_| WriteError::Closed)?;
        if self.0.closed.load(Ordering::SeqCst) {
            return Err(WriteError::Closed);
        }
        let write = Write {
            writer: self.clone(),
            _turn: turn,
        };
        let task = tokio::spawn(write.run(request, rows).instrument(Span::current()));
        match task.await {
            Ok(written) => written,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime ends, and nobody is told how far it came.
            Err(error) => Err(WriteError::Unknown(error.into())),
        }
    }
}

/// What the handles of one writer share.
struct Inner<DB: Dialect> {
    guard: BookingGuard<DB>,
    slots: SlotsCache,
    bus: Bus,
    hold: Option<WhenUnconfirmed>,
    time_out: Duration,
    commit_time_out: Duration,
    most: NonZeroU32,
    /// A permit for each write that may be under way.
    in_flight: Arc<Semaphore>,
    closed: AtomicBool,
}

enum Request {
    Book(Booking),
    Move(Booking),
    Cancel(Cancellation),
}

/// One write, from the hold to the dispatch.
struct Write<DB: Dialect> {
    writer: Writer<DB>,
    /// Given back when the task is over, however it ends.
    _turn: OwnedSemaphorePermit,
}

impl<DB: Dialect> Write<DB> {
    async fn run(
        self,
        mut request: Request,
        rows: impl for<'tx> FnOnce(&'tx mut Transaction<'static, DB>) -> RowsFuture<'tx> + Send,
    ) -> Result<Written, WriteError> {
        let writer = &*self.writer.0;
        let deadline = Instant::now() + writer.time_out;
        let held = match writer.hold {
            None => Held(None),
            Some(policy) => {
                let held = timeout_at(deadline, writer.held(&mut request, policy)).await;
                held.map_err(|_| WriteError::TimedOut)??
            }
        };
        // Past the hold's end readers would no longer be kept from what the commit takes.
        let deadline = match &held.0 {
            None => deadline,
            Some(hold) => match hold.until().checked_sub(writer.commit_time_out) {
                Some(latest) => deadline.min(latest),
                None => return Err(WriteError::TimedOut),
            },
        };
        let prepared = timeout_at(deadline, writer.prepare(&request, rows)).await;
        let (tx, change) = prepared.map_err(|_| WriteError::TimedOut)??;
        if let Change::Repeated(appointment) = change {
            return Ok(Written {
                appointment,
                receipt: None,
            });
        }
        if Instant::now() >= deadline {
            return Err(WriteError::TimedOut);
        }
        writer.commit(tx, change, held.into_commit()).await
    }
}

impl<DB: Dialect> Inner<DB> {
    /// Holds what the request will change, where that can be told; else the transaction will refuse it anyway,
    /// or repeat what was done.
    async fn held(
        &self,
        request: &mut Request,
        policy: WhenUnconfirmed,
    ) -> Result<Held, WriteError> {
        let Some(change) = self.expected(request).await? else {
            return Ok(Held(None));
        };
        match (self.slots.hold(&change).await, policy) {
            (Ok(hold), _) => Ok(Held(Some(hold))),
            (Err(error), WhenUnconfirmed::Refuse) => Err(WriteError::Unheld(error.into())),
            (Err(_), WhenUnconfirmed::CommitAnyway) => Ok(Held(None)),
        }
    }

    async fn expected(&self, request: &mut Request) -> Result<Option<Change>, BookError> {
        match request {
            Request::Book(booking) => {
                let appointment = booking.checked()?.appointment;
                Ok(Some(Change::Booked(AppointmentBooked::new(appointment))))
            }
            Request::Move(booking) => {
                let after = booking.checked()?.appointment;
                let before = self.guard.find(&after.tenant, &after.id).await?;
                let before = before.filter(|before| before.revision == after.revision);
                Ok(before
                    .map(|before| Change::Rescheduled(AppointmentRescheduled::new(before, after))))
            }
            Request::Cancel(cancellation) => {
                let (tenant, id) = (&cancellation.tenant, &cancellation.appointment);
                let Some(before) = self.guard.find(tenant, id).await? else {
                    return Ok(None);
                };
                // What is held has to be what is cancelled.
                cancellation.seen.get_or_insert(before.revision);
                Ok(Some(Change::Cancelled(AppointmentCancelled::new(before))))
            }
        }
    }

    /// Everything up to the commit.
    async fn prepare(
        &self,
        request: &Request,
        rows: impl for<'tx> FnOnce(&'tx mut Transaction<'static, DB>) -> RowsFuture<'tx> + Send,
    ) -> Result<(Transaction<'static, DB>, Change), WriteError> {
        let mut tx = self.guard.begin().await?;
        let change = match request {
            Request::Book(booking) => self.guard.book(&mut tx, booking).await?,
            Request::Move(booking) => self.guard.move_to(&mut tx, booking).await?,
            Request::Cancel(cancellation) => self.guard.cancel(&mut tx, cancellation).await?,
        };
        if matches!(change, Change::Repeated(_)) {
            return Ok((tx, change));
        }
        rows(&mut tx).await.map_err(WriteError::Rows)?;
        // PostgreSQL says yes to the COMMIT of a transaction in which a statement failed, and rolls it back.
        match self.guard.has(&mut tx, &change).await {
            Ok(Some(true)) => Ok((tx, change)),
            Ok(_) => Err(WriteError::Rows(Undone.into())),
            Err(error) => Err(WriteError::Rows(error.into())),
        }
    }

    async fn commit(
        &self,
        tx: Transaction<'static, DB>,
        change: Change,
        hold: Option<SlotsHold>,
    ) -> Result<Written, WriteError> {
        let error = match timeout(self.commit_time_out, tx.commit()).await {
            Ok(Ok(())) => return Ok(self.dispatch(change)),
            Ok(Err(error)) => error,
            Err(elapsed) => sqlx::Error::Io(elapsed.into()),
        };
        match self.was_committed(&change).await {
            Some(true) => Ok(self.dispatch(change)),
            Some(false) => {
                if let Some(hold) = hold {
                    hold.abandon();
                }
                Err(failed::<DB>(error).into())
            }
            None => {
                warn!("whether a booking was committed is not known");
                if hold.is_none() {
                    self.hold_unknown(&change).await;
                }
                Err(WriteError::Unknown(error.into()))
            }
        }
    }

    fn dispatch(&self, change: Change) -> Written {
        let appointment = change.appointment().clone();
        Written {
            receipt: change.dispatch(&self.bus),
            appointment,
        }
    }

    /// Asks until there is an answer or the time is over.
    async fn was_committed(&self, change: &Change) -> Option<bool> {
        let asked = async {
            loop {
                if let Ok(answer) = self.look(change).await {
                    return answer;
                }
                sleep(PAUSE).await;
            }
        };
        timeout(self.commit_time_out, asked).await.ok().flatten()
    }

    async fn look(&self, change: &Change) -> Result<Option<bool>, BookError> {
        let mut tx = self.guard.begin().await?;
        self.guard.has(&mut tx, change).await
    }

    /// Lets readers see either outcome: nothing that is loaded meanwhile is kept, so what the commit takes is
    /// gone from the answers as soon as it is there.
    async fn hold_unknown(&self, change: &Change) {
        if self.slots.hold(change).await.is_ok() {
            return; // not released: it ends by itself
        }
        for appointment in change.appointments() {
            for resource in &appointment.resources {
                let target = Target::Resource(resource.clone());
                self.slots.invalidate(&appointment.tenant, &target, None);
            }
        }
    }
}

/// A hold that is abandoned on every way that does not lead to a commit.
struct Held(Option<SlotsHold>);

impl Held {
    /// From here on the booking may be on its way.
    fn into_commit(mut self) -> Option<SlotsHold> {
        self.0.take()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(hold) = self.0.take() {
            hold.abandon();
        }
    }
}

/// The closure for the application's own rows ended the transaction, or undid the booking in it.
#[derive(Debug, thiserror::Error)]
#[error("the booking is no longer in the transaction")]
struct Undone;
