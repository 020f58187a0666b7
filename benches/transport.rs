//! What TLS and HTTP/2 cost, measured: the release binary with 100 listeners over plain HTTP/1, over
//! HTTP/1 with TLS, and over HTTP/2 with ten streams a connection. `cargo bench --bench transport`.
//!
//! Loads and columns are those of `fanout`. The server is pinned to the first processor, where
//! `taskset` is there, and the clients to the second.

#![allow(clippy::print_stdout, reason = "a table is what it is for")]
#![allow(clippy::cast_precision_loss, reason = "figures are rounded to three digits anyway")]

#[allow(dead_code, reason = "fanout uses the rest")]
#[path = "fanout/process.rs"]
mod process;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use memchr::memmem;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use process::Server;

/// How long each load runs.
const RUN: Duration = Duration::from_millis(1500);

/// Each figure is the median of so many runs.
const ROUNDS: usize = 3;

const LISTENERS: usize = 100;

/// Streams of a connection by HTTP/2.
const STREAMS: usize = 10;

/// Messages in flight when saturated.
const WINDOW: usize = 64;

/// How listeners read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Tls,
    Http2,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    per_second: f64,
    /// Microseconds of the server for each delivery.
    cpu_us: f64,
}

fn main() {
    process::pin(std::process::id(), "1");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(8)
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    std::fs::write(path("cert.pem"), signed.cert.pem()).expect("written");
    std::fs::write(path("key.pem"), signed.signing_key.serialize_pem()).expect("written");
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).expect("a certificate");
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    println!("| load | listeners | deliveries/s | µs of CPU each | of plain HTTP/1 |");
    println!("|---|---|---:|---:|---:|");
    for (name, window) in [("one in flight", 1), ("saturated", WINDOW)] {
        let mut rounds: [Vec<Measured>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (way, runs) in [Way::Plain, Way::Tls, Way::Http2].into_iter().zip(&mut rounds) {
                let flags = if way == Way::Plain { &[][..] } else { &tls[..] };
                let server = Server::with(flags);
                runs.push(runtime.block_on(measure(&server, way, roots.clone(), window)));
            }
        }
        let [plain, with_tls, http2] = rounds.map(|runs| median(&runs));
        for (way, of) in
            [("HTTP/1", plain), ("HTTP/1, TLS", with_tls), ("HTTP/2, TLS, ten a connection", http2)]
        {
            println!(
                "| {name} | {way} | {:.0} | {:.2} | {:.2} in time, {:.2} for the same CPU |",
                of.per_second,
                of.cpu_us,
                of.per_second / plain.per_second,
                plain.cpu_us / of.cpu_us,
            );
        }
    }
}

fn median(runs: &[Measured]) -> Measured {
    let of = |figure: fn(&Measured) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Measured { per_second: of(|run| run.per_second), cpu_us: of(|run| run.cpu_us) }
}

async fn measure(server: &Server, way: Way, roots: RootCertStore, window: usize) -> Measured {
    let counts: Arc<[AtomicUsize]> = (0..LISTENERS).map(|_| AtomicUsize::new(0)).collect();
    let address = server.address();
    let mut tasks = tokio::task::JoinSet::new();
    if way == Way::Http2 {
        for first in (0..LISTENERS).step_by(STREAMS) {
            let io = connect_tls(address, &roots, Some("h2")).await;
            let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(1 << 20).initial_connection_window_size(16 << 20);
            let (sender, connection) =
                builder.handshake(TokioIo::new(io)).await.expect("a connection");
            tasks.spawn(async move {
                let _ = connection.await;
            });
            for n in first..first + STREAMS {
                let (mut sender, counts) = (sender.clone(), Arc::clone(&counts));
                let request =
                    http::Request::get(format!("https://localhost:{}/events", address.port()));
                let request = request.body(Empty::<Bytes>::new()).expect("a request");
                let mut body = sender.send_request(request).await.expect("an answer").into_body();
                tasks.spawn(async move {
                    let mut counter = Counter::default();
                    while let Some(Ok(frame)) = body.frame().await {
                        if let Ok(data) = frame.into_data() {
                            counts[n].fetch_add(counter.count(&data), Relaxed);
                        }
                    }
                });
            }
        }
    } else {
        for n in 0..LISTENERS {
            let counts = Arc::clone(&counts);
            let head = format!("GET /events HTTP/1.1\r\nhost: {address}\r\n\r\n");
            let mut io = open(address, way, &roots, &head).await;
            tasks.spawn(async move {
                let (mut counter, mut bytes) = (Counter::default(), vec![0; 64 << 10]);
                while let Ok(read @ 1..) = io.read(&mut bytes).await {
                    counts[n].fetch_add(counter.count(&bytes[..read]), Relaxed);
                }
            });
        }
    }
    let head = format!(
        "GET /ws?connectionId=c HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut publisher = open(address, way, &roots, &head).await;
    let mut sent = 0;
    load(&mut publisher, &counts, &mut sent, window, RUN / 5).await;
    let (cpu, begun, before) = (server.cpu_us(), Instant::now(), sent);
    load(&mut publisher, &counts, &mut sent, window, RUN).await;
    let deliveries = ((sent - before) * LISTENERS) as f64;
    Measured {
        per_second: deliveries / begun.elapsed().as_secs_f64(),
        cpu_us: (server.cpu_us() - cpu) / deliveries,
    }
}

/// Keeps `window` messages in flight for a while.
async fn load(
    publisher: &mut (impl AsyncWrite + Unpin),
    counts: &[AtomicUsize],
    sent: &mut usize,
    window: usize,
    time: Duration,
) {
    let message = frame();
    let begun = Instant::now();
    loop {
        let slowest = counts.iter().map(|count| count.load(Relaxed)).min().expect("a listener");
        if begun.elapsed() <= time {
            let missing = (slowest + window).saturating_sub(*sent);
            if missing > 0 {
                publisher.write_all(&message.repeat(missing)).await.expect("sent");
                publisher.flush().await.expect("sent");
                *sent += missing;
            }
        } else if slowest == *sent {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Counts events in what a listener reads, also where one is cut.
#[derive(Default)]
struct Counter(Vec<u8>);

/// Stands once in each message.
const MARK: &[u8] = b"\"mark\":";

impl Counter {
    fn count(&mut self, bytes: &[u8]) -> usize {
        self.0.extend_from_slice(bytes);
        let (mut count, mut end) = (0, 0);
        for at in memmem::find_iter(&self.0, MARK) {
            (count, end) = (count + 1, at + MARK.len());
        }
        let keep = (MARK.len() - 1).min(self.0.len() - end);
        self.0.drain(..self.0.len() - keep);
        count
    }
}

/// Returns a message of 256 bytes as a frame that is masked with zeros.
fn frame() -> Vec<u8> {
    let text = format!(r#"{{"mark":"{}"}}"#, "x".repeat(245));
    let length = u16::try_from(text.len()).expect("short").to_be_bytes();
    [&[0x81, 0x80 | 0x7e], &length[..], &[0; 4], text.as_bytes()].concat()
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Sends a request, and reads the head of the answer.
async fn open(address: SocketAddr, way: Way, roots: &RootCertStore, head: &str) -> Box<dyn Io> {
    let mut io: Box<dyn Io> = if way == Way::Plain {
        Box::new(connect(address).await)
    } else {
        Box::new(connect_tls(address, roots, None).await)
    };
    io.write_all(head.as_bytes()).await.expect("sent");
    io.flush().await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(io.read_u8().await.expect("an answer"));
    }
    io
}

async fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).await.expect("the server is there");
    tcp.set_nodelay(true).expect("TCP");
    tcp
}

async fn connect_tls(
    address: SocketAddr,
    roots: &RootCertStore,
    protocol: Option<&str>,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = protocol.iter().map(|it| it.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let connected = TlsConnector::from(Arc::new(config)).connect(name, connect(address).await);
    connected.await.expect("a handshake")
}
