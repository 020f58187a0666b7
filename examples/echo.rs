//! The quick start of oak-channels: text is sent back, and the group "foo" receives a message for each
//! new connection. At /ws-json, `{"ping":1}` is answered `{"pong":1}`. The event stream shows it all.
//!
//! ```sh
//! cargo run --example echo
//! websocat ws://localhost:8000/ws
//! curl -N http://localhost:8000/tap/events
//! ```

#![expect(clippy::print_stdout, reason = "it says where it is")]

use std::net::SocketAddr;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use wstap::consumer::{self, Consumer, GroupMessage, Json, JsonConsumer, Peer};
use wstap::{Hub, Settings};

struct Echo;

impl Consumer for Echo {
    async fn on_connect(&mut self, peer: &Peer) -> consumer::Result {
        peer.join("foo")?;
        peer.group_send("foo", "new user joined")?;
        Ok(())
    }

    async fn on_text(&mut self, peer: &Peer, text: &str) -> consumer::Result {
        peer.send(text).await?;
        Ok(())
    }

    async fn on_group_message(&mut self, peer: &Peer, message: &GroupMessage) -> consumer::Result {
        if let (Some(group), Some(text)) = (message.group(), message.text()) {
            peer.send(format!("{group} says {text}")).await?;
        }
        Ok(())
    }
}

struct Pong;

#[derive(Deserialize)]
struct Ping {
    ping: i64,
}

impl JsonConsumer for Pong {
    type In = Ping;

    async fn on_json(&mut self, peer: &Peer, value: Ping) -> consumer::Result {
        peer.send_json(&json!({ "pong": value.ping })).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::new(Settings::default());
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/ws", consumer::route(hub.clone(), || Echo))
        .route("/ws-json", consumer::route(hub.clone(), || Json(Pong)))
        .nest("/tap", wstap::router(hub));
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    // Sends small messages at once. An error means that the client has disconnected.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Echo</title><pre id="out"></pre>
<script>
  const out = document.getElementById("out");
  const open = (path, first) => {
    const socket = new WebSocket(new URL(path, location.href.replace(/^http/, "ws")));
    socket.onopen = () => socket.send(first);
    socket.onmessage = (event) => { out.textContent += `${path}: ${event.data}\n`; };
  };
  open("ws", "hello");
  open("ws-json", JSON.stringify({ ping: 1 }));
</script>"#;
