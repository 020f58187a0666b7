//! Plain requests through proxy mode: counted, and events of kind `request`.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;
use wstap::proxy::{ProxySettings, TapHttp};
use wstap::wire::{Recorded, read};

use crate::harness::{until, within};
use crate::proxy::{Back, Front};

/// Sends a request that an upstream answers, and returns when the client has the answer.
async fn exchange(front: &Front, back: &Back, request: &str, answer: &str) {
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut server, head) = back.accept().await;
    let (_, body) = request.split_once("\r\n\r\n").expect("a head");
    let mut got = vec![0; body.len()];
    within("the body", server.read_exact(&mut got)).await.unwrap_or_else(|_| panic!("{head}"));
    server.write_all(answer.as_bytes()).await.expect("sent");
    drop(server);
    let mut all = String::new();
    within("the answer", client.read_to_string(&mut all)).await.expect("text");
    assert!(all.starts_with("HTTP/1.1 "), "{all}");
}

const POST: &str =
    "POST /login?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const HEAD: &str = "HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const OK_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot here!";

async fn front(back: &Back, tap: TapHttp) -> Front {
    let upstream = format!("http://{}", back.addr);
    Front::with(&upstream, Settings::default(), |settings| settings.tap_http = tap).await
}

#[tokio::test]
async fn failed_request_is_an_event_and_all_are_counted() {
    let back = Back::new().await;
    let front = front(&back, TapHttp::Errors).await;
    let mut events = front.tap.events("?format=full").await;
    exchange(&front, &back, GET, OK).await;
    exchange(&front, &back, HEAD, OK_HEAD).await;
    exchange(&front, &back, POST, MISSING).await;
    let event = events.json().await;
    assert_eq!((&event["kind"], &event["method"]), (&"request".into(), &"POST".into()));
    assert_eq!((&event["path"], &event["status"]), (&"/login?x=1".into(), &404.into()));
    assert_eq!(event["bytes"], serde_json::json!({"in": 5, "out": 9}));
    assert_eq!((&event["connectionId"], &event["note"]), (&Value::Null, &Value::Null));
    assert!(event["upstreamTime"].as_f64().is_some_and(|time| time > 0.0), "{event}");
    let Ok(Recorded::Event(read)) = read(&event.to_string()) else { panic!("{event}") };
    let mut again = Vec::new();
    wstap::wire::full(&read, &mut again);
    assert_eq!(serde_json::from_slice::<Value>(&again).expect("JSON"), event);
    let info = front.tap.get("/api/info").await.json();
    assert_eq!((&info["now"]["requests"], &info["now"]["failedRequests"]), (&3.into(), &1.into()));
    let metrics = front.tap.get("/metrics").await.body;
    assert!(metrics.contains("wstap_requests_total 3\n"), "{metrics}");
}

#[tokio::test]
async fn all_requests_or_none_are_events_where_that_is_asked_for() {
    for (tap, kinds) in [(TapHttp::All, 2), (TapHttp::Off, 0)] {
        let back = Back::new().await;
        let front = front(&back, tap).await;
        exchange(&front, &back, GET, OK).await;
        exchange(&front, &back, GET, MISSING).await;
        let counted = || front.tap.hub.metrics().render(front.tap.hub.numbers());
        until("both", || counted().contains("wstap_requests_total 2\n")).await;
        assert_eq!(front.tap.hub.head().1, kinds);
    }
}

#[tokio::test]
async fn request_that_gets_no_answer_is_an_event_with_the_reason() {
    let nobody = Back::new().await.addr;
    let upstream = format!("http://{nobody}");
    let errors = |settings: &mut ProxySettings| settings.tap_http = TapHttp::Errors;
    let front = Front::with(&upstream, Settings::default(), errors).await;
    let mut events = front.tap.events("?format=full&kind=request").await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(GET.as_bytes()).await.expect("sent");
    let event = events.json().await;
    assert_eq!(event["status"], 502);
    assert!(event["note"].as_str().is_some_and(|note| note.contains("cannot be reached")));
}

#[tokio::test]
async fn plain_stream_names_requests_so_that_pages_do_not_take_them_for_messages() {
    let back = Back::new().await;
    let front = front(&back, TapHttp::Errors).await;
    let mut events = front.tap.events("").await;
    exchange(&front, &back, GET, MISSING).await;
    let event = events.next().await;
    assert_eq!(event.name, "request");
    let data: Value = serde_json::from_str(&event.data).expect("JSON");
    assert_eq!(
        data,
        serde_json::json!({"request": {"method": "GET", "path": "/a", "status": 404}})
    );
}

#[tokio::test]
async fn answer_that_breaks_off_is_a_failed_request() {
    let back = Back::new().await;
    let front = front(&back, TapHttp::Errors).await;
    let mut events = front.tap.events("?format=full").await;
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi";
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(GET.as_bytes()).await.expect("sent");
    let (mut server, _) = back.accept().await;
    server.write_all(cut.as_bytes()).await.expect("sent");
    drop(server);
    let event = events.json().await;
    assert_eq!((&event["status"], &event["note"]), (&200.into(), &"the answer broke off".into()));
}
