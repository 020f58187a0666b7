//! Prices on private channels: a subscriber needs a token for the channel. The tokens are JSON Web
//! Tokens; an `Authority` of the program may verify others.
//!
//! ```sh
//! cargo run --example prices
//! curl http://localhost:8000/token/ann      # for the channel prices/ann
//! websocat ws://localhost:8000/tap/ws
//! {"type":"subscribe","params":{"channels":["prices/ann"],"token":"…"}}
//! ```

#![expect(clippy::print_stdout, reason = "it says where it is")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use jsonwebtoken::{EncodingKey, Header, get_current_timestamp};
use serde_json::json;
use tokio::net::TcpListener;
use wstap::auth::JwtKey;
use wstap::event::{Body, Opcode};
use wstap::hub::{ChannelRules, Declared, Publication};
use wstap::json::Json;
use wstap::{Hub, Settings};

/// The key of this demonstration. A real key is in a file that only the server can read.
const SECRET: &[u8] = b"at least thirty-two bytes that nobody guesses";

/// Issues a token for ten minutes. A real program authenticates the user first.
async fn token(Path(user): Path<String>) -> String {
    let claims = json!({
        "sub": user,
        "exp": get_current_timestamp() + 600,
        "wstap": { "subscribe": [format!("prices/{user}")] },
    });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET))
        .expect("claims are JSON")
}

/// Publishes a price for every customer, once a second.
async fn publish(hub: Hub) {
    for price in 100.. {
        for channel in hub.channels() {
            let text = json!({ "price": price }).to_string();
            let body = Body::Value(Json::parse(&text).expect("it is JSON"));
            let news = Publication::new(channel.channel, Opcode::Text, text.len(), body);
            hub.publish(news).expect("the program may publish everywhere");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules = ChannelRules { private: true, ..ChannelRules::default() };
    let hub = Hub::new(Settings {
        channels: vec![Declared { name: "prices/*".parse()?, rules }],
        authority: Some(Arc::new(JwtKey::read(SECRET)?)),
        ..Settings::default()
    });
    tokio::spawn(publish(hub.clone()));
    let app = Router::new().route("/token/{user}", get(token)).nest("/tap", wstap::router(hub));
    let address = std::env::args().nth(1).unwrap_or_else(|| "localhost:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/token/ann", listener.local_addr()?);
    // Sends small messages at once. An error means that the client has disconnected.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
