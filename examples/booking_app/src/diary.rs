//! What is booked in truth: the guard's tables in SQLite, and the customers beside them.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use sqlx::{
    Row, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use vacancy::slots::{Appointment, AppointmentId, Buffers, Interval, ResourceId};
use vacancy_sqlx::{BookError, BookingGuard};

use crate::{booking::Booking, salon::Salon};

/// What is booked in truth. A handle: `clone` is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Diary {
    guard: BookingGuard<Sqlite>,
    salon: Arc<Salon>,
}

/// What a booking keeps busy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) by: AppointmentId,
    pub(crate) host: ResourceId,
    /// With its buffers.
    pub(crate) busy: Interval,
}

const CUSTOMERS: &str = "
    CREATE TABLE IF NOT EXISTS customers (
        appointment TEXT PRIMARY KEY,
        name TEXT NOT NULL
    ) WITHOUT ROWID;
";

impl Diary {
    pub(crate) async fn open(file: &Path, salon: Arc<Salon>) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await
            .context("the diary cannot be opened")?;
        let guard = BookingGuard::new(pool);
        guard
            .migrate()
            .await
            .context("the diary cannot be prepared")?;
        sqlx::raw_sql(CUSTOMERS)
            .execute(guard.pool())
            .await
            .context("the diary cannot be prepared")?;
        Ok(Self { guard, salon })
    }

    /// Who writes into it.
    pub(crate) const fn guard(&self) -> &BookingGuard<Sqlite> {
        &self.guard
    }

    pub(crate) async fn close(&self) {
        self.pool().close().await;
    }

    fn pool(&self) -> &SqlitePool {
        self.guard.pool()
    }

    /// The booked appointment of this id.
    pub(crate) async fn find(&self, id: &AppointmentId) -> Result<Appointment, BookError> {
        let found = self.guard.find(&self.salon.tenant, id).await?;
        found.ok_or(BookError::UnknownAppointment)
    }

    /// What is booked and touches `window`, by its start.
    pub(crate) async fn bookings(&self, window: Interval) -> Result<Vec<Booking>, BookError> {
        let booked = self.guard.booked(&self.salon.tenant, window).await?;
        let mut names = self.names(&booked).await.map_err(BookError::Database)?;
        let named = booked.into_iter().map(|appointment| {
            let name = names.remove(appointment.id.as_str()).unwrap_or_default();
            Booking { appointment, name }
        });
        Ok(named.collect())
    }

    /// An appointment with the name of its customer.
    pub(crate) async fn named(&self, appointment: Appointment) -> Result<Booking, BookError> {
        let names = self.names(std::slice::from_ref(&appointment)).await;
        let name = names.map_err(BookError::Database)?.into_values().next();
        Ok(Booking {
            appointment,
            name: name.unwrap_or_default(),
        })
    }

    /// When whoever is booked is busy within `window`.
    pub(crate) async fn taken(&self, window: Interval) -> Result<Vec<Taken>, BookError> {
        let booked = self.guard.booked(&self.salon.tenant, window).await?;
        let taken = |appointment: &Appointment| {
            let buffers = appointment.buffers.unwrap_or(Buffers::NONE);
            let mut taken = Vec::new();
            for interval in appointment.intervals() {
                let busy = interval.widened(buffers.before(), buffers.after());
                for host in &appointment.resources {
                    taken.push(Taken {
                        by: appointment.id.clone(),
                        host: host.clone(),
                        busy,
                    });
                }
            }
            taken
        };
        Ok(booked.iter().flat_map(taken).collect())
    }

    /// Whether nothing was ever booked.
    pub(crate) async fn is_empty(&self) -> Result<bool, sqlx::Error> {
        let any = sqlx::query("SELECT EXISTS (SELECT 1 FROM customers)");
        let any: bool = any.fetch_one(self.pool()).await?.try_get(0)?;
        Ok(!any)
    }

    async fn names(&self, of: &[Appointment]) -> Result<HashMap<String, String>, sqlx::Error> {
        let ids: Vec<_> = of.iter().map(|appointment| &appointment.id).collect();
        let ids = serde_json::to_string(&ids).expect("ids are strings");
        let rows = sqlx::query(
            "SELECT appointment, name FROM customers
             WHERE appointment IN (SELECT value FROM json_each(?))",
        )
        .bind(ids)
        .fetch_all(self.pool())
        .await?;
        let row = |row: &sqlx::sqlite::SqliteRow| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(row).collect()
    }
}

/// Notes whose appointment it is, in the transaction that books it.
pub(crate) async fn note_customer(
    tx: &mut Transaction<'_, Sqlite>,
    appointment: &AppointmentId,
    name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO customers (appointment, name) VALUES (?, ?)")
        .bind(appointment.as_str())
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
