//! The routes, and the layers in front of them: limits of rates, `Host` and `Origin` checks, CORS, panics.
//!
//! There are two sides. WebSocket clients connect to the *traffic* side; people and programs use the
//! *observers'* side. Both share an address unless `--tap-listen` separates them.

mod guard;
mod rates;
mod replaceable;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRef, OriginalUri, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Extension, Router};
use futures_util::FutureExt as _;
use http::header::LINK;
use http::{Method, StatusCode};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::access::{
    self, Access, Caller, Guarded, admit, authenticate, cut_cookie, session as sign_in,
};
use crate::auth::{Hosts, Origins};
use crate::code::Code;
use crate::control::{self, Info, MaxMessageBytes, Readiness};
use crate::hub::Hub;
use crate::openapi;
use crate::outlet::{export, live, poll};
use crate::pages;
use crate::problem::Problem;
use crate::proxy::{self, Proxy};
use crate::rate::{RateLimits, Rates};
use crate::request::is_websocket;
use crate::session::{self, Limits, UpgradeContext};
use guard::{Guard, guard, guard_at_door};
use rates::{handshakes_limited, limited};
pub use replaceable::Replaceable;

/// Settings of the routes.
#[derive(Debug, Clone)]
pub struct Web {
    /// The hub that they serve.
    pub hub: Hub,
    /// Limits of WebSocket sessions and of messages.
    pub limits: Limits,
    /// Origins whose pages may read the observers' side.
    pub cors: Origins,
    /// Origins whose pages may open WebSockets.
    pub ws_origins: Origins,
    /// Host names of the server.
    pub hosts: Arc<Hosts>,
    /// URLs for WebSocket clients, without path.
    pub websocket: Vec<String>,
    /// URLs of the observers' side, without path.
    pub observers: Vec<String>,
    /// Whether both sides have different addresses.
    pub apart: bool,
    /// The traffic side in proxy mode. It needs an address of its own.
    pub proxy: Option<Proxy>,
    /// Name of the recording that the hub shows, for people.
    pub recording: Option<String>,
    /// Other APIs over the hub, on the traffic side.
    pub apis: Vec<Arc<dyn Api>>,
    /// The credentials that are asked for.
    pub access: Access,
    /// How much an address may do.
    pub rates: RateLimits,
    /// Whether proxied traffic needs the grant `connect`.
    pub proxy_auth: bool,
    /// When the server started.
    pub started: Instant,
}

/// Another API over a hub, served on the traffic side below a path of its own.
///
/// Its routes guard themselves: they are outside of the check of `Host` and `Origin` that protects
/// the observers' side.
pub trait Api: fmt::Debug + Send + Sync {
    /// Returns the path of all its routes, such as `/channelstream`.
    fn path(&self) -> &'static str;

    /// Returns its routes, relative to that path. `upgrades` accepts WebSockets, and `own` is the
    /// URL of wstap's own `/api`, relative to the path or absolute.
    fn routes(&self, upgrades: UpgradeContext, own: &str) -> Router;
}

impl Web {
    /// Creates the defaults for a hub on loopback.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        let rates = RateLimits::new(Rates::default(), hub.metrics());
        Self {
            hub,
            limits: Limits::default(),
            cors: Origins::Any,
            ws_origins: Origins::Loopback,
            hosts: Arc::new(Hosts::new(&[], &[])),
            websocket: Vec::new(),
            observers: Vec::new(),
            apart: false,
            proxy: None,
            recording: None,
            apis: Vec::new(),
            access: Access::open(),
            rates,
            proxy_auth: false,
            started: Instant::now(),
        }
    }

    /// Returns the routes of both sides on one address. A WebSocket handshake on a path without a
    /// route belongs to the traffic side.
    pub fn together(&self) -> Router {
        let index = get(index_or_socket).fallback(wrong_method);
        let doors = Router::new()
            .route("/", index)
            .route("/ws", any(socket))
            .fallback(socket_or_nothing)
            .layer(from_fn_with_state(self.access.clone(), authenticate))
            .layer(from_fn_with_state(self.guard(), guard_at_door));
        self.with_apis(self.observing(doors))
    }

    /// Returns the routes of the observers' side.
    pub fn observers(&self) -> Router {
        let index = get(pages::index).fallback(wrong_method);
        let others = Router::new()
            .route("/", index)
            .route("/ws", any(socket_elsewhere))
            .fallback(nothing)
            .layer(from_fn_with_state(self.access.clone(), authenticate))
            .layer(from_fn_with_state(self.guard(), guard));
        self.observing(others)
    }

    /// Returns the routes of the traffic side: WebSockets on every path. In proxy mode every request is
    /// forwarded to an upstream.
    pub fn traffic(&self) -> Router {
        let routes = if let Some(proxy) = &self.proxy {
            let routes = Router::new().fallback(proxy::handle).with_state(proxy.clone());
            let routes = if self.proxy_auth {
                routes.layer(from_fn_with_state(self.access.clone(), admit))
            } else if self.access.is_guarded() {
                routes.layer(from_fn(cut_cookie))
            } else {
                routes
            };
            routes.layer(from_fn_with_state(self.rates.clone(), handshakes_limited))
        } else {
            let sockets = Router::new().fallback(socket_or_nothing).with_state(self.app());
            let sockets = sockets.layer(from_fn_with_state(self.access.clone(), authenticate));
            self.with_apis(sockets.layer(from_fn_with_state(self.rates.clone(), limited)))
        };
        routes.layer(from_fn(catch_panic))
    }

    /// Adds the routes of the other APIs.
    fn with_apis(&self, routes: Router) -> Router {
        let observers = self.observers.first().filter(|_| self.apart);
        let own = observers.map_or_else(|| "../api".to_owned(), |url| format!("{url}/api"));
        self.apis.iter().fold(routes, |routes, api| {
            let added = api.routes(self.app().door, &own);
            let added = added.layer(from_fn_with_state(self.rates.clone(), limited));
            routes.nest_service(api.path(), added.layer(from_fn(catch_panic)))
        })
    }

    fn app(&self) -> App {
        let info = Info {
            started: self.started,
            websocket: self.websocket.clone(),
            observers: self.observers.clone(),
            apart: self.apart,
            recording: self.recording.clone(),
            upstreams: self.proxy.iter().flat_map(Proxy::upstreams).map(str::to_owned).collect(),
            limits: self.limits,
        };
        let door = UpgradeContext {
            hub: self.hub.clone(),
            limits: self.limits,
            origins: self.ws_origins.clone(),
            hosts: Arc::clone(&self.hosts),
        };
        App {
            hub: Guarded::new(self.hub.clone()),
            readiness: Readiness(self.hub.clone()),
            max: MaxMessageBytes(self.limits.max_message_bytes),
            info: Arc::new(info),
            access: self.access.clone(),
            door,
        }
    }

    fn guard(&self) -> Guard {
        let (hosts, cors) = (Arc::clone(&self.hosts), self.cors.clone());
        Guard { hosts, cors, proxy: self.proxy.clone() }
    }

    /// Merges the observers' routes, with their guard, and `others`, which have their own.
    fn observing(&self, others: Router<App>) -> Router {
        routes()
            .layer(from_fn_with_state(self.access.clone(), authenticate))
            .merge(health())
            .layer(from_fn_with_state(self.guard(), guard))
            .merge(others)
            .layer(from_fn_with_state(self.rates.clone(), limited))
            .layer(from_fn(catch_panic))
            .layer(cors(&self.cors))
            .layer(from_fn(no_content_for_options))
            .with_state(self.app())
    }
}

/// Returns the observers' routes without `/` and without a fallback.
fn routes() -> Router<App> {
    Router::new()
        .route("/events", get(live::events))
        .route("/listen", get(poll::listen))
        .route("/api/events", get(export::events))
        .route("/api/events/{id}", get(export::event))
        .route("/api/connections", get(control::connections))
        .route("/api/connections/{id}", get(control::connection).delete(control::close))
        .route("/api/connections/{id}/messages", post(control::send))
        .route("/api/channels", get(control::channels::all))
        .route("/api/channels/{channel}", get(control::channels::one))
        .route("/api/channels/{channel}/messages", post(control::channels::publish))
        .route("/api/listeners", get(control::listeners))
        .route("/api/listeners/{id}", delete(control::dismiss))
        .route("/api/info", get(control::info))
        .route("/metrics", get(control::metrics))
        .route("/api/session", get(sign_in::show).post(sign_in::sign_in).delete(sign_in::sign_out))
        .route("/api/tickets", post(sign_in::ticket))
        .merge(openapi::routes())
        .merge(pages::routes())
        .method_not_allowed_fallback(wrong_method)
}

/// Returns the routes that need no credential, and do not wait for the server that checks credentials.
fn health() -> Router<App> {
    Router::new()
        .route("/healthz", get(control::alive))
        .route("/readyz", get(control::ready))
        .method_not_allowed_fallback(wrong_method)
}

/// State of the handlers.
#[derive(Debug, Clone)]
struct App {
    hub: Guarded,
    readiness: Readiness,
    access: Access,
    max: MaxMessageBytes,
    info: Arc<Info>,
    door: UpgradeContext,
}

impl FromRef<App> for Guarded {
    fn from_ref(app: &App) -> Self {
        app.hub.clone()
    }
}

impl FromRef<App> for Readiness {
    fn from_ref(app: &App) -> Self {
        app.readiness.clone()
    }
}

impl FromRef<App> for Access {
    fn from_ref(app: &App) -> Self {
        app.access.clone()
    }
}

impl FromRef<App> for MaxMessageBytes {
    fn from_ref(app: &App) -> Self {
        app.max
    }
}

impl FromRef<App> for Arc<Info> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.info)
    }
}

async fn socket(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let caller = access::needed::<access::Connect>(&parts)?;
    session::upgrade(&app.door, caller, Request::from_parts(parts, body))
}

async fn index_or_socket(
    state: State<App>,
    uri: OriginalUri,
    request: Request,
) -> Result<Response, Problem> {
    if is_websocket(request.headers()) {
        return socket(state, request).await;
    }
    let caller = request.extensions().get::<Caller>().cloned().map(Extension);
    pages::index(uri, caller, request.headers().clone()).await
}

async fn socket_or_nothing(state: State<App>, request: Request) -> Result<Response, Problem> {
    if is_websocket(request.headers()) {
        return socket(state, request).await;
    }
    Err(nothing(request).await)
}

async fn socket_elsewhere(State(app): State<App>) -> Problem {
    let there = app.info.websocket.first().map_or("the traffic address", String::as_str);
    Problem::new(
        Code::NotFound,
        format!("this is the observers' side; WebSocket clients connect to {there}"),
    )
}

async fn nothing(request: Request) -> Problem {
    Problem::new(Code::NotFound, format!("there is nothing at {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(Code::MethodNotAllowed, format!("{path} does not take {method}"))
}

fn cors(origins: &Origins) -> CorsLayer {
    let origin = match origins {
        Origins::Any => AllowOrigin::any(),
        some => {
            let some = some.clone();
            AllowOrigin::predicate(move |origin, _| {
                origin.to_str().is_ok_and(|origin| some.accept(origin))
            })
        }
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([LINK])
        .max_age(Duration::from_hours(24))
}

/// Answers OPTIONS with 204 and no body.
async fn no_content_for_options(request: Request, next: Next) -> Response {
    let options = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if options && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.body_mut() = Body::empty();
    }
    response
}

/// Answers 500 for a handler that panics. (The layer of tower-http boxes every body again, which costs
/// a stream at each event.)
async fn catch_panic(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a handler panicked; this is a fault of wstap");
        Problem::new(Code::Internal, "wstap has failed at this request; its log says more")
            .into_response()
    })
}
