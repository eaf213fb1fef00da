//! The API over the diary.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle, time::Instant};
use vacancy_calcom::{CalcomApi, CalcomSlots, CalcomSlotsBuilder};
use vacancy_slots::Interval;

use super::{Bookable, Frozen, diary::Diary, soon};

/// The key that it accepts.
pub(crate) const KEY: &str = "cal_live_swordfish";

/// How long it goes on giving an answer, whatever changes.
const CACHED: Duration = Duration::from_secs(2);
const RESERVED: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
}

/// An answer that is given in place of its own.
pub(crate) type Canned = (StatusCode, Vec<(&'static str, String)>, String);

type Change = Box<dyn FnOnce(&mut Diary) + Send>;

/// A request that it does not answer.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    status: StatusCode,
    retry_after: Option<u64>,
}

/// Runs until it is dropped. While it lives, paused time is [frozen](Frozen): no time-out is over
/// because a machine is slow.
pub(crate) struct FakeCalcom {
    _frozen: Frozen,
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    state: Mutex<FakeState>,
    /// Held requests stand here until they are let go.
    entered: Semaphore,
    open: Semaphore,
}

struct FakeState {
    diary: Diary,
    /// Changes that were told of and are not committed.
    uncommitted: Vec<Change>,
    asked: Vec<Asked>,
    cache: BTreeMap<String, (Instant, Value)>,
    counted: VecDeque<Instant>,
    per_minute: usize,
    /// Whether it knows `format=range`.
    gives_ends: bool,
    held: bool,
    canned: VecDeque<Canned>,
}

impl FakeCalcom {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            state: Mutex::new(FakeState {
                diary: Diary::default(),
                uncommitted: Vec::new(),
                asked: Vec::new(),
                cache: BTreeMap::new(),
                counted: VecDeque::new(),
                per_minute: 120,
                gives_ends: true,
                held: false,
                canned: VecDeque::new(),
            }),
            entered: Semaphore::new(0),
            open: Semaphore::new(0),
        });
        let router = Router::new()
            .route("/v2/slots", get(current))
            .route("/v2/slots/available", get(older))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("it runs until it is dropped");
        });
        Self {
            _frozen: Frozen::new(),
            address,
            shared,
            server,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A source that asks it, with the right key.
    pub(crate) fn builder(&self) -> CalcomSlotsBuilder {
        CalcomSlots::builder(KEY).base_url(self.url())
    }

    pub(crate) fn source(&self) -> CalcomSlots {
        self.builder().build().expect("settings that can be used")
    }

    pub(crate) fn offer(&self, event_type: u64, bookable: Bookable) {
        self.state().diary.event_types.insert(event_type, bookable);
    }

    pub(crate) fn book(&self, id: u64, event_type: u64, interval: Interval) {
        self.state().diary.book(id, event_type, interval);
    }

    /// Cancels, as far as the webhook tells; the slot is free from the [`commit`](Self::commit) on.
    pub(crate) fn cancel(&self, id: u64) {
        let change = Box::new(move |diary: &mut Diary| diary.cancel(id));
        self.state().uncommitted.push(change);
    }

    pub(crate) fn commit(&self) {
        let state = &mut *self.state();
        for change in state.uncommitted.drain(..) {
            change(&mut state.diary);
        }
    }

    /// Hides a slot for five minutes, and tells nobody.
    pub(crate) fn reserve(&self, event_type: u64, interval: Interval) {
        let until = Instant::now() + RESERVED;
        self.state().diary.reserve(event_type, interval, until);
    }

    /// Gives starts alone, whatever is asked for.
    pub(crate) fn gives_starts_alone(&self) {
        self.state().gives_ends = false;
    }

    pub(crate) fn per_minute(&self, calls: usize) {
        self.state().per_minute = calls;
    }

    /// Answers the next request with this.
    pub(crate) fn answers(&self, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let status = StatusCode::from_u16(status).expect("a status");
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let canned = (status, headers.collect(), body.to_owned());
        self.state().canned.push_back(canned);
    }

    /// Lets requests wait from now on, until they are released.
    pub(crate) fn holds(&self) {
        self.state().held = true;
    }

    /// Waits until a request is held.
    pub(crate) async fn entered(&self) {
        let entered = soon(self.shared.entered.acquire()).await;
        entered.expect("never closed").forget();
    }

    /// Lets one held request go on.
    pub(crate) fn release(&self) {
        self.shared.open.add_permits(1);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.state().asked.len()
    }

    /// The only request, or the last one.
    pub(crate) fn last(&self) -> Asked {
        self.asked().pop().expect("a request")
    }

    fn state(&self) -> MutexGuard<'_, FakeState> {
        self.shared.state()
    }
}

impl Drop for FakeCalcom {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn current(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    query: Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    answer(&shared, CalcomApi::V2024_09_04, uri, query, headers).await
}

async fn older(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    query: Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    answer(&shared, CalcomApi::V2024_04_15, uri, query, headers).await
}

async fn answer(
    shared: &Shared,
    api: CalcomApi,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let held = {
        let mut state = shared.state();
        state.asked.push(Asked {
            path: uri.path().to_owned(),
            query: query.clone(),
            headers: headers.clone(),
        });
        if let Some((status, headers, body)) = state.canned.pop_front() {
            let mut response = (status, body).into_response();
            response.headers_mut().remove(header::CONTENT_TYPE);
            for (name, value) in headers {
                let value = value.parse().expect("a header");
                response.headers_mut().insert(name, value);
            }
            return response;
        }
        state.held
    };
    // What it answers is what holds when it has come.
    let answer = shared
        .state()
        .answer(api, &uri.to_string(), &query, &headers);
    if held {
        shared.entered.add_permits(1);
        shared.open.acquire().await.expect("never closed").forget();
    }
    answer.into_response()
}

impl FakeState {
    fn answer(
        &mut self,
        api: CalcomApi,
        uri: &str,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let header = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
        if header("authorization") != Some(&format!("Bearer {KEY}")) {
            return Err(refusal(StatusCode::UNAUTHORIZED));
        }
        self.count()?;
        let is_current = api == CalcomApi::V2024_09_04;
        if (header("cal-api-version") == Some("2024-09-04")) != is_current {
            return Err(refusal(StatusCode::NOT_FOUND)); // no such path in that version
        }
        let now = Instant::now();
        if let Some((until, answer)) = self.cache.get(uri)
            && *until > now
        {
            return Ok(Json(answer.clone()).into_response());
        }
        let answer = self
            .compute(is_current, query)
            .ok_or_else(|| refusal(StatusCode::BAD_REQUEST))?;
        self.cache
            .insert(uri.to_owned(), (now + CACHED, answer.clone()));
        Ok(Json(answer).into_response())
    }

    /// So many in any minute.
    fn count(&mut self) -> Result<(), Refusal> {
        let now = Instant::now();
        self.counted.retain(|at| *at + MINUTE > now);
        if self.counted.len() < self.per_minute {
            self.counted.push_back(now);
            return Ok(());
        }
        let wait = self.counted[0] + MINUTE - now;
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Err(Refusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(seconds),
        })
    }

    /// `None` for a question that is not documented.
    fn compute(&self, is_current: bool, query: &BTreeMap<String, String>) -> Option<Value> {
        let (start, end, known): (_, _, &[&str]) = match is_current {
            true => (
                "start",
                "end",
                &[
                    "start",
                    "end",
                    "eventTypeId",
                    "eventTypeSlug",
                    "username",
                    "teamSlug",
                    "organizationSlug",
                    "duration",
                    "timeZone",
                    "format",
                ],
            ),
            false => (
                "startTime",
                "endTime",
                &[
                    "startTime",
                    "endTime",
                    "eventTypeId",
                    "duration",
                    "timeZone",
                ],
            ),
        };
        if !query.keys().all(|key| known.contains(&&**key)) {
            return None;
        }
        let event_type = self.event_type(query)?;
        let window = Interval::new(
            instant(query.get(start)?, "00:00:00")?,
            instant(query.get(end)?, "23:59:59")?,
        );
        let zone: Tz = query
            .get("timeZone")
            .map_or(Ok(Tz::UTC), |it| it.parse())
            .ok()?;
        let length = query
            .get("duration")
            .map(|it| it.parse())
            .transpose()
            .ok()?;
        let ranged = query.get("format").is_some_and(|it| it == "range") && self.gives_ends;

        let mut days: BTreeMap<NaiveDate, Vec<Value>> = BTreeMap::new();
        for free in self.diary.free(event_type, window.ok()?, length) {
            let local = |at: DateTime<Utc>| {
                at.with_timezone(&zone)
                    .to_rfc3339_opts(SecondsFormat::Millis, true)
            };
            let mut slot = Map::new();
            let start = free.interval.start();
            slot.insert(
                if is_current { "start" } else { "time" }.to_owned(),
                local(start).into(),
            );
            if ranged {
                slot.insert("end".to_owned(), local(free.interval.end()).into());
            }
            if let Some((booked, total)) = free.seats {
                slot.insert("seatsBooked".to_owned(), booked.into());
                slot.insert("seatsRemaining".to_owned(), (total - booked).into());
                slot.insert("seatsTotal".to_owned(), total.into());
            }
            let date = start.with_timezone(&zone).date_naive();
            days.entry(date).or_default().push(slot.into());
        }
        let days = json!(days);
        let data = if is_current {
            days
        } else {
            json!({ "slots": days })
        };
        Some(json!({ "status": "success", "data": data }))
    }

    fn event_type(&self, query: &BTreeMap<String, String>) -> Option<u64> {
        let by_name = ["eventTypeSlug", "username", "teamSlug"];
        match query.get("eventTypeId") {
            Some(_) if by_name.iter().any(|name| query.contains_key(*name)) => None,
            Some(id) => {
                let id = id.parse().ok()?;
                self.diary.event_types.contains_key(&id).then_some(id)
            }
            None => {
                let owner = query.get("username").or(query.get("teamSlug"))?;
                let name = (owner.as_str(), query.get("eventTypeSlug")?.as_str());
                let mut found = self.diary.event_types.iter();
                found
                    .find(|(_, it)| it.slug == Some(name))
                    .map(|(id, _)| *id)
            }
        }
    }
}

/// A date alone is its day's edge, in UTC.
fn instant(text: &str, edge: &str) -> Option<DateTime<Utc>> {
    match text.len() {
        10 => format!("{text}T{edge}Z").parse().ok(),
        _ => text.parse().ok(),
    }
}

const fn refusal(status: StatusCode) -> Refusal {
    Refusal {
        status,
        retry_after: None,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Whatever it says, none of it may be shown.
        let body = json!({ "status": "error", "error": { "code": "refused", "message": KEY } });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
