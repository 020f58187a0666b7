//! Proxy mode: clients speak to a server of their own through wstap, unchanged.
//!
//! Everything that reaches the traffic side is forwarded to an upstream. A WebSocket handshake goes
//! there as it is and its answer comes back as it is; from then on `relay` carries bytes, and a
//! `tap` reads a copy of them. Other requests are forwarded too, bodies as streams.

mod connect;
mod handshake;
mod headers;
mod pipe;
mod relay;
mod route;
mod tap;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "proxy/tls/absent.rs"]
mod tls;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Method, Request, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::code::Code;
use crate::hub::Hub;
use crate::problem::Problem;
use crate::request::{is_websocket, remote};

pub use connect::{ConnectError, Dialer, Io};
pub use route::{InvalidUpstream, Route, Upstream};
use tap::TapSettings;
pub use trust::{TlsError, Trust};

/// How long a connection to an upstream is kept that nobody uses.
const KEEP: Duration = Duration::from_secs(15);

/// Forwards what comes to the traffic side. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    hub: Hub,
    routes: Vec<Route>,
    preserve_host: bool,
    tap: TapSettings,
    dialer: Dialer,
    client: Client<Dialer, Body>,
}

/// What a proxy is told when it is made.
#[derive(Debug)]
pub struct ProxySettings {
    /// Where requests go; the first that fits counts.
    pub routes: Vec<Route>,
    /// Whether the upstream is told the `Host` that the client asked for, and not its own.
    pub preserve_host: bool,
    /// Whether pings and pongs are events.
    pub control: bool,
    /// A larger message passes, but is not kept.
    pub max_message_bytes: usize,
}

impl Proxy {
    /// Makes a proxy that publishes what it sees to a hub.
    #[must_use]
    pub fn new(hub: Hub, settings: ProxySettings, dialer: Dialer) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(KEEP)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .set_host(false)
            .http1_preserve_header_case(true)
            .build(dialer.clone());
        let tap = TapSettings {
            control: settings.control,
            max_message_bytes: settings.max_message_bytes,
        };
        let ProxySettings { routes, preserve_host, .. } = settings;
        Self { shared: Arc::new(Shared { hub, routes, preserve_host, tap, dialer, client }) }
    }

    /// Returns the servers that requests go to, as URLs.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.shared.routes.iter().map(|route| &*route.upstream.url)
    }

    /// Makes the request that the upstream is to see.
    fn outgoing(
        &self,
        request: Request<Body>,
        upgrade: bool,
    ) -> Result<(Arc<str>, Request<Body>), Problem> {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            let only = "this is a reverse proxy: it forwards requests to its upstreams and opens no tunnels";
            return Err(Problem::new(Code::MethodNotAllowed, only));
        }
        let host = headers::host(&parts).map(str::to_owned);
        let route =
            self.shared.routes.iter().find(|route| route.fits(host.as_deref(), parts.uri.path()));
        let upstream = &route
            .ok_or_else(|| {
                Problem::new(Code::NotFound, format!("no upstream takes {}", parts.uri.path()))
            })?
            .upstream;
        let client = remote(&parts);
        parts.headers = headers::passed_on(&parts.headers, upgrade);
        headers::forwarded(&mut parts.headers, client.ip(), host.as_deref());
        if !self.shared.preserve_host || host.is_none() {
            parts.headers.insert(http::header::HOST, upstream.host.clone());
        }
        let path = parts.uri.path_and_query().cloned();
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(upstream.scheme());
        uri.authority = Some(upstream.authority.clone());
        uri.path_and_query =
            Some(path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")));
        parts.uri = Uri::from_parts(uri)
            .map_err(|_| Problem::malformed("the target of this request is no path"))?;
        parts.version = Version::HTTP_11;
        Ok((Arc::clone(&upstream.url), Request::from_parts(parts, body)))
    }

    /// Forwards a request that asks for no WebSocket.
    async fn forward(&self, request: Request<Body>) -> Result<Response, Problem> {
        let (url, request) = self.outgoing(request, false)?;
        let response = self.shared.client.request(request).await;
        let response = response.map_err(|error| failed(&url, &error))?;
        let (mut parts, body) = response.into_parts();
        parts.headers = headers::passed_on(&parts.headers, false);
        Ok(Response::from_parts(parts, Body::new(body)))
    }
}

/// Answers everything on the traffic side.
pub(crate) async fn handle(
    State(proxy): State<Proxy>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    if is_websocket(request.headers()) {
        handshake::handle(&proxy, request).await
    } else {
        proxy.forward(request).await
    }
}

fn failed(url: &str, error: &hyper_util::client::legacy::Error) -> Problem {
    use std::error::Error as _;
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<ConnectError>() {
            return unreachable(url, error);
        }
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user) {
            return Problem::malformed("the body of this request cannot be read");
        }
        source = cause.source();
    }
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Problem::new(Code::Unavailable, format!("{url} did not answer properly: {cause}"))
}

fn unreachable(url: &str, error: &ConnectError) -> Problem {
    let code = match error {
        ConnectError::Slow(_) | ConnectError::Silent(_) => Code::UpstreamTimeout,
        ConnectError::Loop => Code::Loop,
        ConnectError::Failed(_) => Code::Unavailable,
    };
    Problem::new(code, format!("{url} {error}"))
}
