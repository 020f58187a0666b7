//! The routes of the API: requests are parsed, calls carried out, answers encoded.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{Redirect, Response};
use axum::routing::{any, get, post};
use http::Method;
use http::request::Parts;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{ApiError, json, parameter, read};
use super::guard::{check_page, check_signature, guard, is_from_browser};
use super::request::{self, Delete, Edit, Info, Message, Raw, Subscribe, UserState};
use super::shared::ApiState;
use super::{admin, poll, schema, websocket};
use crate::code::Code;
use crate::event::{Connect, User};
use crate::json::Json;
use crate::pages;
use crate::problem::Problem;
use crate::session;

/// Creates the routes.
pub(super) fn routes(api: ApiState) -> Router {
    Router::new()
        .route("/connect", post(connect))
        .route("/subscribe", post(subscribe))
        .route("/unsubscribe", post(unsubscribe))
        .route("/user_state", post(user_state))
        .route("/message", post(message).patch(edit).delete(delete))
        .route("/channel_config", post(channel_config))
        .route("/info", any(info))
        .route("/listen", get(poll::poll))
        .route("/ws", any(websocket::socket))
        .route("/disconnect", any(disconnect))
        .route("/admin", get(admin::page))
        .route("/admin/admin.json", get(admin::figures).post(admin::figures))
        .route("/admin/sign_in", get(admin::form).post(admin::sign_in))
        .route("/admin/sign_out", any(admin::sign_out))
        .route("/api-explorer", get(explorer))
        .route("/openapi.json", get(description))
        .route("/static/{*file}", pages::assets())
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(api.clone(), guard))
        .with_state(api)
}

type Answer = Result<Response, ApiError>;

/// A signed call.
struct Call {
    parts: Parts,
    /// The body, which is JSON; `None` if it is empty.
    body: Option<Raw>,
}

impl FromRequest<ApiState> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &ApiState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        check_signature(&api.shared.settings, &parts)?;
        let body = read_json(body, api.context.limits.max_message_bytes).await?;
        Ok(Self { parts, body })
    }
}

impl Call {
    /// Parses the body, which must not be empty.
    fn body<T>(&self, read: impl Fn(&RawValue) -> Result<T, Value>) -> Result<T, ApiError> {
        let body = self.body.as_deref().ok_or_else(no_body)?;
        read(body).map_err(ApiError::Invalid)
    }

    /// Parses a body that is a list.
    fn bodies<T>(&self, read: impl Fn(&RawValue) -> Result<T, Value>) -> Result<Vec<T>, ApiError> {
        let body = self.body.as_deref().ok_or_else(no_body)?;
        schema::many(body, read).map_err(ApiError::Invalid)
    }

    /// Describes the caller on the event stream, without the query, which may hold a signature.
    fn arrival(&self, user: User) -> Connect {
        let path = "/channelstream/connect".to_owned();
        Connect { path, user: Some(user), ..session::connect(&self.parts) }
    }
}

fn no_body() -> Problem {
    Problem::malformed("the body is empty; JSON is right")
}

/// Reads a body that is JSON. Returns `None` if it is empty.
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
    Ok(Some(raw.expect("it was just parsed")))
}

fn answer(value: &(impl Serialize + ?Sized)) -> Response {
    json(serde_json::to_string(value).expect("answers are JSON"))
}

async fn connect(State(api): State<ApiState>, call: Call) -> Answer {
    let body = call.body(request::Connect::read)?;
    let arrival = call.arrival(body.username.clone());
    api.shared.hub.room_in_log().await;
    Ok(answer(&api.shared.connect(body, arrival)?))
}

/// Parses the body of a call about the channels of a connection.
fn membership(api: &ApiState, call: &Call) -> Result<Subscribe, ApiError> {
    let in_query = in_query(&call.parts);
    let body = call.body.as_deref().ok_or_else(no_body)?;
    let known = |id: &_| api.shared.handle(id).is_some();
    Subscribe::read(body, in_query.as_deref(), known).map_err(ApiError::Invalid)
}

async fn subscribe(State(api): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&api.shared.subscribe(&membership(&api, &call)?)?))
}

async fn unsubscribe(State(api): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&api.shared.unsubscribe(&membership(&api, &call)?)?))
}

async fn user_state(State(api): State<ApiState>, call: Call) -> Answer {
    let known = |user: &User| api.shared.tables().users.get(user).is_some();
    let body = call.body(|raw| UserState::read(raw, known))?;
    Ok(answer(&api.shared.user_state(body)?))
}

/// Publishes messages one after the other, between which other tasks run. Messages without a
/// recipient are left out of the answer.
async fn message(State(api): State<ApiState>, call: Call) -> Answer {
    let messages = call.bodies(Message::read)?;
    let mut answers = Vec::with_capacity(messages.len());
    for message in messages.into_iter().filter(|message| message.delivery.has_destination()) {
        api.shared.room_for(&message.delivery).await;
        answers.push(api.shared.message(message)?);
    }
    api.shared.kept().await?;
    Ok(answer(&answers))
}

async fn edit(State(api): State<ApiState>, call: Call) -> Answer {
    let mut answers = Vec::new();
    for edit in call.bodies(Edit::read)? {
        api.shared.room_for(&edit.delivery).await;
        answers.push(api.shared.edit(&edit)?);
    }
    api.shared.kept().await?;
    Ok(answer(&answers))
}

async fn delete(State(api): State<ApiState>, call: Call) -> Answer {
    let mut answers = Vec::new();
    for delete in call.bodies(Delete::read)? {
        api.shared.room_for(&delete.delivery).await;
        answers.push(api.shared.delete(&delete)?);
    }
    api.shared.kept().await?;
    Ok(answer(&answers))
}

async fn channel_config(State(api): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&api.shared.channel_config(&call.body(request::channel_config)?)?))
}

async fn info(State(api): State<ApiState>, call: Call) -> Answer {
    let info = match &call.body {
        Some(body) => Info::body(body).map_err(ApiError::Invalid)?,
        None => Info::default(),
    };
    Ok(answer(&api.shared.info(&info)))
}

/// Ends a connection. The `conn_id` authorizes the call, which needs no signature. A page calls it by
/// `POST`: an image or a link must not end a connection.
async fn disconnect(State(api): State<ApiState>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    check_page(&api.context, &parts.headers)?;
    if parts.method != Method::POST && is_from_browser(&parts.headers) {
        let words = "a page disconnects by POST";
        return Err(Problem::new(Code::MethodNotAllowed, words).into());
    }
    let in_query = in_query(&parts);
    let body = if parts.method == Method::POST {
        read_json(body, api.context.limits.max_message_bytes).await?
    } else {
        None
    };
    let nothing = RawValue::from_string("{}".to_owned()).expect("an empty object is JSON");
    let body = body.as_deref().unwrap_or(&nothing);
    let id = request::disconnect(body, in_query.as_deref()).map_err(ApiError::Invalid)?;
    Ok(answer(&api.shared.disconnect(&id)))
}

/// Returns `conn_id` of the query as JSON.
fn in_query(parts: &Parts) -> Option<Raw> {
    let id = parameter(&parts.uri, "conn_id")?;
    serde_json::value::to_raw_value(&id).ok()
}

async fn explorer(State(api): State<ApiState>) -> Redirect {
    Redirect::temporary(&format!("{}/docs", api.api))
}

async fn description(State(api): State<ApiState>) -> Redirect {
    Redirect::temporary(&format!("{}/openapi.json", api.api))
}

async fn nothing(request: Request) -> Problem {
    Problem::new(Code::NotFound, format!("there is nothing at {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(Code::MethodNotAllowed, format!("{path} does not take {method}"))
}
