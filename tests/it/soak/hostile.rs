//! Hostile clients. Each kind repeats its attack until it is stopped.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::beside::{Target, shake};
use crate::hostile::frame;

/// Time between two attacks of a kind: what is attacked here is what they leave behind, and not how
/// many there can be.
const PAUSE: Duration = Duration::from_millis(20);

/// Connections that an attacker holds at one time.
const HELD: usize = 20;

/// What an attacker knows.
struct Attacker {
    addr: SocketAddr,
    token: String,
    random: fastrand::Rng,
    held: Vec<TcpStream>,
    turn: usize,
}

/// A kind of attack.
#[derive(Debug, Clone, Copy)]
enum Kind {
    SlowReader,
    Flood,
    Reset,
    Garbage,
    HalfHead,
    HalfBody,
    HalfHandshake,
    BadToken,
    BadFrame,
    Unregistered,
    Search,
}

const KINDS: [Kind; 11] = [
    Kind::SlowReader,
    Kind::Flood,
    Kind::Reset,
    Kind::Garbage,
    Kind::HalfHead,
    Kind::HalfBody,
    Kind::HalfHandshake,
    Kind::BadToken,
    Kind::BadFrame,
    Kind::Unregistered,
    Kind::Search,
];

/// Starts one attacker of each kind.
pub(super) fn start(target: &Target, token: &str, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (seed, kind) in KINDS.into_iter().enumerate() {
        let mut attacker = Attacker {
            addr: target.observers,
            token: token.to_owned(),
            random: fastrand::Rng::with_seed(seed as u64),
            held: Vec::new(),
            turn: 0,
        };
        let stop = stop.clone();
        tasks.spawn(async move {
            while !stop.is_cancelled() {
                // A server that refuses or resets is right.
                let _ = timeout(Duration::from_secs(2), attacker.attack(kind)).await;
                attacker.turn += 1;
                sleep(PAUSE).await;
            }
        });
    }
    tasks
}

/// Fills the history.
pub(super) async fn fill(target: &Target, token: &str, bytes: u64) {
    let more = format!("Authorization: Bearer {token}\r\n");
    let mut tcp = shake(target.traffic, "/ws?connectionId=fill&ack=1", &more).await;
    let message = frame(0x81, true, &vec![b'x'; 100_000]);
    let mut acks = vec![0; 64 << 10];
    for _ in 0..bytes * 2 / 100_000 {
        tcp.write_all(&message).await.expect("sent");
        let read = timeout(crate::harness::LIMIT, tcp.read(&mut acks)).await;
        assert!(read.expect("an ack comes").expect("an ack") > 0);
    }
}

impl Attacker {
    async fn attack(&mut self, kind: Kind) -> Option<()> {
        match kind {
            Kind::SlowReader => {
                let token = &self.token;
                let request = format!(
                    "GET /events?last=1000&access_token={token} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                );
                self.hold(request.as_bytes()).await
            }
            Kind::Flood => {
                let mut tcp = self.websocket("flood").await;
                let frames = frame(0x81, true, b"flood").repeat(500);
                let _ = timeout(Duration::from_millis(200), tcp.write_all(&frames)).await;
                reset(tcp)
            }
            Kind::Reset => {
                let tcp = self.websocket("reset").await;
                reset(tcp)
            }
            Kind::Garbage => {
                let length = self.random.usize(1..5000);
                let bytes: Vec<u8> =
                    std::iter::repeat_with(|| self.random.u8(..)).take(length).collect();
                let mut tcp = TcpStream::connect(self.addr).await.ok()?;
                tcp.write_all(&bytes).await.ok()?;
                read_all(tcp).await
            }
            Kind::HalfHead => self.hold(b"GET /api/info HTTP/1.1\r\nHost: localh").await,
            Kind::HalfBody => {
                let token = &self.token;
                let request = format!(
                    "POST /api/channels/a/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
                     {token}\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\nhalf"
                );
                self.hold(request.as_bytes()).await
            }
            Kind::HalfHandshake => {
                self.hold(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnec")
                    .await
            }
            Kind::BadToken => {
                let guess = self.random.u64(..);
                let request = format!(
                    "GET /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer wstap_{guess}\r\n\r\n"
                );
                let mut tcp = TcpStream::connect(self.addr).await.ok()?;
                tcp.write_all(request.as_bytes()).await.ok()?;
                read_all(tcp).await
            }
            Kind::BadFrame => {
                let mut tcp = self.websocket("bad").await;
                let frames: [&[u8]; 5] = [
                    b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
                    b"\x81\x01x",
                    b"\xf1\x81\0\0\0\0x",
                    b"\x81\x82\0\0\0\0\xff\xfe",
                    b"\x80\x80\0\0\0\0",
                ];
                tcp.write_all(frames[self.turn % frames.len()]).await.ok()?;
                read_all(tcp).await
            }
            Kind::Unregistered => {
                let more = format!("Authorization: Bearer {}\r\n", self.token);
                let tcp = shake(self.addr, "/ws", &more).await;
                self.keep(tcp);
                Some(())
            }
            Kind::Search => {
                let token = &self.token;
                let request = format!(
                    "GET /api/events?text=abcdef&access_token={token} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                );
                let mut tcp = TcpStream::connect(self.addr).await.ok()?;
                tcp.write_all(request.as_bytes()).await.ok()?;
                sleep(Duration::from_millis(5)).await;
                reset(tcp)
            }
        }
    }

    /// Opens a WebSocket under an id of its own.
    async fn websocket(&self, name: &str) -> TcpStream {
        let path = format!("/ws?connectionId={name}{}", self.turn);
        let more = format!("Authorization: Bearer {}\r\n", self.token);
        shake(self.addr, &path, &more).await
    }

    /// Sends something, and keeps the connection without reading.
    async fn hold(&mut self, bytes: &[u8]) -> Option<()> {
        let mut tcp = TcpStream::connect(self.addr).await.ok()?;
        tcp.write_all(bytes).await.ok()?;
        self.keep(tcp);
        Some(())
    }

    /// Keeps a connection, instead of the oldest one if there are many.
    fn keep(&mut self, tcp: TcpStream) {
        if self.held.len() >= HELD {
            self.held.remove(0);
        }
        self.held.push(tcp);
    }
}

/// Ends a connection by a reset.
fn reset(tcp: TcpStream) -> Option<()> {
    socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).ok()?;
    drop(tcp);
    Some(())
}

async fn read_all(mut tcp: TcpStream) -> Option<()> {
    let mut dropped = Vec::new();
    tcp.read_to_end(&mut dropped).await.ok().map(|_| ())
}
