//! What of the cache may cross threads and outlive its maker.

use vacancy::cache::{
    Answer, Builder, Cache, Cover, Follower, Landing, Retry, Scope, Source, Span, Statistics,
    Ticket, Turn,
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
    crosses_threads::<(Scope, Span, Cover, Source, Statistics)>();
}

#[test]
fn settings_can_be_made_on_one_thread_and_used_on_another() {
    crosses_threads::<Builder<u32, u32, String>>();
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
