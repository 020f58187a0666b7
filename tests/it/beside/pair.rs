//! A client that sends one message after the other, and a listener that has to get each of them.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_util::sync::CancellationToken;
use tungstenite::Message as Frame;
use tungstenite::protocol::Role;

use super::attack::shake;
use super::{Place, apart};
use crate::harness::{Events, LIMIT, request_at, within};

/// Latencies, sorted.
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Returns a percentile.
    pub(super) fn p(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }
}

/// The pair, with its latencies while nothing else happened.
pub(super) struct Pair {
    client: WebSocketStream<TcpStream>,
    listener: Events,
    echoes: bool,
    sent: u64,
    baseline: Latencies,
}

/// The pair in a task of its own.
pub(super) struct Going {
    stop: CancellationToken,
    task: JoinHandle<(Pair, Vec<Duration>)>,
}

impl Pair {
    /// Connects the pair and measures its baseline over so many messages.
    pub(super) async fn start(target: Place, rounds: usize) -> Self {
        let tcp = shake(target.traffic, target.path(), "").await;
        let client = WebSocketStream::from_raw_socket(tcp, Role::Client, None).await;
        let id = within("the registration", id_of(target)).await;
        let path = format!("/events?kind=message&direction=in&format=full&connection={id}");
        let listener = Events::of(request_at(target.observers, "GET", &path, &[], "").await);
        let (sent, baseline) = (0, Latencies(Vec::new()));
        let mut pair = Self { client, listener, echoes: target.is_proxy, sent, baseline };
        let mut baseline = Vec::new();
        for _ in 0..rounds {
            baseline.push(pair.round().await);
        }
        baseline.sort_unstable();
        pair.baseline = Latencies(baseline);
        pair
    }

    /// Sends a message and waits until the listener has it, and the client its echo in proxy mode.
    async fn round(&mut self) -> Duration {
        self.sent += 1;
        let began = Instant::now();
        let frame = Frame::text(self.sent.to_string());
        within("a send", self.client.send(frame)).await.expect("the server takes it");
        if let Some(event) = within("an event", self.event()).await {
            assert_eq!(event["message"], json!(self.sent), "nothing is lost: {event}");
        }
        while self.echoes {
            match within("an echo", self.client.next()).await {
                Some(Ok(Frame::Text(text))) => {
                    assert_eq!(text.as_str(), self.sent.to_string());
                    break;
                }
                Some(Ok(Frame::Ping(_))) => {}
                other => panic!("an echo was to come, and not {other:?}"),
            }
        }
        began.elapsed()
    }

    /// Returns the next event of the client. A flood of relayed messages is on the stream: what a tap had
    /// no room for, and what a listener of a busy machine reads too late, is a gap. After one, `None` is
    /// an event that does not come: it was reported as lost.
    async fn event(&mut self) -> Option<Value> {
        let mut reported = false;
        loop {
            let message = if reported {
                tokio::time::timeout(LIMIT / 10, self.listener.next()).await.ok()?
            } else {
                self.listener.next().await
            };
            if message.name == "gap" {
                reported = true;
                continue;
            }
            let event: Value = serde_json::from_str(&message.data).expect("JSON");
            // One that was not waited for any longer may come late.
            if event["message"].as_u64().is_none_or(|number| number >= self.sent) {
                return Some(event);
            }
        }
    }

    /// Goes on until it is stopped.
    pub(super) fn run(mut self) -> Going {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = apart().spawn(async move {
            let mut latencies = Vec::new();
            while !stopped.is_cancelled() {
                latencies.push(self.round().await);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (self, latencies)
        });
        Going { stop, task }
    }
}

/// Returns the id of the client of the pair, once it is registered.
async fn id_of(target: Place) -> String {
    loop {
        let list = request_at(target.observers, "GET", "/api/connections", &[], "").await;
        let list = BodyExt::collect(list.into_body()).await.expect("a body").to_bytes();
        let list: Vec<Value> = serde_json::from_slice(&list).expect("JSON");
        if let Some(own) = list.iter().find(|it| it["path"] == target.path()) {
            return own["connectionId"].as_str().expect("an id").to_owned();
        }
    }
}

impl Going {
    /// Stops after so many messages more, and returns the latencies without and with an attack.
    pub(super) async fn stop(self, rounds: usize) -> (Latencies, Latencies) {
        self.stop.cancel();
        let (mut pair, mut latencies) = self.task.await.expect("nothing is lost");
        let rest = apart().spawn(async move {
            for _ in 0..rounds {
                latencies.push(pair.round().await);
            }
            (pair, latencies)
        });
        let (pair, mut latencies) = rest.await.expect("nothing is lost");
        latencies.sort_unstable();
        (pair.baseline, Latencies(latencies))
    }
}

/// Sends back what comes, until the end.
pub(super) async fn echo(mut socket: WebSocketStream<TcpStream>) -> Option<()> {
    while let Some(Ok(frame)) = socket.next().await {
        if frame.is_text() {
            socket.send(frame).await.ok()?;
        }
    }
    Some(())
}
