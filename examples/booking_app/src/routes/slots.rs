//! `GET /slots`: what is free, as either cache tells it.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, DurationRound, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use vacancy::{
    cache::Source,
    slots::{Interval, ResourceId, Slot},
};

use super::{body::Asked, window::Window};
use crate::{
    app::App,
    counts::Contender,
    problem::Problem,
    salon::{EventType, START_GRID},
    stale::stale_offers,
    ttl_cache::Question,
};

#[derive(Deserialize)]
pub(crate) struct Query {
    event_type: String,
    host: Option<String>,
    from: NaiveDate,
    days: u64,
    #[serde(default)]
    cache: Contender,
}

/// What a cache has answered.
struct Answer {
    slots: Vec<Slot>,
    days: Vec<Day>,
    headers: HeaderMap,
    /// The client has this answer already.
    known: bool,
}

#[derive(Serialize)]
struct Body {
    slots: Vec<Offer>,
    days: Vec<Day>,
    took_us: u64,
    stale: usize,
}

#[derive(Serialize)]
struct Offer {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    hosts: Vec<ResourceId>,
}

#[derive(Serialize)]
struct Day {
    day: NaiveDate,
    source: &'static str,
    age_ms: u64,
    generation: u64,
    subtracted: usize,
}

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Asked(query): Asked<Query>,
) -> Result<Response, Problem> {
    let event_type = app.salon.known_event_type(&query.event_type)?;
    // The empty text is what a form sends for 'anybody'.
    let host = query.host.as_deref().filter(|host| !host.is_empty());
    let host = host.map(|host| app.salon.known_host(host, event_type));
    let host = host.transpose()?.map(|host| &host.id);
    let window = Window::new(query.from, query.days)?;

    // Before the caches are asked: the offers are judged by what was booked, and told, when the request began.
    let busy = event_type.busy(window.interval());
    let mut taken = app.diary.taken(busy).await?;
    taken.retain(|taken| !app.under_way.contains(&taken.by));
    let begun = Instant::now();
    let answer = match query.cache {
        Contender::Vacancy => from_vacancy(&app, event_type, host, window, &headers).await?,
        Contender::Ttl => from_ttl(&app, event_type, host, window).await?,
    };
    let took = begun.elapsed();
    let mut stale = stale_offers(&answer.slots, event_type, &taken);
    if stale > 0 {
        // What was given up in the meantime is rightly offered.
        let still = app.diary.taken(busy).await?;
        taken.retain(|taken| still.contains(taken));
        stale = stale_offers(&answer.slots, event_type, &taken);
    }
    let hit = answer
        .days
        .iter()
        .all(|day| day.source.starts_with("level"));
    app.counts.answered(query.cache, hit, stale);
    if answer.known {
        return Ok((StatusCode::NOT_MODIFIED, answer.headers).into_response());
    }
    let offers = answer.slots.into_iter().map(|slot| Offer {
        start: slot.start(),
        end: slot.end(),
        hosts: slot.resources,
    });
    let body = Body {
        slots: offers.collect(),
        days: answer.days,
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        stale,
    };
    Ok((answer.headers, Json(body)).into_response())
}

async fn from_vacancy(
    app: &App,
    event_type: &EventType,
    host: Option<&ResourceId>,
    window: Window,
    request: &HeaderMap,
) -> Result<Answer, Problem> {
    let Some(ahead) = ahead(window.interval(), Utc::now()) else {
        return Ok(Answer {
            slots: Vec::new(),
            days: Vec::new(),
            headers: not_to_be_kept(),
            known: false,
        });
    };
    let query = app.salon.query(event_type, host, ahead);
    let open = app.slots.open(&query).await?;
    let headers = app.policy.headers(&query, &open);
    let headers = headers.map_err(|error| Problem::from(vacancy::slots::OpenError::from(error)))?;
    let days = open.days().iter().map(|day| Day {
        day: day.day.date(),
        source: match day.source {
            Source::Level1 => "level1",
            Source::Level2 => "level2",
            Source::Shared => "shared",
            _ => "loaded",
        },
        age_ms: u64::try_from(day.age.as_millis()).unwrap_or(u64::MAX),
        generation: day.generation,
        subtracted: day.subtracted,
    });
    Ok(Answer {
        days: days.collect(),
        slots: open.into_vec(),
        known: headers.is_known_to(request),
        headers: headers.into_headers(),
    })
}

/// What is not over yet. Begins where slots may begin, so that it is the same window for a while, and the
/// same question to whoever keeps its answer.
fn ahead(days: Interval, now: DateTime<Utc>) -> Option<Interval> {
    let next = now.duration_round_up(START_GRID).unwrap_or(now);
    Interval::new(days.start().max(next), days.end()).ok()
}

async fn from_ttl(
    app: &App,
    event_type: &EventType,
    host: Option<&ResourceId>,
    window: Window,
) -> Result<Answer, Problem> {
    let question = Question {
        event_type: event_type.id.clone(),
        host: host.cloned(),
        first: window.first,
        last: window.last,
    };
    let (kept, hit) = app.ttl.open(question).await?;
    let slots = match ahead(window.interval(), Utc::now()) {
        Some(ahead) => {
            let slots = kept
                .slots
                .iter()
                .filter(|slot| ahead.contains(slot.start()));
            slots.cloned().collect()
        }
        None => Vec::new(),
    };
    let days = window.days().map(|day| Day {
        day,
        source: if hit { "level1" } else { "loaded" },
        age_ms: u64::try_from(kept.asked_at.elapsed().as_millis()).unwrap_or(u64::MAX),
        generation: 0,
        subtracted: 0,
    });
    Ok(Answer {
        slots,
        days: days.collect(),
        headers: not_to_be_kept(),
        known: false,
    })
}

fn not_to_be_kept() -> HeaderMap {
    HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_not_asked_for() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let day: Interval = "2026-11-23T00:00:00Z/2026-11-24T00:00:00Z"
            .parse()
            .expect("a day");
        let from = |now| ahead(day, at(now)).map(|ahead| ahead.start());
        assert_eq!(from("2026-11-22T12:00:00Z"), Some(day.start()));
        assert_eq!(
            from("2026-11-23T08:00:01Z"),
            Some(at("2026-11-23T08:30:00Z"))
        );
        assert_eq!(
            from("2026-11-23T08:29:59Z"),
            Some(at("2026-11-23T08:30:00Z"))
        );
        assert_eq!(from("2026-11-23T23:45:00Z"), None);
    }
}
