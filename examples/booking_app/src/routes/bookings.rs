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
use vacancy_sqlx::{BookError, OperationKey, WriteError};

use super::{
    body::{Asked, Body},
    window::Window,
};
use crate::{
    alternatives::alternatives, app::App, desk::Order, problem::Problem, salon::EventType,
};

/// The longest name, in characters.
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
    if !(1..=LONGEST).contains(&wanted.name.chars().count()) {
        let message = format!("`name` has 1 to {LONGEST} characters");
        return Err(Problem::unprocessable("bad_name", message));
    }

    let order = Order {
        event_type: event_type.id.clone(),
        host: host.clone(),
        time: time_at(event_type, wanted.start)?,
        name: wanted.name,
        key: OperationKey::try_from(wanted.key)
            .map_err(|error| Problem::unprocessable("bad_key", error.to_string()))?,
    };
    let time = order.time;
    match app.desk.book(order).await {
        Ok(booking) => Ok((StatusCode::CREATED, Json(booking))),
        Err(error) => Err(refused(&app, error, event_type, host, time).await),
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
    let found = app.diary.find(&known(&id)?).await?;
    let event_type = found.event_type.as_ref().map_or("", |id| id.as_str());
    let event_type = app.salon.known_event_type(event_type)?;
    let host = match &wanted.host {
        Some(host) => &app.salon.known_host(host, event_type)?.id,
        None => found
            .resources
            .first()
            .ok_or(BookError::UnknownAppointment)?,
    };
    let (host, time) = (host.clone(), time_at(event_type, wanted.start)?);
    match app.desk.reschedule(found, host.clone(), time).await {
        Ok(booking) => Ok(Json(booking)),
        Err(error) => Err(refused(&app, error, event_type, &host, time).await),
    }
}

pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    app.desk.cancel(&known(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn known(id: &str) -> Result<AppointmentId, Problem> {
    id.parse().map_err(|_| BookError::UnknownAppointment.into())
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
    error: WriteError,
    event_type: &EventType,
    host: &ResourceId,
    time: Interval,
) -> Problem {
    match error {
        WriteError::Refused(BookError::Taken { .. }) => {
            Problem::taken(alternatives(&app.slots, &app.salon, event_type, host, time).await)
        }
        error => error.into(),
    }
}
