//! Who has booked at one process is shown it by all that he brings the token of his booking to.

mod support;

use std::time::Duration;

use support::{
    nodes::redis,
    salon::{Salon, alone, booking, diary, wednesday},
    soon, until,
};
use vacancy::{
    cache::{InvalidToken, Token},
    dispatch::Outcome,
    slots::{Slot, TenantId},
};
use vacancy_testbed::{Direction, Fault, Proxy, RedisServer};

fn tenant() -> TenantId {
    TenantId::from(15)
}

/// As good as for ever.
const LONG: Duration = Duration::from_secs(60);

/// Two processes, the second of which hears nothing more and does not know it.
struct Deaf {
    _server: RedisServer,
    proxy: Proxy,
    a: Salon,
    b: Salon,
    taken: Slot,
}

impl Deaf {
    async fn new(fault: Fault, lease: Duration) -> Self {
        let server = RedisServer::start().await.expect("a server");
        let proxy = Proxy::start(server.address()).await.expect("a port");
        let diary = diary();
        let a = Salon::sharing(&diary, redis(&server.url()));
        let b = Salon::sharing(&diary, redis(&proxy.url()).lease(lease));
        let taken = a.load(&wednesday()).await[3].clone();
        b.keep(&wednesday()).await;
        proxy.set(fault);
        Self {
            _server: server,
            proxy,
            a,
            b,
            taken,
        }
    }

    async fn book(&self) -> Token {
        let booked = booking(7001, &self.taken);
        self.a.commit(&booked);
        let receipt = self.a.dispatch(&booked);
        let outcome = soon(receipt.reached("slots.invalidate")).await;
        assert_eq!(outcome.expect("it listens"), Outcome::Done);
        soon(self.a.slots.confirmed(&tenant()))
            .await
            .expect("redis runs")
    }

    async fn offers_at_least(&self, token: &Token) -> bool {
        let open = soon(self.b.slots.open_at_least(&wednesday(), token)).await;
        let open = open.expect("the diary answers");
        open.iter().any(|slot| slot.interval == self.taken.interval)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_shows_a_booking_where_the_notice_of_it_is_late() {
    let deaf = Deaf::new(Fault::BlackHole(Direction::ToClient), LONG).await;
    let token = deaf.book().await;
    assert!(deaf.b.offers(&wednesday(), &deaf.taken).await); // within the lease it may
    assert!(!deaf.offers_at_least(&token).await);
    let loads = deaf.b.slots.statistics().loads;

    deaf.proxy.set(Fault::None);
    until(|| deaf.b.slots.statistics().level2.notices > 0).await;
    assert!(!deaf.b.offers(&wednesday(), &deaf.taken).await);
    deaf.b.keep(&wednesday()).await;
    let before = deaf.b.slots.statistics();
    assert!(!deaf.offers_at_least(&token).await);
    let after = deaf.b.slots.statistics();
    assert_eq!(
        (after.loads, after.hits, after.level2.hits),
        (before.loads, before.hits + 1, before.level2.hits),
        "it has heard as much"
    );
    assert!(after.loads >= loads);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_costs_a_look_into_level_2_where_the_notice_is_lost() {
    let deaf = Deaf::new(Fault::Drop(Direction::ToClient), Duration::from_secs(3)).await;
    deaf.proxy.set(Fault::None); // for connections to come
    let token = deaf.book().await;
    deaf.a.load(&wednesday()).await;
    // The first looks find their connection dead, and go to the source.
    soon(async {
        let hits = deaf.b.slots.statistics().level2.hits;
        while deaf.b.slots.statistics().level2.hits == hits {
            assert!(!deaf.offers_at_least(&token).await);
        }
    })
    .await;
    let calls = deaf.b.diary.calls();
    assert!(!deaf.offers_at_least(&token).await);
    assert_eq!(deaf.b.diary.calls(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_travels_as_text() {
    let deaf = Deaf::new(Fault::BlackHole(Direction::ToClient), LONG).await;
    let text = deaf.book().await.to_string();
    assert!(!deaf.offers_at_least(&text.parse().unwrap()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_made_up_costs_a_level_and_nothing_else() {
    let deaf = Deaf::new(Fault::None, LONG).await;
    for text in ["0-18446744073709551615-0.0", "7-1-ab.1", "65535-0-1"] {
        assert!(deaf.offers_at_least(&text.parse().unwrap()).await, "{text}");
    }
    deaf.book().await;
    until(|| deaf.b.slots.statistics().level2.notices > 0).await;
    let made_up = "0-99-ab.1".parse().unwrap();
    assert!(!deaf.offers_at_least(&made_up).await);
}

#[test]
fn what_is_not_a_token_is_refused() {
    let long = format!("0-1-{}", "a".repeat(200));
    for text in [
        "", "local ", "0-1", "0-1-", "-1-1-a", "0-1-x", "0-1-a\n", &long,
    ] {
        assert_eq!(text.parse::<Token>(), Err(InvalidToken), "{text:?}");
    }
    assert_eq!(InvalidToken.to_string(), "not a token of freshness");
}

#[tokio::test]
async fn without_redis_a_token_asks_for_nothing() {
    let diary = diary();
    let salon = Salon::new(&diary, alone(&diary));
    salon.keep(&wednesday()).await;
    let token = salon.slots.confirmed(&tenant()).await.unwrap();
    assert_eq!(token, "local".parse().unwrap());
    let open = salon
        .slots
        .open_at_least(&wednesday(), &token)
        .await
        .unwrap();
    assert_eq!(open.into_vec(), diary.free(&wednesday()));
    assert_eq!(diary.calls(), 1);
}
