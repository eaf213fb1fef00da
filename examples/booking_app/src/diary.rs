//! What is booked in truth: a table of SQLite.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::{
    Row, SqliteConnection, SqlitePool,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use vacancy::slots::{AppointmentId, Interval, ResourceId};

use crate::{booking::Booking, salon::Salon};

/// What is booked in truth. A handle: `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Diary {
    pool: SqlitePool,
    salon: Arc<Salon>,
}

/// What a booking keeps busy.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) host: ResourceId,
    /// With its buffers.
    pub(crate) busy: Interval,
}

/// Why the diary did not write what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiaryError {
    /// Somebody else has that time.
    #[error("the time is taken")]
    Taken,
    /// There is no such booking, or no longer.
    #[error("there is no such booking")]
    Unknown,
    /// It is not known whether it was written; asking again with the same key tells.
    #[error("the diary cannot be read or written")]
    Database(#[from] sqlx::Error),
}

/// The most bookings that one look at the diary gives.
const MOST: i64 = 5_000;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS bookings (
        id TEXT PRIMARY KEY,
        event_type TEXT NOT NULL,
        host TEXT NOT NULL,
        starts INTEGER NOT NULL,
        ends INTEGER NOT NULL,
        busy_from INTEGER NOT NULL,
        busy_to INTEGER NOT NULL,
        name TEXT NOT NULL,
        revision INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        cancelled INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS bookings_by_host ON bookings (host, busy_from, busy_to) WHERE NOT cancelled;
    CREATE INDEX IF NOT EXISTS bookings_by_start ON bookings (starts) WHERE NOT cancelled;
    CREATE TABLE IF NOT EXISTS orders (
        key TEXT PRIMARY KEY,
        booking TEXT NOT NULL
    ) STRICT;
";

/// No booking keeps a host busy for longer, so that a look into the index is short.
const LONGEST: i64 = 24 * 3600;

impl Diary {
    pub(crate) async fn open(file: &Path, salon: Arc<Salon>) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await
            .context("the diary cannot be opened")?;
        sqlx::raw_sql(SCHEMA)
            .execute(&pool)
            .await
            .context("the diary cannot be prepared")?;
        Ok(Self { pool, salon })
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Writes a booking, unless somebody else has the time. With a key that was used before it gives
    /// the booking of that time.
    pub(crate) async fn book(
        &self,
        booking: &Booking,
        key: &str,
    ) -> Result<(Booking, bool), DiaryError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let known = sqlx::query(
            "SELECT b.* FROM orders o JOIN bookings b ON b.id = o.booking WHERE o.key = ?",
        )
        .bind(key)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = known {
            return Ok((booking_of(&row)?, false));
        }
        self.check(&mut transaction, booking).await?;
        self.write(&mut transaction, booking).await?;
        sqlx::query("INSERT INTO orders (key, booking) VALUES (?, ?)")
            .bind(key)
            .bind(booking.id.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok((booking.clone(), true))
    }

    /// Moves a booking, unless somebody else has the time. Gives it as it was and as it is; both are
    /// the same where there is nothing to do.
    pub(crate) async fn reschedule(
        &self,
        id: &AppointmentId,
        host: ResourceId,
        time: Interval,
    ) -> Result<(Booking, Booking), DiaryError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let before = find(&mut transaction, id).await?;
        if before.cancelled {
            return Err(DiaryError::Unknown);
        }
        if before.host == host && before.time == time {
            return Ok((before.clone(), before));
        }
        let after = Booking {
            host,
            time,
            revision: before.revision + 1,
            changed_at: Utc::now(),
            ..before.clone()
        };
        self.check(&mut transaction, &after).await?;
        self.write(&mut transaction, &after).await?;
        transaction.commit().await?;
        Ok((before, after))
    }

    /// Cancels a booking; `None` if it was cancelled before.
    pub(crate) async fn cancel(&self, id: &AppointmentId) -> Result<Option<Booking>, DiaryError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut booking = find(&mut transaction, id).await?;
        if booking.cancelled {
            return Ok(None);
        }
        booking.revision += 1;
        booking.changed_at = Utc::now();
        booking.cancelled = true;
        self.write(&mut transaction, &booking).await?;
        transaction.commit().await?;
        Ok(Some(booking))
    }

    /// What is booked and begins within `window`, by its start.
    pub(crate) async fn bookings(&self, window: Interval) -> Result<Vec<Booking>, DiaryError> {
        let rows = sqlx::query(
            "SELECT * FROM bookings WHERE NOT cancelled AND starts >= ? AND starts < ? ORDER BY starts, host LIMIT ?",
        )
        .bind(window.start().timestamp())
        .bind(window.end().timestamp())
        .bind(MOST)
        .fetch_all(&self.pool)
        .await?;
        let bookings = rows.iter().map(booking_of).collect::<Result<_, _>>()?;
        Ok(bookings)
    }

    /// One booking that is not cancelled.
    pub(crate) async fn booking(&self, id: &AppointmentId) -> Result<Booking, DiaryError> {
        let booking = find(&mut *self.pool.acquire().await?, id).await?;
        match booking.cancelled {
            true => Err(DiaryError::Unknown),
            false => Ok(booking),
        }
    }

    /// When these hosts are busy within `window`.
    pub(crate) async fn taken(
        &self,
        hosts: &[ResourceId],
        window: Interval,
    ) -> Result<Vec<Taken>, DiaryError> {
        let mut taken = Vec::new();
        for host in hosts {
            let rows = sqlx::query(
                "SELECT busy_from, busy_to FROM bookings
                 WHERE NOT cancelled AND host = ? AND busy_from > ? AND busy_from < ? AND busy_to > ?",
            )
            .bind(host.as_str())
            .bind(window.start().timestamp() - LONGEST)
            .bind(window.end().timestamp())
            .bind(window.start().timestamp())
            .fetch_all(&self.pool)
            .await?;
            for row in rows {
                taken.push(Taken {
                    host: host.clone(),
                    busy: interval(row.try_get(0)?, row.try_get(1)?)?,
                });
            }
        }
        Ok(taken)
    }

    /// Whether nothing was ever booked.
    pub(crate) async fn is_empty(&self) -> Result<bool, DiaryError> {
        let row = sqlx::query("SELECT EXISTS (SELECT 1 FROM bookings)")
            .fetch_one(&self.pool)
            .await?;
        Ok(!row.try_get::<bool, _>(0)?)
    }

    async fn check(
        &self,
        transaction: &mut SqliteConnection,
        booking: &Booking,
    ) -> Result<(), DiaryError> {
        let busy = self.busy(booking);
        let other = sqlx::query(
            "SELECT 1 FROM bookings WHERE NOT cancelled AND host = ? AND busy_from > ? AND busy_from < ?
             AND busy_to > ? AND id <> ? LIMIT 1",
        )
        .bind(booking.host.as_str())
        .bind(busy.start().timestamp() - LONGEST)
        .bind(busy.end().timestamp())
        .bind(busy.start().timestamp())
        .bind(booking.id.as_str())
        .fetch_optional(transaction)
        .await?;
        match other {
            Some(_) => Err(DiaryError::Taken),
            None => Ok(()),
        }
    }

    async fn write(
        &self,
        transaction: &mut SqliteConnection,
        booking: &Booking,
    ) -> Result<(), DiaryError> {
        let busy = self.busy(booking);
        sqlx::query("INSERT OR REPLACE INTO bookings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(booking.id.as_str())
            .bind(booking.event_type.as_str())
            .bind(booking.host.as_str())
            .bind(booking.time.start().timestamp())
            .bind(booking.time.end().timestamp())
            .bind(busy.start().timestamp())
            .bind(busy.end().timestamp())
            .bind(&booking.name)
            .bind(i64::try_from(booking.revision).unwrap_or(i64::MAX))
            .bind(booking.changed_at.timestamp_micros())
            .bind(booking.cancelled)
            .execute(transaction)
            .await?;
        Ok(())
    }

    fn busy(&self, booking: &Booking) -> Interval {
        let event_type = self.salon.event_type(booking.event_type.as_str());
        event_type.map_or(booking.time, |event_type| event_type.busy(booking.time))
    }
}

async fn find(
    connection: &mut SqliteConnection,
    id: &AppointmentId,
) -> Result<Booking, DiaryError> {
    let row = sqlx::query("SELECT * FROM bookings WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(booking_of(&row.ok_or(DiaryError::Unknown)?)?)
}

fn booking_of(row: &SqliteRow) -> Result<Booking, sqlx::Error> {
    let text = |column| row.try_get::<&str, _>(column);
    let id = |column| text(column).and_then(|text| text.try_into().map_err(decode));
    Ok(Booking {
        id: id("id")?,
        event_type: text("event_type")?.try_into().map_err(decode)?,
        host: text("host")?.try_into().map_err(decode)?,
        time: interval(row.try_get("starts")?, row.try_get("ends")?)?,
        name: text("name")?.to_owned(),
        revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
        changed_at: DateTime::from_timestamp_micros(row.try_get("changed_at")?).unwrap_or_default(),
        cancelled: row.try_get("cancelled")?,
    })
}

fn interval(start: i64, end: i64) -> Result<Interval, sqlx::Error> {
    let at = |seconds| DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or_default();
    Interval::new(at(start), at(end)).map_err(decode)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
