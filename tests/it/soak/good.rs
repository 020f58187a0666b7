//! Well-behaved clients: publishers that wait for each ack, and listeners that keep what they heard.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::beside::Target;
use crate::harness::{Events, LIMIT, Tap, Ws};
use wstap::hub::{Hub, Settings};

/// Time between two messages of a publisher.
const PAUSE: Duration = Duration::from_millis(10);

/// Time after which a listener that reconnects does so.
const SPAN: Duration = Duration::from_millis(700);

/// Returns a client of a server that runs elsewhere.
fn client(target: &Target) -> Tap {
    Tap::of(target.observers, Hub::new(Settings::default()))
}

fn id(n: usize) -> String {
    format!("good{n}")
}

/// A client that sends numbers.
pub(super) struct Publisher {
    stop: watch::Sender<bool>,
    latencies: mpsc::UnboundedReceiver<Duration>,
    task: JoinHandle<u64>,
}

impl Publisher {
    pub(super) async fn start(target: &Target, token: &str, n: usize) -> Self {
        let path = format!("/ws?connectionId={}&ack=1&access_token={token}", id(n));
        let mut ws = client(target).ws(&path).await;
        let (stop, stopped) = watch::channel(false);
        let (noted, latencies) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut sent = 0;
            while !*stopped.borrow() {
                let begun = Instant::now();
                ws.send(&sent.to_string()).await;
                is_ack(&mut ws).await;
                let _ = noted.send(begun.elapsed());
                sent += 1;
                tokio::time::sleep(PAUSE).await;
            }
            ws.close(1000, "").await;
            sent
        });
        Self { stop, latencies, task }
    }

    /// Returns the round trips since the last call.
    pub(super) fn latencies(&mut self) -> Vec<Duration> {
        std::iter::from_fn(|| self.latencies.try_recv().ok()).collect()
    }

    /// Ends, and returns how many messages were sent.
    pub(super) async fn stop(self) -> u64 {
        self.stop.send_replace(true);
        self.task.await.expect("the publisher has lost nothing")
    }
}

async fn is_ack(ws: &mut Ws) {
    match ws.next().await {
        Some(Frame::Text(text)) => assert!(text.starts_with("{\"ack\":\""), "{text}"),
        other => panic!("an ack was to come, and not {other:?}"),
    }
}

/// Returns median, 99th percentile and maximum.
pub(super) fn table(latencies: Vec<Vec<Duration>>) -> String {
    let mut all: Vec<_> = latencies.into_iter().flatten().collect();
    all.sort();
    let at = |of_a_hundred: usize| all.get(all.len().saturating_sub(1) * of_a_hundred / 100);
    let [p50, p99, max] = [50, 99, 100].map(|it| at(it).copied().unwrap_or_default());
    format!("p50 {p50:?}, p99 {p99:?}, at most {max:?}, of {}", all.len())
}

/// A listener to one publisher.
pub(super) struct Listener {
    n: usize,
    task: JoinHandle<Record>,
}

/// What a listener has heard: numbers up to the end of the connection.
type Record = Vec<u64>;

impl Listener {
    /// Starts a listener that stays connected.
    pub(super) async fn live(target: &Target, token: &str, n: usize) -> Self {
        let mut events = events(&client(target), token, n, None).await;
        let task = tokio::spawn(async move {
            let mut record = Record::new();
            while hear(&mut events, &mut record).await.is_some() {}
            record
        });
        Self { n, task }
    }

    /// Starts a listener that hangs up and resumes, again and again.
    pub(super) fn reconnecting(target: &Target, token: &str, n: usize) -> Self {
        let (client, token) = (client(target), token.to_owned());
        let task = tokio::spawn(async move {
            let (mut record, mut last) = (Record::new(), Some("0-1".to_owned()));
            loop {
                let mut events = events(&client, &token, n, last.as_deref()).await;
                let end = Instant::now() + SPAN;
                while Instant::now() < end {
                    let heard = timeout(LIMIT, hear(&mut events, &mut record)).await;
                    let heard = heard.unwrap_or_else(|_| panic!("nothing is heard of {}", id(n)));
                    match heard {
                        Some(next) => last = Some(next),
                        None => return record,
                    }
                }
            }
        });
        Self { n, task }
    }

    /// Asserts that it has heard each message once and in order.
    pub(super) async fn has_heard(self, sent: &[u64]) {
        let record = timeout(LIMIT, self.task).await.expect("the close event comes");
        let record = record.expect("the listener has read all");
        let sent = sent[self.n];
        let wrong = record.iter().zip(0..).find(|(heard, expected)| **heard != *expected);
        assert_eq!(wrong, None, "of {sent} messages of publisher {}", self.n);
        assert_eq!(record.len() as u64, sent, "publisher {}", self.n);
    }
}

async fn events(client: &Tap, token: &str, n: usize, last: Option<&str>) -> Events {
    let query = format!("?format=full&connection={}&access_token={token}", id(n));
    match last {
        // Before the first message the whole history is read, which begins after the fill.
        Some("0-1") => client.events(&format!("{query}&since=1h")).await,
        Some(last) => client.events_with(&query, &[("last-event-id", last)]).await,
        None => client.events(&query).await,
    }
}

/// Notes the next event, and returns its id; `None` after the close of the publisher.
async fn hear(events: &mut Events, record: &mut Record) -> Option<String> {
    let event: Value = events.json().await;
    match event["kind"].as_str() {
        Some("message") => record.push(event["message"].as_u64().expect("a number")),
        Some("connect") => {}
        Some("close") => return None,
        // The first request asks for more than is kept.
        None if record.is_empty() && event.get("missed").is_some() => {
            return Some("0-1".to_owned());
        }
        _ => panic!("a gap or something else: {event}"),
    }
    event["id"].as_str().map(str::to_owned)
}
