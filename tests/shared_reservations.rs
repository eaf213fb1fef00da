//! Reservations over Redis: what one process has reserved no other gives away or offers, and a Redis that
//! fails costs reservations and no reads.

mod support;

use std::time::Duration;

use chrono::TimeDelta;
use support::{
    Gate,
    nodes::{ask, keys, redis, strict},
    salon::{Salon, alone, booking, diary, wednesday},
    soon, until,
};
use tokio::task::JoinSet;
use vacancy::{
    cache::{Claims, Redis, Source},
    slots::{
        ExtendError, OwnerId, Reservation, ReservationRequest, ReserveError, Slot, SlotsQuery,
    },
};
use vacancy_testbed::{Cluster, Fault, Proxy, RedisServer, Reply};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

async fn server() -> RedisServer {
    RedisServer::start().await.expect("a server")
}

fn owner(name: &str) -> OwnerId {
    OwnerId::try_from(name).expect("it is well formed")
}

fn ann() -> OwnerId {
    owner("ann")
}

fn bob() -> OwnerId {
    owner("bob")
}

/// A process whose answers and reservations are shared.
fn sharing(diary: &support::diary::Diary, redis: Redis) -> Salon {
    let claims = Claims::redis(redis.clone());
    Salon::new(diary, alone(diary).redis(redis).reservations(claims))
}

/// For a slot of host 42.
fn request(owner: OwnerId, slot: &Slot) -> ReservationRequest {
    ReservationRequest::new(15, 123, slot.interval, owner)
        .resource(42)
        .lasts(FIVE_MINUTES)
}

async fn reserve(salon: &Salon, request: &ReservationRequest) -> Reservation {
    let reserved = soon(salon.slots.reservations().reserve(request)).await;
    reserved.expect("nobody else has it")
}

async fn release(salon: &Salon, reservation: &Reservation) -> Option<Reservation> {
    let Reservation {
        tenant, owner, id, ..
    } = reservation;
    let reservations = salon.slots.reservations();
    let released = soon(reservations.release(tenant, owner, id)).await;
    released.expect("redis runs")
}

async fn extend(salon: &Salon, reservation: &Reservation) -> Result<Reservation, ExtendError> {
    let reservations = salon.slots.reservations();
    let Reservation {
        tenant, owner, id, ..
    } = reservation;
    soon(reservations.extend(tenant, owner, id, FIVE_MINUTES)).await
}

async fn try_reserve(
    salon: &Salon,
    request: &ReservationRequest,
) -> Result<Reservation, ReserveError> {
    soon(salon.slots.reservations().reserve(request)).await
}

async fn own(salon: &Salon, owner: &OwnerId) -> Vec<Reservation> {
    let reservations = salon.slots.reservations();
    let own = soon(reservations.of(&15.into(), owner)).await;
    own.expect("redis runs")
}

/// Reads until the slot is offered, or is not.
async fn until_offered(salon: &Salon, query: &SlotsQuery, slot: &Slot, offered: bool) {
    soon(async {
        while salon.offers(query, slot).await != offered {
            tokio::task::yield_now().await; // a kept answer waits for nothing
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_processes_that_reserve_at_once_one_wins_all_of_it() {
    let (server, diary) = (server().await, diary());
    let salons = [(); 4].map(|()| sharing(&diary, redis(&server.url()).time_out(FIVE_MINUTES)));
    let slot = salons[0].open(&wednesday()).await[3].clone();
    for round in 0..20 {
        let mut tasks = JoinSet::new();
        for n in 0..16 {
            // Some want the chair first.
            let mut request = request(owner(&format!("customer {n}")), &slot).resource(1);
            if n % 2 == 0 {
                request.resources.reverse();
            }
            let slots = salons[n % 4].slots.clone();
            tasks.spawn(async move { slots.reservations().reserve(&request).await });
        }
        let outcomes = soon(tasks.join_all()).await;
        let won: Vec<_> = outcomes
            .iter()
            .filter_map(|won| won.as_ref().ok())
            .collect();
        assert_eq!(won.len(), 1, "round {round}");
        for lost in outcomes.iter().filter_map(|lost| lost.as_ref().err()) {
            assert!(matches!(lost, ReserveError::Taken { .. }), "{lost:?}");
        }
        // Of those who lost nothing is left: host and chair are free for the next.
        release(&salons[round % 4], won[0]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_strict_consistency_a_reservation_shows_everywhere_when_it_is_made_and_released() {
    let (server, diary) = (server().await, diary());
    let [a, b] = [(); 2].map(|()| sharing(&diary, strict(&server.url())));
    let slot = a.load(&wednesday()).await[3].clone();
    for _ in 0..5 {
        b.keep(&wednesday()).await;
        assert!(b.offers(&wednesday(), &slot).await);
        let reserved = reserve(&a, &request(ann(), &slot)).await;
        assert!(!b.offers(&wednesday(), &slot).await);
        assert!(!a.offers(&wednesday(), &slot).await);
        assert!(b.offers(&wednesday().owner(ann()), &slot).await);
        let refused = try_reserve(&b, &request(bob(), &slot)).await;
        assert!(matches!(refused, Err(ReserveError::Taken { over_in, .. })
            if over_in <= FIVE_MINUTES && over_in > FIVE_MINUTES / 2));

        b.keep(&wednesday()).await;
        assert!(!b.offers(&wednesday(), &slot).await);
        assert!(release(&b, &reserved).await.is_some()); // whoever does it
        assert!(a.offers(&wednesday(), &slot).await);
        assert!(b.offers(&wednesday(), &slot).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_bounded_consistency_other_processes_follow() {
    let (server, diary) = (server().await, diary());
    let [a, b] = [(); 2].map(|()| sharing(&diary, redis(&server.url())));
    let slot = a.load(&wednesday()).await[3].clone();
    b.keep(&wednesday()).await;
    let reserved = reserve(&a, &request(ann(), &slot)).await;
    assert!(!a.offers(&wednesday(), &slot).await);
    until_offered(&b, &wednesday(), &slot, false).await;
    assert!(b.offers(&wednesday().owner(ann()), &slot).await);
    release(&a, &reserved).await;
    assert!(a.offers(&wednesday(), &slot).await);
    until_offered(&b, &wednesday(), &slot, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_answered_by_redis_hides_what_was_reserved_when_it_was_loaded() {
    let (server, diary) = (server().await, diary());
    let [a, late] = [(); 2].map(|()| sharing(&diary, strict(&server.url())));
    let free = a.open(&wednesday()).await;
    let buffers = vacancy::slots::Buffers::new(Duration::ZERO, Duration::from_secs(600));
    let reserved = reserve(&a, &request(ann(), &free[3]).buffers(buffers)).await;
    a.load(&wednesday()).await;
    let answer = soon(async {
        loop {
            let answer = late.slots.open(&wednesday()).await.unwrap();
            if answer.days()[0].source == Source::Level2 {
                return answer;
            }
        }
    })
    .await;
    assert_eq!(answer.days()[0].reserved, 2); // and the one that its buffer meets
    let offered = |slots: &[Slot]| slots.iter().any(|slot| slot.interval == free[3].interval);
    assert!(!offered(&answer));
    assert!(late.offers(&wednesday().owner(ann()), &free[3]).await);
    assert_eq!(own(&late, &ann()).await[0].buffers, reserved.buffers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_comes_back_at_its_end_without_a_message_or_a_load() {
    let (server, diary) = (server().await, diary());
    let [a, b] = [(); 2].map(|()| sharing(&diary, strict(&server.url())));
    let slot = a.load(&wednesday()).await[3].clone();
    let brief = request(ann(), &slot).lasts(Duration::from_secs(2));
    let reserved = reserve(&a, &brief).await;
    b.keep(&wednesday()).await;
    let hidden = !b.offers(&wednesday(), &slot).await;
    assert!(hidden || reserved.remaining().is_zero());
    let (calls, notices) = (diary.calls(), b.slots.statistics().level2.notices);
    until_offered(&b, &wednesday(), &slot, true).await;
    assert_eq!(diary.calls(), calls);
    assert_eq!(b.slots.statistics().level2.notices, notices);
    until_offered(&a, &wednesday(), &slot, true).await;
    // What is over is in nobody's way.
    soon(async { while try_reserve(&b, &request(bob(), &slot)).await.is_err() {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_keeps_the_slot_hidden_beyond_its_former_end() {
    let (server, diary) = (server().await, diary());
    let [a, b] = [(); 2].map(|()| sharing(&diary, strict(&server.url())));
    let slot = a.load(&wednesday()).await[3].clone();
    let reserved = reserve(&a, &request(ann(), &slot).lasts(Duration::from_secs(2))).await;
    b.keep(&wednesday()).await;
    let extended = extend(&a, &reserved).await.unwrap();
    assert!(extended.remaining() > reserved.remaining());
    soon(async {
        while reserved.remaining() > Duration::ZERO {
            assert!(!b.offers(&wednesday(), &slot).await);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!b.offers(&wednesday(), &slot).await);
    release(&a, &extended).await;
    let over = extend(&a, &reserved).await;
    assert!(matches!(over, Err(ExtendError::Over)));
}

/// The load has taken its fences and has its slots; what is reserved is listed after that.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_reserved_while_a_load_runs_is_in_no_answer_that_is_kept() {
    let (server, diary) = (server().await, diary());
    let [a, b] = [(); 2].map(|()| sharing(&diary, strict(&server.url())));
    let slot = a.open(&wednesday()).await[3].clone();
    b.open(&wednesday()).await;
    b.slots
        .invalidate(&15.into(), &vacancy::slots::Target::Tenant, None);
    soon(b.slots.confirmed(&15.into())).await.unwrap();
    let gate: Gate = diary.gated();
    let load = tokio::spawn({
        let b = b.clone();
        async move { b.open(&wednesday()).await }
    });
    gate.entered().await;
    diary.ungated();
    reserve(&a, &request(ann(), &slot)).await;
    gate.release();
    let overtaken = soon(load).await.unwrap();
    assert!(!overtaken.iter().any(|open| open.interval == slot.interval));
    assert!(!b.offers(&wednesday(), &slot).await);
    assert!(b.slots.statistics().born_invalid > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_whose_answer_was_lost_can_be_asked_for_again() {
    let (server, diary) = (server().await, diary());
    let proxy = Proxy::start(server.address()).await.unwrap();
    let claims = Claims::redis(redis(&proxy.url()));
    let settings = alone(&diary).redis(strict(&server.url()));
    let a = Salon::new(&diary, settings.reservations(claims));
    let b = sharing(&diary, strict(&server.url()));
    let slot = a.open(&wednesday()).await[3].clone();
    // It is connected, and Redis has the script.
    release(&a, &reserve(&a, &request(bob(), &slot)).await).await;
    proxy.set(Fault::TruncateAfter(0)); // it is done, and its reply lost
    let request = request(ann(), &slot);
    let lost = try_reserve(&a, &request).await;
    assert!(
        matches!(lost, Err(ReserveError::Unavailable(_))),
        "{lost:?}"
    );
    let refused = try_reserve(&b, &self::request(bob(), &slot)).await;
    assert!(matches!(refused, Err(ReserveError::Taken { .. })));
    // Even so nobody offers it: the fences were raised.
    soon(a.slots.confirmed(&15.into())).await.unwrap();
    assert!(!b.offers(&wednesday(), &slot).await);

    proxy.set(Fault::None);
    let mut again = try_reserve(&a, &request).await;
    while matches!(again, Err(ReserveError::Unavailable(_))) {
        again = try_reserve(&a, &request).await;
    }
    let reserved = again.unwrap();
    assert_eq!(own(&b, &ann()).await.len(), 1);
    assert!(release(&b, &reserved).await.is_some());
    // A copy of the request that arrives now.
    let late = try_reserve(&a, &request).await;
    assert!(matches!(late, Err(ReserveError::Used)), "{late:?}");
    assert!(b.offers(&wednesday(), &slot).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nothing_is_reserved_and_reads_go_on() {
    let (mut server, diary) = (server().await, diary());
    let a = sharing(&diary, strict(&server.url()));
    let slot = a.load(&wednesday()).await[3].clone();
    server.kill().await.unwrap();
    let failed = try_reserve(&a, &request(ann(), &slot)).await;
    assert!(
        matches!(failed, Err(ReserveError::Unavailable(_))),
        "{failed:?}"
    );
    let blocking = a.slots.reservations();
    let appointment = booking(1, &slot).appointment;
    assert!(soon(blocking.blocking(&appointment, None)).await.is_err());
    assert!(a.offers(&wednesday(), &slot).await);
    assert!(a.slots.kept(&wednesday()).unwrap().is_none());

    server.restart().await.unwrap();
    soon(async {
        while a
            .slots
            .reservations()
            .reserve(&request(ann(), &slot))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    a.keep(&wednesday()).await;
    assert!(!a.offers(&wednesday(), &slot).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_while_reservations_cannot_be_listed_is_kept_by_nobody() {
    let (server, diary) = (server().await, diary());
    let proxy = Proxy::start(server.address()).await.unwrap();
    let claims = Claims::redis(redis(&proxy.url()));
    let settings = alone(&diary).redis(strict(&server.url()));
    let a = Salon::new(&diary, settings.reservations(claims));
    let b = sharing(&diary, strict(&server.url()));
    // Not asked of b, which might leave its answer in Redis.
    let slot = diary.free(&wednesday())[3].clone();
    reserve(&b, &request(ann(), &slot)).await;
    proxy.set(Fault::Cut);
    until(|| a.slots.statistics().level2.leases > 0).await;
    for _ in 0..3 {
        assert!(a.offers(&wednesday(), &slot).await); // it cannot know
        assert!(a.slots.kept(&wednesday()).unwrap().is_none());
    }
    assert!(keys(&server, "*:e:*").await.is_empty());
    proxy.set(Fault::None);
    until_offered(&a, &wednesday(), &slot, false).await;
    a.keep(&wednesday()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_lost_its_memory_has_forgotten_what_was_reserved() {
    let (server, diary) = (server().await, diary());
    let [a, b] = [(); 2].map(|()| sharing(&diary, strict(&server.url())));
    let slot = a.open(&wednesday()).await[3].clone();
    let reserved = reserve(&a, &request(ann(), &slot)).await;
    ask(&server, &["FLUSHALL"]).await;
    assert_eq!(own(&b, &ann()).await, []);
    let over = extend(&a, &reserved).await;
    assert!(matches!(over, Err(ExtendError::Over)));
    reserve(&b, &request(bob(), &slot)).await;
    assert!(b.offers(&wednesday().owner(bob()), &slot).await);
    // Her request is not taken for the one that was granted.
    let again = soon(
        a.slots
            .reservations()
            .reserve(&request(ann(), &slot).id(reserved.id)),
    )
    .await;
    assert!(matches!(again, Err(ReserveError::Taken { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_that_redis_has_evicted_in_part_is_over() {
    let (server, diary) = (server().await, diary());
    let a = sharing(&diary, strict(&server.url()));
    let slot = a.open(&wednesday()).await[3].clone();
    let request = request(ann(), &slot);
    let reserved = reserve(&a, &request).await;
    ask(&server, &["DEL", "vacancy:{test:0}:c:15:resource:42"]).await;
    let over = extend(&a, &reserved).await;
    assert!(matches!(over, Err(ExtendError::Over)));
    // Asked for again it is whole again, as long as nobody else has it.
    reserve(&a, &request).await;
    let extended = extend(&a, &reserved).await;
    assert!(extended.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_kept_of_reservations_ends_by_itself_and_is_in_the_slot_of_its_tenant() {
    let (server, diary) = (server().await, diary());
    let a = sharing(&diary, strict(&server.url()));
    let slot = a.open(&wednesday()).await[3].clone();
    let first = reserve(&a, &request(owner("ann: {x}"), &slot)).await;
    assert_eq!(own(&a, &owner("ann: {x}")).await.len(), 1);
    release(&a, &first).await;
    let released = keys(&server, "*:r:*").await;
    assert_eq!(released.len(), 1);
    reserve(&a, &request(bob(), &slot)).await;
    let claims = [keys(&server, "*:c:*").await, keys(&server, "*:o:*").await].concat();
    assert_eq!(claims.len(), 3); // the host, the event type, the owner
    for name in [released, claims].concat() {
        assert!(name.starts_with("vacancy:{test:0}:"), "{name}");
        let Reply::Integer(left) = ask(&server, &["PTTL", &name]).await else {
            panic!("a number");
        };
        assert!(0 < left && left <= 3_600_000, "{name}: {left}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_and_intervals_survive_the_way_through_redis() {
    let (server, diary) = (server().await, diary());
    let a = sharing(&diary, strict(&server.url()));
    let mut slot = a.open(&wednesday()).await[3].clone();
    let odd = TimeDelta::nanoseconds(1_234_567);
    slot.interval = vacancy::slots::Interval::new(slot.start() + odd, slot.end() + odd).unwrap();
    let [one, two] = [1, 2].map(|seats| std::num::NonZeroU32::new(seats).unwrap());
    for name in ["ann", "bob"] {
        let request = request(owner(name), &slot).seats(one, two);
        let reserved = reserve(&a, &request).await;
        let listed = own(&a, &owner(name)).await;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id, reserved.id);
        assert_eq!(
            (listed[0].interval, listed[0].seats),
            (slot.interval, Some((one, two)))
        );
        assert_eq!(listed[0].resources, [42.into()]);
    }
    let third = try_reserve(&a, &request(owner("carl"), &slot).seats(one, two)).await;
    assert!(matches!(third, Err(ReserveError::Taken { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_all_over_a_cluster_have_reservations_of_their_own() {
    let cluster = Cluster::start().await.expect("a cluster");
    let urls = cluster.urls().into_iter().map(|url| url.parse().unwrap());
    let redis = Redis::cluster(urls)
        .unwrap()
        .namespace("test")
        .time_out(Duration::from_secs(10));
    let diary = diary();
    let a = sharing(&diary, redis);
    let slot = diary.free(&wednesday())[3].clone();
    for tenant in 15_u64..23 {
        let request = |owner| {
            let mut request = request(owner, &slot).resource(1);
            request.tenant = tenant.into();
            request
        };
        let reserved = soon(async {
            loop {
                match a.slots.reservations().reserve(&request(ann())).await {
                    Ok(reserved) => return reserved,
                    Err(ReserveError::Unconfirmed { reservation, .. }) => return *reservation,
                    Err(ReserveError::Unavailable(_)) => {} // not connected yet
                    Err(refused) => panic!("{tenant}: {refused:?}"),
                }
            }
        })
        .await;
        let refused = try_reserve(&a, &request(bob())).await;
        assert!(
            matches!(refused, Err(ReserveError::Taken { .. })),
            "{refused:?}"
        );
        let own = a.slots.reservations();
        let own = soon(own.of(&tenant.into(), &ann())).await;
        assert_eq!(own.unwrap().len(), 1);
        assert!(release(&a, &reserved).await.is_some());
        reserve(&a, &request(bob())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_tells_no_password() {
    let server = RedisServer::start_with(&[("requirepass", "swordfish")])
        .await
        .unwrap();
    let wrong = format!("redis://marie:sesame@{}", server.address());
    let claims = Claims::redis(redis(&wrong));
    let error = soon(claims.of("15", "ann")).await.unwrap_err();
    let shown = format!("{error} {error:?} {claims:?}");
    for secret in ["marie", "sesame", "swordfish", "redis://"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
