//! The program under a supervisor: readiness, watchdog, sockets that are passed, and the drain.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use serde_json::Value;

use crate::cli::{Running, speak, wstap};
use crate::harness::{LIMIT, ask_blocking};

/// Returns the status and the body of the answer to a GET, or `None` if the connection failed.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    tcp.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    ask_blocking(|| what.to_owned(), || condition().then_some(()));
}

/// A command that runs wstap with a listening socket as descriptor 3, as a supervisor starts it.
pub(crate) fn with_socket(socket: &TcpListener, arguments: &[&str]) -> Command {
    let wstap = wstap();
    let mut command = Command::new("sh");
    let script = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(wstap.get_program()).args(arguments);
    let socket: OwnedFd = socket.try_clone().expect("another descriptor").into();
    command.stdin(Stdio::from(socket)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn server_notifies_of_readiness_life_and_stop() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(LIMIT)).expect("set");
    let mut command = wstap();
    command.args(["--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    let mut server = Running::start(&mut command);
    let mut told = String::new();
    let mut hear = |wanted: &str| {
        let mut datagram = [0; 4096];
        while !told.lines().any(|line| line == wanted) {
            let length = socket.recv(&mut datagram).expect("a notification");
            told.push_str(&String::from_utf8_lossy(&datagram[..length]));
            told.push('\n');
        }
    };
    hear("READY=1");
    // The server was ready when it said so.
    server.until("Ctrl-C stops.");
    assert_eq!(get(server.port(), "/readyz").expect("an answer").0, 200);
    hear("WATCHDOG=1");
    server.signal("TERM");
    hear("STOPPING=1");
    assert!(server.end().success());
}

#[test]
fn passed_socket_is_served_in_place_of_the_configured_address() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = socket.local_addr().expect("an address").port();
    let mut server = Running::start(&mut with_socket(&socket, &[]));
    server.until("Ctrl-C stops.");
    assert_eq!(server.port(), port, "the address that is printed is that of the socket");
    assert_eq!(get(port, "/readyz").expect("an answer").0, 200);
    server.signal("TERM");
    assert!(server.end().success());
}

#[test]
fn passed_socket_that_other_machines_reach_needs_credentials() {
    let socket = TcpListener::bind("0.0.0.0:0").expect("bound");
    let mut server = Running::start(&mut with_socket(&socket, &[]));
    assert_eq!(server.end().code(), Some(2));
    until("the reason", || server.words().contains("can be reached from other machines"));
    let mut server = Running::start(&mut with_socket(&socket, &["--no-auth"]));
    server.until("Ctrl-C stops.");
}

#[test]
fn passed_descriptor_that_is_no_socket_is_refused_in_words() {
    let mut command = Command::new("sh");
    let script = "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\"";
    command.args(["-c", script]).arg(wstap().get_program());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Running::start(&mut command);
    assert_eq!(server.end().code(), Some(2));
    until("the reason", || server.words().contains("expected a stream socket with an IP address"));
}

#[test]
fn draining_server_is_not_ready_and_still_serves() {
    let mut server = Running::server(&["--listen", "127.0.0.1:0", "--drain-delay", "1h"]);
    let port = server.port();
    assert_eq!(get(port, "/readyz").expect("an answer").0, 200);
    server.signal("TERM");
    until("it is not ready", || get(port, "/readyz").is_some_and(|(status, _)| status == 503));
    let _client = speak(port, &[r#"{"connectionId":"a"}"#, r#"{"message":"still"}"#]);
    until("the message", || {
        get(port, "/api/events?kind=message").is_some_and(|(_, body)| body.contains("still"))
    });
    assert_eq!(get(port, "/healthz").expect("an answer").0, 200);
    server.signal("TERM");
    assert!(server.end().success());
}

/// Times are compared with lower bounds only.
#[test]
fn ends_of_many_connections_are_spread() {
    let mut server = Running::server(&["--listen", "127.0.0.1:0", "--drain-time", "400ms"]);
    let port = server.port();
    let clients: Vec<_> =
        (0..20).map(|n| speak(port, &[&format!(r#"{{"connectionId":"c{n}"}}"#)])).collect();
    until("all are there", || {
        get(port, "/api/events?kind=connect&limit=all")
            .is_some_and(|(_, body)| body.matches("connectionId").count() == 20)
    });
    let mut events = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let head = "GET /events?kind=close&format=full HTTP/1.1\r\nHost: localhost\r\n\r\n";
    events.write_all(head.as_bytes()).expect("sent");
    events.set_read_timeout(Some(LIMIT)).expect("set");
    let mut hello = [0; 4096];
    let length = events.read(&mut hello).expect("a head");
    let mut told = String::from_utf8_lossy(&hello[..length]).into_owned();
    let clients = clients.into_iter().map(|mut client| {
        std::thread::spawn(move || {
            client.set_read_timeout(Some(LIMIT)).expect("set");
            let mut frames = Vec::new();
            let _ = client.read_to_end(&mut frames);
            frames
        })
    });
    let clients: Vec<_> = clients.collect();
    server.signal("TERM");
    events.read_to_string(&mut told).expect("the end");
    for client in clients {
        let frames = client.join().expect("no panic");
        let close = [&[0x88, 25, 0x03, 0xe9][..], b"the server is stopping"].concat();
        assert!(frames.windows(close.len()).any(|part| part == close) || frames.contains(&0x88));
    }
    assert!(server.end().success());
    let times: Vec<u64> = told
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|event| {
            let time = event["time"].as_str()?.parse::<jiff::Timestamp>().ok()?;
            u64::try_from(time.as_millisecond()).ok()
        })
        .collect();
    assert_eq!(times.len(), 20, "{told}");
    // Twenty ends over 400 ms: the last begins 380 ms after the first.
    assert!(times[19] - times[0] >= 300, "{times:?}");
}

#[test]
fn server_is_replaced_ten_times_without_a_refused_connection() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = socket.local_addr().expect("an address").port();
    let start = || {
        let mut server = Running::start(&mut with_socket(&socket, &["--drain-time", "100ms"]));
        server.until("Ctrl-C stops.");
        server
    };
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut server = start();
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (over, asked) = (Arc::clone(&over), Arc::clone(&asked));
            std::thread::spawn(move || {
                while !over.load(Relaxed) {
                    let answer = get(port, "/healthz");
                    assert_eq!(answer, Some((200, "ok\n".to_owned())));
                    asked.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..10 {
        let next = start();
        let before = asked.load(Relaxed);
        server.signal("TERM");
        assert!(server.end().success(), "{}", server.words());
        server = next;
        until("more answers", || {
            asked.load(Relaxed) > before || askers.iter().any(std::thread::JoinHandle::is_finished)
        });
    }
    over.store(true, Relaxed);
    for asker in askers {
        asker.join().expect("each connection was answered");
    }
}
