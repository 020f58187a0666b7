//! Requests about requests (`--auth-url`): another server judges by the header fields of the caller.
//!
//! ```text
//! GET /verify HTTP/1.1                          HTTP/1.1 200 OK
//! Cookie: session=…                             X-Wstap-User: ann
//! X-Forwarded-Method: GET                       X-Wstap-Grants: {"observe":true}
//! X-Forwarded-Uri: /events?kind=message
//! ```
//!
//! 401 and 403 refuse. Every other answer, and none, is no decision, and the request is answered 503. A
//! decision counts for ten seconds for requests that send the same.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ring::digest::{Context, SHA256};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::address::Address;
use super::cache::{Cache, Key};
use super::fetch::Fetcher;
use crate::access::{Decision, Delegate, Inquiry};
use crate::auth::Grant;
use crate::auth::token_file::grants_of;
use crate::code::Code;
use crate::problem::Problem;
use crate::proxy::TlsError;

/// Time for a whole answer.
const LIMIT: Duration = Duration::from_secs(5);

/// How long a decision counts.
const COUNTS: Duration = Duration::from_secs(10);

/// Questions at one time: each is a connection to the server. Further ones wait within [`LIMIT`].
const AT_ONCE: usize = 64;

/// Decisions that are kept, of about a kilobyte each.
const MOST: usize = 10_000;

/// The longest grants that are read.
const MAX_GRANTS: usize = 8 << 10;

/// Marks requests about requests, so that one that comes back to this process is not asked about again.
/// Each process has a value of its own, which no client knows, and leaves those of others.
const MARK: HeaderName = HeaderName::from_static("wstap-subrequest");

const USER: HeaderName = HeaderName::from_static("x-wstap-user");
const GRANTS: HeaderName = HeaderName::from_static("x-wstap-grants");

/// Asks a server about requests.
pub struct Subrequest {
    fetcher: Fetcher,
    cache: Cache<Result<Grant, Problem>>,
    /// Whether the last question has failed, which is logged once.
    failing: AtomicBool,
    mark: HeaderValue,
    /// Permits of questions.
    room: Semaphore,
}

impl fmt::Debug for Subrequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subrequest").field("address", &self.fetcher.address).finish_non_exhaustive()
    }
}

impl Subrequest {
    /// Makes what asks the server at an address.
    ///
    /// # Errors
    ///
    /// If no root certificates can be read.
    pub fn new(address: Address) -> Result<Self, TlsError> {
        let fetcher = Fetcher::new(address, LIMIT)?;
        let mark = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        Ok(Self {
            fetcher,
            cache: Cache::new(COUNTS, MOST),
            failing: AtomicBool::new(false),
            mark: HeaderValue::try_from(mark).expect("it is hexadecimal"),
            room: Semaphore::new(AT_ONCE),
        })
    }

    /// Asks the server. `Err` is no decision.
    async fn ask(&self, mut headers: HeaderMap) -> Result<Result<Grant, Problem>, String> {
        let _permit = self.room.acquire().await.map_err(|closed| closed.to_string())?;
        headers.append(MARK, self.mark.clone());
        let answer = self.fetcher.get(headers, 0).await.map_err(|fault| fault.to_string())?;
        match answer.status() {
            StatusCode::UNAUTHORIZED => {
                let words = "the server that checks credentials asks for one, or for another one";
                Ok(Err(Problem::new(Code::Unauthorized, words)))
            }
            status if status.as_u16() == Code::Forbidden.row().status => {
                let words = "the server that checks credentials does not allow this";
                Ok(Err(Problem::new(Code::Forbidden, words)))
            }
            status if status.is_success() => granted(answer.headers()).map(Ok),
            status => Err(format!("answers {status}")),
        }
    }

    /// Logs the first failure of several, and the first success after them.
    fn note(&self, fault: Option<&str>) {
        let before = self.failing.swap(fault.is_some(), Relaxed);
        match fault {
            Some(fault) if !before => {
                tracing::error!("auth-url {}: {fault}", self.fetcher.address);
            }
            None if before => tracing::info!("auth-url {}: answers again", self.fetcher.address),
            Some(_) | None => {}
        }
    }
}

impl Delegate for Subrequest {
    fn decide<'a>(&'a self, inquiry: &'a Inquiry) -> Decision<'a> {
        Box::pin(async move {
            if inquiry.headers.get_all(MARK).iter().any(|mark| *mark == self.mark) {
                let words = "auth-url is the address of this server, which it cannot ask itself";
                return Err(Problem::new(Code::Loop, words));
            }
            let headers = fields(inquiry);
            let key = digest(&headers);
            let asking = self.cache.get(key, Instant::now(), || self.ask(headers));
            // Waiting for a permit, and for another one who asks the same, is part of the time.
            let asked = timeout(LIMIT, asking).await;
            let asked = asked.unwrap_or_else(|_| Err(format!("does not answer within {LIMIT:?}")));
            self.note(asked.as_ref().err().map(String::as_str));
            asked.unwrap_or_else(|_| {
                let words = "the server that checks credentials does not answer properly";
                Err(Problem::new(Code::AuthUnavailable, words))
            })
        })
    }
}

/// Reads what an answer grants. Without `X-Wstap-Grants` it grants nothing.
fn granted(headers: &HeaderMap) -> Result<Grant, String> {
    let text = |name: &HeaderName| match headers.get(name).map(|it| str::from_utf8(it.as_bytes())) {
        Some(Ok(text)) => Ok(Some(text.trim())),
        Some(Err(_)) => Err(format!("answers with {name} that is not UTF-8")),
        None => Ok(None),
    };
    let user = text(&USER)?.filter(|user| !user.is_empty());
    let user =
        user.map(str::parse).transpose().map_err(|fault| format!("x-wstap-user: {fault}"))?;
    let grants = text(&GRANTS)?.filter(|grants| !grants.is_empty());
    if grants.is_some_and(|grants| grants.len() > MAX_GRANTS) {
        return Err(format!("answers with x-wstap-grants of more than {MAX_GRANTS} bytes"));
    }
    let grant = grants.map(grants_of).transpose();
    let grant = grant.map_err(|fault| format!("x-wstap-grants: {fault}"))?;
    Ok(Grant { user, ..grant.unwrap_or_default() })
}

/// Returns the fields of a request about a request.
fn fields(inquiry: &Inquiry) -> HeaderMap {
    let mut headers = inquiry.headers.clone();
    let remote = inquiry.remote.ip().to_canonical().to_string();
    let scheme = if inquiry.encrypted { "https" } else { "http" };
    for (name, value) in [
        ("x-forwarded-method", inquiry.method.as_str()),
        ("x-original-method", inquiry.method.as_str()),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-for", &remote),
        ("x-real-ip", &remote),
    ] {
        let value = HeaderValue::from_str(value).expect("methods and addresses are visible ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
    for name in ["x-forwarded-uri", "x-original-uri"] {
        headers.insert(HeaderName::from_static(name), inquiry.target.clone());
    }
    if let Some(host) = &inquiry.host {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host.clone());
    }
    headers
}

/// Returns a digest of fields, with their lengths, so that no two lists have the same bytes.
fn digest(headers: &HeaderMap) -> Key {
    let mut context = Context::new(&SHA256);
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), value.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}
