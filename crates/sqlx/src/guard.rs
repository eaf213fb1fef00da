//! The overlap check inside the transaction.

use std::{fmt, panic::resume_unwind, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Pool, Transaction};
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentId, AppointmentRescheduled,
    Interval, ResourceId, Revision, TenantId,
};

use crate::{
    book_error::BookError,
    booking::{Booking, Cancellation, json},
    change::Change,
    claim::{claims, seats},
    dialect::{Dialect, Meaning, OccupiedRow, StoredBooking},
    operation::OperationKey,
};

const BOOKED: &str = "booked";
const CANCELLED: &str = "cancelled";

/// Refuses in the transaction what would book a resource twice.
///
/// It keeps tables of its own, with what is blocked of each resource, beside those of the application and in
/// the same database: what the application writes in the same transaction is there when the booking is, and
/// only then. Dispatching the event after the commit is for the caller, or for a [`Writer`](crate::Writer),
/// which does both as one.
///
/// A handle: `clone` is cheap. It owns no task, and the pool's connections are the pool's.
///
/// # What excludes what
///
/// An appointment blocks each of its resources for its intervals and the buffers around them. Two appointments
/// exclude each other when they have a resource in common and what they block of it overlaps. That is the rule
/// by which the cache offers slots, so a slot that was offered, and is still free, is not refused. The tenant is
/// part of the resource. A booking gets all of its resources or none.
///
/// With a [capacity](Booking::capacity) above one, appointments of the same event type at exactly the same time
/// share a session and take a numbered seat each; others are excluded as before. Occurrences of a series whose
/// buffers meet are one session, which only the same occurrences share.
///
/// # Isolation
///
/// SQLite has one writer at a time: [`begin`](Self::begin) takes the write lock first. WAL mode and a
/// `busy_timeout` are for the application to set on its pool. PostgreSQL in `READ COMMITTED` locks the resources
/// by name (advisory locks, until the end of the transaction) before it looks; an exclusion constraint stands
/// behind, so that no isolation level and no other writer can book twice. It needs the extension `btree_gist`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sqlx::sqlite::SqlitePool;
/// use vacancy_slots::{Appointment, Buffers};
/// use vacancy_sqlx::{BookError, Booking, BookingGuard};
///
/// # let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// let guard = BookingGuard::new(pool);
/// guard.migrate().await?;
///
/// let hour = "2025-10-15T14:00:00Z/2025-10-15T15:00:00Z".parse()?;
/// let appointment = |id: u64| {
///     Booking::new(Appointment::new(id.into(), 15.into(), hour).resource(42).buffers(Buffers::NONE))
/// };
/// let mut tx = guard.begin().await?;
/// let change = guard.book(&mut tx, &appointment(1)).await?;
/// // the application's own rows go here
/// tx.commit().await?;
/// # let _ = change;
///
/// let mut tx = guard.begin().await?;
/// let refused = guard.book(&mut tx, &appointment(2)).await;
/// assert!(matches!(refused, Err(BookError::Taken { .. })));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
pub struct BookingGuard<DB: Dialect> {
    pool: Pool<DB>,
    lock_time_out: Duration,
}

impl<DB: Dialect> Clone for BookingGuard<DB> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            lock_time_out: self.lock_time_out,
        }
    }
}

impl<DB: Dialect> fmt::Debug for BookingGuard<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BookingGuard")
            .field("database", &DB::NAME)
            .field("lock_time_out", &self.lock_time_out)
            .finish_non_exhaustive()
    }
}

impl<DB: Dialect> BookingGuard<DB> {
    /// Guards the bookings in this database.
    ///
    /// An SQLite database in memory has to be a pool of one connection: each connection has its own.
    #[must_use]
    pub fn new(pool: Pool<DB>) -> Self {
        Self {
            pool,
            lock_time_out: Duration::from_secs(5),
        }
    }

    /// How long a transaction of [`begin`](Self::begin) waits for another one, in PostgreSQL. Default 5 s, at
    /// least a millisecond. Then it is [`BookError::Busy`]. In SQLite that is the `busy_timeout` of the pool.
    #[must_use]
    pub fn lock_time_out(mut self, time: Duration) -> Self {
        self.lock_time_out = time;
        self
    }

    /// The pool that it was given.
    #[must_use]
    pub const fn pool(&self) -> &Pool<DB> {
        &self.pool
    }

    /// Makes the tables where they are missing. Harmless when repeated, and from several processes at once.
    ///
    /// In PostgreSQL it makes the extension `btree_gist` too, which the owner of the database may.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: all is made or nothing.
    ///
    /// # Errors
    ///
    /// When the database fails or refuses.
    pub async fn migrate(&self) -> Result<(), BookError> {
        let mut tx = self.begin().await?;
        DB::migrate(&mut tx).await.map_err(failed::<DB>)?;
        tx.commit().await.map_err(failed::<DB>)
    }

    /// Begins a transaction for a booking and the application's own rows.
    ///
    /// Any other transaction of the same database will do, with less comfort: in SQLite one that did not begin
    /// with `BEGIN IMMEDIATE` is refused as [`BookError::Busy`] when somebody wrote since it first read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a transaction that nobody gets is rolled back.
    ///
    /// # Errors
    ///
    /// [`BookError::Busy`] or [`BookError::Database`].
    pub async fn begin(&self) -> Result<Transaction<'static, DB>, BookError> {
        let (pool, lock_time_out) = (self.pool.clone(), self.lock_time_out);
        // In a task that goes on when this future is dropped: a dropped `Pool::begin` may leave the connection in
        // a transaction that nobody knows of, and in SQLite with it the lock that every other writer waits for.
        // It ends with the time-outs of pool and database.
        let begun = tokio::spawn(async move { DB::begin(&pool, lock_time_out).await });
        match begun.await {
            Ok(begun) => begun.map_err(failed::<DB>),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Err(BookError::Database(sqlx::Error::WorkerCrashed)),
        }
    }

    /// Books an appointment in the caller's transaction.
    ///
    /// Its revision becomes newer than that of the appointment of the same id that was cancelled before, if
    /// there is one; it carries a sequence. The change is true when the transaction is committed.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: roll the transaction back.
    ///
    /// # Errors
    ///
    /// See [`BookError`]. Unless the transaction is committed nothing is booked.
    pub async fn book(
        &self,
        tx: &mut Transaction<'_, DB>,
        booking: &Booking,
    ) -> Result<Change, BookError> {
        let booking = booking.checked()?;
        let wanted = &booking.appointment;
        let fingerprint = booking.fingerprint("book", false);
        let note = Note::new(&wanted.tenant, booking.operation.as_ref(), &fingerprint);
        lock_appointment(tx, &note, &wanted.id).await?;
        if let Some(first) = first_result(tx, &note).await? {
            return Ok(Change::Repeated(first));
        }
        let stored = stored(tx, &wanted.tenant, &wanted.id).await?;
        let revision = match &stored {
            Some((State::Booked, _)) => return Err(BookError::AlreadyBooked),
            Some((State::Cancelled, before)) => raised(before.revision),
            None => Revision::changed_at(wanted.revision.changed_at)
                .sequence(wanted.revision.sequence.unwrap_or(0)),
        };
        let booked = wanted.clone().revision(revision);
        occupy(tx, &booking).await?;
        put(tx, State::Booked, &booked).await?;
        note_result(tx, &note, &booked).await?;
        Ok(Change::Booked(AppointmentBooked::new(booked)))
    }

    /// Moves a booked appointment to other times or resources, in the caller's transaction.
    ///
    /// Give it as it was read, with what is to change changed: the revision says what was seen, and the
    /// appointment gets a newer one. All of it is replaced, so the event type, say, can change too.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: roll the transaction back.
    ///
    /// # Errors
    ///
    /// See [`BookError`]. After [`BookError::Taken`] the transaction has to be rolled back too: what the
    /// appointment occupied is free in it.
    pub async fn move_to(
        &self,
        tx: &mut Transaction<'_, DB>,
        booking: &Booking,
    ) -> Result<Change, BookError> {
        let booking = booking.checked()?;
        let wanted = &booking.appointment;
        let fingerprint = booking.fingerprint("move", true);
        let note = Note::new(&wanted.tenant, booking.operation.as_ref(), &fingerprint);
        lock_appointment(tx, &note, &wanted.id).await?;
        if let Some(first) = first_result(tx, &note).await? {
            return Ok(Change::Repeated(first));
        }
        let Some((State::Booked, before)) = stored(tx, &wanted.tenant, &wanted.id).await? else {
            return Err(BookError::UnknownAppointment);
        };
        if before.revision != wanted.revision {
            return Err(BookError::Conflict {
                stored: before.revision,
            });
        }
        let moved = wanted.clone().revision(raised(before.revision));
        vacate(tx, &before).await?;
        occupy(tx, &booking).await?;
        put(tx, State::Booked, &moved).await?;
        note_result(tx, &note, &moved).await?;
        let change = AppointmentRescheduled::new(before, moved);
        Ok(Change::Rescheduled(change))
    }

    /// Cancels a booked appointment and frees what it occupies, in the caller's transaction.
    ///
    /// One that was cancelled before is [`Change::Repeated`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: roll the transaction back.
    ///
    /// # Errors
    ///
    /// See [`BookError`].
    pub async fn cancel(
        &self,
        tx: &mut Transaction<'_, DB>,
        cancellation: &Cancellation,
    ) -> Result<Change, BookError> {
        let (tenant, id) = (&cancellation.tenant, &cancellation.appointment);
        let fingerprint = cancellation.fingerprint();
        let note = Note::new(tenant, cancellation.operation.as_ref(), &fingerprint);
        lock_appointment(tx, &note, id).await?;
        if let Some(first) = first_result(tx, &note).await? {
            return Ok(Change::Repeated(first));
        }
        let before = match stored(tx, tenant, id).await? {
            None => return Err(BookError::UnknownAppointment),
            Some((State::Cancelled, before)) => return Ok(Change::Repeated(before)),
            Some((State::Booked, before)) => before,
        };
        if cancellation
            .seen
            .is_some_and(|seen| seen != before.revision)
        {
            return Err(BookError::Conflict {
                stored: before.revision,
            });
        }
        vacate(tx, &before).await?;
        let revision = raised(before.revision);
        let cancelled = before.revision(revision);
        put(tx, State::Cancelled, &cancelled).await?;
        note_result(tx, &note, &cancelled).await?;
        let mut event = AppointmentCancelled::new(cancelled);
        event.reason.clone_from(&cancellation.reason);
        event.actor.clone_from(&cancellation.actor);
        Ok(Change::Cancelled(event))
    }

    /// The booked appointment of this id; `None` when there is none, or it was cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`BookError::Busy`] or [`BookError::Database`].
    pub async fn find(
        &self,
        tenant: &TenantId,
        id: &AppointmentId,
    ) -> Result<Option<Appointment>, BookError> {
        let mut on = self.pool.acquire().await.map_err(failed::<DB>)?;
        let stored = stored_on::<DB>(&mut on, tenant, id).await?;
        Ok(match stored {
            Some((State::Booked, appointment)) => Some(appointment),
            _ => None,
        })
    }

    /// The booked appointments of a tenant that block any of this time, with their buffers; earliest first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`BookError::Busy`] or [`BookError::Database`].
    pub async fn booked(
        &self,
        tenant: &TenantId,
        during: Interval,
    ) -> Result<Vec<Appointment>, BookError> {
        let mut on = self.pool.acquire().await.map_err(failed::<DB>)?;
        let rows = DB::booked(&mut on, tenant.as_str(), during.start(), during.end()).await;
        let rows = rows.map_err(failed::<DB>)?;
        let mut booked = rows
            .iter()
            .map(|row| read(row))
            .collect::<Result<Vec<_>, _>>()?;
        booked.sort_by(|one, other| {
            let key = |appointment: &Appointment| appointment.intervals()[0];
            (key(one), &one.id).cmp(&(key(other), &other.id))
        });
        Ok(booked)
    }

    /// Forgets the operation keys that were used before, and says how many. A retry of one of them is a new
    /// request from then on.
    ///
    /// Nothing else removes them; call it now and then, with a time that no client retries over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: some may be forgotten.
    ///
    /// # Errors
    ///
    /// [`BookError::Busy`] or [`BookError::Database`].
    pub async fn forget_operations(&self, before: DateTime<Utc>) -> Result<u64, BookError> {
        let mut tx = self.begin().await?;
        let gone = DB::forget_operations(&mut tx, before).await;
        let gone = gone.map_err(failed::<DB>)?;
        tx.commit().await.map_err(failed::<DB>)?;
        Ok(gone)
    }

    /// Whether `change` is what the database has now; `None` when it was changed again since.
    ///
    /// It waits until the transaction that may have written it has ended.
    pub(crate) async fn has(
        &self,
        tx: &mut Transaction<'_, DB>,
        change: &Change,
    ) -> Result<Option<bool>, BookError> {
        let appointment = change.appointment();
        let note = Note::new(&appointment.tenant, None, "");
        lock_appointment(tx, &note, &appointment.id).await?;
        let stored = stored(tx, &appointment.tenant, &appointment.id).await?;
        let Some((state, stored)) = stored else {
            return Ok(Some(false));
        };
        let written = match change {
            Change::Cancelled(_) => State::Cancelled,
            _ => State::Booked,
        };
        Ok(match (state == written) && stored == *appointment {
            true => Some(true),
            false if stored.revision < appointment.revision => Some(false),
            false => None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Booked,
    Cancelled,
}

/// What is noted of an operation, if it has a key.
struct Note<'a> {
    tenant: &'a TenantId,
    key: Option<&'a OperationKey>,
    request: &'a str,
}

impl<'a> Note<'a> {
    const fn new(tenant: &'a TenantId, key: Option<&'a OperationKey>, request: &'a str) -> Self {
        Self {
            tenant,
            key,
            request,
        }
    }
}

/// Before the resources, always: in one order nobody waits for somebody who waits for him.
async fn lock_appointment<DB: Dialect>(
    tx: &mut Transaction<'_, DB>,
    note: &Note<'_>,
    id: &AppointmentId,
) -> Result<(), BookError> {
    let tenant = note.tenant;
    let mut names = vec![format!("appointment {tenant} {id}")];
    if let Some(key) = note.key {
        names.push(format!("operation {tenant} {}", key.as_str()));
    }
    DB::lock(tx, names).await.map_err(failed::<DB>)
}

/// What the operation gave when it was first asked for.
async fn first_result<DB: Dialect>(
    tx: &mut Transaction<'_, DB>,
    note: &Note<'_>,
) -> Result<Option<Appointment>, BookError> {
    let Some(key) = note.key else {
        return Ok(None);
    };
    let noted = DB::operation(tx, note.tenant.as_str(), key.as_str()).await;
    match noted.map_err(failed::<DB>)? {
        None => Ok(None),
        Some((request, result)) if request == note.request => read(&result).map(Some),
        Some(_) => Err(BookError::OperationReused),
    }
}

async fn note_result<DB: Dialect>(
    tx: &mut Transaction<'_, DB>,
    note: &Note<'_>,
    appointment: &Appointment,
) -> Result<(), BookError> {
    let Some(key) = note.key else {
        return Ok(());
    };
    let (tenant, key) = (note.tenant.as_str(), key.as_str());
    let result = json(appointment);
    let noted = DB::note_operation(tx, tenant, key, note.request, &result, Utc::now()).await;
    noted.map_err(failed::<DB>)
}

async fn stored<DB: Dialect>(
    tx: &mut Transaction<'_, DB>,
    tenant: &TenantId,
    id: &AppointmentId,
) -> Result<Option<(State, Appointment)>, BookError> {
    stored_on::<DB>(tx, tenant, id).await
}

async fn stored_on<DB: Dialect>(
    on: &mut DB::Connection,
    tenant: &TenantId,
    id: &AppointmentId,
) -> Result<Option<(State, Appointment)>, BookError> {
    let row = DB::booking(on, tenant.as_str(), id.as_str()).await;
    let Some(row) = row.map_err(failed::<DB>)? else {
        return Ok(None);
    };
    let state = match row.state == BOOKED {
        true => State::Booked,
        false => State::Cancelled,
    };
    Ok(Some((state, read(&row.details)?)))
}

async fn put<DB: Dialect>(
    tx: &mut Transaction<'_, DB>,
    state: State,
    appointment: &Appointment,
) -> Result<(), BookError> {
    let row = StoredBooking {
        state: match state {
            State::Booked => BOOKED.to_owned(),
            State::Cancelled => CANCELLED.to_owned(),
        },
        details: json(appointment),
    };
    let (tenant, id) = (appointment.tenant.as_str(), appointment.id.as_str());
    let sequence = appointment.revision.sequence.unwrap_or(0);
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
    let put = DB::put_booking(tx, tenant, id, sequence, &row).await;
    put.map_err(failed::<DB>)
}

async fn vacate<DB: Dialect>(
    tx: &mut Transaction<'_, DB>,
    appointment: &Appointment,
) -> Result<(), BookError> {
    let (tenant, id) = (appointment.tenant.as_str(), appointment.id.as_str());
    let vacated = DB::vacate(tx, tenant, id).await;
    vacated.map_err(failed::<DB>)
}

/// Takes all that the booking needs: looks at everything first, so that a refusal has written nothing.
async fn occupy<DB: Dialect>(
    tx: &mut Transaction<'_, DB>,
    booking: &Booking,
) -> Result<(), BookError> {
    let appointment = &booking.appointment;
    let (tenant, id) = (appointment.tenant.as_str(), appointment.id.as_str());
    let name = |resource: &ResourceId| format!("resource {tenant} {resource}");
    let names = appointment.resources.iter().map(name).collect();
    DB::lock(tx, names).await.map_err(failed::<DB>)?;

    let claims = claims(booking);
    let mut free = Vec::new();
    for resource in &appointment.resources {
        for claim in &claims {
            let (from, to) = (claim.from, claim.to);
            let there = DB::occupants(tx, tenant, resource.as_str(), from, to).await;
            let there = there.map_err(failed::<DB>)?;
            let (beside, against): (Vec<_>, Vec<_>) = there
                .into_iter()
                .filter(|occupant| occupant.appointment != id)
                .partition(|occupant| occupant.session == claim.session);
            let taken = |by: Option<&str>| BookError::Taken {
                resource: resource.clone(),
                by: by.and_then(|by| AppointmentId::try_from(by).ok()),
            };
            if let Some(other) = against.first() {
                return Err(taken(Some(&other.appointment)));
            }
            let is_free = |seat: &i64| beside.iter().all(|other| other.seat != *seat);
            let wanted = seats(booking) as usize;
            let capacity = i64::from(booking.capacity.get());
            let seats: Vec<_> = (0..capacity).filter(is_free).take(wanted).collect();
            if seats.len() < wanted {
                let by = beside.first().map(|other| other.appointment.as_str());
                return Err(taken(by));
            }
            free.extend(seats.into_iter().map(|seat| (resource, claim, seat)));
        }
    }
    for (resource, claim, seat) in free {
        let row = OccupiedRow {
            tenant,
            resource: resource.as_str(),
            from: claim.from,
            to: claim.to,
            session: &claim.session,
            seat,
            appointment: id,
        };
        if let Err(error) = DB::occupy(tx, row).await {
            return Err(match meaning::<DB>(&error) {
                // Somebody whom this transaction cannot see.
                Meaning::Excluded | Meaning::Duplicate => BookError::Taken {
                    resource: resource.clone(),
                    by: None,
                },
                _ => failed::<DB>(error),
            });
        }
    }
    Ok(())
}

/// Newer than this one, by sequence and by time, even if the clock has gone back.
fn raised(revision: Revision) -> Revision {
    let later = revision.changed_at + TimeDelta::microseconds(1);
    let sequence = revision.sequence.unwrap_or(0).saturating_add(1);
    Revision::changed_at(Utc::now().max(later)).sequence(sequence)
}

fn read(details: &str) -> Result<Appointment, BookError> {
    let read = serde_json::from_str(details);
    read.map_err(|error| BookError::Database(sqlx::Error::Decode(error.into())))
}

fn meaning<DB: Dialect>(error: &sqlx::Error) -> Meaning {
    match error {
        sqlx::Error::Database(error) => DB::meaning(&**error),
        sqlx::Error::PoolTimedOut => Meaning::Busy,
        _ => Meaning::Failed,
    }
}

/// An error of a statement that excludes nobody.
pub(crate) fn failed<DB: Dialect>(error: sqlx::Error) -> BookError {
    match meaning::<DB>(&error) {
        // A row that appeared since the snapshot was taken is seen at the next attempt.
        Meaning::Busy | Meaning::Duplicate => BookError::Busy(error),
        Meaning::Excluded | Meaning::Failed => BookError::Database(error),
    }
}
