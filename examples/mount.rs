//! wstap in an existing axum program: its own routes, wstap at /tap, and a shutdown that covers both.
//!
//! ```sh
//! cargo run --example mount
//! curl -N http://localhost:8000/tap/events
//! websocat ws://localhost:8000/tap/ws
//! curl http://localhost:8000/visitors
//! ```

#![expect(clippy::print_stdout, reason = "it says where it is")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use tokio::net::TcpListener;
use wstap::{Hub, Settings};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::new(Settings::default());
    let app = Router::new()
        .route("/visitors", get(visitors))
        .with_state(hub.clone())
        .nest("/tap", wstap::router(hub.clone()));
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/tap", listener.local_addr()?);
    // Sends small messages at once. An error means that the client has disconnected.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    // With connect info, events contain the address of a client.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let stop = async move {
        // An error means that Ctrl-C cannot be received; then the program does not stop by it.
        let _ = tokio::signal::ctrl_c().await;
        // Closes the connections with 1001, delivers their last events, and ends the streams. axum
        // alone would wait for them without limit.
        hub.shutdown(Duration::from_secs(5)).await;
    };
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}

/// A route of the program: the connections of this moment.
async fn visitors(State(hub): State<Hub>) -> Json<Vec<String>> {
    Json(hub.connections().iter().map(|connection| connection.id.to_string()).collect())
}
