//! `GET /slots`: what is free, as either cache tells it.

use std::{sync::Arc, time::Instant};

use axum::{Json, extract::State, response::IntoResponse};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use vacancy::{
    cache::Source,
    slots::{Interval, ResourceId, Slot},
};

use super::{body::Asked, window::Window};
use crate::{
    app::App, counts::Contender, problem::Problem, salon::EventType, stale::stale_offers,
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

#[derive(Serialize)]
struct Answer {
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
    Asked(query): Asked<Query>,
) -> Result<impl IntoResponse, Problem> {
    let event_type = app.salon.known_event_type(&query.event_type)?;
    // The empty text is what a form sends for 'anybody'.
    let host = query.host.as_deref().filter(|host| !host.is_empty());
    let host = host
        .map(|host| app.salon.known_host(host, event_type))
        .transpose()?;
    let host = host.map(|host| &host.id);
    let window = Window::new(query.from, query.days)?;

    // Before the caches are asked: the offers are judged by what was booked when the request began.
    let busy = event_type.busy(window.interval());
    let taken = app.diary.taken(busy).await?;
    let begun = Instant::now();
    let (slots, days) = match query.cache {
        Contender::Vacancy => from_vacancy(&app, event_type, host, window).await?,
        Contender::Ttl => from_ttl(&app, event_type, host, window).await?,
    };
    let took = begun.elapsed();
    let stale = stale_offers(&slots, event_type, &taken);
    let hit = days.iter().all(|day| day.source.starts_with("level"));
    app.counts.answered(query.cache, hit, stale);
    let offers = slots.into_iter().map(|slot| Offer {
        start: slot.start(),
        end: slot.end(),
        hosts: slot.resources,
    });
    Ok(Json(Answer {
        slots: offers.collect(),
        days,
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        stale,
    }))
}

async fn from_vacancy(
    app: &App,
    event_type: &EventType,
    host: Option<&ResourceId>,
    window: Window,
) -> Result<(Vec<Slot>, Vec<Day>), Problem> {
    let days = window.interval();
    let Ok(ahead) = Interval::new(days.start().max(Utc::now()), days.end()) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let open = app
        .slots
        .open(&app.salon.query(event_type, host, ahead))
        .await?;
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
    let days = days.collect();
    Ok((open.into_vec(), days))
}

async fn from_ttl(
    app: &App,
    event_type: &EventType,
    host: Option<&ResourceId>,
    window: Window,
) -> Result<(Vec<Slot>, Vec<Day>), Problem> {
    let question = Question {
        event_type: event_type.id.clone(),
        host: host.cloned(),
        first: window.first,
        last: window.last,
    };
    let (kept, hit) = app.ttl.open(question).await?;
    let now = Utc::now();
    let slots = kept
        .slots
        .iter()
        .filter(|slot| slot.start() >= now)
        .cloned()
        .collect();
    let days = window
        .first
        .iter_days()
        .take_while(|day| *day <= window.last)
        .map(|day| Day {
            day,
            source: if hit { "level1" } else { "loaded" },
            age_ms: u64::try_from(kept.asked_at.elapsed().as_millis()).unwrap_or(u64::MAX),
            generation: 0,
            subtracted: 0,
        });
    Ok((slots, days.collect()))
}
