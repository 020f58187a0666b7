//! The built program in proxy mode: short forms of addresses, errors at the start, the search for a
//! tap.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use crate::cli::{Running, output, wstap};
use crate::harness::LIMIT;

const PORTS: [&str; 4] = ["--listen", "0", "--tap-listen", "0"];

/// A port at which nothing listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// An application that answers every request with a page, and ends with the test.
fn application(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    serve(listener, status);
    port
}

fn serve(listener: TcpListener, status: &'static str) {
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let Ok(mut tcp) = tcp else { return };
            let mut head = [0; 4096];
            let _ = tcp.read(&mut head);
            let page = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 4\r\n\r\npage"
            );
            let _ = tcp.write_all(page.as_bytes());
        }
    });
}

#[test]
fn port_alone_or_with_a_host_is_an_upstream() {
    let port = application("200 OK");
    for (arguments, url) in [
        (vec![port.to_string()], format!("http://localhost:{port}")),
        (vec![format!("127.0.0.1:{port}")], format!("http://127.0.0.1:{port}")),
        (
            vec!["--upstream".to_owned(), format!("localhost:{port}")],
            format!("http://localhost:{port}"),
        ),
    ] {
        let mut server = Running::start(wstap().args(&arguments).args(PORTS));
        server.until("Ctrl-C stops.");
        let words = server.words();
        assert!(words.contains("instead of") && words.contains(&url), "{words}");
        assert!(words.contains("http://localhost:"), "{words}");
    }
}

/// Sends a request to the first address that a server prints, and returns the status.
fn ask(server: &Running) -> String {
    let words = server.words();
    let line = words.lines().find(|line| line.contains("Connect to")).expect("an address");
    let (_, at) = line.split_once("//localhost:").expect("a port");
    let mut tcp = TcpStream::connect(format!("127.0.0.1:{}", at.trim())).expect("it listens");
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    tcp.write_all(head).expect("sent");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).expect("a status").to_owned()
}

#[test]
fn upstream_that_is_not_there_is_reported_once_until_it_answers() {
    let port = free_port();
    let mut server = Running::start(wstap().arg(port.to_string()).args(PORTS));
    server.until("each request tries again");
    let told = format!("http://localhost:{port} cannot be reached");
    assert!(server.words().contains(&told));
    assert_eq!([ask(&server), ask(&server)], ["502", "502"]);
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is still free");
    serve(listener, "200 OK");
    assert_eq!(ask(&server), "200");
    server.until(&format!("http://localhost:{port} answers again"));
    assert_eq!(server.words().matches("each request tries again").count(), 1, "{}", server.words());
}

/// Returns the body of an answer of the observers' side.
fn get(server: &Running, path: &str) -> String {
    let mut tcp = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
    let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    tcp.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

#[test]
fn no_tap_sse_makes_event_streams_plain_requests() {
    let body = "data: 1\n\n";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let Ok(mut tcp) = tcp else { return };
            let _ = tcp.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close";
            let _ = tcp.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
        }
    });
    for (flags, kinds) in [
        (&["--tap-http", "all"][..], &["connect", "message", "close"][..]),
        (&["--tap-http", "all", "--no-tap-sse"], &["request"]),
    ] {
        let mut server = Running::start(wstap().arg(&port).args(PORTS).args(flags));
        server.until("Ctrl-C stops.");
        assert_eq!(ask(&server), "200");
        let end = Instant::now() + LIMIT;
        let told = loop {
            let lines = get(&server, "/api/events?format=ndjson");
            let all: Vec<serde_json::Value> =
                lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            if all.len() >= kinds.len() {
                break all;
            }
            assert!(Instant::now() < end, "{flags:?}: {lines}");
        };
        assert_eq!(told.iter().map(|event| &event["kind"]).collect::<Vec<_>>(), kinds);
    }
}

#[test]
fn check_at_the_start_sends_no_byte_and_leaves_the_upstreams_of_a_file_alone() {
    let [named, filed] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
    let file = tempfile::NamedTempFile::new().expect("a file");
    let table =
        format!("[[upstream]]\npath = \"/a\"\nurl = \"https://127.0.0.1:{}\"\n", port(&filed));
    std::fs::write(file.path(), table).expect("written");
    let config = file.path().to_str().expect("text");
    let url = format!("https://127.0.0.1:{}", port(&named));
    let mut server = Running::start(wstap().args([&*url, "--config", config]).args(PORTS));
    let (mut tcp, _) = named.accept().expect("the check");
    let mut sent = Vec::new();
    tcp.read_to_end(&mut sent).expect("it is closed");
    assert_eq!(sent, b"");
    server.until("Ctrl-C stops.");
    filed.set_nonblocking(true).expect("it is a socket");
    assert!(filed.accept().is_err(), "an upstream of the file is not asked");
}

#[test]
fn upstream_that_is_wstap_itself_is_refused() {
    let (code, _, words) = output(&["8080"]);
    assert!(code == 2 && words.contains("--listen 8081"), "{words}");
    let (code, _, words) = output(&["3000", "--listen", "3000"]);
    assert!(code == 2 && words.contains("an address of wstap itself"), "{words}");
}

#[test]
fn argument_that_is_neither_a_command_nor_an_upstream_is_refused() {
    let (code, _, words) = output(&["wach"]);
    assert!(code == 2 && words.contains("neither a command nor an upstream"), "{words}");
    assert!(words.contains("did you mean watch?"), "{words}");
    let (code, _, words) = output(&["localhost:3000/app"]);
    assert!(code == 2 && words.contains("a server without a path"), "{words}");
    let (code, _, words) = output(&["3000", "--upstream", "ws://localhost:9000"]);
    assert!(code == 2 && words.contains("given twice"), "{words}");
}

#[test]
fn several_upstreams_are_listed_with_their_paths() {
    let port = application("200 OK");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let table = format!("[[upstream]]\npath = \"/chat\"\nurl = \"ws://localhost:{port}\"\n");
    std::fs::write(file.path(), table).expect("written");
    let config = file.path().to_str().expect("text");
    let mut server =
        Running::start(wstap().args([&*port.to_string(), "--config", config]).args(PORTS));
    server.until("Ctrl-C stops.");
    let words = server.words();
    assert!(words.contains(&format!("ws://localhost:{port}  for /chat")), "{words}");
    assert!(words.contains(&format!("http://localhost:{port}  for /\n")), "{words}");
}

#[test]
fn short_help_fits_a_screen_and_names_the_long_one() {
    let short = wstap().arg("-h").env("COLUMNS", "80").output().expect("it runs").stdout;
    let short = String::from_utf8(short).expect("text");
    assert!(short.contains("see more with '--help'"), "{short}");
    assert!(short.lines().count() <= 30, "{} lines: {short}", short.lines().count());
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    for part in ["--upstream", "--listen <HOST:PORT>", "--open <FILE>", "wstap 3000"] {
        assert!(short.contains(part), "{part} in {short}");
    }
    assert!(!short.contains("--pong-timeout"), "{short}");
}

#[test]
fn address_of_an_application_is_told_from_a_tap() {
    for status in ["404 Not Found", "200 OK"] {
        let url = format!("http://127.0.0.1:{}", application(status));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("day.ndjson");
        let file = file.to_str().expect("text");
        for arguments in [&["watch", &url][..], &["export", &url], &["record", &url, file]] {
            let (code, out, words) = output(arguments);
            assert!(code == 1 && words.contains("this is an application"), "{words}");
            assert_eq!(out, "");
        }
    }
}

#[test]
fn address_for_the_clients_of_a_proxy_is_told_from_its_tap() {
    let mut server = Running::start(wstap().arg(free_port().to_string()).args(PORTS));
    server.until("each request tries again");
    let words = server.words();
    let line = words.lines().find(|line| line.contains("Connect to")).expect("an address");
    let url = line.split_whitespace().last().expect("an address");
    let (code, _, words) = output(&["watch", url]);
    assert!(code == 1 && words.contains("or the address for its clients"), "{words}");
}
