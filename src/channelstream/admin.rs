//! The figures of the API, as JSON and as a page, for signed calls and for the account that may sign
//! in.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::account::{Attempt, BROWSER, BROWSER_AGE, TICKET, TICKET_AGE};
use super::answer::{ApiError, json, parameter, read};
use super::guard::{SIGNATURE, caller, check_same_site, check_signature, is_encrypted};
use super::request::Info;
use super::settings::ChannelstreamSettings;
use super::shape::Object;
use super::shared::{ApiState, Shared};
use crate::code::Code;
use crate::pages;
use crate::problem::Problem;

/// How long a wrong password occupies its address.
const WRONG: Duration = Duration::from_millis(500);

/// The most bytes of a name and a password.
const FORM: usize = 4096;

/// The version of Channelstream that has this API.
const VERSION: &str = "0.7.1";

/// The kind of client that reads the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Viewer {
    /// A server that knows the secret.
    Server,
    /// A browser that has signed in.
    Browser,
}

/// Admits a browser that has signed in, or a signed call. Any other request gets the answer in
/// `Err`, or is sent to the sign-in page.
fn admit(
    settings: &ChannelstreamSettings,
    parts: &Parts,
    sign_in: &'static str,
) -> Result<Result<Viewer, Response>, ApiError> {
    if settings.admin.as_ref().is_some_and(|admin| admin.knows(&parts.headers)) {
        return Ok(Ok(Viewer::Browser));
    }
    let is_signed =
        parts.headers.contains_key(SIGNATURE) || parameter(&parts.uri, "secret").is_some();
    if settings.admin.is_some() && !is_signed {
        return Ok(Err(redirect(sign_in)));
    }
    check_signature(settings, parts)?;
    Ok(Ok(Viewer::Server))
}

fn redirect(to: &'static str) -> Response {
    (StatusCode::FOUND, [(LOCATION, HeaderValue::from_static(to))]).into_response()
}

/// Answers `/admin/admin.json`.
pub(super) async fn figures(
    State(api): State<ApiState>,
    parts: Parts,
) -> Result<Response, ApiError> {
    Ok(match admit(&api.shared.settings, &parts, "sign_in")? {
        Ok(viewer) => json(api.shared.figures(viewer)),
        Err(redirect) => redirect,
    })
}

/// Answers `GET /admin`.
pub(super) async fn page(State(api): State<ApiState>, parts: Parts) -> Result<Response, ApiError> {
    Ok(match admit(&api.shared.settings, &parts, "admin/sign_in")? {
        Ok(_) => pages::page("channelstream-admin.html", &parts.headers)?,
        Err(redirect) => redirect,
    })
}

/// Answers `GET /admin/sign_in`.
pub(super) async fn form(State(api): State<ApiState>, parts: Parts) -> Result<Response, ApiError> {
    if api.shared.settings.admin.is_none() {
        let words = "there is no account; --channelstream-admin-secret makes one";
        return Err(Problem::new(Code::NotFound, words).into());
    }
    let mut response = pages::page("channelstream-sign-in.html", &parts.headers)?;
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    Ok(response)
}

/// Answers `POST /admin/sign_in`.
pub(super) async fn sign_in(
    State(api): State<ApiState>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    check_same_site(&parts.headers)?;
    let settings = &api.shared.settings;
    let address = caller(settings, &parts)?;
    let sent = read(body, FORM).await?;
    let field = |name: &str| {
        let mut pairs = form_urlencoded::parse(&sent);
        let value = pairs.find(|(key, _)| key == name).map(|(_, value)| value);
        value.unwrap_or_default().trim().to_owned()
    };
    let Some(admin) = &settings.admin else { return form(State(api.clone()), parts).await };
    let attempt = admin.attempt(address, &parts.headers);
    let right =
        !matches!(attempt, Attempt::Refused) && admin.is(&field("username"), &field("password"));
    if !right {
        let Attempt::Alone(guess) = attempt else {
            let words =
                "another sign-in from this address is not answered yet; try again in a second";
            return Err(Problem::new(Code::SlowDown, words).into());
        };
        // In a task of its own, so that a client that hangs up does not shorten it.
        let (done, waited) = oneshot::channel::<()>();
        api.shared.hub.run(async move {
            tokio::time::sleep(WRONG).await;
            drop((guess, done));
        });
        let _ = waited.await;
        return form(State(api.clone()), parts).await;
    }
    let secure = secure(settings, &parts);
    let ticket = cookie(TICKET, &admin.sign_in(), TICKET_AGE, secure);
    let browser = cookie(BROWSER, &admin.know_browser(), BROWSER_AGE, secure);
    let cookies = AppendHeaders([(SET_COOKIE, ticket), (SET_COOKIE, browser)]);
    Ok((cookies, redirect("../admin")).into_response())
}

/// Answers `/admin/sign_out`. The ticket is not valid any more, wherever else it is kept.
pub(super) async fn sign_out(
    State(api): State<ApiState>,
    parts: Parts,
) -> Result<Response, ApiError> {
    check_same_site(&parts.headers)?;
    let settings = &api.shared.settings;
    if let Some(admin) = &settings.admin {
        admin.sign_out(&parts.headers);
    }
    let cookie = cookie(TICKET, "", 0, secure(settings, &parts));
    Ok(([(SET_COOKIE, cookie)], redirect("sign_in")).into_response())
}

/// Returns the attribute that keeps a cookie off unencrypted connections, if it was requested over
/// an encrypted one.
fn secure(settings: &ChannelstreamSettings, parts: &Parts) -> &'static str {
    if settings.enforce_https || is_encrypted(settings, parts) { "; Secure" } else { "" }
}

fn cookie(name: &str, value: &str, age: u64, secure: &str) -> HeaderValue {
    let cookie = format!("{name}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).expect("it is made of letters")
}

impl Shared {
    /// Returns the figures. A browser is shown the ids of the event stream instead of the secrets
    /// that connections are listened to with.
    fn figures(&self, viewer: Viewer) -> String {
        let tables = self.tables();
        let channels = self.all_channels(&tables);
        let info = self.channels_info(&tables, &channels, &Info::default());
        let users = tables.users.connected().map(|(name, user)| {
            let shown = |id: &Uuid| match viewer {
                Viewer::Server => id.to_string(),
                Viewer::Browser => self.own_id(*id).to_string(),
            };
            let connections: Vec<_> = user.connections.iter().map(shown).collect();
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
            .with("remembered_user_count", &tables.users.len())
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
