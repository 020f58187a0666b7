//! The API of Channelstream, over real sockets.

mod admin;
mod delivery;
mod faults;
mod listening;
mod order;
mod restart;
mod signing;
mod strangers;
mod transcripts;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wstap::auth::Origins;
use wstap::channelstream::{Channelstream, ChannelstreamSettings, Signer};
use wstap::hub;
use wstap::web::Web;

use crate::harness::{Answer, Tap, Ws, until, within};

/// The secret for signatures.
const SECRET: &str = "secret";

/// A server with the API, and a client that signs.
struct Api {
    tap: Tap,
    own: Channelstream,
    signer: Signer,
}

impl Api {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts with changed settings.
    async fn with(change: impl FnOnce(&mut ChannelstreamSettings)) -> Self {
        Self::over(hub::Settings::default(), change).await
    }

    /// Starts with settings of the hub.
    async fn over(hub: hub::Settings, change: impl FnOnce(&mut ChannelstreamSettings)) -> Self {
        Self::among(hub, |_| {}, change).await
    }

    /// Starts with settings of the hub and of the server.
    async fn among(
        hub: hub::Settings,
        server: impl FnOnce(&mut Web),
        change: impl FnOnce(&mut ChannelstreamSettings),
    ) -> Self {
        Self::beside(async |add| Tap::with(hub, add).await, server, change).await
    }

    /// Starts with a log on disk.
    async fn logged(hub: hub::Settings, log: &hub::LogSettings) -> Self {
        Self::beside(async |add| crate::log::start_with(hub, log, add).await, |_| {}, |_| {}).await
    }

    /// Adds the API to a server that `start` starts.
    async fn beside(
        start: impl AsyncFnOnce(&mut dyn FnMut(&mut Web)) -> Tap,
        server: impl FnOnce(&mut Web),
        change: impl FnOnce(&mut ChannelstreamSettings),
    ) -> Self {
        let mut settings = ChannelstreamSettings::new(SECRET);
        change(&mut settings);
        let mut added = Some((settings, server));
        let mut own = None;
        let tap = start(&mut |web| {
            let (settings, server) = added.take().expect("it is added once");
            web.ws_origins = Origins::Any;
            let api = Channelstream::new(web.hub.clone(), settings);
            web.apis.push(std::sync::Arc::new(api.clone()));
            own = Some(api);
            server(web);
        })
        .await;
        Self { tap, own: own.expect("it was made"), signer: Signer::new(SECRET.as_bytes()) }
    }

    /// Calls with a signature.
    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let signature = self.signer.sign("channelstream", now());
        let headers = [("x-channelstream-secret", signature.as_str())];
        self.tap.fetch(method, &format!("/channelstream{path}"), &headers, body).await
    }

    /// Posts JSON, and returns the answer, which has status 200.
    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.call("POST", path, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/json");
        answer.json()
    }

    /// Connects a user to channels and returns the id of the connection.
    async fn connect(&self, user: &str, channels: &[&str]) -> String {
        let connected =
            self.post("/connect", json!({"username": user, "channels": channels})).await;
        connected["conn_id"].as_str().expect("an id").to_owned()
    }

    /// Posts a message to a channel.
    async fn say(&self, channel: &str, text: &str) {
        let message = json!([{"user": "system", "channel": channel, "message": {"text": text}}]);
        self.post("/message", message).await;
    }

    /// Opens the WebSocket of a connection.
    async fn ws(&self, id: &str) -> Ws {
        self.tap.ws(&format!("/channelstream/ws?conn_id={id}")).await
    }

    /// Polls once.
    async fn poll(&self, id: &str) -> Answer {
        self.tap.get(&format!("/channelstream/listen?conn_id={id}")).await
    }

    /// Sends a GET request without a signature.
    async fn get(&self, path: &str) -> Answer {
        self.tap.get(&format!("/channelstream{path}")).await
    }

    async fn channel(&self, name: &str) -> Value {
        let info = self.post("/info", json!({"info": {"channels": [name]}})).await;
        info["channels"][name].clone()
    }

    /// Returns the id that the event stream and lists show for a connection.
    fn shown(&self, id: &str) -> String {
        self.own.connection_id(id).expect("a UUID").to_string()
    }

    /// Waits for the end of a connection.
    async fn end_of(&self, id: &str) {
        let path = format!("?kind=close&last=1000&connection={}", self.shown(id));
        self.tap.events(&path).await.json().await;
    }

    /// Closes the WebSocket of a connection and waits for the end of that connection: by then one whose
    /// WebSocket ended before has ended too, unless something keeps it.
    async fn witness_of_websockets(&self) {
        let id = self.connect("witness", &["witness"]).await;
        self.ws(&id).await.close(1000, "").await;
        self.end_of(&id).await;
    }

    /// Waits until so many WebSockets and polls listen.
    async fn listeners(&self, count: usize) {
        until("the listeners", || self.own.listeners() == count).await;
    }

    /// Waits until so many connections are there.
    async fn connections(&self, count: usize) {
        until("the connections", || self.tap.hub.numbers().connections == count).await;
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Returns the next frame that is not a heartbeat.
async fn frame(ws: &mut Ws) -> Value {
    within("a frame that is no heartbeat", async {
        loop {
            let frame = ws.json().await;
            let items = frame.as_array().expect("frames are arrays");
            assert!(items.len() <= 1, "{frame}");
            if let Some(item) = items.first() {
                return item.clone();
            }
        }
    })
    .await
}

/// A time limit of the server within which a client acts, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3);

/// A time limit of the server that a test waits to pass.
const SHORT: Duration = Duration::from_millis(300);
