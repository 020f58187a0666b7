//! Credentials that another server judges: what it is told of a request, and the trait that asks it.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::credential::{Place, own_page};
use crate::auth::Grant;
use crate::problem::Problem;
use crate::request::{Encrypted, RawTarget, names_token, remote};

/// Judges requests by what they send.
pub trait Delegate: Send + Sync + fmt::Debug {
    /// Returns what a request grants.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`](crate::code::Code::Unauthorized) and
    /// [`Code::Forbidden`](crate::code::Code::Forbidden) are decisions. Any other problem says that
    /// there is none.
    fn decide<'a>(&'a self, inquiry: &'a Inquiry) -> Decision<'a>;
}

/// The decision of a [`Delegate`].
pub type Decision<'a> = Pin<Box<dyn Future<Output = Result<Grant, Problem>> + Send + 'a>>;

/// A request, as a server that judges it is told of it.
#[derive(Clone)]
pub struct Inquiry {
    /// The method.
    pub method: Method,
    /// Path and query, as they were sent.
    pub target: HeaderValue,
    /// The host that the request is for.
    pub host: Option<HeaderValue>,
    /// The other end of the connection.
    pub remote: SocketAddr,
    /// Whether the request came over TLS.
    pub encrypted: bool,
    /// The fields that may hold credentials or say who calls. A token that came in another place is
    /// in `Authorization` here.
    pub headers: HeaderMap,
}

impl fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fields and query may hold credentials.
        f.debug_struct("Inquiry").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Fields about one connection (RFC 9110 section 7.6.1), about the body, about one handshake or one
/// request of many, and those that a server in between could have set. Without them, requests of one
/// client are equal, and asked for once.
const LEFT_OUT: [&str; 29] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "last-event-id",
    "traceparent",
    "tracestate",
    "range",
    "if-none-match",
    "if-modified-since",
    "cache-control",
    "pragma",
    "forwarded",
    "via",
    "x-original-url",
];

impl Inquiry {
    /// Describes a request. `found` is its credential. The cookies of a request that a page of another
    /// origin has sent are left out.
    ///
    /// # Errors
    ///
    /// [`Code::Malformed`] if its target cannot be told as it was sent: nothing else may be judged.
    pub(super) fn of(parts: &Parts, found: Option<(Place, &str)>) -> Result<Self, Problem> {
        let is_of_hop = |name: &HeaderName| {
            names_token(&parts.headers, &http::header::CONNECTION, name.as_str())
        };
        let is_about_way = |name: &str| {
            ["x-forwarded-", "x-original-", "x-wstap-"].iter().any(|it| name.starts_with(it))
        };
        let own = own_page(parts);
        let mut headers = HeaderMap::with_capacity(parts.headers.len());
        for (name, value) in &parts.headers {
            let text = name.as_str();
            let kept = !LEFT_OUT.contains(&text)
                && !is_about_way(text)
                && !is_of_hop(name)
                && (own || *name != COOKIE);
            if kept {
                headers.append(name, value.clone());
            }
        }
        if let Some((place, token)) = found
            && place != Place::Header
            && let Ok(value) = HeaderValue::try_from(format!("Bearer {token}"))
        {
            headers.insert(AUTHORIZATION, value);
        }
        let sent = parts.extensions.get::<RawTarget>().map(|RawTarget(sent)| sent.as_ref());
        let read = || parts.uri.path_and_query().map_or("/", |it| it.as_str()).as_bytes();
        let target = HeaderValue::from_bytes(sent.unwrap_or_else(read))
            .map_err(|_| Problem::malformed("the target of a request has no control characters"))?;
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        let authority = authority.and_then(|it| HeaderValue::from_str(it).ok());
        Ok(Self {
            method: parts.method.clone(),
            target,
            host: authority.or_else(|| parts.headers.get(HOST).cloned()),
            remote: remote(parts),
            encrypted: parts.extensions.get::<Encrypted>().is_some(),
            headers,
        })
    }
}
