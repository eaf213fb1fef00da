//! `GET /events`: what happens, as server-sent events.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use serde_json::json;
use tokio_stream::{
    StreamExt,
    wrappers::{BroadcastStream, errors::BroadcastStreamRecvError},
};

use crate::{app::App, feed::Message, problem::Problem};

pub(crate) async fn get(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let messages = app.feed.read().ok_or_else(Problem::closing)?;
    let messages =
        BroadcastStream::new(messages).map(|message| Ok::<_, Infallible>(event(message)));
    Ok(Sse::new(messages).keep_alive(KeepAlive::default()))
}

fn event(message: Result<Message, BroadcastStreamRecvError>) -> Event {
    match message {
        Ok(message) => Event::default()
            .event(message.kind)
            .id(message.id.to_string())
            .data(&*message.data),
        Err(BroadcastStreamRecvError::Lagged(count)) => Event::default()
            .event("missed")
            .data(json!({"count": count}).to_string()),
    }
}
