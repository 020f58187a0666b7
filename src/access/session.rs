//! Signing in on the page, and tickets.
//!
//! The cookie holds the token itself, which is verified at each request: it ends with the token, and
//! the server keeps nothing.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::can::Need as _;
use super::credential::COOKIE;
use super::{Access, Caller, ticket};
use crate::audit::SignedIn;
use crate::auth::{self, Pattern};
use crate::problem::Problem;
use crate::request::{Encrypted, read_body};

/// The longest body of a sign-in: a token of 8 KiB in JSON.
const MAX_BODY: usize = 16 << 10;

/// The longest token that fits into a cookie: browsers take 4096 bytes with its name and attributes.
const MAX_COOKIE: usize = 3800;

/// The caller, and what it may do.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// Whether the server asks for a credential.
    required: bool,
    /// Whether the request has shown one.
    signed_in: bool,
    /// The user that the credential names.
    user: Option<String>,
    /// When it ends, in seconds since 1970.
    expires: Option<u64>,
    grants: Grants,
}

/// What a caller may do.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Grants {
    /// Read events.
    observe: bool,
    /// Only those for which this expression is true.
    filter: Option<String>,
    /// Open WebSockets.
    connect: bool,
    /// Publish to these channels: names, or beginnings with `*`.
    publish: Vec<String>,
    /// Join these channels.
    subscribe: Vec<String>,
    /// Send to connections, close them, end listeners.
    control: bool,
}

/// The body of a sign-in.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct SignIn {
    /// The token.
    token: String,
}

/// A ticket.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Ticket {
    /// The value of `?ticket=`. It is good once.
    ticket: String,
    /// How long it is good, in seconds.
    valid: u64,
}

impl Session {
    fn of(access: &Access, caller: Option<&Caller>) -> Self {
        let grant = caller.map(Caller::grant);
        let names = |patterns: &[Pattern]| patterns.iter().map(ToString::to_string).collect();
        let grants = grant.map_or_else(Grants::default, |grant| Grants {
            observe: super::Observe::suffices(grant),
            filter: match &grant.observe {
                auth::Observe::Matching(filter) => Some(filter.to_string()),
                auth::Observe::Nothing | auth::Observe::All => None,
            },
            connect: grant.connect,
            publish: names(&grant.publish),
            subscribe: names(&grant.subscribe),
            control: grant.control,
        });
        Self {
            required: access.is_guarded(),
            signed_in: caller.is_some_and(Caller::is_identified),
            user: grant.and_then(|grant| grant.user.as_ref().map(ToString::to_string)),
            expires: grant.and_then(|grant| grant.expires),
            grants,
        }
    }
}

/// Answers `GET /api/session`: who calls, and what the caller may do.
pub(crate) async fn show(State(access): State<Access>, parts: Parts) -> Response {
    let session = Session::of(&access, parts.extensions.get());
    ([(CACHE_CONTROL, "no-store")], Json(session)).into_response()
}

/// Answers `POST /api/session`: sets the cookie.
pub(crate) async fn sign_in(
    State(access): State<Access>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_body(body, MAX_BODY, "a sign-in").await?;
    if body.is_empty() && !access.is_guarded() {
        return Ok(Json(Session::of(&access, parts.extensions.get())).into_response());
    }
    let SignIn { token } = serde_json::from_slice(&body)
        .map_err(|_| Problem::malformed("a sign-in is JSON such as {\"token\":\"…\"}"))?;
    if !access.is_guarded() {
        return Ok(Json(Session::of(&access, parts.extensions.get())).into_response());
    }
    let caller = access.signed_in(&parts, token.trim()).await?;
    let fits =
        token.trim().bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte));
    if !fits || token.trim().len() > MAX_COOKIE {
        let words = format!(
            "a cookie holds tokens of up to {MAX_COOKIE} characters; this one is for programs only"
        );
        return Err(Problem::malformed(words));
    }
    let cookie = cookie(&parts, token.trim(), None);
    let user = Extension(SignedIn(caller.user().cloned()));
    Ok((user, [(SET_COOKIE, cookie)], Json(Session::of(&access, Some(&caller)))).into_response())
}

/// Answers `DELETE /api/session`: removes the cookie.
pub(crate) async fn sign_out(parts: Parts) -> Response {
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie(&parts, "", Some(0)))]).into_response()
}

/// Answers `POST /api/tickets`: makes a ticket for the caller.
pub(crate) async fn ticket(
    State(access): State<Access>,
    parts: Parts,
) -> Result<(StatusCode, [(http::HeaderName, &'static str); 1], Json<Ticket>), Problem> {
    let caller = super::can::caller(&parts)?;
    let ticket = access.ticket(caller.clone())?;
    let valid = ticket::VALID.as_secs();
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(Ticket { ticket, valid })))
}

/// Returns the value of `Set-Cookie`. Scripts cannot read the cookie, and requests of other sites do not
/// carry it. Without TLS a browser takes no `Secure` cookie but on loopback.
fn cookie(parts: &Parts, token: &str, age: Option<u64>) -> HeaderValue {
    let secure = parts.extensions.get::<Encrypted>().is_some();
    let prefix = if secure { "__Host-" } else { "" };
    let secure = if secure { "; Secure" } else { "" };
    let age = age.map_or_else(String::new, |age| format!("; Max-Age={age}"));
    let value = format!("{prefix}{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    let mut value = HeaderValue::try_from(value).expect("the characters were checked");
    value.set_sensitive(true);
    value
}
