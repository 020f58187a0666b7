//! The API of Channelstream 0.7.1, so that its clients work here: servers connect users, publish
//! and ask by signed HTTP, browsers listen by WebSocket or long polling.
//!
//! Every connection of this API is one of the hub, its channels are the hub's, and what is
//! published goes through the hub: so the event stream shows all of it, and members of a channel
//! get it in whatever dialect they speak. What only this API knows (states of users, settings and
//! histories of channels) stands in tables of its own, under a std mutex that no await is within.
//!
//! What it does otherwise than the original: frames and answers are compact JSON; malformed JSON is
//! answered 400, and errors carry the CORS fields; signatures from the future are refused; what is
//! not named of a channel's settings stays as it is; private messages stand in no history;
//! connections that nobody listens to end, also without channels.

mod admin;
mod calls;
mod guard;
mod info;
mod keeper;
mod listen;
mod network;
mod request;
mod routes;
mod schema;
mod shape;
mod signature;
mod state;
mod time;
mod waiting;
mod words;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::event::Channel;
use crate::hub::Hub;
use crate::session::UpgradeContext;
use crate::web::Api;

pub use admin::Admin;
pub use network::{InvalidNetwork, Network};
pub use signature::{BadSignature, Secret, Signer};

use state::Tables;

/// What the API is told when it is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Checks signatures: it knows the secret.
    pub signer: Signer,
    /// Whether signatures are good however old they are.
    pub any_age: bool,
    /// Where signed calls come from.
    pub allow_from: Vec<Network>,
    /// Proxies that are believed what they say of those they speak for.
    pub trusted_proxies: Vec<Network>,
    /// Whether calls have to have come over TLS.
    pub enforce_https: bool,
    /// How long a connection stays that nobody listens to.
    pub gc_connections: Duration,
    /// How long a user without connections is remembered.
    pub gc_users: Duration,
    /// How long a channel without members is remembered.
    pub gc_channels: Duration,
    /// Who may sign in to the page that shows it all.
    pub admin: Option<Admin>,
}

impl Settings {
    /// Makes settings with all defaults, for those who know a secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self {
            signer: Signer::new(secret.as_bytes()),
            any_age: false,
            allow_from: Network::loopback(),
            trusted_proxies: Network::loopback(),
            enforce_https: false,
            gc_connections: Duration::from_secs(30),
            gc_users: Duration::from_hours(24),
            gc_channels: Duration::from_hours(72),
            admin: None,
        }
    }
}

/// The API of Channelstream over a hub. A handle: clones are the same.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::sync::Arc;
///
/// use wstap::channelstream::{Channelstream, Settings};
/// use wstap::web::Web;
///
/// let hub = wstap::Hub::new(wstap::Settings::default());
/// let api = Channelstream::new(hub.clone(), Settings::new("a secret that servers know"));
/// let web = Web { apis: vec![Arc::new(api)], ..Web::new(hub) };
/// let app: axum::Router = web.together();
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Channelstream {
    shared: Arc<Shared>,
}

impl Channelstream {
    /// Makes it over a hub, and starts the task that forgets what nobody uses any more; that one
    /// ends with the hub.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(hub: Hub, settings: Settings) -> Self {
        let shared = Arc::new(Shared {
            hub,
            settings,
            tables: Mutex::default(),
            delivered: AtomicU64::new(0),
            listeners: AtomicUsize::new(0),
            started: Instant::now(),
        });
        shared.hub.run(housekeeping(Arc::clone(&shared)));
        Self { shared }
    }

    /// Returns how many WebSockets and polls listen now.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.shared.listeners.load(Relaxed)
    }
}

impl Api for Channelstream {
    fn path(&self) -> &'static str {
        "/channelstream"
    }

    fn routes(&self, door: UpgradeContext, api: &str) -> Router {
        routes::routes(ApiState { shared: Arc::clone(&self.shared), door, api: api.into() })
    }
}

/// What handlers are given.
#[derive(Debug, Clone)]
struct ApiState {
    shared: Arc<Shared>,
    door: UpgradeContext,
    api: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    hub: Hub,
    settings: Settings,
    tables: Mutex<Tables>,
    /// Frames that were handed to listeners.
    delivered: AtomicU64,
    listeners: AtomicUsize,
    started: Instant,
}

impl Shared {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nothing panics while it holds this lock")
    }

    fn count_delivery(&self) {
        self.delivered.fetch_add(1, Relaxed);
    }

    /// Forgets users and channels that nobody has used for a while.
    fn collect(&self) {
        let mut tables = self.tables();
        tables.collect_users(self.settings.gc_users, Instant::now());
        self.collect_channels(&mut tables, self.settings.gc_channels);
    }

    /// Forgets channels that have been empty for so long.
    fn collect_channels(&self, tables: &mut Tables, idle: Duration) {
        let full = self.full_channels();
        let empty = |channel: &_| !full.contains(channel);
        for channel in tables.collect_channels(idle, Instant::now(), empty) {
            self.hub.release(&channel);
        }
    }

    /// Forgets the channel that has been empty for longest.
    fn evict_channel(&self, tables: &mut Tables) {
        let full = self.full_channels();
        if let Some(channel) = tables.evict_channel(Instant::now(), |it| !full.contains(it)) {
            self.hub.release(&channel);
        }
    }

    /// Returns the channels that somebody is in.
    fn full_channels(&self) -> HashSet<Channel> {
        let seen = self.hub.channels().into_iter().filter(|seen| seen.members > 0);
        seen.map(|seen| seen.channel).collect()
    }
}

/// Forgets from time to time what nobody uses any more.
async fn housekeeping(shared: Arc<Shared>) {
    let soonest = shared.settings.gc_users.min(shared.settings.gc_channels);
    let period = (soonest / 4).clamp(Duration::from_millis(50), Duration::from_mins(1));
    let mut clock = interval_at(tokio::time::Instant::now() + period, period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopping = shared.hub.stopping().clone();
    loop {
        tokio::select! {
            _ = clock.tick() => shared.collect(),
            () = stopping.cancelled() => return,
        }
    }
}

/// Answers with JSON.
fn json(text: impl Into<axum::body::Body>) -> Response {
    let media_type = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, media_type)], text.into()).into_response()
}
