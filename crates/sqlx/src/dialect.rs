//! What the guard asks of a database, and the statements that SQLite and PostgreSQL share.
//!
//! Three tables: `vacancy_bookings` has a row for each appointment, `vacancy_occupied` one for each seat that a
//! booked appointment blocks of a resource, `vacancy_operations` one for each operation key.

#![expect(unnameable_types, reason = "no other crate may add a database")]
#![cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "rows are read and written by the databases")
)]

use chrono::{DateTime, Utc};
use sqlx::{Database, Pool, Transaction};

/// A database that a [`BookingGuard`](crate::BookingGuard) can use: [`sqlx::Sqlite`] or [`sqlx::Postgres`],
/// each with the feature of its name.
///
/// Sealed: the promises rest on how each locks.
pub trait Dialect: sealed::Statements {}

impl<DB: sealed::Statements> Dialect for DB {}

/// An appointment as it is stored.
#[derive(Debug)]
pub struct StoredBooking {
    pub(crate) state: String,
    pub(crate) details: String,
}

/// Who occupies a resource at some time.
#[derive(Debug)]
pub struct Occupant {
    pub(crate) appointment: String,
    pub(crate) session: String,
    pub(crate) seat: i64,
}

/// A row of `vacancy_occupied`.
#[derive(Debug)]
pub struct OccupiedRow<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) session: &'a str,
    pub(crate) seat: i64,
    pub(crate) appointment: &'a str,
}

/// What the database says with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Another transaction is in the way.
    Busy,
    /// A row may not be beside another.
    Excluded,
    /// A row may not be there twice.
    Duplicate,
    /// Anything else.
    Failed,
}

pub(crate) mod sealed {
    use std::time::Duration;

    use super::{
        Database, DateTime, Meaning, Occupant, OccupiedRow, Pool, StoredBooking, Transaction, Utc,
    };

    /// What a [`Dialect`](super::Dialect) does. All but `begin` are called in a transaction.
    pub trait Statements: Database {
        /// Begins a transaction that may write, and waits for locks no longer than this.
        fn begin(
            pool: &Pool<Self>,
            lock_time_out: Duration,
        ) -> impl Future<Output = sqlx::Result<Transaction<'static, Self>>> + Send;

        /// Makes the tables, where they are not there.
        fn migrate(on: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send;

        /// Keeps other transactions from what is named, until this one ends.
        fn lock(
            on: &mut Self::Connection,
            names: Vec<String>,
        ) -> impl Future<Output = sqlx::Result<()>> + Send;

        /// What the error says.
        fn meaning(error: &dyn sqlx::error::DatabaseError) -> Meaning;

        /// The request and the result that were noted under a key.
        fn operation(
            on: &mut Self::Connection,
            tenant: &str,
            key: &str,
        ) -> impl Future<Output = sqlx::Result<Option<(String, String)>>> + Send;

        /// Notes them.
        fn note_operation(
            on: &mut Self::Connection,
            tenant: &str,
            key: &str,
            request: &str,
            result: &str,
            at: DateTime<Utc>,
        ) -> impl Future<Output = sqlx::Result<()>> + Send;

        /// Forgets the operations that were noted before, and says how many.
        fn forget_operations(
            on: &mut Self::Connection,
            before: DateTime<Utc>,
        ) -> impl Future<Output = sqlx::Result<u64>> + Send;

        /// The appointment of this id, whatever its state.
        fn booking(
            on: &mut Self::Connection,
            tenant: &str,
            appointment: &str,
        ) -> impl Future<Output = sqlx::Result<Option<StoredBooking>>> + Send;

        /// Writes an appointment, new or over the old one.
        fn put_booking(
            on: &mut Self::Connection,
            tenant: &str,
            appointment: &str,
            revision: i64,
            stored: &StoredBooking,
        ) -> impl Future<Output = sqlx::Result<()>> + Send;

        /// Who occupies the resource at any time between.
        fn occupants(
            on: &mut Self::Connection,
            tenant: &str,
            resource: &str,
            from: DateTime<Utc>,
            to: DateTime<Utc>,
        ) -> impl Future<Output = sqlx::Result<Vec<Occupant>>> + Send;

        /// Occupies a seat.
        fn occupy(
            on: &mut Self::Connection,
            row: OccupiedRow<'_>,
        ) -> impl Future<Output = sqlx::Result<()>> + Send;

        /// Frees all that an appointment occupies.
        fn vacate(
            on: &mut Self::Connection,
            tenant: &str,
            appointment: &str,
        ) -> impl Future<Output = sqlx::Result<()>> + Send;

        /// The details of the appointments that block anything of the tenant between.
        fn booked(
            on: &mut Self::Connection,
            tenant: &str,
            from: DateTime<Utc>,
            to: DateTime<Utc>,
        ) -> impl Future<Output = sqlx::Result<Vec<String>>> + Send;
    }
}

/// The statements that read the same in both databases. Only how an instant is bound differs: `instant`.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
macro_rules! shared_statements {
    ($instant:path) => {
        async fn operation(
            on: &mut Self::Connection,
            tenant: &str,
            key: &str,
        ) -> sqlx::Result<Option<(String, String)>> {
            let sql = "SELECT request, result FROM vacancy_operations \
                       WHERE tenant = $1 AND operation = $2";
            sqlx::query_as(sql).bind(tenant).bind(key).fetch_optional(on).await
        }

        async fn note_operation(
            on: &mut Self::Connection,
            tenant: &str,
            key: &str,
            request: &str,
            result: &str,
            at: DateTime<Utc>,
        ) -> sqlx::Result<()> {
            let sql = "INSERT INTO vacancy_operations (tenant, operation, request, result, noted_at) \
                       VALUES ($1, $2, $3, $4, $5)";
            let noted = sqlx::query(sql).bind(tenant).bind(key).bind(request).bind(result);
            noted.bind($instant(at)).execute(on).await.map(drop)
        }

        async fn forget_operations(
            on: &mut Self::Connection,
            before: DateTime<Utc>,
        ) -> sqlx::Result<u64> {
            let sql = "DELETE FROM vacancy_operations WHERE noted_at < $1";
            let gone = sqlx::query(sql).bind($instant(before)).execute(on).await?;
            Ok(gone.rows_affected())
        }

        async fn booking(
            on: &mut Self::Connection,
            tenant: &str,
            appointment: &str,
        ) -> sqlx::Result<Option<StoredBooking>> {
            let sql = "SELECT state, details FROM vacancy_bookings \
                       WHERE tenant = $1 AND appointment = $2";
            let row = sqlx::query_as(sql).bind(tenant).bind(appointment);
            let row = row.fetch_optional(on).await?;
            Ok(row.map(|(state, details)| StoredBooking { state, details }))
        }

        async fn put_booking(
            on: &mut Self::Connection,
            tenant: &str,
            appointment: &str,
            revision: i64,
            stored: &StoredBooking,
        ) -> sqlx::Result<()> {
            let sql = "INSERT INTO vacancy_bookings (tenant, appointment, state, revision, details) \
                       VALUES ($1, $2, $3, $4, $5) \
                       ON CONFLICT (tenant, appointment) DO UPDATE SET \
                       state = excluded.state, revision = excluded.revision, details = excluded.details";
            let put = sqlx::query(sql).bind(tenant).bind(appointment).bind(&stored.state);
            put.bind(revision).bind(&stored.details).execute(on).await.map(drop)
        }

        async fn occupants(
            on: &mut Self::Connection,
            tenant: &str,
            resource: &str,
            from: DateTime<Utc>,
            to: DateTime<Utc>,
        ) -> sqlx::Result<Vec<Occupant>> {
            let sql = "SELECT appointment, session, seat FROM vacancy_occupied \
                       WHERE tenant = $1 AND resource = $2 AND blocked_to > $3 AND blocked_from < $4 \
                       ORDER BY blocked_from, seat";
            let rows = sqlx::query_as(sql).bind(tenant).bind(resource);
            let rows = rows.bind($instant(from)).bind($instant(to)).fetch_all(on).await?;
            let occupant = |(appointment, session, seat)| Occupant {
                appointment,
                session,
                seat,
            };
            Ok(rows.into_iter().map(occupant).collect())
        }

        async fn occupy(on: &mut Self::Connection, row: OccupiedRow<'_>) -> sqlx::Result<()> {
            let sql = "INSERT INTO vacancy_occupied \
                       (tenant, resource, blocked_from, blocked_to, session, seat, appointment) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7)";
            let seat = sqlx::query(sql).bind(row.tenant).bind(row.resource);
            let seat = seat.bind($instant(row.from)).bind($instant(row.to));
            let seat = seat.bind(row.session).bind(row.seat).bind(row.appointment);
            seat.execute(on).await.map(drop)
        }

        async fn vacate(
            on: &mut Self::Connection,
            tenant: &str,
            appointment: &str,
        ) -> sqlx::Result<()> {
            let sql = "DELETE FROM vacancy_occupied WHERE tenant = $1 AND appointment = $2";
            sqlx::query(sql).bind(tenant).bind(appointment).execute(on).await.map(drop)
        }

        async fn booked(
            on: &mut Self::Connection,
            tenant: &str,
            from: DateTime<Utc>,
            to: DateTime<Utc>,
        ) -> sqlx::Result<Vec<String>> {
            let sql = "SELECT details FROM vacancy_bookings WHERE tenant = $1 AND appointment IN \
                       (SELECT appointment FROM vacancy_occupied \
                       WHERE tenant = $1 AND blocked_to > $2 AND blocked_from < $3)";
            let rows = sqlx::query_scalar(sql).bind(tenant);
            rows.bind($instant(from)).bind($instant(to)).fetch_all(on).await
        }
    };
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use shared_statements;
