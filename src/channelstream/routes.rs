//! The routes of the API: requests are read, calls carried out, answers given.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::calls::Refusal;
use super::guard::{Unsigned, guard, signed};
use super::listen::{self, parameter};
use super::request::{self, Delete, Edit, Info, Message, Raw, Subscribe, UserState};
use super::{ApiState, admin, json, schema};
use crate::code::{self, Code};
use crate::event::{Connect, User};
use crate::json::Json;
use crate::problem::Problem;
use crate::request::{remote, worth_knowing};

/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Makes the routes.
pub(super) fn routes(desk: ApiState) -> Router {
    Router::new()
        .route("/connect", post(connect))
        .route("/subscribe", post(subscribe))
        .route("/unsubscribe", post(unsubscribe))
        .route("/user_state", post(user_state))
        .route("/message", post(message).patch(edit).delete(delete))
        .route("/channel_config", post(channel_config))
        .route("/info", any(info))
        .route("/listen", get(listen::poll))
        .route("/ws", any(listen::socket))
        .route("/disconnect", any(disconnect))
        .route("/admin", get(admin::page))
        .route("/admin/admin.json", get(admin::numbers).post(admin::numbers))
        .route("/admin/sign_in", get(admin::form).post(admin::sign_in))
        .route("/admin/sign_out", any(admin::sign_out))
        .route("/api-explorer", get(explorer))
        .route("/openapi.json", get(description))
        .route("/static/{*file}", get(crate::pages::asset))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

/// Why a request gets nothing else.
#[derive(Debug)]
pub(super) enum Refused {
    Unsigned(Unsigned),
    Fault(Value),
    Problem(Problem),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Unsigned(unsigned) => unsigned.into_response(),
            Self::Problem(problem) => problem.into_response(),
            Self::Fault(fault) => {
                let status = StatusCode::from_u16(code::channelstream::INVALID);
                (status.expect("it is a status"), json(fault.to_string())).into_response()
            }
        }
    }
}

impl From<Unsigned> for Refused {
    fn from(unsigned: Unsigned) -> Self {
        Self::Unsigned(unsigned)
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(fault) => Self::Fault(fault),
            Refusal::Problem(problem) => Self::Problem(problem),
        }
    }
}

type Answer = Result<Response, Refused>;

/// A signed call, and what it brings.
struct Call {
    parts: Parts,
    /// JSON; nothing at all is `None`.
    body: Option<Raw>,
}

impl FromRequest<ApiState> for Call {
    type Rejection = Refused;

    async fn from_request(request: Request, desk: &ApiState) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        signed(&desk.shared.settings, &parts)?;
        let body = read_json(body, desk.door.limits.max_message_bytes).await?;
        Ok(Self { parts, body })
    }
}

impl Call {
    /// Reads the body, which has to be there.
    fn body<T>(&self, read: impl Fn(&RawValue) -> Result<T, Value>) -> Result<T, Refused> {
        let body = self.body.as_deref().ok_or_else(no_body)?;
        read(body).map_err(Refused::Fault)
    }

    /// Reads a body that is a list.
    fn bodies<T>(&self, read: impl Fn(&RawValue) -> Result<T, Value>) -> Result<Vec<T>, Refused> {
        let body = self.body.as_deref().ok_or_else(no_body)?;
        schema::many(body, read).map_err(Refused::Fault)
    }

    /// What the event stream tells of a connection: not the query, where a signature may stand.
    fn arrival(&self, user: User) -> Connect {
        Connect {
            remote: remote(&self.parts),
            path: "/channelstream/connect".to_owned(),
            headers: worth_knowing(&self.parts.headers),
            answer: None,
            user: Some(user),
        }
    }
}

fn no_body() -> Problem {
    Problem::malformed("the body is empty; JSON is right")
}

/// Reads a body to its end.
pub(super) async fn read(body: Body, max: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIME, to_bytes(body, max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Problem::new(Code::TooLarge, format!("a body has at most {max} bytes"))),
        Err(_) => Err(Problem::new(Code::Timeout, "the body did not arrive in time")),
    }
}

/// Reads a body that is JSON; an empty one is nothing.
async fn read_json(body: Body, max: usize) -> Result<Option<Raw>, Problem> {
    let body = read(body, max).await?;
    if body.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(&body).ok();
    let json = text.and_then(Json::parse).ok_or_else(|| {
        Problem::malformed("the body is no JSON, or nests too deep; JSON in UTF-8 is right")
    })?;
    let raw = RawValue::from_string(json.as_str().to_owned());
    Ok(Some(raw.expect("it has just been parsed")))
}

fn answer(value: &(impl Serialize + ?Sized)) -> Response {
    json(serde_json::to_string(value).expect("what we answer is JSON"))
}

async fn connect(State(desk): State<ApiState>, call: Call) -> Answer {
    let body = call.body(request::Connect::read)?;
    let arrival = call.arrival(body.username.clone());
    Ok(answer(&desk.shared.connect(body, arrival)?))
}

/// Reads the body of a call about the channels of a connection.
fn membership(desk: &ApiState, call: &Call) -> Result<Subscribe, Refused> {
    let in_query = in_query(&call.parts);
    let body = call.body.as_deref().ok_or_else(no_body)?;
    let known = |id: &_| desk.shared.attended(id).is_some();
    Subscribe::read(body, in_query.as_deref(), known).map_err(Refused::Fault)
}

async fn subscribe(State(desk): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&desk.shared.subscribe(&membership(&desk, &call)?)?))
}

async fn unsubscribe(State(desk): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&desk.shared.unsubscribe(&membership(&desk, &call)?)?))
}

async fn user_state(State(desk): State<ApiState>, call: Call) -> Answer {
    let known = |user: &User| desk.shared.tables().user(user).is_some();
    let body = call.body(|raw| UserState::read(raw, known))?;
    Ok(answer(&desk.shared.user_state(body)?))
}

async fn message(State(desk): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&desk.shared.message(call.bodies(Message::read)?)?))
}

async fn edit(State(desk): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&desk.shared.edit(&call.bodies(Edit::read)?)?))
}

async fn delete(State(desk): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&desk.shared.delete(&call.bodies(Delete::read)?)?))
}

async fn channel_config(State(desk): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&desk.shared.channel_config(&call.body(request::channel_config)?)?))
}

async fn info(State(desk): State<ApiState>, call: Call) -> Answer {
    let info = match &call.body {
        Some(body) => Info::body(body).map_err(Refused::Fault)?,
        None => Info::default(),
    };
    Ok(answer(&desk.shared.info(&info)))
}

/// Who knows the id of a connection may end it: that needs no signature.
async fn disconnect(State(desk): State<ApiState>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let in_query = in_query(&parts);
    let body = if parts.method == Method::POST {
        read_json(body, desk.door.limits.max_message_bytes).await?
    } else {
        None
    };
    let nothing = RawValue::from_string("{}".to_owned()).expect("that is JSON");
    let body = body.as_deref().unwrap_or(&nothing);
    let id = request::disconnect(body, in_query.as_deref()).map_err(Refused::Fault)?;
    Ok(answer(&desk.shared.disconnect(&id)))
}

/// Returns `conn_id` of the query as JSON.
fn in_query(parts: &Parts) -> Option<Raw> {
    let id = parameter(&parts.uri, "conn_id")?;
    serde_json::value::to_raw_value(&id).ok()
}

async fn explorer(State(desk): State<ApiState>) -> Redirect {
    Redirect::temporary(&format!("{}/docs", desk.api))
}

async fn description(State(desk): State<ApiState>) -> Redirect {
    Redirect::temporary(&format!("{}/openapi.json", desk.api))
}

async fn nothing(request: Request) -> Problem {
    Problem::new(Code::NotFound, format!("there is nothing at {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(Code::MethodNotAllowed, format!("{path} does not take {method}"))
}
