//! PostgreSQL: what is about to be written is locked by name, and a constraint stands behind.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Executor, PgConnection, Pool, Postgres, Transaction, error::DatabaseError};

use crate::dialect::{
    Meaning, Occupant, OccupiedRow, StoredBooking, sealed::Statements, shared_statements,
};

/// The constraint is what the guard promises, in one line: no two appointments of different sessions block the
/// same resource at the same time. Within a session the seats are numbered, and each number is unique.
const SCHEMA: &str = "
    CREATE EXTENSION IF NOT EXISTS btree_gist;
    CREATE TABLE IF NOT EXISTS vacancy_bookings (
        tenant TEXT NOT NULL,
        appointment TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('booked', 'cancelled')),
        revision BIGINT NOT NULL,
        details TEXT NOT NULL,
        PRIMARY KEY (tenant, appointment)
    );
    CREATE TABLE IF NOT EXISTS vacancy_occupied (
        tenant TEXT NOT NULL,
        resource TEXT NOT NULL,
        blocked_from TIMESTAMPTZ NOT NULL,
        blocked_to TIMESTAMPTZ NOT NULL CHECK (blocked_from < blocked_to),
        session TEXT NOT NULL,
        seat BIGINT NOT NULL,
        appointment TEXT NOT NULL,
        UNIQUE (tenant, resource, session, seat),
        CONSTRAINT vacancy_occupied_apart EXCLUDE USING gist (
            tenant WITH =,
            resource WITH =,
            session WITH <>,
            tstzrange(blocked_from, blocked_to, '[)') WITH &&
        )
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
        noted_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (tenant, operation)
    );
    CREATE INDEX IF NOT EXISTS vacancy_operations_by_time ON vacancy_operations (noted_at);
";

const fn instant(at: DateTime<Utc>) -> DateTime<Utc> {
    at
}

impl Statements for Postgres {
    async fn begin(
        pool: &Pool<Self>,
        lock_time_out: Duration,
    ) -> sqlx::Result<Transaction<'static, Self>> {
        // Zero would mean without end.
        let milliseconds = lock_time_out.as_millis().clamp(1, i32::MAX as u128);
        let begin = format!("BEGIN; SET LOCAL lock_timeout = {milliseconds}");
        pool.begin_with(begin).await
    }

    async fn migrate(on: &mut PgConnection) -> sqlx::Result<()> {
        // Two that look for the same table at once would both make it.
        Self::lock(on, vec!["migrate".to_owned()]).await?;
        on.execute(SCHEMA).await.map(drop)
    }

    /// The lock comes before the look, so that the look sees what those before have committed. In one order for
    /// all, so that nobody waits for somebody who waits for him. Different names with one hash only wait for
    /// each other without need.
    async fn lock(on: &mut PgConnection, names: Vec<String>) -> sqlx::Result<()> {
        let sql = "SELECT pg_advisory_xact_lock(name) FROM \
                   (SELECT DISTINCT hashtextextended('vacancy ' || name, 0) AS name \
                   FROM unnest($1::text[]) AS name ORDER BY 1) AS names";
        sqlx::query(sql).bind(names).execute(on).await.map(drop)
    }

    fn meaning(error: &dyn DatabaseError) -> Meaning {
        match error.code().as_deref() {
            Some("23P01") => Meaning::Excluded,
            Some("23505") => Meaning::Duplicate,
            // Serialization failure, deadlock, lock and statement time-out.
            Some("40001" | "40P01" | "55P03" | "57014") => Meaning::Busy,
            _ => Meaning::Failed,
        }
    }

    shared_statements!(instant);
}
