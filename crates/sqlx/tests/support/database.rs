//! Databases that are empty and go with the test.

use std::{
    any::Any,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Connection, Executor, PgConnection, Pool, Postgres, Sqlite,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;
use tokio::sync::Mutex;
use vacancy_sqlx::{BookingGuard, Dialect};
use vacancy_testbed::PostgresServer;

/// The application's own table.
const CUSTOMERS: &str = "CREATE TABLE customers (appointment TEXT NOT NULL)";

/// A database of the test's own, with the guard's tables and the application's.
pub(crate) struct Server<DB: Base> {
    pub(crate) pool: Pool<DB>,
    /// Where it listens, and what the database is called there.
    pub(crate) address: Option<(SocketAddr, String)>,
    _keeper: Arc<dyn Any + Send + Sync>,
}

impl<DB: Base> Clone for Server<DB> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            address: self.address.clone(),
            _keeper: Arc::clone(&self._keeper),
        }
    }
}

impl<DB: Base> Server<DB> {
    pub(crate) async fn new() -> Self {
        let server = DB::empty().await;
        server.guard().migrate().await.expect("the tables are made");
        DB::run(&server.pool, CUSTOMERS).await;
        server
    }

    pub(crate) fn guard(&self) -> BookingGuard<DB> {
        BookingGuard::new(self.pool.clone()).lock_time_out(Duration::from_secs(30))
    }

    /// Whose rows the application has written, in order.
    pub(crate) async fn customers(&self) -> Vec<String> {
        let sql = "SELECT appointment FROM customers ORDER BY appointment";
        DB::texts(&self.pool, sql).await
    }

    /// The appointments that the guard takes for booked, in order.
    pub(crate) async fn booked(&self) -> Vec<String> {
        let sql = "SELECT appointment FROM vacancy_bookings WHERE state = 'booked' \
                   ORDER BY appointment";
        DB::texts(&self.pool, sql).await
    }
}

impl Server<Postgres> {
    /// The same database, reached by another way.
    pub(crate) async fn through(&self, address: SocketAddr) -> Self {
        let (_, name) = self.address.as_ref().expect("it listens");
        Self {
            pool: pool(address, name).await,
            ..self.clone()
        }
    }
}

/// SQLite and PostgreSQL, as the tests need them.
pub(crate) trait Base: Dialect {
    /// A database without tables.
    fn empty() -> impl Future<Output = Server<Self>> + Send;

    fn run(pool: &Pool<Self>, sql: &str) -> impl Future<Output = ()> + Send;

    fn texts(pool: &Pool<Self>, sql: &str) -> impl Future<Output = Vec<String>> + Send;

    /// Writes the application's own row for an appointment.
    fn write_row(
        on: &mut Self::Connection,
        appointment: String,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Runs something in a transaction.
    fn execute(
        on: &mut Self::Connection,
        sql: &'static str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

macro_rules! statements {
    () => {
        async fn run(pool: &Pool<Self>, sql: &str) {
            pool.execute(sql).await.expect("the statement runs");
        }

        async fn texts(pool: &Pool<Self>, sql: &str) -> Vec<String> {
            let texts = sqlx::query_scalar(sql).fetch_all(pool).await;
            texts.expect("the statement runs")
        }

        async fn write_row(on: &mut Self::Connection, appointment: String) -> sqlx::Result<()> {
            let insert = sqlx::query("INSERT INTO customers (appointment) VALUES ($1)");
            insert.bind(appointment).execute(on).await.map(drop)
        }

        async fn execute(on: &mut Self::Connection, sql: &'static str) -> sqlx::Result<()> {
            on.execute(sql).await.map(drop)
        }
    };
}

impl Base for Sqlite {
    async fn empty() -> Server<Self> {
        let folder = TempDir::with_prefix("vacancy-sqlite-").expect("a temporary folder");
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("bookings.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(60))
            .connect_with(options);
        Server {
            pool: pool.await.expect("the file is made"),
            address: None,
            _keeper: Arc::new(folder),
        }
    }

    statements!();
}

impl Base for Postgres {
    async fn empty() -> Server<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let server = running().await;
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut main = PgConnection::connect(&url(server.address(), "postgres"))
            .await
            .expect("the server answers");
        let create = format!("CREATE DATABASE {name}");
        main.execute(&*create).await.expect("the name is new");
        main.close().await.expect("the server answers");
        let pool = pool(server.address(), &name).await;
        Server {
            pool,
            address: Some((server.address(), name)),
            _keeper: server,
        }
    }

    statements!();
}

async fn pool(address: SocketAddr, database: &str) -> Pool<Postgres> {
    PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(60))
        .connect(&url(address, database))
        .await
        .expect("the server answers")
}

fn url(address: SocketAddr, database: &str) -> String {
    format!("postgres://postgres@{address}/{database}?sslmode=disable")
}

/// One server for the tests that run at the same time; it ends with the last of them.
async fn running() -> Arc<PostgresServer> {
    static SERVER: Mutex<Weak<PostgresServer>> = Mutex::const_new(Weak::new());
    let mut server = SERVER.lock().await;
    if let Some(server) = server.upgrade() {
        return server;
    }
    let started = PostgresServer::start().await.expect("it starts");
    let started = Arc::new(started);
    *server = Arc::downgrade(&started);
    started
}
