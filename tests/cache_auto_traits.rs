//! What of the cache may cross threads and outlive its maker.

use std::{error::Error, time::Duration};

use vacancy::cache::{
    Admission, Answer, Builder, Cache, Claim, ClaimError, ClaimRequest, Claims, ClaimsUnavailable,
    Cover, ExtendClaimError, Follower, Hold, InvalidClaim, InvalidToken, Landing, Level2Statistics,
    Load, Look, Nearest, Retry, Scope, Share, Source, Span, Statistics, Ticket, Token, Turn,
    Unconfirmed,
};

fn crosses_threads<T: Send + Sync + 'static>() {}

fn is_sent<T: Send>(value: T) -> T {
    value
}

type Numbers = Cache<u32, u32, String>;

#[test]
fn handles_answers_and_turns_are_send_and_sync() {
    crosses_threads::<Numbers>();
    crosses_threads::<Answer<u32>>();
    crosses_threads::<Turn<u32, u32, String>>();
    crosses_threads::<Ticket<u32, u32, String>>();
    crosses_threads::<Follower<u32, String>>();
    crosses_threads::<Landing<u32, String>>();
    crosses_threads::<Retry<u32, String>>();
    crosses_threads::<Load<u32, u32, String>>();
    crosses_threads::<Look<u32, u32, String>>();
    crosses_threads::<(Admission, Hold, Token, Nearest)>();
    crosses_threads::<(Claims, Claim, ClaimRequest, Share)>();
    crosses_threads::<(Scope, Span, Cover, Source, Statistics, Level2Statistics)>();
}

#[test]
fn errors_can_be_boxed_kept_and_given_to_several_readers() {
    fn error<T: Error + Clone + Send + Sync + 'static>() {}
    error::<Unconfirmed>();
    error::<InvalidToken>();
    error::<ClaimError>();
    error::<ClaimsUnavailable>();
    error::<ExtendClaimError>();
    error::<InvalidClaim>();
    #[cfg(feature = "redis")]
    error::<vacancy::cache::InvalidUrl>();
}

#[test]
fn futures_of_a_handle_can_be_spawned() {
    fn spawnable<T: Send + 'static>(future: T) {
        drop(future);
    }
    fn all(cache: &Numbers, ticket: Ticket<u32, u32, String>, covers: &'static [Cover]) {
        let handle = || -> &'static Numbers { Box::leak(Box::new(cache.clone())) };
        spawnable(handle().admission());
        spawnable(handle().look(vec![ticket]));
        spawnable(handle().confirmed("tenant", None));
        spawnable(handle().hold(covers, Duration::ZERO));
    }
    fn claims(claims: &'static Claims, request: &'static ClaimRequest, claim: &'static Claim) {
        spawnable(claims.claim(request));
        spawnable(claims.extend(claim, Duration::ZERO));
        spawnable(claims.release(claim));
        spawnable(claims.find("tenant", "owner", "id"));
        spawnable(claims.of("tenant", "owner"));
        spawnable(claims.list(&[]));
    }
    let _ = (all, claims);
}

#[test]
fn settings_can_be_made_on_one_thread_and_used_on_another() {
    crosses_threads::<Builder<u32, u32, String>>();
    #[cfg(feature = "redis")]
    crosses_threads::<(
        vacancy::cache::Redis,
        vacancy::cache::RedisUrl,
        vacancy::cache::Consistency,
    )>();
}

#[tokio::test]
async fn a_read_can_be_spawned_with_a_loader_that_borrows() {
    let cache = Numbers::builder().build();
    let read = tokio::spawn(async move {
        let (origin, scope) = (7, Scope::new("tenant", "resource", "host"));
        let covers = || [Cover::new(scope.clone(), Span::ALL)];
        let load = async || {
            tokio::task::yield_now().await;
            Ok::<_, String>(origin)
        };
        let answer = is_sent(cache.get_or_load(&1, covers, load)).await;
        answer.map(|answer| *answer)
    });
    assert_eq!(read.await.unwrap(), Ok(7));
}
