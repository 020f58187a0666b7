//! Server-Sent Events in a plain axum program: a clock with named events, ids, resume and a comment.
//!
//! ```sh
//! cargo run --example sse
//! curl -N http://localhost:8000/clock
//! curl -N -H 'Last-Event-ID: 41' http://localhost:8000/clock
//! ```

#![expect(clippy::print_stdout, reason = "it says where it is")]

use std::time::Duration;

use axum::Router;
use axum::response::{Html, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use wstap::sse::{self, Event, LastEventId, Target};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().route("/", get(async || Html(PAGE))).route("/clock", get(clock));
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await
}

async fn clock(LastEventId(last): LastEventId) -> Response {
    // A browser that reconnects continues after its last event.
    let next = last.and_then(|id| id.parse().ok()).map_or(0, |last: u64| last + 1);
    let (target, response) = sse::open();
    tokio::spawn(async move {
        // An error means that the client has disconnected.
        let _ = tick(&target, next).await;
    });
    response
}

async fn tick(target: &Target, first: u64) -> Result<(), sse::Unsent> {
    target.send(Event::comment("a clock").retry(Duration::from_secs(1))).await?;
    for tick in first.. {
        target.send(Event::from(json!({ "tick": tick })).name("tick").id(tick)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Clock</title><pre id="out"></pre>
<script>
  const out = document.getElementById("out");
  new EventSource("clock").addEventListener("tick", (event) => {
    out.textContent += `${event.lastEventId}: ${event.data}\n`;
  });
</script>"#;
