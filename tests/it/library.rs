//! wstap inside somebody else's axum program, served by axum's own server.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use wstap::hub::{Hub, Settings};

use crate::harness::{Tap, until, within};

/// A program that has wstap at `/tap`, and something of its own.
async fn program() -> (Tap, tokio::task::JoinHandle<()>) {
    let hub = Hub::new(Settings::default());
    let app = axum::Router::new()
        .route("/own", axum::routing::get(|| async { "mine" }))
        .nest("/tap", wstap::router(hub.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving =
        tokio::spawn(async move { axum::serve(listener, service).await.expect("served") });
    (Tap::of(addr, hub), serving)
}

#[tokio::test]
async fn it_works_below_any_path_of_another_program() {
    let (tap, serving) = program().await;
    assert_eq!(tap.get("/own").await.body, "mine");
    let page = tap.get("/tap").await;
    assert!(page.body.contains("<base href=\"tap/\">"), "relative addresses begin at /tap/");
    assert!(!tap.get("/tap/es-client").await.body.contains("<base"));
    assert_eq!(tap.get("/tap/static/wstap.css").await.status, 200);
    tap.get("/tap/nothing").await.is_problem(404, "not_found", "nothing");
    let mut events = tap.events_at("/tap/events?format=full").await;
    for path in ["/tap/ws", "/tap/free/path", "/tap"] {
        let mut ws = tap.ws(path).await;
        ws.send(r#"{"connectionId":"a","message":1}"#).await;
        let connect = events.json().await;
        assert!(connect["remote"].as_str().is_some_and(|remote| remote.starts_with("127.0.0.1:")));
        assert_eq!(events.json().await["message"], 1);
        ws.close(1000, "").await;
        assert_eq!(events.json().await["close"]["clean"], true);
    }
    let retry = async {
        tap.hub.shutdown(Duration::from_secs(5)).await;
    };
    let (rest, ()) = within("a stop", async { tokio::join!(events.rest(), retry) }).await;
    assert!(
        rest.is_empty()
            && events.raw.lines().last().is_some_and(|line| line.starts_with("retry: "))
    );
    serving.abort();
}

#[tokio::test]
async fn a_listener_that_goes_is_noticed_there_too() {
    let (tap, serving) = program().await;
    let events = tap.events_at("/tap/events").await;
    until("the listener", || tap.hub.numbers().listeners == 1).await;
    drop(events);
    until("its end", || tap.hub.numbers().listeners == 0).await;
    serving.abort();
}

#[tokio::test]
async fn a_program_publishes_and_reads_without_any_socket() {
    use wstap::event::{Body, Connect, Direction, Message, Opcode};
    use wstap::filter::Filter;
    use wstap::hub::{About, Delivery, Ending, Start};
    let hub = Hub::new(Settings::default());
    let remote = SocketAddr::from(([127, 0, 0, 1], 1));
    let about = About { remote, form: "own", query: String::new() };
    let mut reader = hub.subscribe(Start::Now, Filter::default(), about).expect("there is room");
    let connect =
        Connect { remote, path: "/".to_owned(), headers: Vec::new(), answer: None, user: None };
    let (connection, _orders) = hub.connect("own".parse().expect("an id"), connect).expect("free");
    let body = Body::Value(wstap::json::Json::string("hello"));
    let message = Message::new(Direction::In, Opcode::Text, 5, body);
    let id = connection.publish(message).expect("it is registered");
    connection.end(Ending::lost("done"));
    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        if let Some(Delivery::Events(read)) = within("events", reader.next()).await {
            kinds.extend(read.events().map(|event| (event.kind().as_str(), event.id)));
        }
    }
    assert_eq!(
        kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        ["connect", "message", "close"]
    );
    assert_eq!(kinds[1].1, id);
    drop(reader);
    hub.shutdown(Duration::from_secs(1)).await;
}
