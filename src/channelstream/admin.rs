//! The numbers of the API, as JSON and as a page, for those who sign a call or sign in.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, COOKIE, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use super::guard::{SIGNATURE, is_encrypted, signed};
use super::listen::parameter;
use super::request::Info;
use super::routes::{Refused, read};
use super::shape::Object;
use super::signature::{Secret, Signer};
use super::{ApiState, Shared, json};
use crate::code::Code;
use crate::pages;
use crate::problem::Problem;

/// The cookie of those who have signed in.
const TICKET: &str = "auth_tkt";

/// How long one is good for: 30 days.
const TICKET_AGE: u64 = 30 * 24 * 60 * 60;

/// How long a wrong password takes, so that trying many takes long.
const WRONG: Duration = Duration::from_millis(500);

/// The most bytes of a name and a password.
const FORM: usize = 4096;

/// The version of Channelstream whose API this is.
const VERSION: &str = "0.7.1";

/// Who may sign in.
#[derive(Debug, Clone)]
pub struct Admin {
    user: String,
    secret: Secret,
    /// Signs tickets; it is new with each start.
    tickets: Signer,
    /// Whoever signs in holds this while it is looked at and answered: many guesses at once would
    /// wait no longer than one.
    guesses: Arc<Semaphore>,
}

impl Admin {
    /// Makes one of a name and a password.
    #[must_use]
    pub fn new(user: &str, secret: Secret) -> Self {
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        Self {
            user: user.to_owned(),
            secret,
            tickets: Signer::new(&random),
            guesses: Arc::new(Semaphore::new(1)),
        }
    }

    /// Returns whether a request has a ticket that is good.
    fn knows(&self, parts: &Parts) -> bool {
        let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
        let mut pairs = cookies.flat_map(|it| it.split(';')).filter_map(|it| it.split_once('='));
        let ticket = pairs.find(|(name, _)| name.trim() == TICKET).map(|(_, ticket)| ticket.trim());
        let made = ticket.and_then(|ticket| self.tickets.signed_at(ticket.as_bytes()).ok());
        made.is_some_and(|made| now().saturating_sub(made) <= TICKET_AGE)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Lets those in who have signed in, or sign the call. `Some`: the others are sent elsewhere.
fn admit(
    desk: &ApiState,
    parts: &Parts,
    sign_in: &'static str,
) -> Result<Option<Response>, Refused> {
    let settings = &desk.shared.settings;
    if settings.admin.as_ref().is_some_and(|admin| admin.knows(parts)) {
        return Ok(None);
    }
    let is_signed =
        parts.headers.contains_key(SIGNATURE) || parameter(&parts.uri, "secret").is_some();
    if settings.admin.is_some() && !is_signed {
        return Ok(Some(elsewhere(sign_in)));
    }
    signed(settings, parts)?;
    Ok(None)
}

fn elsewhere(to: &'static str) -> Response {
    (StatusCode::FOUND, [(LOCATION, HeaderValue::from_static(to))]).into_response()
}

/// Answers `/admin/admin.json`.
pub(super) async fn numbers(
    State(desk): State<ApiState>,
    parts: Parts,
) -> Result<Response, Refused> {
    match admit(&desk, &parts, "sign_in")? {
        Some(elsewhere) => Ok(elsewhere),
        None => Ok(json(desk.shared.numbers())),
    }
}

/// Answers `GET /admin`.
pub(super) async fn page(State(desk): State<ApiState>, parts: Parts) -> Result<Response, Refused> {
    match admit(&desk, &parts, "admin/sign_in")? {
        Some(elsewhere) => Ok(elsewhere),
        None => Ok(pages::page("channelstream-admin.html", &parts.headers)?),
    }
}

/// Answers `GET /admin/sign_in`.
pub(super) async fn form(State(desk): State<ApiState>, parts: Parts) -> Result<Response, Refused> {
    if desk.shared.settings.admin.is_none() {
        let words = "nobody can sign in; --channelstream-admin-secret makes that possible";
        return Err(Problem::new(Code::NotFound, words).into());
    }
    let mut response = pages::page("channelstream-sign-in.html", &parts.headers)?;
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    Ok(response)
}

/// Answers `POST /admin/sign_in`.
pub(super) async fn sign_in(
    State(desk): State<ApiState>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let sent = read(body, FORM).await?;
    let field = |name: &str| {
        let mut pairs = form_urlencoded::parse(&sent);
        let value = pairs.find(|(key, _)| key == name).map(|(_, value)| value);
        value.unwrap_or_default().trim().to_owned()
    };
    let admin = desk.shared.settings.admin.as_ref();
    let guess = match admin.map(|admin| Arc::clone(&admin.guesses).try_acquire_owned()) {
        Some(Err(_)) => {
            let words = "somebody else is signing in; try again in a second";
            return Err(Problem::new(Code::SlowDown, words).into());
        }
        guess => guess,
    };
    let knows = |admin: &&Admin| {
        // Both are looked at, so that nobody learns which of them was wrong.
        Secret::new(&admin.user).is(&field("username")) & admin.secret.is(&field("password"))
    };
    let Some(admin) = admin.filter(knows) else {
        // In a task of its own, so that nobody makes it shorter by hanging up.
        let (done, waited) = oneshot::channel::<()>();
        desk.shared.hub.run(async move {
            tokio::time::sleep(WRONG).await;
            drop((guess, done));
        });
        let _ = waited.await;
        return form(State(desk.clone()), parts).await;
    };
    let ticket = admin.tickets.sign("admin", now());
    let ticket = cookie(&ticket, TICKET_AGE, way(&desk, &parts));
    Ok(([(SET_COOKIE, ticket)], elsewhere("../admin")).into_response())
}

/// Answers `/admin/sign_out`.
pub(super) async fn sign_out(State(desk): State<ApiState>, parts: Parts) -> Response {
    ([(SET_COOKIE, cookie("", 0, way(&desk, &parts)))], elsewhere("sign_in")).into_response()
}

/// Returns over which ways a browser may send a cookie back: no other than that by which it came,
/// where that is encrypted.
fn way(desk: &ApiState, parts: &Parts) -> &'static str {
    let settings = &desk.shared.settings;
    if settings.enforce_https || is_encrypted(settings, parts) { "; Secure" } else { "" }
}

fn cookie(ticket: &str, age: u64, way: &str) -> HeaderValue {
    let cookie = format!("{TICKET}={ticket}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{way}");
    HeaderValue::from_str(&cookie).expect("it is made of letters")
}

impl Shared {
    /// Tells what there is, and how much of it.
    fn numbers(&self) -> String {
        let tables = self.tables();
        let channels = self.all_channels(&tables);
        let info = self.channels_info(&tables, &channels, &Info::default());
        let users = tables.connected().map(|(name, user)| {
            let connections: Vec<_> = user.connections.iter().map(Uuid::to_string).collect();
            Object::new()
                .with("state", &user.public_state())
                .with("user", name.as_str())
                .with("uuid", &user.uuid.to_string())
                .with("connections", &connections)
                .end()
        });
        let users: Vec<_> = users.collect();
        let delivered = self.delivered.load(std::sync::atomic::Ordering::Relaxed);
        Object::new()
            .with("remembered_user_count", &tables.remembered())
            .with("unique_user_count", &users.len())
            .with("total_connections", &tables.connections.len())
            .with("total_channels", &info.channels.len())
            .with("total_messages", &delivered)
            .with("total_unique_messages", &tables.accepted)
            .with("channels", &info.channels)
            .with("users", &users)
            .with("uptime", &uptime(self.started.elapsed().as_secs()))
            .with("version", VERSION)
            .text()
    }
}

/// Writes a duration as Python does: `0:22:48`, `2 days, 1:02:03`.
fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let clock = format!("{hours}:{minutes:02}:{:02}", seconds % 60);
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        days => format!("{days} days, {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_are_written_as_python_writes_them() {
        assert_eq!(uptime(1368), "0:22:48");
        assert_eq!(uptime(86_400 + 3723), "1 day, 1:02:03");
        assert_eq!(uptime(3 * 86_400), "3 days, 0:00:00");
    }
}
