//! What attackers do: connect, send, and not read.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::within;
use crate::proxy::read_head;

/// Connections of an attacker, until they are dropped.
#[derive(Default)]
pub(super) struct Held(Vec<TcpStream>);

impl Held {
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Held {
    /// Sends a byte on each connection again and again.
    pub(super) async fn dribble(mut self, time: Duration) -> Self {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for tcp in &mut self.0 {
                let _ = tcp.try_write(b"x");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self
    }
}

impl From<Vec<TcpStream>> for Held {
    fn from(sockets: Vec<TcpStream>) -> Self {
        Self(sockets)
    }
}

/// Returns a GET without a body.
pub(super) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Returns the texts of so many numbers, joined.
pub(super) fn repeated(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect::<Vec<_>>().concat()
}

/// Opens a WebSocket.
pub(crate) async fn shake(addr: SocketAddr, path: &str, more: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(addr).await.expect("the server is there");
    tcp.set_nodelay(true).expect("a TCP socket");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    tcp.write_all(head.as_bytes()).await.expect("sent");
    let head = read_head(&mut tcp).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    tcp
}

/// Returns a frame of a client, masked with zeros.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("short")),
        length @ 126..65_536 => {
            frame.push(0xfe);
            frame.extend(u16::try_from(length).expect("short").to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Returns a text frame.
pub(super) fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// Sends bytes on a connection that reads nothing. The server may close it or stop reading.
pub(super) async fn push(tcp: &mut TcpStream, bytes: &[u8]) {
    let _ = timeout(Duration::from_millis(500), tcp.write_all(bytes)).await;
}

/// Opens connections that send something and never read.
pub(super) async fn mute(addr: SocketAddr, count: usize, bytes: impl Fn(usize) -> Vec<u8>) -> Held {
    let mut sockets = Vec::with_capacity(count);
    for n in 0..count {
        let mut tcp = TcpStream::connect(addr).await.expect("the server is there");
        push(&mut tcp, &bytes(n)).await;
        sockets.push(tcp);
    }
    settled().await;
    Held(sockets)
}

/// Waits for what the server makes of what was sent: until it has had time for it on a busy machine.
/// That it had more would only make it take more memory.
pub(super) async fn settled() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// What a client does with its answer.
#[derive(Clone, Copy)]
pub(super) enum After {
    /// It reads all of it.
    Reads,
    /// It hangs up after the head.
    HangsUp,
}

/// Repeats a request from several clients at once.
pub(super) async fn storm(
    addr: SocketAddr,
    clients: usize,
    time: Duration,
    after: After,
    request: impl Fn(usize) -> String,
) {
    let mut running = JoinSet::new();
    for n in 0..clients {
        let request = request(n).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        running.spawn(async move {
            let end = Instant::now() + time;
            let mut answer = vec![0; 64 << 10];
            while Instant::now() < end {
                let Ok(mut tcp) = TcpStream::connect(addr).await else { continue };
                if tcp.write_all(request.as_bytes()).await.is_err() {
                    continue;
                }
                loop {
                    let left = end.saturating_duration_since(Instant::now());
                    let read = timeout(left, tcp.read(&mut answer)).await;
                    if matches!(after, After::HangsUp) || !matches!(read, Ok(Ok(1..))) {
                        break;
                    }
                }
            }
        });
    }
    within("the attack", async { while running.join_next().await.is_some() {} }).await;
}

/// Sends frames on a WebSocket for some time, and reads what comes.
pub(super) async fn flood(mut tcp: TcpStream, time: Duration, frames: Vec<Vec<u8>>) -> TcpStream {
    let end = Instant::now() + time;
    let mut dropped = vec![0; 64 << 10];
    for frame in frames.iter().cycle() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !matches!(timeout(left, tcp.write_all(frame)).await, Ok(Ok(()))) {
            break;
        }
        while let Ok(1..) = tcp.try_read(&mut dropped) {}
    }
    tcp
}

/// Returns a command that enters so many channels of a client, and one that leaves them.
pub(super) fn moves(client: usize, count: usize) -> Vec<Vec<u8>> {
    let channels: Vec<_> = (0..count).map(|n| format!("\"channel {client} {n}\"")).collect();
    let channels = channels.join(",");
    let command =
        |kind| text(&format!(r#"{{"type":"{kind}","params":{{"channels":[{channels}]}}}}"#));
    vec![command("subscribe"), command("unsubscribe")]
}

/// Enters and leaves channels for some time, on a new connection whenever the budget of moves of one
/// may be used up.
pub(super) async fn movers(addr: SocketAddr, client: usize, count: usize, time: Duration) {
    let end = Instant::now() + time;
    let commands = moves(client, count).concat().repeat(10_000 / count / 2);
    let mut dropped = vec![0; 64 << 10];
    for n in 0.. {
        let path = format!("/ws?connectionId=mover{client}-{n}");
        let mut tcp = shake(addr, &path, "").await;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !matches!(timeout(left, tcp.write_all(&commands)).await, Ok(Ok(()))) {
            return;
        }
        while let Ok(1..) = tcp.try_read(&mut dropped) {}
    }
}
