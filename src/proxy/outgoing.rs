//! Requests on their way to an upstream: which one, and the head that it gets.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};

use super::connect::ConnectError;
use super::headers::{self, ForwardedHeaders, Hops};
use super::refusal::Names;
use super::shared::{Proxy, Shared};
use super::view::View;
use crate::code::Code;
use crate::event::ConnectionId;
use crate::problem::Problem;
use crate::request::{Encrypted, Forwarded, RawTarget, has_passed, remote};

/// A request for an upstream.
pub(super) struct Outgoing {
    /// URL of the upstream.
    pub(super) url: Arc<str>,
    pub(super) request: Request<Body>,
    /// The names of both sides, for the answer.
    pub(super) view: View,
    /// The names that the upstream gets.
    pub(super) names: Names,
}

/// Returns the request for the upstream.
///
/// # Errors
///
/// If no upstream takes the request, it has passed this proxy before, or it cannot be forwarded.
pub(super) fn outgoing(
    proxy: &Proxy,
    request: Request<Body>,
    hops: Hops,
) -> Result<Outgoing, Problem> {
    let shared = &proxy.shared;
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        let only =
            "this is a reverse proxy: it forwards requests to its upstreams and opens no tunnels";
        return Err(Problem::new(Code::MethodNotAllowed, only));
    }
    let host = headers::host(&parts);
    let name = host.as_ref().and_then(|host| host.to_str().ok());
    let raw = parts.extensions.remove::<RawTarget>();
    let whole = target(&parts.uri, raw.as_ref());
    let path = whole.split('?').next().unwrap_or_default();
    let mut routes = shared.routes.iter();
    let route = routes.find(|route| route.fits(name, path));
    let upstream = &route
        .ok_or_else(|| Problem::new(Code::NotFound, format!("no upstream takes {path}")))?
        .upstream;
    if has_passed(&parts.headers, &shared.pseudonym) {
        return Err(unreachable(shared, &upstream.url, &ConnectError::Loop));
    }
    // The list of addresses is continued with the other end of the connection.
    let forwarded = parts.extensions.get::<Forwarded>();
    let client = forwarded.map_or_else(|| remote(&parts), |forwarded| forwarded.proxy);
    let encrypted = parts.extensions.get::<Encrypted>().is_some();
    parts.headers = headers::passed_on(&parts.headers, hops).ok_or_else(|| {
        Problem::malformed("a Transfer-Encoding is a list of gzip, deflate, compress and chunked")
    })?;
    if encrypted && shared.forwarded == ForwardedHeaders::Add {
        headers::add_https(&mut parts.headers);
    }
    headers::forward(&mut parts.headers, shared.forwarded, client.ip(), host.as_ref());
    headers::add_via(&mut parts.headers, parts.version, &shared.pseudonym);
    let rewrites =
        shared.names.rewrite_origin && name.is_some_and(|it| shared.names.hosts.accept(it));
    let mut view =
        View::of_request(&mut parts.headers, host.as_ref(), upstream, shared.names.host, rewrites);
    if encrypted {
        view.client_speaks_tls();
    }
    let names = Names::of(&parts.headers, shared.names.rewrite_origin);
    let no_path = "the target of this request is not a path, or too long";
    let path = match &raw {
        None => parts.uri.path_and_query().cloned(),
        Some(RawTarget(raw)) => {
            let placeholder = shared.dialer.targets().placeholder(raw);
            Some(placeholder.parse().map_err(|_| Problem::malformed(no_path))?)
        }
    };
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(upstream.scheme());
    uri.authority = Some(upstream.authority.clone());
    uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    parts.uri = Uri::from_parts(uri).map_err(|_| Problem::malformed(no_path))?;
    parts.version = Version::HTTP_11;
    let request = Request::from_parts(parts, body);
    Ok(Outgoing { url: Arc::clone(&upstream.url), request, view, names })
}

/// Returns the target of a request as text: a character that is not UTF-8 is U+FFFD.
pub(super) fn target<'a>(uri: &'a Uri, raw: Option<&'a RawTarget>) -> Cow<'a, str> {
    match raw {
        Some(RawTarget(raw)) => String::from_utf8_lossy(raw),
        None => Cow::Borrowed(uri.path_and_query().map_or("/", PathAndQuery::as_str)),
    }
}

/// Returns the id that a client requests for its connection. An invalid one is ignored, since the
/// query is meant for the server.
pub(super) fn wish(target: &str) -> Option<ConnectionId> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == "connectionId").and_then(|(_, value)| value.parse().ok())
}

/// Returns why there is no answer of an upstream, and logs it. An upstream that cannot be reached is
/// logged once until it answers.
pub(super) fn unreachable(shared: &Shared, url: &str, error: &ConnectError) -> Problem {
    let code = match error {
        ConnectError::Slow(_) | ConnectError::Silent(_) => Code::UpstreamTimeout,
        ConnectError::Loop => Code::Loop,
        ConnectError::Body => {
            return Problem::malformed("the body of this request cannot be read");
        }
        ConnectError::Failed(_)
        | ConnectError::Tls(_)
        | ConnectError::SpeaksTls
        | ConnectError::Answer(_) => Code::Unavailable,
    };
    if !shared.health.failed(url, error) && shared.warned.is_due() {
        tracing::warn!("{url} {error}");
    }
    Problem::new(code, format!("{url} {error}"))
}
