//! Edges are told in the lane's own time, again when they fail, and nothing secret is told of it.

mod edge;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use edge::application::serve;
use edge::calendar::{Calendar, appointment, day_of};
use edge::soon;
use http::{HeaderName, HeaderValue, StatusCode, header};
use vacancy_dispatch::{Bus, Outcome, Reason, Report, Retry};
use vacancy_http::{CachePolicy, Edge, InvalidEdge, MAX_PURGED_KEYS, PurgeEdge, PurgeError};
use vacancy_slots::{Appointment, AppointmentBooked, InvalidateSlotsCache};

/// An edge that writes down what it is told, and answers as it is told to.
#[derive(Clone, Default)]
struct Told {
    purges: Arc<Mutex<Vec<Request>>>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
    deaf: Arc<Mutex<bool>>,
    /// Where it sends those whom it redirects.
    location: Arc<Mutex<Option<String>>>,
}

impl Told {
    async fn serve(&self) -> SocketAddr {
        serve(Router::new().fallback(hear).with_state(self.clone())).await
    }

    /// Answers with these, the last one first, and then with 200.
    fn answers(&self, statuses: &[StatusCode]) {
        self.answers
            .lock()
            .expect("nobody panics with it")
            .extend(statuses);
    }

    fn times(&self) -> usize {
        self.purges.lock().expect("nobody panics with it").len()
    }

    fn keys(&self) -> Vec<Vec<String>> {
        let purges = self.purges.lock().expect("nobody panics with it");
        let keys = |purge: &Request| {
            let keys = purge.headers()["surrogate-key"].to_str().expect("text");
            keys.split(' ').map(str::to_owned).collect()
        };
        purges.iter().map(keys).collect()
    }
}

async fn hear(State(told): State<Told>, request: Request) -> Response {
    told.purges
        .lock()
        .expect("nobody panics with it")
        .push(request);
    let deaf = *told.deaf.lock().expect("nobody panics with it");
    if deaf {
        std::future::pending::<()>().await;
    }
    let answer = told.answers.lock().expect("nobody panics with it").pop();
    let status = answer.unwrap_or(StatusCode::OK);
    let location = told.location.lock().expect("nobody panics with it").clone();
    let headers = location.map(|location| [(header::LOCATION, location)]);
    match headers {
        Some(headers) => (status, AppendHeaders(headers)).into_response(),
        None => status.into_response(),
    }
}

const SECRET: &str = "token-5f3a";

fn api(name: &str, address: SocketAddr) -> Edge {
    let url = format!("http://user:{SECRET}@{address}/service/s/purge?key={SECRET}");
    let edge = Edge::purge_api(name, &url).expect("a url");
    edge.header(
        HeaderName::from_static("fastly-key"),
        HeaderValue::from_static(SECRET),
    )
}

fn quick(attempts: u32) -> Retry {
    let pause = Duration::from_millis(1);
    Retry::new(NonZeroU32::new(attempts).expect("not zero")).first_pause(pause)
}

fn bus(edges: Vec<Edge>, settings: impl FnOnce(PurgeEdge) -> PurgeEdge) -> Bus {
    let slots = Calendar::default().cached();
    let purge = settings(
        PurgeEdge::new(slots.clone(), edges)
            .expect("a client")
            .retry(quick(3)),
    );
    Bus::builder()
        .subscribe(InvalidateSlotsCache::new(slots))
        .subscribe(purge)
        .build()
        .expect("a bus")
}

async fn book(bus: &Bus, appointment: Appointment) -> Report {
    soon(bus.dispatch(AppointmentBooked::new(appointment)).settled()).await
}

fn tuesday() -> Appointment {
    appointment(1, "ada", "2026-11-24T14:00:00Z")
}

#[tokio::test]
async fn every_edge_is_sent_the_keys_and_its_token() {
    let (one, other) = (Told::default(), Told::default());
    let bus = bus(
        vec![
            api("one", one.serve().await),
            Edge::varnish("other", &format!("http://{}/", other.serve().await)).unwrap(),
        ],
        |purge| purge,
    );
    assert!(book(&bus, tuesday()).await.all_done());
    assert_eq!(one.keys(), other.keys());
    let purges = one.purges.lock().unwrap();
    let purge = &purges[0];
    assert_eq!((purges.len(), purge.method().as_str()), (1, "POST"));
    assert_eq!(purge.uri().path(), "/service/s/purge");
    assert_eq!(purge.headers()["fastly-key"], SECRET);
    assert_eq!(other.purges.lock().unwrap()[0].method().as_str(), "BAN");
}

#[tokio::test]
async fn the_keys_that_are_purged_are_those_of_the_answers_that_changed() {
    let calendar = Calendar::default();
    let slots = calendar.cached();
    let policy = CachePolicy::new(slots.clone());
    let told = Told::default();
    let purge = PurgeEdge::new(slots.clone(), [api("one", told.serve().await)]).unwrap();
    let bus = Bus::builder().subscribe(purge).build().unwrap();
    assert!(book(&bus, tuesday()).await.all_done());
    let purged: BTreeSet<_> = told.keys().into_iter().flatten().collect();
    let is_purged = async |host: &str, date: &str| {
        let query = day_of(host, date);
        let open = slots.open(&query).await.unwrap();
        let headers = policy.headers(&query, &open).unwrap().into_headers();
        let keys = headers["surrogate-key"].to_str().unwrap();
        keys.split(' ').any(|key| purged.contains(key))
    };
    assert!(is_purged("ada", "2026-11-24").await);
    assert!(!is_purged("grace", "2026-11-24").await);
    assert!(!is_purged("ada", "2026-11-26").await);
}

#[tokio::test]
async fn an_edge_that_fails_is_told_again() {
    let told = Told::default();
    told.answers(&[
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ]);
    let bus = bus(vec![api("one", told.serve().await)], |purge| purge);
    assert!(book(&bus, tuesday()).await.all_done());
    assert_eq!(told.times(), 3);
}

#[tokio::test]
async fn an_edge_that_refuses_for_good_is_told_once() {
    for status in [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
        let told = Told::default();
        told.answers(&[status; 3]);
        let bus = bus(vec![api("one", told.serve().await)], |purge| purge);
        let report = book(&bus, tuesday()).await;
        assert_eq!(
            report.outcome("http.purge"),
            Some(Outcome::Dead(Reason::Failed))
        );
        // The cache itself is none the worse for it.
        assert_eq!(report.outcome("slots.invalidate"), Some(Outcome::Done));
        assert_eq!(told.times(), 1);
    }
}

#[tokio::test]
async fn an_edge_that_refuses_keeps_no_other_from_being_told_again() {
    let (refuses, fails) = (Told::default(), Told::default());
    refuses.answers(&[StatusCode::FORBIDDEN; 3]);
    fails.answers(&[StatusCode::BAD_GATEWAY]);
    let edges = vec![
        api("refuses", refuses.serve().await),
        api("fails", fails.serve().await),
    ];
    let bus = bus(edges, |purge| purge);
    let report = book(&bus, tuesday()).await;
    assert!(!report.all_done());
    assert_eq!(fails.times(), 2);
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let (told, stranger) = (Told::default(), Told::default());
    let elsewhere = format!("http://{}/", stranger.serve().await);
    *told.location.lock().unwrap() = Some(elsewhere);
    told.answers(&[StatusCode::TEMPORARY_REDIRECT; 3]);
    let bus = bus(vec![api("one", told.serve().await)], |purge| purge);
    assert!(!book(&bus, tuesday()).await.all_done());
    assert_eq!((told.times(), stranger.times()), (3, 0));
}

#[tokio::test]
async fn an_edge_that_says_nothing_is_given_up_in_time() {
    let told = Told::default();
    *told.deaf.lock().unwrap() = true;
    let bus = bus(vec![api("one", told.serve().await)], |purge| {
        purge.request_time_out(Duration::from_millis(20))
    });
    let report = book(&bus, tuesday()).await;
    assert_eq!(
        report.outcome("http.purge"),
        Some(Outcome::Dead(Reason::Failed))
    );
    let letter = &bus.dead_letters()[0];
    assert_eq!(letter.attempts(), 3);
    assert!(
        letter.error().contains("the edge one did not answer"),
        "{}",
        letter.error()
    );
}

#[tokio::test]
async fn a_booking_does_not_wait_for_an_edge() {
    let told = Told::default();
    *told.deaf.lock().unwrap() = true;
    let bus = bus(vec![api("one", told.serve().await)], |purge| purge);
    let receipt = bus.dispatch(AppointmentBooked::new(tuesday()));
    let reached = soon(receipt.reached("slots.invalidate")).await;
    assert_eq!(reached.unwrap(), Outcome::Done);
    assert_eq!(receipt.outcome("http.purge").unwrap(), None);
}

#[tokio::test]
async fn what_nobody_listens_on_is_unreachable_and_its_address_is_not_told() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let edge = api("one", nobody);
    let slots = Calendar::default().cached();
    let purge = PurgeEdge::new(slots, [edge.clone()]).unwrap();
    let error = soon(purge.purge_tenant(&15.into())).await.unwrap_err();
    assert!(matches!(error, PurgeError::Unreachable { .. }) && error.is_transient());
    let mut told = format!("{edge:?} {purge:?} {error:?}");
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = next {
        told += &format!(" {error}");
        next = error.source();
    }
    assert!(!told.contains(SECRET), "{told}");
}

#[tokio::test]
async fn a_long_change_is_told_in_several_requests_and_a_longer_one_in_coarse_keys() {
    let told = Told::default();
    let bus = bus(vec![api("one", told.serve().await)], |purge| purge);
    let weeks = |count: i64, hosts: u64| {
        let mut booked = tuesday();
        let first = booked.intervals()[0];
        for week in 1..count {
            let start = first.start() + chrono::TimeDelta::weeks(week);
            booked = booked.occurrence(edge::calendar::hour(start));
        }
        (0..hosts).fold(booked, |booked, host| booked.resource(host))
    };
    assert!(book(&bus, weeks(30, 6)).await.all_done());
    let batches: Vec<_> = told.keys().iter().map(Vec::len).collect();
    assert!(
        batches.len() > 1 && batches.iter().all(|keys| *keys <= 96),
        "{batches:?}"
    );
    let before = told.times();
    assert!(book(&bus, weeks(30, 100)).await.all_done());
    let all: usize = told.keys()[before..].iter().map(Vec::len).sum();
    assert!(all <= MAX_PURGED_KEYS, "{all}");
}

#[tokio::test]
async fn a_host_of_another_tenant_is_not_purged() {
    let told = Told::default();
    let bus = bus(vec![api("one", told.serve().await)], |purge| purge);
    let mut foreign = tuesday();
    foreign.tenant = 16.into();
    assert!(book(&bus, tuesday()).await.all_done());
    assert!(book(&bus, foreign).await.all_done());
    let [ours, theirs] = <[_; 2]>::try_from(told.keys()).unwrap();
    assert!(ours.iter().all(|key| !theirs.contains(key)));
}

#[test]
fn an_address_that_is_none_is_refused() {
    for url in ["", "edge", "/purge", "ftp://edge/", "redis://edge/"] {
        assert_eq!(Edge::varnish("one", url).unwrap_err(), InvalidEdge::Url);
    }
}
