//! What the tests share: databases of their own, a salon over one, and waits that end.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

pub(crate) mod database;
pub(crate) mod salon;

use std::time::Duration;

pub(crate) use database::{Base, Server};
pub(crate) use salon::{Salon, appointment, hour, id, minutes};

/// Runs the claims for both databases: each is a function over [`Base`].
macro_rules! in_both_databases {
    ($($claim:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$claim::<sqlx::Sqlite>().await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$claim::<sqlx::Postgres>().await;
                }
            )+
        }
    };
}
pub(crate) use in_both_databases;

/// Waits, and fails the test when it takes longer than any machine needs.
pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it should have come by now")
}

/// Waits until it holds.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    soon(async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
