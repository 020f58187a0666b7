//! A server with a log that is restarted again and again under load, on a socket that stays open, as a
//! supervisor does it. Publishers, listeners and other clients keep books: no connection is refused,
//! and no event is lost or delivered twice. `WSTAP_RESTARTS` says how often; `just restart` takes 10 and
//! prints the pauses that listeners see.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::task::JoinHandle;
use tungstenite::Message as Frame;

use crate::cli::Running;
use crate::harness::{Events, ask, request_at, until, within};
use crate::log::{Directory, lines};
use crate::supervised::with_socket;

const PUBLISHERS: usize = 3;
const LISTENERS: usize = 8;
const CALLERS: usize = 2;

fn rounds() -> usize {
    std::env::var("WSTAP_RESTARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// What clients have seen so far.
#[derive(Default)]
struct Books {
    over: AtomicBool,
    /// Identifiers that publishers were told, and the numbers that they had sent.
    acked: Mutex<Vec<(String, usize)>>,
    /// Identifiers and times, by listener.
    heard: [Mutex<Vec<String>>; LISTENERS],
    /// Times without an event at listeners, from the end of a stream.
    pauses: Mutex<Vec<Duration>>,
    /// Requests that were answered.
    answered: AtomicUsize,
    /// Handshakes of WebSockets that a stopping server has declined.
    declined: AtomicUsize,
}

impl Books {
    fn acked(&self) -> usize {
        self.acked.lock().expect("no panic").len()
    }

    fn heard(&self) -> [usize; LISTENERS] {
        std::array::from_fn(|n| self.heard[n].lock().expect("no panic").len())
    }
}

/// Sends numbered messages, ten ahead of their acks, over one connection after another.
async fn publish(addr: SocketAddr, publisher: usize, books: Arc<Books>) {
    let mut number = publisher * 1_000_000_000;
    while !books.over.load(Relaxed) {
        let tcp = tokio::net::TcpStream::connect(addr).await.expect("no connection is refused");
        let url = format!("ws://{addr}/ws?ack=1&connectionId=publisher{publisher}");
        let handshake = within("a handshake", tokio_tungstenite::client_async(url, tcp)).await;
        let Ok((mut socket, _)) = handshake else {
            books.declined.fetch_add(1, Relaxed);
            continue;
        };
        let mut waiting = std::collections::VecDeque::new();
        while !books.over.load(Relaxed) {
            let mut sent = true;
            while sent && waiting.len() < 10 {
                number += 1;
                waiting.push_back(number);
                sent = socket.send(Frame::text(format!("{{\"n\":{number}}}"))).await.is_ok();
            }
            match within("an ack", socket.next()).await {
                Some(Ok(Frame::Text(text))) => {
                    let ack: Value = serde_json::from_str(&text).expect("JSON");
                    let id = ack["ack"].as_str().unwrap_or_else(|| panic!("an ack, not {ack}"));
                    let number = waiting.pop_front().expect("it was sent");
                    books.acked.lock().expect("no panic").push((id.to_owned(), number));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
            // A load that the listeners of a debug build follow.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Follows the stream as an `EventSource` does: after its end it waits as it was told by `retry:`, and
/// continues after the last event.
async fn listen(addr: SocketAddr, listener: usize, books: Arc<Books>) {
    let mut last: Option<String> = None;
    let mut ended: Option<Instant> = None;
    loop {
        let (path, headers) = match &last {
            Some(last) => ("/events?format=full", vec![("last-event-id", last.as_str())]),
            None => ("/events?format=full&since=1970-01-01T00:00:00Z", Vec::new()),
        };
        let headers = [&headers[..], &[("accept", "text/event-stream")]].concat();
        let answer = request_at(addr, "GET", path, &headers, "").await;
        assert_eq!(answer.status(), 200, "anything else ends an EventSource for ever");
        let mut events = Events::of(answer);
        while let Some(event) = events.try_next().await {
            assert_ne!(event.name, "gap", "{event:?} after {last:?}");
            if let Some(ended) = ended.take() {
                books.pauses.lock().expect("no panic").push(ended.elapsed());
            }
            let data: Value = serde_json::from_str(&event.data).expect("JSON");
            let id = data["id"].as_str().expect("an id").to_owned();
            books.heard[listener].lock().expect("no panic").push(id.clone());
            last = Some(id);
        }
        ended.get_or_insert_with(Instant::now);
        let retry = events.raw.rsplit("retry: ").next().and_then(|rest| rest.lines().next());
        let retry = retry.and_then(|ms| ms.trim().parse().ok()).expect("a retry with each stream");
        tokio::time::sleep(Duration::from_millis(retry)).await;
    }
}

/// Connects and asks, without a pause.
fn call(addr: SocketAddr, books: &Books) {
    while !books.over.load(Relaxed) {
        let mut tcp = TcpStream::connect(addr).expect("no connection is refused");
        let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        tcp.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
        books.answered.fetch_add(1, Relaxed);
    }
}

/// Returns all events of the log, with their identifiers.
async fn kept(addr: SocketAddr) -> Vec<(String, Value)> {
    let answer = request_at(addr, "GET", "/api/events?format=ndjson&limit=all", &[], "").await;
    let body = within("a body", http_body_util::BodyExt::collect(answer.into_body())).await;
    let body = body.expect("a body").to_bytes();
    lines(std::str::from_utf8(&body).expect("text"))
        .into_iter()
        .map(|event| (event["id"].as_str().expect("an id").to_owned(), event))
        .collect()
}

/// Checks that every message that was acknowledged is kept under its identifier, and none twice.
fn check_acks(books: &Books, kept: &[(String, Value)]) {
    let messages: HashSet<(&str, u64)> = kept
        .iter()
        .filter_map(|(id, event)| Some((id.as_str(), event["message"]["n"].as_u64()?)))
        .collect();
    let numbers: HashSet<u64> = messages.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers.len(), messages.len(), "no message is there twice");
    for (id, number) in &*books.acked.lock().expect("no panic") {
        let sent = (id.as_str(), *number as u64);
        assert!(messages.contains(&sent), "{sent:?} was acknowledged and is lost");
    }
}

/// Prints the distribution of the pauses.
#[expect(clippy::print_stdout, reason = "it is what the recipe is run for")]
fn report(books: &Books, rounds: usize, kept: usize) {
    let mut pauses = std::mem::take(&mut *books.pauses.lock().expect("no panic"));
    pauses.sort_unstable();
    let at = |share: usize| pauses.get((pauses.len() * share / 100).min(pauses.len() - 1));
    println!(
        "{rounds} restarts, {kept} events, {} acks, {} answers, {} declined handshakes; pauses of \
         listeners: {}, median {:?}, p99 {:?}, longest {:?}",
        books.acked(),
        books.answered.load(Relaxed),
        books.declined.load(Relaxed),
        pauses.len(),
        at(50),
        at(99),
        pauses.last(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_load_refuse_no_connection_and_lose_and_double_no_event() {
    let directory = Directory::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
    let addr = socket.local_addr().expect("an address");
    let path = directory.path().to_str().expect("text");
    let start = || {
        let mut server = Running::start(&mut with_socket(&socket, &["--data-dir", path]));
        server.until("Ctrl-C stops.");
        server
    };
    let mut server = start();
    let books = Arc::new(Books::default());
    let listeners: Vec<_> =
        (0..LISTENERS).map(|n| tokio::spawn(listen(addr, n, Arc::clone(&books)))).collect();
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|n| tokio::spawn(publish(addr, n, Arc::clone(&books)))).collect();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let books = Arc::clone(&books);
            std::thread::spawn(move || call(addr, &books))
        })
        .collect();
    for _ in 0..rounds() {
        let (acked, heard) = (books.acked(), books.heard());
        until("acks and events at everyone", || {
            let each = heard.iter().zip(books.heard()).all(|(before, now)| now >= before + 50);
            each && books.acked() >= acked + 50 || listeners.iter().any(JoinHandle::is_finished)
        })
        .await;
        server.signal("TERM");
        server = tokio::task::block_in_place(|| {
            assert!(server.end().success(), "{}", server.words());
            start()
        });
    }
    let acked = books.acked();
    until("acks of the last server", || books.acked() >= acked + 50).await;
    books.over.store(true, Relaxed);
    for publisher in publishers {
        within("a publisher", publisher).await.expect("it does not panic");
    }
    for caller in callers {
        tokio::task::block_in_place(|| caller.join()).expect("each connection is answered");
    }
    // The last closes are in the stream.
    ask("the closes", async || {
        let answer = request_at(addr, "GET", "/api/connections", &[], "").await;
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.ok()?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).ok()?;
        answer.as_array()?.is_empty().then_some(())
    })
    .await;
    let kept = kept(addr).await;
    let ids: Vec<&String> = kept.iter().map(|(id, _)| id).collect();
    until("all events at everyone", || {
        let all = books.heard().iter().all(|heard| *heard >= kept.len());
        all || listeners.iter().any(JoinHandle::is_finished)
    })
    .await;
    for (n, listener) in listeners.into_iter().enumerate() {
        assert!(!listener.is_finished(), "{:?}", listener.await);
        listener.abort();
        let heard = books.heard[n].lock().expect("no panic");
        assert_eq!(heard.len(), kept.len());
        assert!(heard.iter().eq(ids.iter().copied()), "listener {n} has what is kept");
    }
    check_acks(&books, &kept);
    report(&books, rounds(), kept.len());
    server.signal("TERM");
    assert!(tokio::task::block_in_place(|| server.end()).success());
}
