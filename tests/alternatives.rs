//! What is offered instead of a wanted slot is free, in order, and found within a budget; what is not known is
//! said.

mod support;

use std::{
    collections::{BTreeSet, HashSet},
    num::{NonZeroU8, NonZeroUsize},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono::{Utc, Weekday};
use chrono_tz::{Europe::Berlin, Tz};
use proptest::prelude::*;
use support::{Gate, soon, until_idle};
use vacancy::{
    dispatch::Bus,
    slots::{
        Alternative, AlternativeFinder, Alternatives, Appointment, AppointmentBooked, BranchId,
        Buffers, Interval, InvalidateSlotsCache, NotAsked, PreferredTime, Reason, ResourceId, Slot,
        SlotSource, SlotsCache, SlotsQuery, SlotsRequest, SourceError, TenantId, Unasked, Wanted,
    },
};

/// A calendar that offers exactly what is posted on it.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<Posts>>);

#[derive(Default)]
struct Posts {
    posts: Vec<Post>,
    requests: Vec<SlotsRequest>,
    /// Whoever asks for one of these gets an error.
    failing: HashSet<ResourceId>,
    /// Whoever asks for one of these gets no answer.
    hanging: HashSet<ResourceId>,
    /// Whether its slots say who serves them.
    silent: bool,
    gate: Option<Gate>,
}

#[derive(Clone, Debug)]
struct Post {
    tenant: TenantId,
    branch: Option<BranchId>,
    resource: ResourceId,
    interval: Interval,
}

#[derive(Debug, thiserror::Error)]
#[error("the board is down")]
struct Down;

impl Board {
    fn state(&self) -> MutexGuard<'_, Posts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post_for(&self, tenant: u64, branch: Option<u64>, resource: u64, start: &str, minutes: i64) {
        self.state().posts.push(Post {
            tenant: tenant.into(),
            branch: branch.map(Into::into),
            resource: resource.into(),
            interval: interval(start, minutes),
        });
    }

    /// Posts a free hour of a host of salon 15.
    fn post(&self, resource: u64, start: &str) {
        self.post_for(15, None, resource, start, 60);
    }

    fn calls(&self) -> usize {
        self.state().requests.len()
    }

    fn requests(&self, after: usize) -> Vec<SlotsRequest> {
        self.state().requests[after..].to_vec()
    }
}

#[async_trait]
impl SlotSource for Board {
    async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        let (answer, hangs, gate) = {
            let mut state = self.state();
            state.requests.push(request.clone());
            let asks_for =
                |set: &HashSet<ResourceId>| request.resources.iter().any(|r| set.contains(r));
            let window = request.window().expect("days of Berlin");
            let is_asked = |post: &&Post| {
                post.tenant == request.tenant
                    && (request.branch.is_none() || post.branch == request.branch)
                    && (request.resources.is_empty() || request.resources.contains(&post.resource))
                    && window.contains(post.interval.start())
            };
            let slots = state.posts.iter().filter(is_asked).map(|post| {
                let slot = Slot::new(post.interval);
                match state.silent {
                    true => slot,
                    false => slot.resource(post.resource.clone()),
                }
            });
            let answer = match asks_for(&state.failing) {
                true => Err(SourceError::new(Down)),
                false => Ok(slots.collect()),
            };
            (answer, asks_for(&state.hanging), state.gate.clone())
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if let Some(gate) = gate {
            gate.pass().await;
        }
        answer
    }
}

/// What the clocks of Berlin show.
fn at(local: &str) -> DateTime<Utc> {
    let local: NaiveDateTime = format!("{local}:00").parse().expect("a local time");
    Berlin
        .from_local_datetime(&local)
        .earliest()
        .expect("a time that exists")
        .to_utc()
}

fn interval(start: &str, minutes: i64) -> Interval {
    Interval::new(at(start), at(start) + TimeDelta::minutes(minutes)).expect("a length")
}

fn time(hour: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour")
}

fn ids(resources: &[u64]) -> Vec<ResourceId> {
    resources.iter().map(|&id| id.into()).collect()
}

/// An hour of host 1 of salon 15.
fn hour(start: &str) -> SlotsQuery {
    SlotsQuery::new(15, 123, interval(start, 60))
        .resource(1)
        .zone(Berlin)
}

/// Wednesday at ten.
const TEN: &str = "2025-10-15T10:00";
/// The day before.
const NOW: &str = "2025-10-14T18:00";

fn ten() -> Wanted {
    Wanted::new(hour(TEN))
}

fn cache(board: &Board) -> SlotsCache {
    let settings = SlotsCache::builder(board.clone());
    settings.source_lag(Duration::ZERO).build()
}

fn finder(board: &Board) -> AlternativeFinder {
    AlternativeFinder::new(cache(board))
}

fn count(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("not zero")
}

async fn find(finder: &AlternativeFinder, wanted: &Wanted) -> Alternatives {
    soon(finder.find(wanted, at(NOW))).await
}

#[track_caller]
fn found(alternatives: Alternatives) -> Vec<Alternative> {
    match alternatives {
        Alternatives::Found(ranked) => ranked,
        other => panic!("{other:?}"),
    }
}

/// When and why, in the clocks of Berlin.
fn told(ranked: &[Alternative]) -> Vec<(String, Reason)> {
    let local = |alternative: &Alternative| {
        let local = alternative.slot.start().with_timezone(&Berlin);
        local.format("%Y-%m-%dT%H:%M").to_string()
    };
    ranked.iter().map(|a| (local(a), a.reason)).collect()
}

fn reasons(ranked: &[Alternative]) -> Vec<Reason> {
    ranked.iter().map(|a| a.reason).collect()
}

fn why(unasked: &[Unasked]) -> Vec<&NotAsked> {
    unasked.iter().map(|unasked| &unasked.why).collect()
}

/// Reads some days of October as anybody does, so that they are kept.
async fn keep(finder: &SlotsCache, query: &SlotsQuery, first: u32, last: u32) {
    let mut query = query.clone();
    let start = at(&format!("2025-10-{first:02}T00:00"));
    let end = at(&format!("2025-10-{last:02}T23:59"));
    query.window = Interval::new(start, end).expect("days");
    soon(finder.open(&query)).await.expect("the board answers");
}

#[tokio::test]
async fn each_reason_has_its_slot() {
    let board = Board::default();
    board.post(1, "2025-10-15T11:30");
    board.post(1, "2025-10-16T09:00");
    board.post(1, "2025-10-16T10:00");
    board.post(1, "2025-10-21T10:00");
    board.post(1, "2025-10-22T11:00");
    board.post(1, "2025-10-30T08:00");
    board.post(1, "2025-10-31T10:00");
    board.post(2, TEN);
    board.post_for(15, Some(7), 3, "2025-10-15T10:30", 60);
    let mut query = hour(TEN);
    query.branch = None;
    let wanted = Wanted::new(query).or_resource(2).or_branch(7);
    let ranked = found(find(&finder(&board).count(count(6)), &wanted).await);
    let expected = [
        ("2025-10-15T11:30", Reason::SameDay, 90),
        ("2025-10-16T10:00", Reason::NextWorkingDay, 0),
        ("2025-10-22T11:00", Reason::NextWeek, 60),
        (TEN, Reason::OtherResource, 0),
        ("2025-10-15T10:30", Reason::OtherBranch, 30),
        // An hour more or less: the clocks went back in between.
        ("2025-10-30T08:00", Reason::NextAvailable, 15 * 1440 - 60),
    ];
    let told: Vec<_> = told(&ranked)
        .into_iter()
        .zip(&ranked)
        .map(|((start, reason), a)| (start, reason, a.distance.as_secs() / 60))
        .collect();
    assert_eq!(
        told,
        expected.map(|(start, reason, minutes)| (start.to_owned(), reason, minutes))
    );
    let who: Vec<_> = ranked.iter().map(|a| a.slot.resources.clone()).collect();
    assert_eq!(who[0], ids(&[1]));
    assert_eq!((&who[3], &who[4]), (&ids(&[2]), &ids(&[3])));
    assert_eq!(ranked[4].branch, Some(7.into()));
}

#[tokio::test]
async fn the_best_of_each_reason_comes_before_the_second_of_any() {
    let board = Board::default();
    for start in [
        "2025-10-15T11:00",
        "2025-10-15T09:00",
        "2025-10-15T12:00",
        "2025-10-16T15:00",
        "2025-10-16T14:00",
    ] {
        board.post(1, start);
    }
    let ranked = found(find(&finder(&board).count(count(9)), &ten()).await);
    let expected = [
        // Of two that are as near, the earlier one.
        ("2025-10-15T09:00", Reason::SameDay),
        ("2025-10-16T14:00", Reason::NextWorkingDay),
        ("2025-10-15T11:00", Reason::SameDay),
        ("2025-10-16T15:00", Reason::NextWorkingDay),
        ("2025-10-15T12:00", Reason::SameDay),
    ];
    let expected = expected.map(|(start, reason)| (start.to_owned(), reason));
    assert_eq!(told(&ranked), expected);
}

#[tokio::test]
async fn preferred_times_come_first() {
    let board = Board::default();
    board.post(1, "2025-10-15T10:30");
    board.post(1, "2025-10-15T16:00");
    board.post(1, "2025-10-16T10:00");
    board.post(1, "2025-10-24T17:00");
    let afternoons = PreferredTime::new(time(14), time(18));
    let wanted = ten().prefer(afternoons);
    let ranked = found(find(&finder(&board), &wanted).await);
    let starts: Vec<_> = told(&ranked).into_iter().map(|(start, _)| start).collect();
    assert_eq!(
        starts,
        ["2025-10-15T16:00", "2025-10-24T17:00", "2025-10-15T10:30"]
    );
    assert_eq!(
        ranked.iter().map(|a| a.preferred).collect::<Vec<_>>(),
        [true, true, false]
    );
    // One afternoon of the week only.
    let wanted = ten().prefer(afternoons.on(Weekday::Fri));
    let ranked = found(find(&finder(&board), &wanted).await);
    assert_eq!(told(&ranked)[0].0, "2025-10-24T17:00");
    assert_eq!(told(&ranked)[1].0, "2025-10-15T10:30");
}

/// The wanted time was once offered as its own alternative.
#[tokio::test]
async fn the_wanted_time_is_never_offered_with_the_wanted_resource() {
    let board = Board::default();
    board.post(1, TEN);
    assert!(matches!(
        find(&finder(&board), &ten()).await,
        Alternatives::NoneFree
    ));
    // Nor by a source that names him among others.
    board.post_for(15, Some(7), 1, TEN, 60);
    board.post_for(15, Some(7), 2, TEN, 60);
    let ranked = found(find(&finder(&board), &ten().or_branch(7)).await);
    assert_eq!(told(&ranked), [(TEN.to_owned(), Reason::OtherBranch)]);
    assert_eq!(ranked[0].slot.resources, ids(&[2]));
    // Nor when he works in both branches.
    let wanted = Wanted::new(hour(TEN).branch(6)).or_branch(7);
    let ranked = found(find(&finder(&board), &wanted).await);
    assert_eq!(told(&ranked), [(TEN.to_owned(), Reason::OtherBranch)]);
    assert_eq!(ranked[0].slot.resources, ids(&[2]));
    // Whoever wanted anybody wanted this one too.
    let mut anybody = SlotsQuery::new(15, 123, interval(TEN, 60)).zone(Berlin);
    anybody.branch = None;
    let wanted = Wanted::new(anybody).or_resource(2);
    assert!(matches!(
        find(&finder(&board), &wanted).await,
        Alternatives::NoneFree
    ));
}

/// Sixty minutes were once offered at 14:55 against a booking at 15:00.
#[tokio::test]
async fn a_slot_that_is_too_short_is_not_offered() {
    let board = Board::default();
    board.post_for(15, None, 1, "2025-10-15T14:55", 5);
    board.post_for(15, None, 1, "2025-10-15T16:00", 59);
    board.post_for(15, None, 1, "2025-10-16T10:00", 60);
    board.post_for(15, None, 1, "2025-10-17T10:00", 90);
    let ranked = found(find(&finder(&board), &ten()).await);
    let starts: Vec<_> = told(&ranked).into_iter().map(|(start, _)| start).collect();
    assert_eq!(starts, ["2025-10-16T10:00", "2025-10-17T10:00"]);
}

#[tokio::test]
async fn nothing_is_offered_that_has_begun_or_that_was_excluded() {
    let board = Board::default();
    for start in [
        "2025-10-15T08:00",
        "2025-10-15T09:00",
        "2025-10-15T10:30",
        "2025-10-16T10:00",
        "2025-10-17T10:00",
    ] {
        board.post(1, start);
    }
    board.post(2, TEN);
    board.post(3, TEN);
    let wanted = ten()
        .or_resource(2)
        .or_resource(3)
        .exclude_start(at("2025-10-15T10:30"))
        .exclude_day("2025-10-16".parse().unwrap())
        .exclude_resource(2);
    let finder = finder(&board);
    let alternatives = soon(finder.find(&wanted, at("2025-10-15T09:00"))).await;
    let expected = [
        ("2025-10-15T09:00", Reason::SameDay),
        ("2025-10-17T10:00", Reason::NextWorkingDay),
        (TEN, Reason::OtherResource),
    ];
    let ranked = found(alternatives);
    assert_eq!(
        told(&ranked),
        expected.map(|(start, reason)| (start.to_owned(), reason))
    );
    assert_eq!(ranked[2].slot.resources, ids(&[3]));
    assert!(board.requests(0).iter().all(|r| r.resources != ids(&[2])));
}

/// Where nobody tells who it is, it may be who must not be.
#[tokio::test]
async fn a_slot_of_nobody_known_is_not_offered_to_who_excludes_somebody() {
    let board = Board::default();
    board.state().silent = true;
    board.post(1, "2025-10-15T11:00");
    let anybody = || Wanted::new(SlotsQuery::new(15, 123, interval(TEN, 60)).zone(Berlin));
    assert_eq!(found(find(&finder(&board), &anybody()).await).len(), 1);
    assert!(matches!(
        find(&finder(&board), &anybody().exclude_resource(9)).await,
        Alternatives::NoneFree
    ));
}

#[tokio::test]
async fn a_slot_is_offered_once_with_all_who_can_serve_it() {
    let board = Board::default();
    board.post(1, "2025-10-15T11:00");
    board.post(2, "2025-10-15T11:00");
    board.post(1, "2025-10-15T11:00");
    let either = hour(TEN).resource(2);
    let ranked = found(find(&finder(&board), &Wanted::new(either).or_resource(2)).await);
    assert_eq!(ranked.len(), 1);
    assert_eq!(ranked[0].slot.resources, ids(&[1, 2]));
}

#[tokio::test]
async fn the_next_working_day_is_the_next_one_with_slots_whatever_its_name() {
    let friday = Wanted::new(hour("2025-10-17T10:00"));
    let board = Board::default();
    board.post(1, "2025-10-19T12:00"); // a Sunday
    board.post(1, "2025-10-20T10:00");
    let ranked = found(find(&finder(&board), &friday).await);
    let expected = [
        ("2025-10-19T12:00", Reason::NextWorkingDay),
        ("2025-10-20T10:00", Reason::NextWeek),
    ];
    assert_eq!(
        told(&ranked),
        expected.map(|(start, reason)| (start.to_owned(), reason))
    );
}

#[tokio::test]
async fn the_same_time_is_that_of_the_clocks_when_they_change() {
    let board = Board::default();
    // Ten o'clock of Monday is 23 hours and a weekend after ten o'clock of Friday.
    for start in ["2025-03-31T09:00", "2025-03-31T10:00", "2025-03-31T11:00"] {
        board.post(1, start);
    }
    let finder = finder(&board);
    let friday = Wanted::new(hour("2025-03-28T10:00"));
    let ranked = found(soon(finder.find(&friday, at("2025-03-27T10:00"))).await);
    assert_eq!(told(&ranked)[0].0, "2025-03-31T10:00");
    assert_eq!(ranked[0].distance, Duration::ZERO);
    // Half past two of Sunday does not exist; as long after midnight it is half past three.
    board.post(1, "2025-03-30T01:30");
    board.post(1, "2025-03-30T03:30");
    let finder = self::finder(&board);
    let saturday = Wanted::new(hour("2025-03-29T02:30"));
    let ranked = found(soon(finder.find(&saturday, at("2025-03-27T10:00"))).await);
    assert_eq!(told(&ranked)[0].0, "2025-03-30T03:30");
    assert_eq!(ranked[0].distance, Duration::ZERO);
}

#[tokio::test]
async fn in_the_ordinary_case_one_call_is_enough_and_kept_days_need_none() {
    let board = Board::default();
    for day in 13..31 {
        board.post(1, &format!("2025-10-{day}T10:00"));
        board.post(1, &format!("2025-10-{day}T11:00"));
    }
    let finder = finder(&board);
    let wanted = ten().or_resource(2).or_resource(3).or_branch(7);
    let first = found(find(&finder, &wanted).await);
    assert_eq!(board.calls(), 1);
    assert_eq!(
        reasons(&first),
        [Reason::SameDay, Reason::NextWorkingDay, Reason::NextWeek]
    );
    assert_eq!(found(find(&finder, &wanted).await), first);
    assert_eq!(board.calls(), 1);
    // Nor do they need one who has only seen this week and the next.
    let slots = cache(&board);
    keep(&slots, &hour(TEN), 13, 26).await;
    let before = board.calls();
    let finder = AlternativeFinder::new(slots).calls(0);
    assert_eq!(found(find(&finder, &wanted).await), first);
    assert_eq!(board.calls(), before);
}

/// A day in between that is not known decides what the next working day is.
#[tokio::test]
async fn what_is_kept_does_not_change_what_is_found() {
    let board = Board::default();
    board.post(1, "2025-10-16T15:00");
    board.post(1, "2025-10-17T10:00");
    board.post(1, "2025-10-24T10:00");
    let mornings = PreferredTime::new(time(9), time(12)).on(Weekday::Fri);
    let wanted = ten().prefer(mornings);
    let finder = |slots: &SlotsCache| AlternativeFinder::new(slots.clone()).count(count(1));
    let expected = found(find(&finder(&cache(&board)), &wanted).await);
    let next_week = ("2025-10-24T10:00".to_owned(), Reason::NextWeek);
    assert_eq!(told(&expected), [next_week]);
    let slots = cache(&board);
    keep(&slots, &hour(TEN), 17, 17).await;
    assert_eq!(found(find(&finder(&slots), &wanted).await), expected);
}

#[tokio::test]
async fn none_free_takes_a_call_for_each_question() {
    let board = Board::default();
    let wanted = ten().or_resource(2).or_resource(3).or_branch(7);
    let finder = finder(&board);
    assert!(matches!(
        find(&finder, &wanted).await,
        Alternatives::NoneFree
    ));
    assert_eq!(board.calls(), 4);
    let last: NaiveDate = "2025-11-11".parse().unwrap();
    assert!(board.requests(0).iter().all(|r| r.last == last));
    assert!(matches!(
        find(&finder, &wanted).await,
        Alternatives::NoneFree
    ));
    assert_eq!(board.calls(), 4);
    // Beyond the horizon nothing is asked for.
    board.post(1, "2025-10-17T10:00");
    let two_days = self::finder(&board).horizon_days(NonZeroU8::new(2).unwrap());
    assert!(matches!(
        find(&two_days, &ten()).await,
        Alternatives::NoneFree
    ));
}

/// A search once cost 40 calls.
#[tokio::test]
async fn days_that_are_kept_here_and_there_do_not_cost_a_call_each() {
    let board = Board::default();
    let slots = cache(&board);
    for (query, days) in [
        (hour(TEN), [16, 19, 22, 25, 28, 30]),
        (anybody_else(2), [15, 17, 19, 21, 23, 25]),
    ] {
        for day in days {
            keep(&slots, &query, day, day).await;
        }
    }
    let before = board.calls();
    let finder = AlternativeFinder::new(slots.clone());
    let found = find(&finder, &ten().or_resource(2)).await;
    assert!(matches!(found, Alternatives::NoneFree), "{found:?}");
    let days: Vec<_> = board
        .requests(before)
        .iter()
        .map(|r| (r.resources.clone(), r.first.day(), r.last.day()))
        .collect();
    assert_eq!(days, [(ids(&[1]), 15, 11), (ids(&[2]), 16, 11)]);
    // All of it is kept now.
    keep(&slots, &hour(TEN), 15, 31).await;
    assert_eq!(board.calls(), before + 2);
}

fn anybody_else(resource: u64) -> SlotsQuery {
    SlotsQuery::new(15, 123, interval(TEN, 60))
        .resource(resource)
        .zone(Berlin)
}

#[tokio::test]
async fn beyond_the_budget_nothing_is_called_and_the_rest_is_named() {
    let board = Board::default();
    board.post(1, "2025-10-15T11:00");
    board.post(9, TEN);
    let mut wanted = ten();
    for resource in 2..=9 {
        wanted = wanted.or_resource(resource);
    }
    for calls in 0..=10 {
        let before = board.calls();
        let finder = finder(&board).calls(calls);
        let alternatives = find(&finder, &wanted).await;
        assert_eq!(board.calls() - before, calls.min(9));
        match (calls, &alternatives) {
            (0, Alternatives::CouldNotAsk { unasked }) => assert_eq!(unasked.len(), 9),
            (1..9, Alternatives::Partial { ranked, unasked }) => {
                assert_eq!(reasons(ranked), [Reason::SameDay]);
                assert_eq!(unasked.len(), 9 - calls);
                let named: Vec<_> = unasked
                    .iter()
                    .flat_map(|u| u.query.resources().to_vec())
                    .collect();
                // Those named first are asked for first.
                assert_eq!(named, ids(&(calls as u64 + 1..=9).collect::<Vec<_>>()));
                let why = why(unasked);
                assert!(why.iter().all(|why| matches!(why, NotAsked::OutOfCalls)));
                let days = unasked[0].query.days().expect("they can be asked for");
                assert_eq!(days.len(), 28);
            }
            (9.., Alternatives::Found(ranked)) => {
                assert_eq!(reasons(ranked), [Reason::SameDay, Reason::OtherResource]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_is_not_called_more_often_and_is_not_none_free() {
    let board = Board::default();
    board.state().failing = ids(&[1, 2, 3, 4, 5, 6]).into_iter().collect();
    let mut wanted = ten();
    for resource in 2..=6 {
        wanted = wanted.or_resource(resource);
    }
    let finder = finder(&board);
    let Alternatives::CouldNotAsk { unasked } = find(&finder, &wanted).await else {
        panic!("nobody answers");
    };
    assert_eq!(board.calls(), 4);
    assert_eq!(unasked.len(), 6);
    let failed = |why: &&&NotAsked| matches!(why, NotAsked::Source(error) if error.downcast_ref::<Down>().is_some());
    assert_eq!(why(&unasked).iter().filter(failed).count(), 4);
    // What can be asked is offered all the same.
    board.post(4, "2025-10-15T12:00");
    board.state().failing = ids(&[1]).into_iter().collect();
    let Alternatives::Partial { ranked, unasked } = find(&finder, &wanted).await else {
        panic!("one does not answer");
    };
    assert_eq!(reasons(&ranked), [Reason::OtherResource]);
    assert!(matches!(unasked[0].why, NotAsked::Source(_)));
    assert_eq!(unasked[0].query.resources(), ids(&[1]));
}

#[tokio::test(start_paused = true)]
async fn what_has_not_come_by_the_deadline_is_dropped() {
    let board = Board::default();
    board.post(1, "2025-10-15T11:00");
    board.post(3, TEN);
    board.state().hanging = ids(&[2]).into_iter().collect();
    let slots = cache(&board);
    let finder = AlternativeFinder::new(slots.clone()).deadline(Duration::from_millis(700));
    let begun = tokio::time::Instant::now();
    let wanted = ten().or_resource(2).or_resource(3);
    let Alternatives::Partial { ranked, unasked } = find(&finder, &wanted).await else {
        panic!("one does not answer");
    };
    assert_eq!(begun.elapsed(), Duration::from_millis(700));
    // What came in time counts, though another question was still open.
    assert_eq!(reasons(&ranked), [Reason::SameDay, Reason::OtherResource]);
    assert!(matches!(why(&unasked)[..], [NotAsked::OutOfTime]));
    // The dropped load leaves nothing behind that others would wait for.
    board.state().hanging.clear();
    keep(&slots, &anybody_else(2), 15, 20).await;

    board.state().hanging = ids(&[1]).into_iter().collect();
    let lonely = self::finder(&board).deadline(Duration::from_millis(700));
    let before = board.calls();
    let alternatives = find(&lonely, &wanted).await;
    let Alternatives::CouldNotAsk { unasked } = alternatives else {
        panic!("the first one took all the time: {alternatives:?}");
    };
    assert!(unasked.iter().all(|u| matches!(u.why, NotAsked::OutOfTime)));
    assert_eq!((unasked.len(), board.calls() - before), (3, 1));
}

#[tokio::test]
async fn the_load_of_another_reader_costs_no_call() {
    let board = Board::default();
    board.post(1, "2025-10-15T11:00");
    let gate = Gate::new();
    board.state().gate = Some(gate.clone());
    let slots = cache(&board);
    let reader = tokio::spawn({
        let slots = slots.clone();
        async move { keep(&slots, &hour(TEN), 15, 31).await }
    });
    gate.entered().await;
    let horizon = NonZeroU8::new(17).unwrap();
    let finder = AlternativeFinder::new(slots).calls(0).horizon_days(horizon);
    let search = tokio::spawn(async move { find(&finder, &ten()).await });
    until_idle().await;
    gate.release();
    let ranked = found(soon(search).await.unwrap());
    assert_eq!(reasons(&ranked), [Reason::SameDay]);
    soon(reader).await.unwrap();
    assert_eq!(board.calls(), 1);
}

/// A reader that goes away leaves its load to those who wait, at their cost.
#[tokio::test]
async fn a_load_that_was_taken_over_counts() {
    let board = Board::default();
    board.post(1, "2025-10-15T11:00");
    let gate = Gate::new();
    board.state().gate = Some(gate.clone());
    let slots = cache(&board);
    for (calls, is_found) in [(1, true), (0, false)] {
        let leader = tokio::spawn({
            let slots = slots.clone();
            async move { keep(&slots, &hour(TEN), 15, 31).await }
        });
        gate.entered().await;
        let horizon = NonZeroU8::new(17).unwrap();
        let finder = AlternativeFinder::new(slots.clone());
        let finder = finder.calls(calls).horizon_days(horizon);
        let search = tokio::spawn(async move { find(&finder, &ten()).await });
        until_idle().await;
        leader.abort();
        assert!(soon(leader).await.unwrap_err().is_cancelled());
        if is_found {
            gate.entered().await;
            gate.release();
        }
        let alternatives = soon(search).await.unwrap();
        match &alternatives {
            Alternatives::Found(ranked) if is_found => assert_eq!(ranked.len(), 1),
            Alternatives::CouldNotAsk { unasked } if !is_found => {
                assert!(matches!(why(unasked)[..], [NotAsked::OutOfCalls]));
            }
            other => panic!("{other:?}"),
        }
        slots.invalidate(&15.into(), &vacancy::slots::Target::Tenant, None);
    }
}

#[tokio::test]
async fn what_was_booked_is_not_offered_even_while_the_source_offers_it() {
    let board = Board::default();
    board.post(1, "2025-10-15T11:00");
    board.post(1, "2025-10-15T12:00");
    let slots = SlotsCache::builder(board.clone()).build();
    let invalidate = InvalidateSlotsCache::new(slots.clone());
    let bus = Bus::builder().subscribe(invalidate).build().unwrap();
    let finder = AlternativeFinder::new(slots);
    let before = found(find(&finder, &ten()).await);
    assert_eq!(told(&before)[0].0, "2025-10-15T11:00");
    let appointment = Appointment::new(1.into(), 15.into(), before[0].slot.interval)
        .event_type(123)
        .resource(1)
        .buffers(Buffers::NONE);
    bus.dispatch(AppointmentBooked::new(appointment));
    let after = found(find(&finder, &ten()).await);
    assert_eq!(told(&after)[0].0, "2025-10-15T12:00");
}

#[tokio::test]
async fn one_tenant_is_never_offered_what_is_another_ones() {
    let board = Board::default();
    board.post(1, "2025-10-15T11:00");
    board.post_for(16, None, 1, "2025-10-15T12:00", 60);
    board.post_for(16, Some(7), 2, "2025-10-15T10:00", 60);
    let finder = finder(&board);
    let wanted = |tenant: u64| {
        let query = SlotsQuery::new(tenant, 123, interval(TEN, 60));
        Wanted::new(query.resource(1).zone(Berlin))
            .or_resource(2)
            .or_branch(7)
    };
    for _ in 0..2 {
        let ours = found(find(&finder, &wanted(15)).await);
        let theirs = found(find(&finder, &wanted(16)).await);
        let starts = |ranked: &[Alternative]| {
            let told = told(ranked).into_iter();
            told.map(|(start, _)| start).collect::<Vec<_>>()
        };
        assert_eq!(starts(&ours), ["2025-10-15T11:00"]);
        assert_eq!(starts(&theirs), ["2025-10-15T12:00", TEN]);
    }
    assert!(matches!(
        find(&finder, &wanted(17)).await,
        Alternatives::NoneFree
    ));
}

/// Calls that may not be made are not waited for either.
#[tokio::test]
async fn a_search_without_calls_does_not_wait_for_its_turn_at_the_source() {
    let board = Board::default();
    let gate = Gate::new();
    board.state().gate = Some(gate.clone());
    let one = SlotsCache::builder(board.clone()).max_loads(count(1));
    let slots = one.source_lag(Duration::ZERO).build();
    let reader = tokio::spawn({
        let slots = slots.clone();
        async move { keep(&slots, &anybody_else(2), 15, 31).await }
    });
    gate.entered().await;
    let finder = AlternativeFinder::new(slots).calls(0);
    let Alternatives::CouldNotAsk { unasked } = find(&finder, &ten()).await else {
        panic!("nothing is kept");
    };
    assert!(matches!(why(&unasked)[..], [NotAsked::OutOfCalls]));
    gate.release();
    soon(reader).await.unwrap();
}

#[test]
fn a_finder_can_be_shared_and_a_search_spawned() {
    fn anywhere<T: Clone + std::fmt::Debug + Send + Sync + Unpin + 'static>() {}
    fn spawnable<T: Send + 'static>(future: T) {
        drop(future);
    }
    anywhere::<AlternativeFinder>();
    anywhere::<Wanted>();
    anywhere::<Alternatives>();
    let searches = |finder: AlternativeFinder, wanted: Wanted| {
        spawnable(async move { finder.find(&wanted, at(NOW)).await });
    };
    searches(finder(&Board::default()), ten());
}

#[tokio::test]
async fn wherever_the_wanted_time_lies_the_search_ends() {
    let board = Board::default();
    let finder = finder(&board);
    for start in [
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MAX_UTC - TimeDelta::hours(1),
    ] {
        let window = Interval::new(start, start + TimeDelta::hours(1)).unwrap();
        for zone in [Tz::UTC, chrono_tz::Pacific::Apia, Berlin] {
            let wanted = Wanted::new(SlotsQuery::new(15, 123, window).resource(1).zone(zone));
            let _ = soon(finder.find(&wanted, start)).await;
        }
    }
}

/// What a search should find, by a look at everything: a reason for each slot, and then the best of each
/// reason, the second of each, and so on; first of the preferred ones.
mod model {
    use super::*;

    pub(super) struct Search<'a> {
        pub(super) posts: &'a [Post],
        pub(super) wanted: DateTime<Utc>,
        pub(super) branch: Option<u64>,
        pub(super) minutes: i64,
        pub(super) hosts: &'a [u64],
        pub(super) others: &'a [u64],
        pub(super) branches: &'a [u64],
        pub(super) not_before: DateTime<Utc>,
        pub(super) days: u64,
        pub(super) prefers: Option<(u32, u32, Weekday)>,
        pub(super) excluded_day: Option<NaiveDate>,
        pub(super) excluded_host: Option<u64>,
    }

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(super) struct Offer {
        pub(super) start: DateTime<Utc>,
        pub(super) hosts: Vec<ResourceId>,
        pub(super) reason: Reason,
        pub(super) preferred: bool,
        pub(super) distance: Duration,
    }

    fn date(at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&Berlin).date_naive()
    }

    fn monday(date: NaiveDate) -> NaiveDate {
        date - Days::new(date.weekday().num_days_from_monday().into())
    }

    impl Search<'_> {
        /// The free slots of a question, each once, with whoever serves it.
        fn free(&self, asked: &[u64], branch: Option<u64>) -> Vec<(Interval, Vec<ResourceId>)> {
            let first = date(self.wanted.max(self.not_before));
            let mut free: Vec<(Interval, Vec<ResourceId>)> = Vec::new();
            for post in self.posts {
                let day = date(post.interval.start());
                let length = post.interval.end() - post.interval.start();
                let is_asked = asked.is_empty() || ids(asked).contains(&post.resource);
                let is_there = branch.is_none_or(|b| post.branch == Some(b.into()));
                let is_excluded = self.excluded_day == Some(day)
                    || self
                        .excluded_host
                        .is_some_and(|h| post.resource == h.into());
                let is_in = first <= day && day < first + Days::new(self.days);
                if !is_asked || !is_there || is_excluded || !is_in {
                    continue;
                }
                if length < TimeDelta::minutes(self.minutes)
                    || post.interval.start() < self.not_before
                {
                    continue;
                }
                match free
                    .iter_mut()
                    .find(|(interval, _)| *interval == post.interval)
                {
                    Some((_, hosts)) if hosts.contains(&post.resource) => {}
                    Some((_, hosts)) => hosts.push(post.resource.clone()),
                    None => free.push((post.interval, vec![post.resource.clone()])),
                }
            }
            free
        }

        fn offers(&self) -> Vec<(Interval, usize, Offer)> {
            let wanted_day = date(self.wanted);
            let own = self.free(self.hosts, self.branch);
            let own: Vec<_> = own
                .into_iter()
                .filter(|(interval, _)| interval.start() != self.wanted)
                .collect();
            let later = own.iter().map(|(interval, _)| date(interval.start()));
            let working = later.filter(|day| *day > wanted_day).min();
            let time = self.wanted.with_timezone(&Berlin).time();
            let on = |day: NaiveDate| {
                let local = Berlin.from_local_datetime(&day.and_time(time));
                local.earliest().expect("no slot in the night").to_utc()
            };
            let mut offers = Vec::new();
            for (interval, hosts) in own {
                let day = date(interval.start());
                let (reason, target) = if day == wanted_day {
                    (Reason::SameDay, self.wanted)
                } else if Some(day) == working {
                    (Reason::NextWorkingDay, on(day))
                } else if monday(day) == monday(wanted_day) + Days::new(7) {
                    (Reason::NextWeek, on(wanted_day + Days::new(7)))
                } else {
                    (Reason::NextAvailable, self.wanted)
                };
                offers.push((interval, 0, hosts, reason, target));
            }
            let mut taken = self.hosts.to_vec();
            let mut question = 0;
            for other in self.others {
                if taken.contains(other) || self.excluded_host == Some(*other) {
                    continue;
                }
                question += 1;
                taken.push(*other);
                for (interval, hosts) in self.free(&[*other], self.branch) {
                    let reason = Reason::OtherResource;
                    offers.push((interval, question, hosts, reason, self.wanted));
                }
            }
            let mut asked: Vec<u64> = Vec::new();
            for branch in self.branches {
                if asked.contains(branch) || self.branch == Some(*branch) {
                    continue;
                }
                asked.push(*branch);
                question += 1;
                for (interval, mut hosts) in self.free(&[], Some(*branch)) {
                    let is_wanted = interval.start() == self.wanted;
                    hosts.retain(|host| match self.branch {
                        None => !ids(&taken).contains(host),
                        Some(_) => !is_wanted || !ids(self.hosts).contains(host),
                    });
                    if !hosts.is_empty() {
                        let reason = Reason::OtherBranch;
                        offers.push((interval, question, hosts, reason, self.wanted));
                    }
                }
            }
            let offer = |(interval, question, mut hosts, reason, target): (
                Interval,
                usize,
                Vec<ResourceId>,
                Reason,
                DateTime<Utc>,
            )| {
                hosts.sort();
                let local = interval.start().with_timezone(&Berlin);
                let preferred = self.prefers.is_some_and(|(from, until, weekday)| {
                    (time_of(from)..time_of(until)).contains(&local.time())
                        && local.weekday() == weekday
                });
                let distance = (interval.start() - target).abs();
                let offer = Offer {
                    start: interval.start(),
                    hosts,
                    reason,
                    preferred,
                    distance: distance.to_std().expect("it is not negative"),
                };
                (interval, question, offer)
            };
            offers.into_iter().map(offer).collect()
        }

        pub(super) fn ranked(&self) -> Vec<Offer> {
            let mut offers = self.offers();
            // Nearest first; the earlier, the shorter, the one asked for first.
            offers
                .sort_by_key(|(interval, question, offer)| (offer.distance, *interval, *question));
            let mut ranked = Vec::new();
            for preferred in [true, false] {
                let of = |reason: Reason| -> Vec<Offer> {
                    let all = offers.iter().map(|(_, _, offer)| offer);
                    all.filter(|o| (o.reason, o.preferred) == (reason, preferred))
                        .cloned()
                        .collect()
                };
                let reasons = [
                    Reason::SameDay,
                    Reason::NextWorkingDay,
                    Reason::NextWeek,
                    Reason::OtherResource,
                    Reason::OtherBranch,
                    Reason::NextAvailable,
                ]
                .map(of);
                for place in 0..offers.len() {
                    ranked.extend(reasons.iter().filter_map(|of| of.get(place).cloned()));
                }
            }
            ranked
        }
    }

    fn time_of(hour: u32) -> NaiveTime {
        time(hour)
    }
}

/// A random salon, a random wish, and a random cache before it.
#[derive(Clone, Debug)]
struct Case {
    /// Day after the 13th of October, hour, half hours, host, branch.
    posts: Vec<(u64, u32, i64, u64, Option<u64>)>,
    wanted: (u64, u32, i64),
    branch: Option<u64>,
    hosts: Vec<u64>,
    others: Vec<u64>,
    branches: Vec<u64>,
    not_before: (u64, u32),
    days: u8,
    count: usize,
    prefers: Option<(u32, u32, u8)>,
    excluded_day: Option<u64>,
    excluded_host: Option<u64>,
    /// First and last day, and whose.
    kept: Vec<(u64, u64, u64)>,
    calls: usize,
    failing: BTreeSet<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    let host = 1..5_u64;
    let branch = 7..9_u64;
    let post = (
        0..30_u64,
        7..19_u32,
        1..4_i64,
        host.clone(),
        prop::option::of(branch.clone()),
    );
    let salon = (
        prop::collection::vec(post, 0..40),
        (0..14_u64, 7..19_u32, 1..4_i64),
        prop::collection::btree_set(host.clone(), 1..3),
        prop::collection::vec(host.clone(), 0..3),
        prop::collection::vec(branch.clone(), 0..3),
        prop::option::of(branch.clone()),
        // Who else is free at the wanted time, or says so.
        prop::collection::vec((host.clone(), prop::option::of(branch)), 0..3),
    );
    let wish = (
        (0..12_u64, 0..23_u32),
        1..30_u8,
        1..8_usize,
        prop::option::of((7..13_u32, 13..19_u32, 0..7_u8)),
        prop::option::of(0..28_u64),
        prop::option::of(host.clone()),
    );
    let cache = (
        prop::collection::vec((0..28_u64, 0..6_u64, host.clone()), 0..6),
        0..7_usize,
        prop::collection::btree_set(host, 0..2),
    );
    (salon, wish, cache).prop_map(|(salon, wish, cache)| Case {
        posts: {
            let (day, hour, length) = salon.1;
            let at_once = salon.6.into_iter();
            let at_once = at_once.map(|(host, branch)| (day, hour, length, host, branch));
            salon.0.into_iter().chain(at_once).collect()
        },
        wanted: salon.1,
        hosts: salon.2.into_iter().collect(),
        others: salon.3,
        branches: salon.4,
        branch: salon.5,
        not_before: wish.0,
        days: wish.1,
        count: wish.2,
        prefers: wish.3,
        excluded_day: wish.4,
        excluded_host: wish.5,
        kept: cache.0,
        calls: cache.1,
        failing: cache.2,
    })
}

fn october(day: u64) -> NaiveDate {
    let first: NaiveDate = "2025-10-13".parse().expect("a date");
    first + Days::new(day)
}

fn instant(day: u64, hour: u32) -> DateTime<Utc> {
    at(&format!("{}T{hour:02}:00", october(day)))
}

fn half_hours(day: u64, hour: u32, length: i64) -> Interval {
    let start = instant(day, hour);
    Interval::new(start, start + TimeDelta::minutes(30 * length)).expect("a length")
}

impl Case {
    fn board(&self) -> Board {
        let board = Board::default();
        for &(day, hour, length, host, branch) in &self.posts {
            board.state().posts.push(Post {
                tenant: 15.into(),
                branch: branch.map(Into::into),
                resource: host.into(),
                interval: half_hours(day, hour, length),
            });
        }
        board
    }

    fn query(&self) -> SlotsQuery {
        let (day, hour, length) = self.wanted;
        let query = SlotsQuery::new(15, 123, half_hours(day, hour, length)).zone(Berlin);
        let query = self.branch.into_iter().fold(query, SlotsQuery::branch);
        self.hosts
            .iter()
            .fold(query, |query, &host| query.resource(host))
    }

    fn weekday(number: u8) -> Weekday {
        Weekday::try_from(number).expect("a day of the week")
    }

    fn wish(&self) -> Wanted {
        let mut wanted = Wanted::new(self.query());
        for &other in &self.others {
            wanted = wanted.or_resource(other);
        }
        for &branch in &self.branches {
            wanted = wanted.or_branch(branch);
        }
        if let Some((from, until, weekday)) = self.prefers {
            let time = PreferredTime::new(time(from), time(until));
            wanted = wanted.prefer(time.on(Self::weekday(weekday)));
        }
        if let Some(day) = self.excluded_day {
            wanted = wanted.exclude_day(october(day));
        }
        if let Some(host) = self.excluded_host {
            wanted = wanted.exclude_resource(host);
        }
        wanted
    }

    fn not_before(&self) -> DateTime<Utc> {
        instant(self.not_before.0, self.not_before.1)
    }

    fn expected(&self, posts: &[Post]) -> Vec<model::Offer> {
        let search = model::Search {
            posts,
            wanted: self.query().window.start(),
            branch: self.branch,
            minutes: self.wanted.2 * 30,
            hosts: &self.hosts,
            others: &self.others,
            branches: &self.branches,
            not_before: self.not_before(),
            days: self.days.into(),
            prefers: self.prefers.map(|(a, b, day)| (a, b, Self::weekday(day))),
            excluded_day: self.excluded_day.map(october),
            excluded_host: self.excluded_host,
        };
        search.ranked()
    }

    async fn run(&self) -> (Alternatives, usize, Vec<Post>) {
        let board = self.board();
        let slots = cache(&board);
        for &(first, more, host) in &self.kept {
            let own = self.query();
            let mut other = anybody_else(host);
            other.branch.clone_from(&own.branch);
            for mut query in [other, own] {
                let end = instant(first + more, 23);
                query.window = Interval::new(instant(first, 0), end).expect("days");
                soon(slots.open(&query)).await.expect("the board answers");
            }
        }
        let failing = self.failing.iter().map(|&host| host.into());
        board.state().failing = failing.collect();
        let before = board.calls();
        let finder = AlternativeFinder::new(slots)
            .calls(self.calls)
            .count(count(self.count))
            .horizon_days(NonZeroU8::new(self.days).expect("not zero"));
        let alternatives = soon(finder.find(&self.wish(), self.not_before())).await;
        let calls = board.calls() - before;
        let posts = board.state().posts.clone();
        (alternatives, calls, posts)
    }
}

fn told_as(alternative: &Alternative) -> model::Offer {
    model::Offer {
        start: alternative.slot.start(),
        hosts: alternative.slot.resources.clone(),
        reason: alternative.reason,
        preferred: alternative.preferred,
        distance: alternative.distance,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_a_look_at_everything_finds(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (alternatives, calls, posts) = runtime.expect("a runtime").block_on(case.run());
        prop_assert!(calls <= case.calls, "{} calls", calls);
        let ranked = alternatives.ranked();
        let mut seen = HashSet::new();
        for alternative in ranked {
            let slot = &alternative.slot;
            for host in &slot.resources {
                let is_free = |post: &Post| (&post.resource, post.interval) == (host, slot.interval);
                prop_assert!(posts.iter().any(is_free), "{:?}", alternative);
                prop_assert!(seen.insert((slot.interval, host, &alternative.branch)), "{:?} twice", alternative);
                let is_wanted = slot.start() == case.query().window.start();
                prop_assert!(!is_wanted || !ids(&case.hosts).contains(host), "{:?}", alternative);
            }
            prop_assert!(slot.interval.duration() >= case.query().window.duration());
            prop_assert!(slot.start() >= case.not_before());
        }
        prop_assert!(ranked.len() <= case.count);
        let expected: Vec<_> = case.expected(&posts).into_iter().take(case.count).collect();
        match &alternatives {
            Alternatives::Found(ranked) => {
                let found: Vec<_> = ranked.iter().map(told_as).collect();
                prop_assert_eq!(found, expected);
            }
            Alternatives::NoneFree => prop_assert_eq!(expected, []),
            Alternatives::Partial { unasked, .. } | Alternatives::CouldNotAsk { unasked } => {
                prop_assert!(!unasked.is_empty());
                prop_assert!(!case.failing.is_empty() || case.calls < 1 + case.others.len() + case.branches.len());
            }
        }
    }
}
