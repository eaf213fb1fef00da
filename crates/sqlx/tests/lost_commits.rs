//! A commit whose answer is lost: it is looked for, and where it cannot be found, readers are safe.

mod support;

use std::time::Duration;

use sqlx::{Executor, Postgres, Transaction};
use tokio::task::JoinHandle;
use vacancy_sqlx::{WhenUnconfirmed, WriteError, Written};
use vacancy_testbed::{Direction, Fault, Proxy};

use support::{
    Base, Salon, Server, appointment, hour, id,
    salon::{readers, row, wednesday},
    soon, until,
};

/// Makes each COMMIT of an application row wait, in the database, for a lock that the test holds.
const GATE: &str = "
    CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(1);
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON customers
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit();
";

/// Who stands before the gate. The lock table is the server's, and other tests have databases there.
const WAITING: &str = "SELECT pid::text FROM pg_locks JOIN pg_database ON database = pg_database.oid \
                       WHERE datname = current_database() AND locktype = 'advisory' \
                       AND mode = 'ShareLock' AND NOT granted";

/// A booking whose COMMIT has reached the database and waits there.
struct Committing {
    salon: Salon<Postgres>,
    /// The database, past the proxy.
    server: Server<Postgres>,
    proxy: Proxy,
    gate: Transaction<'static, Postgres>,
    request: JoinHandle<Result<Written, WriteError>>,
}

async fn committing(hold: Option<WhenUnconfirmed>, commit_time_out: Duration) -> Committing {
    let server = Server::<Postgres>::new().await;
    Postgres::run(&server.pool, GATE).await;
    let mut gate = server.pool.begin().await.expect("the database answers");
    let lock = gate.execute("SELECT pg_advisory_xact_lock(1)").await;
    lock.expect("nobody has it");
    let (address, _) = server.address.clone().expect("it listens");
    let proxy = Proxy::start(address).await.expect("it starts");
    let proxied = server.through(proxy.address()).await;
    let salon = Salon::with(proxied, readers(), |writer| {
        let writer = writer.commit_time_out(commit_time_out);
        match hold {
            Some(policy) => writer.hold(policy),
            None => writer,
        }
    });
    let wanted = appointment(1, hour(10));
    let own = row::<Postgres>(&wanted);
    let writer = salon.writer.clone();
    let request = tokio::spawn(async move { writer.book(wanted, own).await });
    until(async || !Postgres::texts(&server.pool, WAITING).await.is_empty()).await;
    Committing {
        salon,
        server,
        proxy,
        gate,
        request,
    }
}

async fn open(gate: Transaction<'static, Postgres>) {
    gate.commit().await.expect("the database answers");
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_and_dispatched() {
    let at = committing(None, LONG).await;
    // All connections end, the one that waits for the answer too; new ones are let through.
    at.proxy.set(Fault::Cut);
    at.proxy.set(Fault::None);
    open(at.gate).await;
    let written = soon(at.request)
        .await
        .expect("it ended")
        .expect("it was committed");
    assert!(written.receipt.is_some());
    assert_eq!(at.salon.heard(), [("booked", id(1))]);
    assert_eq!(at.server.customers().await, ["1"]);
}

#[tokio::test]
async fn a_commit_that_failed_is_an_error_without_an_event() {
    let at = committing(Some(WhenUnconfirmed::Refuse), LONG).await;
    let end = format!("SELECT pg_terminate_backend(pid::int)::text FROM ({WAITING}) AS waiting");
    assert_eq!(Postgres::texts(&at.server.pool, &end).await, ["true"]);
    let failed = soon(at.request).await.expect("it ended");
    assert!(matches!(failed, Err(WriteError::Refused(_))), "{failed:?}");
    assert!(at.server.booked().await.is_empty() && at.salon.heard().is_empty());
    // And the hold has ended.
    soon(at.salon.slots.open(&wednesday()))
        .await
        .expect("the source answers");
    assert!(at.salon.slots.kept(&wednesday()).expect("a day").is_some());
}

/// The transaction is still under way, and goes through later.
async fn readers_keep_nothing_after(hold: Option<WhenUnconfirmed>) {
    let at = committing(hold, SHORT).await;
    let unknown = soon(at.request).await.expect("it ended");
    assert!(
        matches!(unknown, Err(WriteError::Unknown(_))),
        "{unknown:?}"
    );
    assert!(at.salon.heard().is_empty());
    soon(at.salon.slots.open(&wednesday()))
        .await
        .expect("the source answers");
    assert!(at.salon.slots.kept(&wednesday()).expect("a day").is_none());
    open(at.gate).await;
    until(async || at.server.booked().await == ["1"]).await;
    soon(at.salon.slots.open(&wednesday()))
        .await
        .expect("the source answers");
    assert!(at.salon.slots.kept(&wednesday()).expect("a day").is_none());
}

#[tokio::test]
async fn after_an_unknown_commit_readers_keep_nothing_until_the_hold_ends() {
    readers_keep_nothing_after(Some(WhenUnconfirmed::Refuse)).await;
}

#[tokio::test]
async fn after_an_unknown_commit_without_a_hold_readers_keep_nothing_either() {
    readers_keep_nothing_after(None).await;
}

#[tokio::test]
async fn a_database_that_does_not_answer_any_more_is_unknown() {
    let at = committing(None, SHORT).await;
    at.proxy.set(Fault::Drop(Direction::ToClient));
    let unknown = soon(at.request).await.expect("it ended");
    assert!(
        matches!(unknown, Err(WriteError::Unknown(_))),
        "{unknown:?}"
    );
    assert!(at.salon.heard().is_empty());
    open(at.gate).await;
    until(async || at.server.booked().await == ["1"]).await;
}
