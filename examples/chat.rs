//! A chat with rooms, presence, and the last ten messages for new members. A user may have several
//! tabs, and leaves with the last one.
//!
//! ```sh
//! cargo run --example chat
//! open 'http://localhost:8000/?room=tea&user=ann'
//! ```

#![expect(clippy::print_stdout, reason = "it says where it is")]

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt as _;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use wstap::auth::Pattern;
use wstap::consumer::{self, GroupMessage, Json, JsonConsumer, Peer, UpgradeContext};
use wstap::event::{Channel, User};
use wstap::hub::{ChannelRules, Declared};
use wstap::{Hub, Settings};

struct Member {
    room: String,
}

#[derive(Deserialize)]
struct Parsed {
    text: String,
}

impl JsonConsumer for Member {
    type In = Parsed;

    async fn on_connect(&mut self, peer: &Peer) -> consumer::Result {
        peer.join_with_last(&self.room, 10)?;
        let users = peer.users(&self.room)?;
        let names: Vec<_> = users.iter().map(User::as_str).collect();
        peer.send_json(&json!({ "here": names })).await?;
        Ok(())
    }

    async fn on_json(&mut self, peer: &Peer, said: Parsed) -> consumer::Result {
        peer.group_send(&self.room, &said.text)?;
        Ok(())
    }

    async fn on_group_message(&mut self, peer: &Peer, message: &GroupMessage) -> consumer::Result {
        let user = message.user().map(User::as_str);
        peer.send_json(&json!({ "user": user, "text": message.text() })).await?;
        Ok(())
    }

    async fn on_join(&mut self, peer: &Peer, _: &Channel, user: &User) -> consumer::Result {
        peer.send_json(&json!({ "came": user.as_str() })).await?;
        Ok(())
    }

    async fn on_leave(&mut self, peer: &Peer, _: &Channel, user: &User) -> consumer::Result {
        peer.send_json(&json!({ "went": user.as_str() })).await?;
        Ok(())
    }
}

/// Accepts any name. A real program verifies a session or a token here.
async fn enter(
    State(door): State<UpgradeContext>,
    Path((room, user)): Path<(String, String)>,
    request: Request,
) -> Response {
    consumer::upgrade(&door, request, user.parse().ok(), Json(Member { room }))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let rules = ChannelRules { presence: true, history: 10, ..ChannelRules::default() };
    let rooms = Declared { name: Pattern::all(), rules };
    let hub = Hub::new(Settings { channels: vec![rooms], ..Settings::default() });
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/rooms/{room}/{user}", any(enter))
        .with_state(UpgradeContext::new(hub.clone()))
        .nest("/tap", wstap::router(hub));
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/?room=tea&user=ann", listener.local_addr()?);
    // Sends small messages at once. An error means that the client has disconnected.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Chat</title>
<pre id="out"></pre><form><input id="text" autofocus></form>
<script>
  const query = new URLSearchParams(location.search);
  const path = ["rooms", query.get("room") ?? "tea", query.get("user") ?? "ann"];
  const url = new URL(path.map(encodeURIComponent).join("/"), location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  const out = document.getElementById("out"), text = document.getElementById("text");
  socket.onmessage = (event) => { out.textContent += `${event.data}\n`; };
  document.forms[0].onsubmit = (event) => {
    event.preventDefault();
    socket.send(JSON.stringify({ text: text.value }));
    text.value = "";
  };
</script>"#;
