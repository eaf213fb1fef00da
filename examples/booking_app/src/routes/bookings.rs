//! `/bookings`: what is booked; books, moves, cancels.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use vacancy::slots::{AppointmentId, Interval, ResourceId};

use super::{
    body::{Asked, Body},
    window::Window,
};
use crate::{
    alternatives::alternatives,
    app::App,
    desk::{DeskError, Order},
    diary::DiaryError,
    problem::Problem,
    salon::EventType,
};

/// The longest name and key, in characters.
const LONGEST: usize = 200;

#[derive(Deserialize)]
pub(crate) struct Days {
    from: NaiveDate,
    days: u64,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Days>,
) -> Result<impl IntoResponse, Problem> {
    let window = Window::new(asked.from, asked.days)?;
    Ok(Json(app.diary.bookings(window.interval()).await?))
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    event_type: String,
    host: String,
    start: DateTime<Utc>,
    name: String,
    key: String,
}

pub(crate) async fn book(
    State(app): State<Arc<App>>,
    Body(wanted): Body<Wanted>,
) -> Result<impl IntoResponse, Problem> {
    let event_type = app.salon.known_event_type(&wanted.event_type)?;
    let host = &app.salon.known_host(&wanted.host, event_type)?.id;
    short("name", &wanted.name)?;
    short("key", &wanted.key)?;
    let order = Order {
        event_type: event_type.id.clone(),
        host: host.clone(),
        time: time_at(event_type, wanted.start)?,
        name: wanted.name,
        key: wanted.key,
    };
    match app.desk.book(order).await {
        Ok(booking) => Ok((StatusCode::CREATED, Json(booking))),
        Err(error) => Err(refused(&app, error, event_type, host, wanted.start).await),
    }
}

#[derive(Deserialize)]
pub(crate) struct Move {
    start: DateTime<Utc>,
    host: Option<String>,
}

pub(crate) async fn reschedule(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Body(wanted): Body<Move>,
) -> Result<impl IntoResponse, Problem> {
    let booking = app.diary.booking(&known(&id)?).await?;
    let event_type = app.salon.known_event_type(booking.event_type.as_str())?;
    let host = wanted.host.as_deref().unwrap_or(booking.host.as_str());
    let host = app.salon.known_host(host, event_type)?.id.clone();
    let time = time_at(event_type, wanted.start)?;
    match app.desk.reschedule(booking.id, host.clone(), time).await {
        Ok(booking) => Ok(Json(booking)),
        Err(error) => Err(refused(&app, error, event_type, &host, wanted.start).await),
    }
}

pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    app.desk.cancel(known(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn known(id: &str) -> Result<AppointmentId, Problem> {
    id.parse().map_err(|_| DiaryError::Unknown.into())
}

fn short(field: &str, text: &str) -> Result<(), Problem> {
    match (1..=LONGEST).contains(&text.chars().count()) {
        true => Ok(()),
        false => Err(Problem::unprocessable(
            "bad_length",
            format!("`{field}` has 1 to {LONGEST} characters"),
        )),
    }
}

fn time_at(event_type: &EventType, start: DateTime<Utc>) -> Result<Interval, Problem> {
    let time = event_type
        .time_at(start)
        .filter(|time| time.start() > Utc::now());
    time.ok_or_else(|| {
        Problem::unprocessable("not_offered", "see /slots for the times that can be booked")
    })
}

async fn refused(
    app: &App,
    error: DeskError,
    event_type: &EventType,
    host: &ResourceId,
    start: DateTime<Utc>,
) -> Problem {
    match error {
        DeskError::Diary(DiaryError::Taken) => {
            match alternatives(&app.slots, &app.salon, event_type, host, start).await {
                Ok(alternatives) => Problem::taken(alternatives),
                Err(error) => error.into(),
            }
        }
        error => error.into(),
    }
}
