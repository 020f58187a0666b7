//! A server per test on a free port, clients that keep what they heard, and a limit to every wait.

use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_util::sync::CancellationToken;
use tungstenite::Message as Frame;
use wstap::hub::{Hub, Settings};
use wstap::server::{Endpoint, Server};
use wstap::web::Web;
use wstap::wire::sse::{Message, Parser};

/// The longest that anything may take, also on a machine that is busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Waits for something, and says what it was if it does not come.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(LIMIT, wait).await;
    waited.unwrap_or_else(|_| panic!("{what} did not come within {LIMIT:?}"))
}

/// Time between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks until there is an answer.
pub(crate) async fn ask<T>(what: &str, mut asked: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(answer) = asked().await {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    ask(what, async || condition().then_some(())).await;
}

/// Asks until there is an answer, in a test without a runtime. `words` are said if none comes.
pub(crate) fn ask_blocking<T>(
    words: impl Fn() -> String,
    mut asked: impl FnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = asked() {
            return answer;
        }
        assert!(Instant::now() < end, "nothing came within {LIMIT:?}: {}", words());
        std::thread::sleep(PAUSE);
    }
}

/// Sends a signal such as `TERM` to a process. `kill` is built into every shell; the program of that
/// name is missing on a bare machine.
pub(crate) fn signal(name: &str, pid: u32) {
    let mut shell = std::process::Command::new("sh");
    let sent = shell.args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status();
    assert!(sent.expect("a shell runs").success(), "{name} to {pid}");
}

/// A server of its own.
pub(crate) struct Tap {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Tap {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default(), |_| {}).await
    }

    /// Starts with other settings than the defaults.
    pub(crate) async fn with(settings: Settings, change: impl FnOnce(&mut Web)) -> Self {
        Self::graceful(settings, Duration::from_secs(5), change).await
    }

    pub(crate) async fn graceful(
        settings: Settings,
        grace: Duration,
        change: impl FnOnce(&mut Web),
    ) -> Self {
        Self::limited(settings, grace, None, change).await
    }

    /// Starts with a limit to the connections from this machine.
    pub(crate) async fn limited(
        settings: Settings,
        grace: Duration,
        max_per_address: Option<usize>,
        change: impl FnOnce(&mut Web),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let hub = Hub::new(settings);
        let mut web = Web::new(hub.clone());
        change(&mut web);
        let endpoint = Endpoint { listener, router: web.together(), patient: false };
        let server = Server { endpoints: vec![endpoint], max_per_address };
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(hub.clone(), stop.clone(), grace));
        Self { addr, hub, stop, running: Some(running) }
    }

    /// Says who runs it, so that it can be stopped.
    pub(crate) fn running(&mut self, server: JoinHandle<()>) {
        self.running = Some(server);
    }

    /// Stops and waits until everything has ended.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        let running = self.running.take().expect("it is stopped once");
        within("the end of the server", running).await.expect("the server does not panic");
    }

    /// Opens a WebSocket.
    pub(crate) async fn ws(&self, path: &str) -> Ws {
        let url = format!("ws://{}{path}", self.addr);
        let tcp = TcpStream::connect(self.addr).await.expect("the server is there");
        let (socket, _) = within("a handshake", tokio_tungstenite::client_async(url, tcp))
            .await
            .expect("the handshake is accepted");
        Ws { socket }
    }

    /// Opens a WebSocket and registers it.
    pub(crate) async fn registered(&self, id: &str) -> Ws {
        let mut ws = self.ws("/ws").await;
        ws.send(&format!("{{\"connectionId\":\"{id}\"}}")).await;
        let id = id.parse().expect("an id");
        until("the registration", || self.hub.connection(&id).is_some()).await;
        ws
    }

    /// Follows the stream.
    pub(crate) async fn events(&self, query: &str) -> Events {
        self.events_with(query, &[]).await
    }

    pub(crate) async fn events_at(&self, path: &str) -> Events {
        let response = self.request("GET", path, &[], "").await;
        assert_eq!(response.status(), 200, "{path}");
        Events::of(response)
    }

    /// A server that somebody else runs.
    pub(crate) fn of(addr: SocketAddr, hub: Hub) -> Self {
        Self { addr, hub, stop: CancellationToken::new(), running: None }
    }

    pub(crate) async fn events_with(&self, query: &str, headers: &[(&str, &str)]) -> Events {
        let path = format!("/events{query}");
        let response = self.request("GET", &path, headers, "").await;
        assert_eq!(response.status(), 200, "{path}");
        Events::of(response)
    }

    /// Sends a request and returns the head of the answer; the body follows.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> hyper::Response<Incoming> {
        request_at(self.addr, method, path, headers, body).await
    }

    /// Sends a request and returns status, headers and body.
    pub(crate) async fn fetch(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let response = self.request(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = within("a body", body.collect()).await.expect("a body").to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.fetch("GET", path, &[], "").await
    }

    /// Sends bytes that are no proper request, and returns all that comes back until the end.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut tcp = TcpStream::connect(self.addr).await.expect("the server is there");
        // The server may have hung up before it has read all.
        let _ = tcp.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = within("the end of a connection", tcp.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sends a request to an address and returns the head of the answer; the body follows.
pub(crate) async fn request_at(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> hyper::Response<Incoming> {
    let tcp = TcpStream::connect(addr).await.expect("the server is there");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.expect("a connection");
    tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", addr.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
    within("an answer", sender.send_request(request)).await.expect("an answer")
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault} in {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Asserts that this is a problem with a status and a code, whose detail contains `part`.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str, part: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(
            (problem["status"].as_u64(), problem["code"].as_str()),
            (Some(u64::from(status)), Some(code))
        );
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(part), "{part:?} in {detail:?}");
    }
}

/// A WebSocket client.
pub(crate) struct Ws {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Ws {
    pub(crate) async fn send(&mut self, text: &str) {
        within("a send", self.socket.send(Frame::text(text))).await.expect("the server takes it");
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        let frame = Frame::Binary(Bytes::copy_from_slice(bytes));
        within("a send", self.socket.send(frame)).await.expect("the server takes it");
    }

    /// Returns the next frame that is no ping or pong.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            match within("a frame", self.socket.next()).await {
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(frame)) => return Some(frame),
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Frame::Text(text)) => text.to_string(),
            other => panic!("a text frame was to come, and not {other:?}"),
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).expect("JSON")
    }

    /// Reads to the end, which answers a close frame, and returns its code.
    pub(crate) async fn closed(&mut self) -> u16 {
        let mut code = 1006;
        while let Some(frame) = self.next().await {
            if let Frame::Close(frame) = frame {
                code = frame.map_or(1005, |frame| frame.code.into());
            }
        }
        code
    }

    /// Reads to the end as [`closed`](Self::closed) does, however long that takes: a client in the
    /// background. The test limits its own wait for the end.
    pub(crate) async fn stay(mut self) -> u16 {
        let mut code = 1006;
        while let Some(Ok(frame)) = self.socket.next().await {
            if let Frame::Close(frame) = frame {
                code = frame.map_or(1005, |frame| frame.code.into());
            }
        }
        code
    }

    /// Closes in good order.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = tungstenite::protocol::CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).await.expect("the close frame goes out");
        while let Some(frame) = within("the answer to a close", self.socket.next()).await {
            if frame.is_err() {
                break;
            }
        }
    }

    /// Vanishes with a TCP reset.
    pub(crate) fn reset(self) {
        let tcp = self.socket.into_inner();
        socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }
}

/// A listener of the SSE stream.
pub(crate) struct Events {
    body: Incoming,
    parser: Parser,
    ready: Vec<Message>,
    /// Everything that came, as it came.
    pub(crate) raw: String,
}

impl Events {
    /// Reads the body of an answer.
    pub(crate) fn of(response: hyper::Response<Incoming>) -> Self {
        let (parser, ready) = (Parser::default(), Vec::new());
        Self { body: response.into_body(), parser, ready, raw: String::new() }
    }

    /// Returns the next event, or `None` at the end of the stream.
    pub(crate) async fn try_next(&mut self) -> Option<Message> {
        while self.ready.is_empty() {
            let frame = within("an event", self.body.frame()).await?.ok()?;
            let Ok(data) = frame.into_data() else { continue };
            self.raw.write_str(&String::from_utf8_lossy(&data)).expect("a String takes all");
            self.parser.feed(&data, |message| self.ready.push(message));
        }
        Some(self.ready.remove(0))
    }

    pub(crate) async fn next(&mut self) -> Message {
        self.try_next().await.expect("the stream goes on")
    }

    /// Returns the data of the next event as text.
    pub(crate) async fn data(&mut self) -> String {
        self.next().await.data
    }

    /// Returns the data of the next event as JSON.
    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.data().await).expect("JSON")
    }

    /// Reads until something stands in the raw bytes.
    pub(crate) async fn raw_until(&mut self, part: &str) {
        while !self.raw.contains(part) {
            let frame = within(part, self.body.frame()).await.expect("more").expect("no error");
            if let Ok(data) = frame.into_data() {
                self.raw.push_str(&String::from_utf8_lossy(&data));
                self.parser.feed(&data, |message| self.ready.push(message));
            }
        }
    }

    /// Reads the next piece of the raw bytes.
    pub(crate) async fn raw_more(&mut self) {
        let frame = within("more", self.body.frame()).await.expect("more").expect("no error");
        if let Ok(data) = frame.into_data() {
            self.raw.push_str(&String::from_utf8_lossy(&data));
            self.parser.feed(&data, |message| self.ready.push(message));
        }
    }

    pub(crate) fn last_event_id(&self) -> String {
        self.parser.last_event_id().expect("an id came").to_owned()
    }

    /// Reads to the end and returns the data of all events on the way.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(message) = self.try_next().await {
            all.push(message.data);
        }
        all
    }
}
