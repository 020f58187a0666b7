//! The API of Channelstream 0.7.1, so that its clients work with wstap: servers connect users,
//! publish and query by signed HTTP; browsers listen by WebSocket or long polling.
//!
//! Every connection of this API is a connection of the hub, its channels are channels of the hub, and
//! what it publishes goes through the hub. The event stream therefore shows all of it, and members of
//! a channel receive it whatever protocol they speak. Only the states of users and the settings and
//! histories of channels are kept here, under a std mutex that is never held across an await. The
//! lock of the hub is taken inside it, never the other way round.
//!
//! A `conn_id` is a secret: a client that knows it may listen to the connection and end it. It is
//! given to the caller of `/connect` and of other signed calls only. The event stream, lists and logs
//! show [`Channelstream::connection_id`], which is derived from it.
//!
//! Differences from the original: frames and answers are compact JSON; malformed JSON is answered 400,
//! and errors carry the CORS fields; signatures from the future are refused; settings of a channel
//! that a call does not name stay as they are; private messages are not kept in a history;
//! connections without a listener end, also without channels; pages may listen and disconnect only if
//! their origin may open WebSockets, and a browser cannot disconnect by `GET`.
//!
//! This module uses only the public API of the library.

mod account;
mod admin;
mod answer;
mod calls;
mod channels;
mod earlier;
mod edits;
mod encoding;
mod guard;
mod handle;
mod info;
mod keeper;
mod listener;
mod making;
mod poll;
mod publishing;
mod request;
mod routes;
mod schema;
mod settings;
mod shape;
mod shared;
mod signature;
mod state;
mod time;
mod users;
mod waiting;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::event::ConnectionId;
use crate::hub::Hub;
use crate::session::UpgradeContext;
use crate::web::Api;

pub use crate::auth::{InvalidNetwork, Network};
pub use account::Admin;
pub use settings::ChannelstreamSettings;
pub use signature::{BadSignature, Secret, Signer};

use shared::{ApiState, Shared};

/// The API of Channelstream over a hub. Clones are handles of the same API.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::sync::Arc;
///
/// use wstap::channelstream::{Channelstream, ChannelstreamSettings};
/// use wstap::web::Web;
///
/// let hub = wstap::Hub::new(wstap::Settings::default());
/// let settings = ChannelstreamSettings::new("a secret that servers know");
/// let api = Channelstream::new(hub.clone(), settings);
/// let web = Web { apis: vec![Arc::new(api)], ..Web::new(hub) };
/// let app: axum::Router = web.together();
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Channelstream {
    shared: Arc<Shared>,
}

impl Channelstream {
    /// Creates the API, and starts the task that forgets idle users and channels. The task ends with
    /// the hub.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(hub: Hub, settings: ChannelstreamSettings) -> Self {
        let shared = Arc::new(Shared::new(hub, settings));
        shared.hub.run(housekeeping(Arc::clone(&shared)));
        Self { shared }
    }

    /// Returns how many WebSockets and polls listen now.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.shared.listeners.load(Relaxed)
    }

    /// Returns the id that a connection has in the hub, and so on the event stream and in lists.
    /// Returns `None` if `conn_id` is not a UUID. The id is the same for the lifetime of this value.
    #[must_use]
    pub fn connection_id(&self, conn_id: &str) -> Option<ConnectionId> {
        conn_id.parse().ok().map(|id| self.shared.own_id(id))
    }
}

impl Api for Channelstream {
    fn path(&self) -> &'static str {
        "/channelstream"
    }

    fn routes(&self, context: UpgradeContext, api: &str) -> Router {
        routes::routes(ApiState { shared: Arc::clone(&self.shared), context, api: api.into() })
    }
}

/// Forgets users and channels that have been idle for a while. The tables are searched in pieces, so
/// that no call waits long for their lock.
async fn housekeeping(shared: Arc<Shared>) {
    let soonest = shared.settings.gc_users.min(shared.settings.gc_channels);
    let period = (soonest / 4).clamp(Duration::from_millis(50), Duration::from_mins(1));
    let mut clock = interval_at(tokio::time::Instant::now() + period, period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopping = shared.hub.stopping().clone();
    let look = async {
        loop {
            clock.tick().await;
            shared.edits.forget();
            shared.tables().users.collect(shared.settings.gc_users, Instant::now());
            let mut last = None;
            loop {
                last = shared.collect_channels(last.as_ref());
                if last.is_none() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        () = look => {}
        () = stopping.cancelled() => {}
    }
}
