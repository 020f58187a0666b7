//! Channelstream uses only the public API of the library: here its source is a module of another
//! crate, whose root offers what the library exports. A path to a private item does not compile.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "the module is used for its imports")]

pub use wstap::{auth, code, event, hub, json, pages, problem, queue, session, web};

#[path = "../src"]
mod outside {
    pub mod channelstream;
}

use outside::channelstream::{Channelstream, ChannelstreamSettings};
use session::UpgradeContext;

#[tokio::test]
async fn another_program_can_serve_a_protocol_such_as_channelstream() {
    let hub = hub::Hub::new(hub::Settings::default());
    let api = Channelstream::new(hub.clone(), ChannelstreamSettings::new("secret"));
    let router = web::Api::routes(&api, UpgradeContext::new(hub), "../api");
    let request = axum::extract::Request::get("/listen?conn_id=1").body(axum::body::Body::empty());
    let request = request.expect("a request");
    let response = tower::ServiceExt::oneshot(router, request).await.expect("an answer");
    assert_eq!(response.status(), 422);
}
