//! The state of a proxy that all requests share, and its settings.

use std::sync::Arc;
use std::time::Duration;

use super::connect::Dialer;
use super::headers::ForwardedHeaders;
use super::health::Health;
use super::held::Held;
use super::route::Route;
use super::tap::TapSettings;
use super::view::HostHeader;
use crate::auth::Hosts;
use crate::hub::Hub;
use crate::throttle::Throttle;

/// The plain requests that are events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TapHttp {
    /// None.
    Off,
    /// Those that fail.
    #[default]
    Errors,
    /// All of them.
    All,
}

/// Time between two warnings about upstreams. Clients that come again at once would fill the log.
const WARNING: Duration = Duration::from_secs(10);

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
    pub(super) routes: Vec<Route>,
    pub(super) names: NameSettings,
    pub(super) forwarded: ForwardedHeaders,
    pub(super) tap: TapSettings,
    pub(super) held: Arc<Held>,
    pub(super) dialer: Dialer,
    pub(super) health: Health,
    pub(super) tap_http: TapHttp,
    /// Whether event streams are connections on the tap.
    pub(super) tap_sse: bool,
    /// When a failure was last logged as a warning.
    pub(super) warned: Throttle,
    /// The name of this proxy in `Via`, by which it recognizes its own requests.
    pub(super) pseudonym: String,
}

/// Which names of both sides an upstream gets.
#[derive(Debug)]
pub(super) struct NameSettings {
    pub(super) host: HostHeader,
    pub(super) rewrite_origin: bool,
    pub(super) hosts: Arc<Hosts>,
}

/// Settings of a [`Proxy`].
#[derive(Debug)]
pub struct ProxySettings {
    /// Upstreams; the first route that fits a request is taken.
    pub routes: Vec<Route>,
    /// The `Host` that the upstream gets.
    pub host: HostHeader,
    /// Whether the upstream gets its own name as `Host`, and in the place of that of the client in
    /// `Origin` and `Referer`. For requests whose host is one of `hosts`.
    pub rewrite_origin: bool,
    /// Host names of this server.
    pub hosts: Arc<Hosts>,
    /// What becomes of `X-Forwarded-*` and `traceparent`.
    pub forwarded: ForwardedHeaders,
    /// Which plain requests are events.
    pub tap_http: TapHttp,
    /// Whether event streams that pass are connections on the stream.
    pub tap_sse: bool,
    /// Whether pings and pongs are events.
    pub control: bool,
    /// A larger message passes, and is kept up to here.
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
        let ProxySettings {
            routes, host, rewrite_origin, hosts, forwarded, tap_http, tap_sse, ..
        } = settings;
        let names = NameSettings { host, rewrite_origin, hosts };
        let pseudonym = format!("{}{:016x}", crate::request::PROXY_NAME, fastrand::u64(..));
        let held = Held::new(MAX_HELD);
        let health = Health::new(&routes);
        let shared = Shared {
            hub,
            routes,
            names,
            forwarded,
            tap,
            held,
            dialer,
            health,
            tap_http,
            tap_sse,
            warned: Throttle::new(WARNING),
            pseudonym,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the name of this proxy in `Via`.
    pub(crate) fn pseudonym(&self) -> &str {
        &self.shared.pseudonym
    }

    /// Returns the routes to the upstreams.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.shared.routes.iter()
    }

    /// Returns the URLs of the upstreams.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.routes().map(|route| &*route.upstream.url)
    }

    /// Opens a TCP connection to the upstream of the last route, which takes all requests that fit
    /// no other, and closes it again without a byte. Logs it if the upstream cannot be reached.
    pub async fn check(&self) {
        let shared = &self.shared;
        let Some(upstream) = shared.routes.last().map(|route| &route.upstream) else { return };
        if let Ok(uri) = upstream.uri()
            && let Err(error) = shared.dialer.reach(&uri).await
            && !shared.health.failed(&upstream.url, &error)
        {
            tracing::warn!("{} {error}", upstream.url);
        }
    }
}
