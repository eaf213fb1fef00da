//! Function calls in an axum application.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::HeaderMap;
use serde::Deserialize;

use crate::{Answer, CallError, PhoneDesk, Retell};

/// Routes for the function calls of an agent, to be nested where its dashboard says.
///
/// - `POST /` takes the whole body.
/// - `POST /{function}?call_id=…` takes the arguments alone; see
///   [`answer_arguments`](Retell::answer_arguments) for what `call_id` is needed for.
///
/// A body above [`max_body`](crate::RetellBuilder::max_body) gets status 413 and is not read to its end.
///
/// # Examples
///
/// ```
/// # use vacancy_retell::{ApiKey, DeskError, PhoneCall, PhoneDesk, Reply, Request, Retell};
/// # struct Desk;
/// # impl PhoneDesk for Desk {
/// #     async fn serve(&self, _: &PhoneCall, _: Request) -> Result<Reply, DeskError> {
/// #         Err(DeskError::NotFound)
/// #     }
/// # }
/// # let key = "from the dashboard";
/// let retell = Retell::builder(Desk, chrono_tz::Europe::Berlin).api_key(ApiKey::new(key)).build();
/// let app: axum::Router =
///     axum::Router::new().nest("/retell/functions", vacancy_retell::axum::routes(retell));
/// ```
pub fn routes<D: PhoneDesk>(retell: Retell<D>) -> Router {
    let limit = DefaultBodyLimit::max(retell.max_body());
    Router::new()
        .route("/", post(whole))
        .route("/{function}", post(arguments))
        .layer(limit)
        .with_state(retell)
}

#[derive(Deserialize)]
struct Parameters {
    call_id: Option<String>,
}

async fn whole<D: PhoneDesk>(
    State(retell): State<Retell<D>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => respond(retell.answer(&headers, &body).await),
        Err(rejection) => rejected(&rejection, &retell),
    }
}

async fn arguments<D: PhoneDesk>(
    State(retell): State<Retell<D>>,
    Path(function): Path<String>,
    Query(Parameters { call_id }): Query<Parameters>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let call_id = call_id.as_deref();
    match body {
        Ok(body) => respond(
            retell
                .answer_arguments(&function, call_id, &headers, &body)
                .await,
        ),
        Err(rejection) => rejected(&rejection, &retell),
    }
}

fn rejected<D: PhoneDesk>(rejection: &BytesRejection, retell: &Retell<D>) -> Response {
    let max = retell.max_body();
    match rejection.status() {
        status if status == http::StatusCode::PAYLOAD_TOO_LARGE => {
            CallError::TooLarge { max }.into_response()
        }
        // The connection broke; nobody is there to read it.
        status => status.into_response(),
    }
}

fn respond(answer: Result<Answer, CallError>) -> Response {
    answer.into_response()
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        http::Response::<String>::from(self).into_response()
    }
}

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        Answer::from(&self).into_response()
    }
}
