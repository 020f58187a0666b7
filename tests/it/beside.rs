//! The built program under attack, with a well-behaved client and listener beside the attacker.
//!
//! For each attack: the pair loses nothing, the memory of the server stays within what
//! `docs/performance.md` says, and SIGTERM ends the server while the attacker is still there. The 99th
//! percentile of the pair is printed beside its baseline and never asserted. `WSTAP_SIEGE` is the long
//! form (`just siege`). `WSTAP_SIEGE=elsewhere` attacks a second server instead: what the pair then loses
//! is the share of the machine, whose cores the attackers, the servers and the pair have in common. With
//! `WSTAP_SIEGE=realtime` the server and the pair wait for no time slice of the attackers (Linux, root).

mod attack;
mod memory;
mod pair;
mod strangers;
mod streams;
mod work;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::Role;

use self::attack::Held;
pub(crate) use self::attack::shake;
use self::pair::Pair;
use crate::cli::{Running, wstap_by};
use crate::proxy::{SWITCH, read_head};

/// Returns whether this is the long form.
fn long() -> bool {
    std::env::var_os("WSTAP_SIEGE").is_some()
}

/// Returns whether attacks are directed at another server than that of the pair.
fn elsewhere() -> bool {
    std::env::var_os("WSTAP_SIEGE").is_some_and(|form| form == "elsewhere")
}

/// Returns whether the server and the pair run before all other processes.
fn realtime() -> bool {
    std::env::var_os("WSTAP_SIEGE").is_some_and(|form| form == "realtime")
}

/// Returns a number: of the short form, or of the long one.
fn sized(short: usize, long: usize) -> usize {
    if self::long() { long } else { short }
}

/// How long an attack that is repeated goes on.
fn duration() -> Duration {
    if long() { Duration::from_secs(15) } else { Duration::from_millis(800) }
}

/// A server, and where it is.
pub(crate) struct Target {
    server: Running,
    /// Where WebSocket clients connect.
    pub(crate) traffic: SocketAddr,
    /// Where listeners do.
    pub(crate) observers: SocketAddr,
    is_proxy: bool,
    flags: Vec<String>,
}

/// Where the pair connects.
#[derive(Clone, Copy)]
struct Place {
    traffic: SocketAddr,
    observers: SocketAddr,
    is_proxy: bool,
}

impl Target {
    /// Starts a server in hub mode.
    pub(crate) fn hub(more: &[&str]) -> Self {
        let server = started(more);
        let address = address(&server, "Events");
        let flags = more.iter().map(ToString::to_string).collect();
        Self { server, traffic: address, observers: address, is_proxy: false, flags }
    }

    /// Starts a server in proxy mode in front of [`upstream`].
    pub(crate) async fn proxy(more: &[&str]) -> Self {
        let url = format!("ws://{}", upstream().await);
        let flags = ["--tap-listen", "127.0.0.1:0", "--upstream", &url];
        let server = started(&[&flags, more].concat());
        let (traffic, observers) = (address(&server, "Connect to"), address(&server, "Events"));
        let flags = more.iter().map(ToString::to_string).collect();
        Self { server, traffic, observers, is_proxy: true, flags }
    }

    /// Starts another server of the same kind.
    async fn another(&self) -> Self {
        let flags: Vec<_> = self.flags.iter().map(String::as_str).collect();
        if self.is_proxy { Self::proxy(&flags).await } else { Self::hub(&flags) }
    }

    /// Returns the number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, name: &str) {
        self.server.signal(name);
    }

    /// Waits for the end of the server.
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        self.server.end()
    }

    /// Returns what the server has printed.
    pub(crate) fn words(&self) -> String {
        self.server.words()
    }

    fn place(&self) -> Place {
        let Self { traffic, observers, is_proxy, .. } = *self;
        Place { traffic, observers, is_proxy }
    }
}

impl Place {
    /// Returns the path that the client of the pair connects to.
    fn path(self) -> &'static str {
        if self.is_proxy { "/echo" } else { "/ws?connectionId=pair" }
    }
}

fn started(more: &[&str]) -> Running {
    let mut command = wstap_by(if realtime() { &["chrt", "-r", "10"] } else { &[] });
    command.args(["--listen", "127.0.0.1:0", "--shutdown-grace", "1s"]);
    let mut server = Running::start(command.args(more));
    server.until("Ctrl-C stops.");
    server
}

/// Returns an address that the server has printed under a name.
fn address(server: &Running, name: &str) -> SocketAddr {
    let words = server.words();
    let line = words.lines().find(|line| line.trim_start().starts_with(name));
    let url = line.and_then(|line| line.split_whitespace().last()).expect("an address");
    let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    host.and_then(|host| host.parse().ok()).unwrap_or_else(|| panic!("{url} in {words}"))
}

/// A server for proxy mode: it returns what is sent to `/echo`, reads and drops what is sent to other
/// paths, compresses if it is asked to, and answers no upload.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let head = read_head(&mut tcp).await;
                if head.starts_with("GET /stream/") {
                    return streams::answer(tcp, &head).await;
                }
                if head.starts_with("POST /upload") {
                    let mut dropped = vec![0; 64 << 10];
                    while tcp.read(&mut dropped).await.ok()? > 0 {}
                    return None;
                }
                let compresses = head.to_ascii_lowercase().contains("permessage-deflate");
                let more = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
                let more = if compresses { more } else { "" };
                tcp.write_all(format!("{SWITCH}{more}\r\n").as_bytes()).await.ok()?;
                if head.starts_with("GET /echo ") {
                    apart().spawn(echo(tcp.into_std().ok()?));
                    return None;
                }
                let mut dropped = vec![0; 64 << 10];
                while tcp.read(&mut dropped).await.ok()? > 0 {}
                None::<()>
            });
        }
    });
    addr
}

/// Sends back what the client of the pair sends.
async fn echo(tcp: std::net::TcpStream) -> Option<()> {
    let tcp = TcpStream::from_std(tcp).ok()?;
    pair::echo(WebSocketStream::from_raw_socket(tcp, Role::Server, None).await).await
}

/// A runtime for the pair: its tasks do not wait for those of the attackers.
fn apart() -> &'static Runtime {
    static APART: OnceLock<Runtime> = OnceLock::new();
    APART.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if realtime() {
            builder.on_thread_start(|| {
                let thread = std::fs::read_link("/proc/thread-self").expect("Linux");
                let thread = thread.file_name().expect("its number").to_owned();
                let done = Command::new("chrt").args(["-f", "-p", "20"]).arg(thread).status();
                assert!(done.expect("chrt").success(), "only root may do that");
            });
        }
        builder.worker_threads(1).thread_name("pair").enable_all().build().expect("a thread")
    })
}

/// The resident memory of a process in bytes, as Linux says it; 0 elsewhere.
pub(crate) fn resident(pid: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm"));
    let pages = pages.ok().and_then(|it| it.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Notes the highest memory of a process until it is dropped.
struct Peak {
    highest: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Peak {
    fn of(pid: u32) -> Self {
        let highest = Arc::new(AtomicU64::new(resident(pid)));
        let noted = Arc::clone(&highest);
        let task = tokio::spawn(async move {
            loop {
                noted.fetch_max(resident(pid), Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { highest, task }
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The `--shutdown-grace` of the servers.
const GRACE: Duration = Duration::from_secs(1);

/// How much longer a shutdown may take. `docs/operations.md` promises a second; the machine of a test
/// may be busy.
const MARGIN: Duration = Duration::from_secs(5);

/// Memory that a server takes without any attack, beside what it has at its start: the pair, the
/// history of what the pair says, the pages of the program that are touched for the first time, and
/// what the allocator keeps of each thread.
const REST: u64 = 24 << 20;

/// Attacks a server beside a pair. `bound` is the memory that the attack may take.
#[expect(clippy::print_stderr, reason = "the latencies are for people, and not asserted")]
async fn beside(
    name: &str,
    mut target: Target,
    bound: u64,
    attack: impl AsyncFnOnce(&Target) -> Held,
) {
    let rounds = sized(30, 1000);
    let pair = Pair::start(target.place(), rounds);
    let pair = apart().spawn(pair).await.expect("the pair connects");
    let before = resident(target.server.pid());
    let peak = Peak::of(target.server.pid());
    let running = pair.run();
    let other = if elsewhere() { Some(target.another().await) } else { None };
    let held = attack(other.as_ref().unwrap_or(&target)).await;
    let (baseline, under) = running.stop(rounds).await;
    let highest = peak.highest.load(Relaxed).max(resident(target.server.pid()));
    drop(peak);
    let grown = highest.saturating_sub(before);
    let asked = Instant::now();
    target.server.signal("TERM");
    assert!(target.server.end().success(), "{name}: {}", target.server.words());
    let took = asked.elapsed();
    drop(held);
    assert!(took <= GRACE + MARGIN, "{name}: SIGTERM took {took:?}");
    eprintln!(
        "{name}: p50 {:?}, p99 {:?}, {:.1} times its baseline of {:?}; {} MiB of {}; ended after {took:?}",
        under.p(50),
        under.p(99),
        under.p(99).as_secs_f64() / baseline.p(99).as_secs_f64(),
        baseline.p(99),
        grown >> 20,
        (bound + REST) >> 20,
    );
    assert!(
        grown <= bound + REST,
        "{name}: {} MiB, bound {} MiB",
        grown >> 20,
        (bound + REST) >> 20
    );
}
