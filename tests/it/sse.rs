//! Streams by hand in an axum program that has nothing else of wstap, served by axum's own server.
//! What was wrong with oak's target is named in the tests that show it right here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;
use wstap::hub::{Hub, Settings};
use wstap::sse::{self, Event, LastEventId, Options, Sent, Target, Unsent, Verdict};

use crate::harness::{Tap, until, within};

/// A program whose `/stream` hands every target over to the test.
async fn program(options: Options) -> (Tap, mpsc::UnboundedReceiver<Target>) {
    let (opened, targets) = mpsc::unbounded_channel();
    let stream = async move |LastEventId(last): LastEventId| {
        let (target, response) = options.clone().open();
        if let Some(last) = last {
            target.send(Event::text(last).name("after")).await.expect("it is open");
        }
        opened.send(target).expect("the test is there");
        response
    };
    let app = Router::new().route("/stream", get(stream)).layer(CorsLayer::permissive());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (Tap::of(addr, Hub::new(Settings::default())), targets)
}

async fn quiet() -> (Tap, mpsc::UnboundedReceiver<Target>) {
    program(Options { keep_alive: None, ..Options::default() }).await
}

#[tokio::test]
async fn the_head_goes_out_before_the_first_event() {
    let (tap, mut targets) = quiet().await;
    // The answer is here, and nothing was sent.
    let response = tap.request("GET", "/stream", &[], "").await;
    let target = targets.recv().await.expect("a target");
    assert_eq!(response.status(), 200);
    let field = |name| response.headers()[name].to_str().expect("text");
    assert_eq!(field("content-type"), "text/event-stream");
    assert_eq!(field("cache-control"), "no-store, no-transform");
    assert_eq!(field("x-accel-buffering"), "no");
    assert!(!target.is_closed());
}

#[tokio::test]
async fn events_arrive_as_they_were_sent_and_close_ends_the_stream_after_them() {
    let (tap, mut targets) = quiet().await;
    let mut events = tap.events_at("/stream").await;
    let target = targets.recv().await.expect("a target");
    for event in [
        Event::from("multi\nline"),
        Event::text("x").name("ping").id(0),
        Event::comment("one\ntwo"),
    ] {
        assert_eq!(target.send(event).await, Ok(Sent::Queued));
    }
    target.close();
    assert_eq!(events.rest().await, ["multi\nline", "x"]);
    let bytes = "data: multi\ndata: line\n\nevent: ping\nid: 0\ndata: x\n\n: one\n: two\n\n";
    assert_eq!(events.raw, bytes);
    assert_eq!(events.last_event_id(), "0");
}

#[tokio::test]
async fn the_stream_ends_when_the_last_clone_is_dropped() {
    let (tap, mut targets) = quiet().await;
    let mut events = tap.events_at("/stream").await;
    let target = targets.recv().await.expect("a target");
    let clone = target.clone();
    drop(target);
    clone.send("still there").await.expect("a clone is left");
    drop(clone);
    assert_eq!(events.rest().await, ["still there"]);
}

#[tokio::test]
async fn what_is_sent_after_the_end_is_refused_and_not_said_to_be_sent() {
    let (_tap, mut targets, events) = {
        let (tap, targets) = quiet().await;
        let events = tap.events_at("/stream").await;
        (tap, targets, events)
    };
    let target = targets.recv().await.expect("a target");
    target.close();
    assert!(target.is_closed());
    assert_eq!(target.send("late").await, Err(Unsent::Closed));
    assert_eq!(target.try_send("late"), Err(Unsent::Closed));
    drop(events);
}

#[tokio::test]
async fn a_client_that_goes_is_noticed_without_a_write() {
    let (tap, mut targets) = quiet().await;
    let events = tap.events_at("/stream").await;
    let target = targets.recv().await.expect("a target");
    let waiting = tokio::spawn({
        let target = target.clone();
        async move { target.closed().await }
    });
    drop(events);
    within("the end", waiting).await.expect("it does not panic");
    assert!(target.is_closed());
    assert_eq!(target.send("nobody").await, Err(Unsent::Closed));
}

#[tokio::test]
async fn an_idle_stream_is_kept_alive_by_default() {
    assert_eq!(Options::default().keep_alive, Some(Duration::from_secs(15)));
    let options = Options { keep_alive: Some(Duration::from_millis(20)), ..Options::default() };
    let (tap, mut targets) = program(options).await;
    let mut events = tap.events_at("/stream").await;
    let target = targets.recv().await.expect("a target");
    events.raw_until(":\n:\n").await;
    target.send("x").await.expect("it is open");
    assert_eq!(events.data().await, "x");
    let (_, after) = events.raw.split_once("data").expect("it came");
    assert!(after.starts_with(": x\n\n"), "{after:?}");
    events.raw_until("data: x\n\n:\n").await;
}

#[tokio::test]
async fn headers_of_a_program_take_the_place_of_the_defaults() {
    let mut headers = HeaderMap::new();
    headers.insert("cache-control", "special".parse().expect("a value"));
    headers.append("x-own", "1".parse().expect("a value"));
    headers.append("x-own", "2".parse().expect("a value"));
    let (tap, _targets) = program(Options { headers, ..Options::default() }).await;
    let response = tap.request("GET", "/stream", &[], "").await;
    let all = |name| response.headers().get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("cache-control"), ["special"]);
    assert_eq!(all("x-own"), ["1", "2"]);
    assert_eq!(all("content-type"), ["text/event-stream"]);
}

#[tokio::test]
async fn headers_of_the_layers_around_it_are_kept() {
    let (tap, _targets) = quiet().await;
    let response = tap.request("GET", "/stream", &[("origin", "http://a.example")], "").await;
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn a_full_queue_makes_send_wait_and_try_send_refuse() {
    // Nobody reads the body: it is not served.
    let (target, response) = Options { queue: 2, ..Options::default() }.open();
    assert_eq!(target.try_send("1"), Ok(Sent::Queued));
    assert_eq!(target.try_send("2"), Ok(Sent::Queued));
    assert_eq!(target.try_send("3"), Err(Unsent::Full));
    let mut waiting = std::pin::pin!(target.send("3"));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    let mut body = response.into_body();
    let mut piece = async || {
        let frame = body.frame().await.expect("more").expect("no error");
        frame.into_data().expect("data")
    };
    assert_eq!(piece().await, "data: 1\n\n");
    assert_eq!(waiting.await, Ok(Sent::Queued));
    assert_eq!(piece().await, "data: 2\n\n");
    assert_eq!(piece().await, "data: 3\n\n");
}

#[tokio::test]
async fn closing_and_leaving_end_a_send_that_waits() {
    for leave in [false, true] {
        let (target, response) = Options { queue: 1, ..Options::default() }.open();
        target.try_send("1").expect("there is room");
        let mut waiting = std::pin::pin!(target.send("2"));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        if leave {
            drop(response);
        } else {
            target.close();
        }
        assert_eq!(within("the end", waiting).await, Err(Unsent::Closed));
    }
}

#[tokio::test]
async fn a_hook_sees_every_event_and_may_cancel_it() {
    let (target, response) = sse::open();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    target.before_send(move |event| {
        note.lock().expect("no panic").push(event.data.clone().unwrap_or_default());
        Verdict::Send
    });
    target.before_send(|event| match event.name.as_deref() {
        Some("secret") => Verdict::Cancel,
        _ => Verdict::Send,
    });
    let clone = target.clone();
    assert_eq!(clone.send(Event::text("a").name("secret")).await, Ok(Sent::Cancelled));
    assert_eq!(target.try_send(Event::text("b").name("secret")), Ok(Sent::Cancelled));
    assert_eq!(target.send("c").await, Ok(Sent::Queued));
    drop((target, clone));
    let body = within("the end", response.into_body().collect()).await.expect("a body");
    assert_eq!(body.to_bytes(), "data: c\n\n");
    assert_eq!(*seen.lock().expect("no panic"), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_program_that_stops_ends_its_streams() {
    let stop = CancellationToken::new();
    let (tap, mut targets) = program(Options { stop: stop.clone(), ..Options::default() }).await;
    let (mut one, mut two) = (tap.events_at("/stream").await, tap.events_at("/stream").await);
    let target = targets.recv().await.expect("a target");
    target.send("last").await.expect("it is open");
    stop.cancel();
    let mut all = one.rest().await;
    all.extend(two.rest().await);
    assert_eq!(all, ["last"]);
    assert!(target.is_closed());
}

#[tokio::test]
async fn closing_one_stream_leaves_the_others_of_its_options_open() {
    let (_tap, mut targets, mut events) = {
        let (tap, targets) = quiet().await;
        let events = (tap.events_at("/stream").await, tap.events_at("/stream").await);
        (tap, targets, events)
    };
    let (one, two) = (targets.recv().await.expect("one"), targets.recv().await.expect("two"));
    one.close();
    assert!(events.0.try_next().await.is_none());
    two.send("x").await.expect("it is open");
    assert_eq!(events.1.data().await, "x");
}

#[tokio::test]
async fn a_head_request_takes_nobodys_stream() {
    let (tap, mut targets) = quiet().await;
    let mut events = tap.events_at("/stream").await;
    let target = targets.recv().await.expect("a target");
    let head = tap.fetch("HEAD", "/stream", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let other = targets.recv().await.expect("a target");
    until("the end of the other", || other.is_closed()).await;
    target.send("x").await.expect("it is open");
    assert_eq!(events.data().await, "x");
}

#[tokio::test]
async fn a_handler_learns_where_a_client_wants_to_go_on() {
    let (tap, mut targets) = quiet().await;
    let response = tap.request("GET", "/stream", &[("last-event-id", "0")], "").await;
    targets.recv().await.expect("a target").close();
    let body = within("the end", response.into_body().collect()).await.expect("a body");
    assert_eq!(body.to_bytes(), "event: after\ndata: 0\n\n");
}
