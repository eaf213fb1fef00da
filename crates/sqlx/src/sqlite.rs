//! SQLite: one writer at a time, so a transaction that has begun to write sees all that there is.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Executor, Pool, Sqlite, SqliteConnection, Transaction, error::DatabaseError};

use crate::dialect::{
    Meaning, Occupant, OccupiedRow, StoredBooking, sealed::Statements, shared_statements,
};

/// Instants are microseconds of UTC since 1970, which compare as they follow one another.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS vacancy_bookings (
        tenant TEXT NOT NULL,
        appointment TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('booked', 'cancelled')),
        revision INTEGER NOT NULL,
        details TEXT NOT NULL,
        PRIMARY KEY (tenant, appointment)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS vacancy_occupied (
        tenant TEXT NOT NULL,
        resource TEXT NOT NULL,
        blocked_from INTEGER NOT NULL,
        blocked_to INTEGER NOT NULL CHECK (blocked_from < blocked_to),
        session TEXT NOT NULL,
        seat INTEGER NOT NULL,
        appointment TEXT NOT NULL,
        UNIQUE (tenant, resource, session, seat)
    );
    CREATE INDEX IF NOT EXISTS vacancy_occupied_by_time
        ON vacancy_occupied (tenant, resource, blocked_to, blocked_from);
    CREATE INDEX IF NOT EXISTS vacancy_occupied_by_appointment
        ON vacancy_occupied (tenant, appointment);
    CREATE TABLE IF NOT EXISTS vacancy_operations (
        tenant TEXT NOT NULL,
        operation TEXT NOT NULL,
        request TEXT NOT NULL,
        result TEXT NOT NULL,
        noted_at INTEGER NOT NULL,
        PRIMARY KEY (tenant, operation)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS vacancy_operations_by_time ON vacancy_operations (noted_at);
";

fn instant(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

impl Statements for Sqlite {
    /// Takes the write lock at once: a transaction that reads first and writes later is refused where another
    /// one wrote between. How long it waits is the `busy_timeout` of the connection.
    async fn begin(
        pool: &Pool<Self>,
        _lock_time_out: Duration,
    ) -> sqlx::Result<Transaction<'static, Self>> {
        pool.begin_with("BEGIN IMMEDIATE").await
    }

    async fn migrate(on: &mut SqliteConnection) -> sqlx::Result<()> {
        on.execute(SCHEMA).await.map(drop)
    }

    /// Nothing: there is one writer.
    async fn lock(_on: &mut SqliteConnection, _names: Vec<String>) -> sqlx::Result<()> {
        Ok(())
    }

    fn meaning(error: &dyn DatabaseError) -> Meaning {
        const BUSY: u32 = 5;
        const LOCKED: u32 = 6;
        if error.is_unique_violation() {
            return Meaning::Duplicate;
        }
        let code = error.code().and_then(|code| code.parse::<u32>().ok());
        // The lowest byte is the code, the others its details.
        match code.map(|code| code & 0xff) {
            Some(BUSY | LOCKED) => Meaning::Busy,
            _ => Meaning::Failed,
        }
    }

    shared_statements!(instant);
}
