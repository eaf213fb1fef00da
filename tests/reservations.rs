//! What somebody has reserved is his until it ends: offered to him, to nobody else, and back the moment it
//! is over.

mod support;

use std::{num::NonZeroU32, time::Duration};

use chrono::TimeDelta;
use support::{
    diary::{Bookable, Diary},
    soon,
};
use tokio::{task::JoinSet, time::advance};
use vacancy::{
    cache::MAX_CLAIMS,
    dispatch::Bus,
    slots::{
        Appointment, AppointmentBooked, Buffers, ExtendError, Interval, InvalidateSlotsCache,
        OwnerId, Reservation, ReservationRequest, ReserveError, Slot, SlotsCache, SlotsQuery,
    },
};

const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn wednesday() -> SlotsQuery {
    let day: Interval = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z"
        .parse()
        .expect("it is well formed");
    SlotsQuery::new(15, 123, day)
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

/// Host 42 of tenant 15 offers half hours of event type 123.
fn salon() -> (Diary, SlotsCache) {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(42));
    let slots = cache(&diary);
    (diary, slots)
}

fn cache(diary: &Diary) -> SlotsCache {
    SlotsCache::builder(diary.clone())
        .directory(diary.directory())
        .source_lag(Duration::ZERO)
        .ttl(Duration::from_secs(3600))
        .build()
}

async fn open(slots: &SlotsCache, query: &SlotsQuery) -> Vec<Slot> {
    soon(slots.open(query))
        .await
        .expect("the diary answers")
        .into_vec()
}

async fn offers(slots: &SlotsCache, query: &SlotsQuery, interval: Interval) -> bool {
    let open = open(slots, query).await;
    open.iter().any(|slot| slot.interval == interval)
}

/// The half hour that begins so many half hours after nine.
fn half_hour(nth: i32) -> Interval {
    let nine: Interval = "2025-10-15T09:00:00Z/2025-10-15T09:30:00Z"
        .parse()
        .expect("it is well formed");
    let later = TimeDelta::minutes(30) * nth;
    Interval::new(nine.start() + later, nine.end() + later).expect("it is well formed")
}

fn request(owner: OwnerId, interval: Interval) -> ReservationRequest {
    ReservationRequest::new(15, 123, interval, owner)
        .resource(42)
        .lasts(FIVE_MINUTES)
}

async fn reserve(slots: &SlotsCache, owner: OwnerId, interval: Interval) -> Reservation {
    let request = request(owner, interval);
    let reserved = soon(slots.reservations().reserve(&request)).await;
    reserved.expect("nobody else has it")
}

async fn refused(slots: &SlotsCache, request: &ReservationRequest) -> ReserveError {
    let reserved = soon(slots.reservations().reserve(request)).await;
    reserved.expect_err("somebody has it")
}

async fn release(slots: &SlotsCache, reservation: &Reservation) -> Option<Reservation> {
    let Reservation {
        tenant, owner, id, ..
    } = reservation;
    let reservations = slots.reservations();
    let released = soon(reservations.release(tenant, owner, id)).await;
    released.expect("nothing has to be confirmed")
}

async fn extend(
    slots: &SlotsCache,
    owner: OwnerId,
    reservation: &Reservation,
    lasts: Duration,
) -> Result<Reservation, ExtendError> {
    let reservations = slots.reservations();
    let Reservation { tenant, id, .. } = reservation;
    soon(reservations.extend(tenant, &owner, id, lasts)).await
}

fn seats(seats: u32) -> NonZeroU32 {
    NonZeroU32::new(seats).expect("it is well formed")
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_is_offered_to_its_owner_alone() {
    let (diary, slots) = salon();
    diary.offer(15, 124, Bookable::new(60).host(42));
    diary.offer(16, 123, Bookable::new(30).host(42));
    let slots = {
        drop(slots);
        cache(&diary)
    };
    let before = open(&slots, &wednesday()).await;
    reserve(&slots, ann(), half_hour(3)).await;

    let left: Vec<_> = before
        .iter()
        .filter(|slot| slot.interval != half_hour(3))
        .cloned()
        .collect();
    assert_eq!(open(&slots, &wednesday()).await, left);
    assert_eq!(open(&slots, &wednesday().owner(bob())).await, left);
    assert_eq!(open(&slots, &wednesday().owner(ann())).await, before);
    let answer = soon(slots.open(&wednesday())).await.unwrap();
    assert_eq!(
        (answer.days()[0].reserved, answer.days()[0].subtracted),
        (1, 0)
    );
    assert_eq!(diary.calls(), 1); // what was kept has not changed

    let mut longer = wednesday();
    longer.event_type = 124.into();
    let ten: Interval = "2025-10-15T10:00:00Z/2025-10-15T11:00:00Z".parse().unwrap();
    assert!(!offers(&slots, &longer, ten).await);
    assert!(offers(&slots, &longer.owner(ann()), ten).await);
    let mut elsewhere = wednesday();
    elsewhere.tenant = 16.into();
    assert!(offers(&slots, &elsewhere, half_hour(3)).await);
}

#[tokio::test(start_paused = true)]
async fn a_slot_comes_back_the_moment_its_reservation_ends() {
    let (diary, slots) = salon();
    open(&slots, &wednesday()).await;
    let reserved = reserve(&slots, ann(), half_hour(3)).await;
    assert_eq!(reserved.remaining(), FIVE_MINUTES);
    advance(FIVE_MINUTES - Duration::from_millis(1)).await;
    assert!(!offers(&slots, &wednesday(), half_hour(3)).await);
    assert!(matches!(
        refused(&slots, &request(bob(), half_hour(3))).await,
        ReserveError::Taken { over_in, .. } if over_in == Duration::from_millis(1)
    ));
    advance(Duration::from_millis(1)).await;
    assert_eq!(reserved.remaining(), Duration::ZERO);
    let kept = slots
        .kept(&wednesday())
        .unwrap()
        .expect("nothing has fallen");
    assert!(kept.iter().any(|slot| slot.interval == half_hour(3)));
    assert_eq!(diary.calls(), 1);
    reserve(&slots, bob(), half_hour(3)).await;
}

#[tokio::test(start_paused = true)]
async fn an_extended_reservation_lasts_from_its_extension_on() {
    let (_diary, slots) = salon();
    let reserved = reserve(&slots, ann(), half_hour(3)).await;
    let extend = async |lasts| extend(&slots, ann(), &reserved, lasts).await;
    advance(4 * MINUTE).await;
    // It would last longer anyway.
    assert_eq!(extend(Duration::ZERO).await.unwrap().remaining(), MINUTE);
    assert_eq!(
        extend(FIVE_MINUTES).await.unwrap().remaining(),
        FIVE_MINUTES
    );
    advance(5 * MINUTE - Duration::from_millis(1)).await;
    assert!(!offers(&slots, &wednesday(), half_hour(3)).await);
    advance(Duration::from_millis(1)).await;
    assert!(offers(&slots, &wednesday(), half_hour(3)).await);
    assert!(matches!(extend(MINUTE).await, Err(ExtendError::Over)));
}

#[tokio::test(start_paused = true)]
async fn no_reservation_lasts_longer_than_the_settings_allow() {
    let (_diary, slots) = salon();
    let day = Duration::from_secs(24 * 3600);
    let longest = Duration::from_secs(15 * 60);
    let request = request(ann(), half_hour(0)).lasts(day);
    let reserved = soon(slots.reservations().reserve(&request)).await.unwrap();
    assert_eq!(reserved.remaining(), longest);
    let extended = extend(&slots, ann(), &reserved, day).await;
    assert_eq!(extended.unwrap().remaining(), longest);
}

#[tokio::test(start_paused = true)]
async fn a_released_slot_is_offered_at_once_and_its_id_is_used_up() {
    let (_diary, slots) = salon();
    let request = request(ann(), half_hour(3));
    let reserved = soon(slots.reservations().reserve(&request)).await.unwrap();
    assert!(!offers(&slots, &wednesday(), half_hour(3)).await);
    assert_eq!(release(&slots, &reserved).await, Some(reserved.clone()));
    assert!(offers(&slots, &wednesday(), half_hour(3)).await);
    assert_eq!(release(&slots, &reserved).await, None);
    // A copy of the request that was long on its way.
    assert!(matches!(
        refused(&slots, &request).await,
        ReserveError::Used
    ));
    reserve(&slots, bob(), half_hour(3)).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_but_the_owner_releases_or_extends() {
    let (_diary, slots) = salon();
    let reserved = reserve(&slots, ann(), half_hour(3)).await;
    let mut stolen = reserved.clone();
    stolen.owner = bob();
    assert_eq!(release(&slots, &stolen).await, None);
    let extended = extend(&slots, bob(), &reserved, MINUTE).await;
    assert!(matches!(extended, Err(ExtendError::Over)));
    assert!(!offers(&slots, &wednesday(), half_hour(3)).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_made_again_is_the_same_reservation() {
    let (_diary, slots) = salon();
    let request = request(ann(), half_hour(3));
    let first = soon(slots.reservations().reserve(&request)).await.unwrap();
    advance(MINUTE).await;
    let again = soon(slots.reservations().reserve(&request)).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(again.remaining(), FIVE_MINUTES - MINUTE);
    let other = self::request(ann(), half_hour(5)).id(first.id.clone());
    assert!(matches!(refused(&slots, &other).await, ReserveError::Used));
    let own = slots.reservations();
    let own = soon(own.of(&15.into(), &ann())).await;
    assert_eq!(own.unwrap(), [first]);
    // Another owner's ids are his own.
    let other = self::request(bob(), half_hour(5)).id(request.id.clone());
    soon(slots.reservations().reserve(&other)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_reserve_at_once_one_wins() {
    let (_diary, slots) = salon();
    for round in 0..20 {
        let mut tasks = JoinSet::new();
        for n in 0..16 {
            let slots = slots.clone();
            let request = request(owner(&format!("customer {n}")), half_hour(round % 18));
            tasks.spawn(async move { slots.reservations().reserve(&request).await });
        }
        let outcomes = soon(tasks.join_all()).await;
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 15));
        for lost in lost {
            assert!(matches!(
                lost,
                Err(ReserveError::Taken { resource: Some(host), .. }) if host == 42.into()
            ));
        }
        for won in won {
            release(&slots, &won.unwrap()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_resources_are_reserved_or_none() {
    let (_diary, slots) = salon();
    let with_chair = |owner| request(owner, half_hour(3)).resource(1);
    let mut chair = request(bob(), half_hour(3));
    chair.resources = vec![1.into()];
    let chair = soon(slots.reservations().reserve(&chair)).await.unwrap();
    assert!(matches!(
        refused(&slots, &with_chair(ann())).await,
        ReserveError::Taken { resource: Some(chair), .. } if chair == 1.into()
    ));
    let host = reserve(&slots, owner("carl"), half_hour(3)).await; // the host is free
    release(&slots, &host).await;
    release(&slots, &chair).await;

    // Each of two wants both, in either order.
    for _ in 0..50 {
        let mut crossed = with_chair(bob());
        crossed.resources.reverse();
        let tasks = [with_chair(ann()), crossed].map(|request| {
            let slots = slots.clone();
            tokio::spawn(async move { slots.reservations().reserve(&request).await })
        });
        let mut won = Vec::new();
        for task in tasks {
            won.extend(soon(task).await.unwrap());
        }
        assert_eq!(won.len(), 1);
        release(&slots, &won[0]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_of_two_hosts_is_offered_until_both_are_reserved() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(42).host(43));
    let slots = cache(&diary);
    reserve(&slots, ann(), half_hour(3)).await;
    let with = |open: Vec<Slot>| open.into_iter().find(|slot| slot.interval == half_hour(3));
    let slot = with(open(&slots, &wednesday()).await).expect("host 43 is free");
    assert_eq!(slot.resources, [43.into()]);
    assert!(with(open(&slots, &wednesday().resource(42)).await).is_none());

    let mut other = request(bob(), half_hour(3));
    other.resources = vec![43.into()];
    soon(slots.reservations().reserve(&other)).await.unwrap();
    assert!(with(open(&slots, &wednesday()).await).is_none());
    let own = with(open(&slots, &wednesday().owner(bob())).await);
    assert_eq!(own.expect("it is his").resources, [43.into()]);
}

#[tokio::test(start_paused = true)]
async fn seats_are_reserved_one_by_one_and_a_class_goes_with_the_last() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(42).seats(3));
    let slots = cache(&diary);
    let seat = |owner, taken| request(owner, half_hour(3)).seats(seats(taken), seats(3));
    let left = async |query: SlotsQuery| {
        let open = open(&slots, &query).await;
        let slot = open.iter().find(|slot| slot.interval == half_hour(3));
        slot.map_or(0, |slot| slot.seats.expect("it is a class").remaining)
    };
    soon(slots.reservations().reserve(&seat(ann(), 2)))
        .await
        .unwrap();
    assert_eq!(left(wednesday()).await, 1);
    assert_eq!(left(wednesday().owner(ann())).await, 3);
    let two_more = refused(&slots, &seat(bob(), 2)).await;
    assert!(matches!(two_more, ReserveError::Taken { .. }));
    soon(slots.reservations().reserve(&seat(bob(), 1)))
        .await
        .unwrap();
    assert_eq!(left(wednesday()).await, 0);
    assert_eq!(left(wednesday().owner(bob())).await, 1);
    assert!(matches!(
        refused(&slots, &seat(owner("carl"), 1)).await,
        ReserveError::Taken { .. }
    ));
    // Nobody can have the host for himself meanwhile.
    assert!(matches!(
        refused(&slots, &request(owner("carl"), half_hour(3))).await,
        ReserveError::Taken { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn the_buffers_around_a_reservation_are_kept_free() {
    let (_diary, slots) = salon();
    let buffers = Buffers::new(Duration::ZERO, 10 * MINUTE);
    let request = request(ann(), half_hour(3)).buffers(buffers);
    soon(slots.reservations().reserve(&request)).await.unwrap();
    assert!(offers(&slots, &wednesday(), half_hour(2)).await);
    assert!(!offers(&slots, &wednesday(), half_hour(4)).await);
    assert!(offers(&slots, &wednesday(), half_hour(5)).await);
    assert!(matches!(
        refused(&slots, &self::request(bob(), half_hour(4))).await,
        ReserveError::Taken { .. }
    ));
    reserve(&slots, bob(), half_hour(5)).await;
}

#[tokio::test(start_paused = true)]
async fn the_buffers_of_the_directory_are_taken_where_none_are_named() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(42).buffers(0, 10));
    let slots = cache(&diary);
    let reserved = reserve(&slots, ann(), half_hour(3)).await;
    assert_eq!(
        reserved.buffers,
        Some(Buffers::new(Duration::ZERO, 10 * MINUTE))
    );
    assert!(matches!(
        refused(&slots, &request(bob(), half_hour(4))).await,
        ReserveError::Taken { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn what_others_reserved_is_in_the_way_of_a_booking_and_what_is_ones_own_is_not() {
    let (_diary, slots) = salon();
    let reserved = reserve(&slots, ann(), half_hour(3)).await;
    let own = std::slice::from_ref(&reserved);
    let booking = |interval| {
        Appointment::new(1.into(), 15.into(), interval)
            .event_type(123)
            .resource(42)
            .buffers(Buffers::NONE)
    };
    let blocking = async |appointment: &Appointment, owner: Option<OwnerId>| {
        let reservations = slots.reservations();
        let blocking = soon(reservations.blocking(appointment, owner.as_ref())).await;
        blocking.unwrap()
    };
    let same = booking(half_hour(3));
    assert_eq!(blocking(&same, Some(ann())).await, []);
    assert_eq!(blocking(&same, Some(bob())).await, own);
    assert_eq!(blocking(&same, None).await, own);
    assert_eq!(blocking(&booking(half_hour(4)), None).await, []);
    let series = booking(half_hour(5)).occurrence(half_hour(3));
    assert_eq!(blocking(&series, None).await, own);
    let wide = booking(half_hour(4)).buffers(Buffers::new(MINUTE, Duration::ZERO));
    assert_eq!(blocking(&wide, None).await, own);
    let mut other_host = booking(half_hour(3));
    other_host.resources = vec![43.into()];
    assert_eq!(blocking(&other_host, None).await, []);
    let mut somebody = booking(half_hour(3));
    somebody.resources.clear();
    assert_eq!(blocking(&somebody, None).await, own);
}

/// The calendar goes on offering what was booked.
#[tokio::test(start_paused = true)]
async fn a_slot_that_is_booked_and_then_released_is_offered_at_no_moment() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(42));
    let slots = SlotsCache::builder(diary.clone())
        .directory(diary.directory())
        .build();
    let bus = Bus::builder()
        .subscribe(InvalidateSlotsCache::new(slots.clone()))
        .build()
        .unwrap();
    diary.lags();
    let hidden = async || !offers(&slots, &wednesday(), half_hour(3)).await;
    let reserved = reserve(&slots, ann(), half_hour(3)).await;
    assert!(hidden().await);
    let booked = Appointment::new(1.into(), 15.into(), half_hour(3))
        .event_type(123)
        .resource(42)
        .buffers(Buffers::NONE);
    diary.book(&booked);
    assert!(hidden().await);
    bus.dispatch(AppointmentBooked::new(booked));
    assert!(hidden().await);
    assert!(release(&slots, &reserved).await.is_some());
    assert!(hidden().await);
    assert!(!offers(&slots, &wednesday().owner(ann()), half_hour(3)).await);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_in_particular_serves_it_the_event_type_is_reserved() {
    let diary = Diary::new();
    diary.offer(15, 123, Bookable::new(30).host(42).silent_about_hosts());
    let slots = SlotsCache::builder(diary.clone()).build(); // which knows no hosts either
    let request = |owner| ReservationRequest::new(15, 123, half_hour(3), owner);
    let reserved = soon(slots.reservations().reserve(&request(ann())))
        .await
        .unwrap();
    assert_eq!(reserved.resources, []);
    assert!(!offers(&slots, &wednesday(), half_hour(3)).await);
    assert!(offers(&slots, &wednesday().owner(ann()), half_hour(3)).await);
    assert!(matches!(
        refused(&slots, &request(bob())).await,
        ReserveError::Taken { resource: None, .. }
    ));
    // Whoever names a host is in the way of who does not, and the other way round.
    assert!(matches!(
        refused(&slots, &request(bob()).resource(42)).await,
        ReserveError::Taken { resource: None, .. }
    ));
    release(&slots, &reserved).await;
    reserve(&slots, bob(), half_hour(3)).await;
    assert!(!offers(&slots, &wednesday(), half_hour(3)).await);
    assert!(matches!(
        refused(&slots, &request(ann())).await,
        ReserveError::Taken { resource: None, .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_reservations_is_bounded_until_some_are_over() {
    let (_diary, slots) = salon();
    let nth = |n: usize| {
        let minute = TimeDelta::minutes(i64::try_from(n).unwrap());
        let start = half_hour(0).start() + minute;
        let interval = Interval::new(start, start + TimeDelta::minutes(1)).unwrap();
        request(owner(&format!("customer {n}")), interval)
    };
    for n in 0..MAX_CLAIMS {
        soon(slots.reservations().reserve(&nth(n))).await.unwrap();
    }
    assert!(matches!(
        refused(&slots, &nth(MAX_CLAIMS)).await,
        ReserveError::Full
    ));
    advance(FIVE_MINUTES).await;
    soon(slots.reservations().reserve(&nth(MAX_CLAIMS)))
        .await
        .unwrap();
}
