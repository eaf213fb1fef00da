//! Claims in Redis: all processes see the same, and each of them says when it ends.

mod support;

use std::time::Duration;

use support::{
    claims::{MINUTE, hour, request},
    soon,
};
use tokio::time::Instant;
use vacancy::cache::{
    Claim, ClaimError, ClaimRequest, Claims, Cover, ExtendClaimError, MAX_CLAIMS, Redis, Scope,
    Share, Span,
};
use vacancy_testbed::RedisServer;

/// Redis tells whole milliseconds.
const TICK: Duration = Duration::from_millis(1);

/// A server, and two processes.
async fn two() -> (RedisServer, Claims, Claims) {
    let server = RedisServer::start().await.expect("a server");
    let claims = || {
        let url = server.url().parse().expect("the address of a redis");
        Claims::redis(Redis::at(url).namespace("test").time_out(MINUTE))
    };
    let (one, other) = (claims(), claims());
    (server, one, other)
}

async fn claim(claims: &Claims, request: &ClaimRequest) -> Claim {
    let claimed = soon(claims.claim(request)).await;
    claimed.expect("nothing is in the way")
}

async fn refused(claims: &Claims, request: &ClaimRequest) -> ClaimError {
    let claimed = soon(claims.claim(request)).await;
    claimed.expect_err("something is in the way")
}

async fn listed(claims: &Claims, cover: Cover) -> Vec<Claim> {
    let mut found = soon(claims.list(&[cover])).await.expect("redis runs");
    found.sort_by_key(|claim| claim.id().to_owned());
    found
}

/// All but when it ends, which each process works out for itself.
fn told(claim: &Claim) -> (&str, &str, &str, &str, Vec<&Cover>) {
    (
        claim.tenant(),
        claim.owner(),
        claim.id(),
        claim.note(),
        claim.covers().collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_is_told_of_a_claim_what_another_has_asked_for() {
    let (_server, one, other) = two().await;
    let owner = "Änne/7 %2F";
    let asked = request("1", owner)
        .alone(hour("a", 9))
        .alone(hour("b", 9))
        .note("a cut");
    let begun = Instant::now();
    let made = claim(&one, &asked).await;
    assert!(made.until() >= begun + MINUTE && made.until() <= Instant::now() + MINUTE);
    let covers = [hour("a", 9), hour("b", 9)];
    let expected = ("salon", owner, "1", "a cut", covers.iter().collect());
    assert_eq!(told(&made), expected);

    let found = soon(other.find("salon", owner, "1")).await;
    let found = found.expect("redis runs").expect("it is there");
    let of_owner = soon(other.of("salon", owner)).await.expect("redis runs");
    let listed = listed(&other, hour("b", 9)).await;
    for same in [&found, &of_owner[0], &listed[0]] {
        assert_eq!(told(same), expected);
        assert!(same.until() + TICK >= made.until());
        assert!(same.until() <= Instant::now() + MINUTE);
    }
    assert_eq!((of_owner.len(), listed.len()), (1, 1));
    assert!(soon(other.find("salon", owner, "2")).await == Ok(None));
    assert!(other.are_shared() && !other.any_here());
    assert!(other.list_here(&[hour("a", 9)]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_meets_what_is_asked_for_of_any_tenant() {
    let (_server, one, other) = two().await;
    let elsewhere = Cover::new(Scope::new("spa", "chair", "a"), Span::new(9, 10));
    for (id, cover) in [
        ("1", hour("a", 9)),
        ("2", hour("a", 10)),
        ("3", hour("b", 9)),
        ("4", elsewhere.clone()),
    ] {
        claim(&one, &request(id, "ann").alone(cover)).await;
    }
    let wide = Cover::new(hour("a", 0).scope, Span::new(0, 24));
    let ids = |claims: &[Claim]| {
        claims
            .iter()
            .map(|of| of.id().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&listed(&other, wide).await), ["1", "2"]);
    assert_eq!(ids(&listed(&other, hour("a", 10)).await), ["2"]);
    assert!(listed(&other, hour("c", 9)).await.is_empty());
    let both = soon(other.list(&[hour("b", 9), elsewhere])).await;
    assert_eq!(both.expect("redis runs").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extended_claim_says_that_it_ends_later() {
    let (_server, one, other) = two().await;
    let made = claim(&one, &request("1", "ann").alone(hour("a", 9))).await;
    let begun = Instant::now();
    let longer = soon(other.extend(&made, 60 * MINUTE)).await;
    let longer = longer.expect("not over");
    assert_eq!(told(&longer), told(&made));
    assert!(longer.until() >= begun + 60 * MINUTE);
    assert!(longer.until() <= Instant::now() + 60 * MINUTE);
    // It would last longer anyway.
    let same = soon(one.extend(&made, MINUTE)).await.expect("not over");
    assert!(same.until() > begun + 30 * MINUTE);

    assert_eq!(soon(one.release(&longer)).await, Ok(true));
    assert_eq!(soon(other.release(&longer)).await, Ok(false));
    let over = soon(one.extend(&longer, MINUTE)).await;
    assert_eq!(over, Err(ExtendClaimError::Over));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_at_another_process_is_named() {
    let (_server, one, other) = two().await;
    claim(&one, &request("1", "ann").alone(hour("b", 9))).await;
    let both = request("1", "bob").alone(hour("a", 9)).alone(hour("b", 9));
    let ClaimError::Taken { scope, over_in } = refused(&other, &both).await else {
        panic!("the second is taken");
    };
    assert_eq!(scope, hour("b", 9).scope);
    assert!(over_in <= MINUTE && over_in > Duration::ZERO);
    assert!(listed(&one, hour("a", 9)).await.is_empty());

    // Made again it is the same claim; the id cannot be used for another.
    let again = claim(&other, &request("1", "ann").alone(hour("b", 9))).await;
    assert_eq!(again.id(), "1");
    let used = request("1", "ann").alone(hour("b", 10));
    assert_eq!(refused(&other, &used).await, ClaimError::Used);
    soon(one.release(&again)).await.expect("redis runs");
    assert_eq!(
        refused(&one, &request("1", "ann").alone(hour("b", 9))).await,
        ClaimError::Used
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_takes_as_many_places_as_there_are_over_all_processes() {
    let (_server, one, other) = two().await;
    let shared = |id: &str, owner: &str, share| request(id, owner).shared(hour("a", 9), share);
    let number = |number| std::num::NonZeroU32::new(number).expect("not zero");
    let class = |takes| Share::new("yoga", number(3)).takes(number(takes));
    claim(&one, &shared("1", "ann", class(1))).await;
    claim(&other, &shared("2", "bob", class(2))).await;
    let full = refused(&one, &shared("3", "eve", class(1))).await;
    assert!(matches!(full, ClaimError::Taken { .. }), "{full:?}");
    claim(&one, &shared("4", "eve", Share::unlimited("yoga"))).await;
    let judo = refused(&one, &shared("5", "eve", Share::new("judo", number(9)))).await;
    assert!(matches!(judo, ClaimError::Taken { .. }), "{judo:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_and_a_scope_have_so_many_claims_over_all_processes_and_no_more() {
    let (_server, one, other) = two().await;
    let own = |n: usize| request(&n.to_string(), "ann").alone(hour(&n.to_string(), 9));
    let of_others = |n: usize| request("1", &format!("customer {n}")).alone(hour("full", n as i64));
    for n in 0..MAX_CLAIMS {
        claim(&one, &own(n)).await;
        claim(&other, &of_others(n)).await;
    }
    assert_eq!(refused(&other, &own(MAX_CLAIMS)).await, ClaimError::TooMany);
    let scope = hour("full", 0).scope;
    let full = refused(&one, &of_others(MAX_CLAIMS)).await;
    assert_eq!(full, ClaimError::Full { scope });
}
