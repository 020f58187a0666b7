//! Requests on their way to an upstream, and the answers of plain HTTP.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode, Uri, Version};
use http_body::Frame;

use super::connect::{ConnectError, Dialer};
use super::headers::{self, Hops};
use super::held::Held;
use super::link::{self, Client};
use super::route::Route;
use super::tap::TapSettings;
use crate::code::Code;
use crate::hub::Hub;
use crate::problem::Problem;
use crate::request::{RawTarget, remote};

/// Memory for the incomplete messages of all relayed connections. Payloads that find no room are not
/// kept.
const MAX_HELD: usize = 64 << 20;

/// Forwards the requests of the traffic side. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Proxy {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) hub: Hub,
    routes: Vec<Route>,
    preserve_host: bool,
    pub(super) tap: TapSettings,
    pub(super) held: Arc<Held>,
    pub(super) dialer: Dialer,
    /// The name of this proxy in `Via`, by which it recognizes its own requests.
    pseudonym: String,
}

/// Settings of a [`Proxy`].
#[derive(Debug)]
pub struct ProxySettings {
    /// Upstreams; the first route that fits a request is taken.
    pub routes: Vec<Route>,
    /// Whether the upstream gets the `Host` of the client instead of its own.
    pub preserve_host: bool,
    /// Whether pings and pongs are events.
    pub control: bool,
    /// A larger message passes, but is not kept.
    pub max_message_bytes: usize,
}

impl Proxy {
    /// Makes a proxy that publishes to a hub.
    #[must_use]
    pub fn new(hub: Hub, settings: ProxySettings, dialer: Dialer) -> Self {
        let tap = TapSettings {
            control: settings.control,
            max_message_bytes: settings.max_message_bytes,
        };
        let ProxySettings { routes, preserve_host, .. } = settings;
        let pseudonym = format!("wstap-{:016x}", fastrand::u64(..));
        let held = Held::new(MAX_HELD);
        let shared = Shared { hub, routes, preserve_host, tap, held, dialer, pseudonym };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the URLs of the upstreams.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.shared.routes.iter().map(|route| &*route.upstream.url)
    }

    /// Returns the request for the upstream, and the URL of the upstream.
    ///
    /// # Errors
    ///
    /// If no upstream takes the request, it has passed this proxy before, or it cannot be forwarded.
    pub(super) fn outgoing(
        &self,
        request: Request<Body>,
        hops: Hops,
    ) -> Result<(Arc<str>, Request<Body>), Problem> {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            let only = "this is a reverse proxy: it forwards requests to its upstreams and opens no tunnels";
            return Err(Problem::new(Code::MethodNotAllowed, only));
        }
        let host = headers::host(&parts);
        let name = host.as_ref().and_then(|host| host.to_str().ok());
        let raw = parts.extensions.remove::<RawTarget>();
        let whole = target(&parts.uri, raw.as_ref());
        let path = whole.split('?').next().unwrap_or_default();
        let mut routes = self.shared.routes.iter();
        let route = routes.find(|route| route.fits(name, path));
        let upstream = &route
            .ok_or_else(|| Problem::new(Code::NotFound, format!("no upstream takes {path}")))?
            .upstream;
        if headers::has_passed(&parts.headers, &self.shared.pseudonym) {
            return Err(unreachable(&upstream.url, &ConnectError::Loop));
        }
        let client = remote(&parts);
        parts.headers = headers::passed_on(&parts.headers, hops).ok_or_else(|| {
            Problem::malformed(
                "a Transfer-Encoding is a list of gzip, deflate, compress and chunked",
            )
        })?;
        headers::forwarded(&mut parts.headers, client.ip(), host.as_ref());
        headers::add_via(&mut parts.headers, parts.version, &self.shared.pseudonym);
        if !self.shared.preserve_host || host.is_none() {
            parts.headers.insert(http::header::HOST, upstream.host.clone());
        }
        let no_path = "the target of this request is not a path, or too long";
        let path = match &raw {
            None => parts.uri.path_and_query().cloned(),
            Some(RawTarget(raw)) => {
                let placeholder = self.shared.dialer.targets().placeholder(raw);
                Some(placeholder.parse().map_err(|_| Problem::malformed(no_path))?)
            }
        };
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(upstream.scheme());
        uri.authority = Some(upstream.authority.clone());
        uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        parts.uri = Uri::from_parts(uri).map_err(|_| Problem::malformed(no_path))?;
        parts.version = Version::HTTP_11;
        Ok((Arc::clone(&upstream.url), Request::from_parts(parts, body)))
    }

    /// Forwards a request that is not a WebSocket handshake.
    pub(super) async fn forward(&self, request: Request<Body>) -> Result<Response, Problem> {
        let head = request.method() == Method::HEAD;
        let client = Client::of(&request);
        let (url, request) = self.outgoing(request, Hops::Drop)?;
        let sent =
            link::send((&self.shared.hub, &self.shared.dialer), &client, &url, request, None).await;
        let (response, _) = sent.map_err(|error| unreachable(&url, &error))?;
        Ok(answer(response, head))
    }
}

/// Returns the target of a request as text: a character that is not UTF-8 is U+FFFD.
pub(super) fn target<'a>(uri: &'a Uri, raw: Option<&'a RawTarget>) -> Cow<'a, str> {
    match raw {
        Some(RawTarget(raw)) => String::from_utf8_lossy(raw),
        None => Cow::Borrowed(uri.path_and_query().map_or("/", PathAndQuery::as_str)),
    }
}

/// Returns an answer of an upstream as the client gets it. `head` says that it answers a HEAD.
pub(super) fn answer(response: http::Response<hyper::body::Incoming>, head: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers = headers::answered(&parts.headers, Hops::Drop);
    let body = if head || parts.status == StatusCode::NOT_MODIFIED {
        Body::new(NoBody)
    } else {
        Body::new(body)
    };
    Response::from_parts(parts, body)
}

/// The body of an answer that has none, and whose length fields are about another answer. Its size
/// is not known, so that no layer adds or drops a length.
struct NoBody;

impl http_body::Body for NoBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }
}

/// Returns why there is no answer of an upstream.
pub(super) fn unreachable(url: &str, error: &ConnectError) -> Problem {
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
    Problem::new(code, format!("{url} {error}"))
}
