//! The built program, as it is run in a shell.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::harness::{LIMIT, ask_blocking};

pub(crate) fn wstap() -> Command {
    wstap_by(&[])
}

/// Returns the program, to be run by another one, or by none.
pub(crate) fn wstap_by(other: &[&str]) -> Command {
    let built = env!("CARGO_BIN_EXE_wstap").into();
    let program = std::env::var_os("WSTAP_BINARY").unwrap_or(built);
    let words: Vec<_> = other.iter().map(Into::into).chain([program]).collect();
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn output(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = wstap().args(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

/// A running program and its output. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    words: Arc<Mutex<String>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("it runs");
        let words = Arc::new(Mutex::new(String::new()));
        for pipe in [
            Box::new(child.stdout.take().expect("piped")) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().expect("piped")),
        ] {
            let words = Arc::clone(&words);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    words.lock().expect("no panic").push_str(&(line + "\n"));
                }
            });
        }
        Self { child, words }
    }

    pub(crate) fn server(arguments: &[&str]) -> Self {
        let mut server = Self::start(wstap().args(arguments));
        server.until("Ctrl-C stops.");
        server
    }

    pub(crate) fn words(&self) -> String {
        self.words.lock().expect("no panic").clone()
    }

    /// Waits until its output contains a text.
    pub(crate) fn until(&mut self, part: &str) {
        let words = Arc::clone(&self.words);
        let words = || words.lock().expect("no panic").clone();
        ask_blocking(words, || {
            // Asked before the words: those of a program that has ended are all there soon.
            let ended = self.child.try_wait().expect("it can be asked");
            let found = words().contains(part);
            assert!(found || ended.is_none(), "{part:?} in {ended:?} {}", words());
            found.then_some(())
        });
    }

    pub(crate) fn url(&self) -> String {
        let words = self.words();
        let line =
            words.lines().find(|line| line.contains("Events")).expect("the addresses are told");
        line.split_whitespace().last().expect("an address").trim_end_matches("/events").to_owned()
    }

    pub(crate) fn port(&self) -> u16 {
        self.url().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        crate::harness::signal(name, self.child.id());
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        let words = Arc::clone(&self.words);
        let words = || format!("it does not end: {}", words.lock().expect("no panic"));
        ask_blocking(words, || self.child.try_wait().expect("it can be asked"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a WebSocket by hand and sends text frames.
pub(crate) fn speak(port: u16, frames: &[&str]) -> TcpStream {
    let head = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    speak_after(port, head, frames)
}

/// Returns the answer to a GET.
pub(crate) fn got(port: u16, path: &str) -> String {
    use std::io::Write as _;
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    tcp.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The same with another handshake.
fn speak_after(port: u16, head: &str, frames: &[&str]) -> TcpStream {
    use std::io::Write as _;
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
    tcp.write_all(head.as_bytes()).expect("sent");
    let mut answer = [0; 512];
    let read = tcp.read(&mut answer).expect("an answer");
    assert!(answer[..read].starts_with(b"HTTP/1.1 101 "));
    for frame in frames {
        let length = u8::try_from(frame.len()).expect("short");
        tcp.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], frame.as_bytes()].concat())
            .expect("sent");
    }
    tcp
}

#[test]
fn startup_prints_all_addresses_and_the_next_command() {
    let server = Running::server(&["--listen", "localhost:0"]);
    let (words, url) = (server.words(), server.url());
    assert!(url.starts_with("http://localhost:"), "{words}");
    for part in
        [&format!("{url}/es-client"), &format!("{url}/ws-client"), &format!("curl -N {url}/events")]
    {
        assert!(words.contains(part.as_str()), "{part} in {words}");
    }
    assert!(words.contains(&format!("ws://localhost:{}/ws", server.port())));
    assert!(!words.contains('\u{1b}'), "no colours without a terminal");
}

#[test]
fn localhost_binds_ipv4_and_ipv6() {
    let server = Running::server(&["--listen", "localhost:0", "--tap-listen", "localhost:0"]);
    let words = server.words();
    let ports: Vec<u16> = words
        .lines()
        .filter(|line| line.contains("WebSockets") || line.contains("Events"))
        .filter_map(|line| line.trim_end_matches("/events").rsplit_once(':')?.1.parse().ok())
        .collect();
    assert_eq!(ports.len(), 2, "{words}");
    for port in ports {
        TcpStream::connect(("127.0.0.1", port)).expect("IPv4");
        if TcpListener::bind("[::1]:0").is_ok() {
            TcpStream::connect(("::1", port)).expect("IPv6");
        }
    }
}

#[test]
fn listening_beyond_loopback_requires_no_auth() {
    let (code, _, words) = output(&["--listen", "0.0.0.0:0"]);
    assert_eq!((code, words.lines().count()), (2, 1), "{words}");
    assert!(words.contains("--no-auth"), "{words}");
    let open = Running::server(&["--listen", "0.0.0.0:0", "--no-auth"]);
    assert!(open.words().contains("Everybody who reaches these addresses"));
}

#[test]
fn error_of_a_taken_port_names_a_free_one() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let (code, _, words) = output(&["--listen", &format!("127.0.0.1:{port}")]);
    assert_eq!(code, 1, "{words}");
    assert!(
        words.contains(&format!("127.0.0.1:{port} is taken by another program"))
            && words.contains("--listen localhost:"),
        "{words}"
    );
}

#[test]
fn all_faults_of_a_configuration_are_reported_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wstap.toml");
    std::fs::write(&file, "heartbeat = \"soon\"\nlissten = \"localhost:1\"\n").expect("written");
    let file = file.to_str().expect("text");
    for command in [&["check"][..], &["serve"], &[]] {
        let arguments: Vec<&str> =
            command.iter().copied().chain(["--config", file, "--max-listeners", "many"]).collect();
        let (code, _, words) = output(&arguments);
        assert_eq!((code, words.lines().count()), (2, 3), "{words}");
        for part in ["line 1: heartbeat", "did you mean listen?", "--max-listeners"] {
            assert!(words.contains(part), "{part} in {words}");
        }
    }
    let (code, _, words) = output(&["check", "--config", "/nowhere/wstap.toml"]);
    assert!(code == 2 && words.contains("/nowhere/wstap.toml"), "{words}");
    let (code, _, words) = output(&["check"]);
    assert_eq!((code, words.as_str()), (0, "the configuration is right\n"));
    let (code, _, words) = output(&["--lisen", "localhost:0"]);
    assert!(code == 2 && words.contains("--listen"), "{words}");
}

#[test]
fn print_config_prints_the_values_that_apply_and_their_sources() {
    let command = wstap()
        .env("WSTAP_HEARTBEAT", "3s")
        .args(["serve", "--print-config", "--max-listeners", "5"])
        .output()
        .expect("it runs");
    let printed = String::from_utf8(command.stdout).expect("text");
    assert!(command.status.success());
    for line in [
        "listen = [\"localhost:8080\"]",
        "heartbeat = \"3s\" # WSTAP_HEARTBEAT",
        "max-listeners = \"5\" # --max-listeners",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line} in {printed}");
    }
    assert!(toml::from_str::<toml::Table>(&printed).is_ok(), "{printed}");
}

#[test]
fn no_log_level_prints_payloads_heads_or_tokens() {
    const SECRETS: [&str; 3] = ["open-sesame", "t0ken-of-ann", "agent-007"];
    let trace = ["trace", "tungstenite::protocol=trace", "tokio_tungstenite=trace", "hyper=trace"];
    for format in ["text", "json"] {
        let mut command = wstap();
        command.env(
            "RUST_LOG",
            format!("{},hyper::proto=trace,wstap::session=trace", trace.join(",")),
        );
        let mut server =
            Running::start(command.args(["--listen", "127.0.0.1:0", "--log-format", format]));
        server.until("http://127.0.0.1:");
        let words = server.words();
        let digits = words.split("http://127.0.0.1:").nth(1).expect("the address is printed");
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        let port = digits.parse().expect("a port");
        let head = format!(
            "GET /ws?access_token={} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nUser-Agent: {}\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            SECRETS[1], SECRETS[2]
        );
        let subscribe =
            r#"{"type":"subscribe","params":{"channels":["a"],"token":"t0ken-of-ann"}}"#;
        let frames = [r#"{"connectionId":"a"}"#, "open-sesame", subscribe];
        let tcp = speak_after(port, &head, &frames);
        let end = Instant::now() + LIMIT;
        while !got(port, "/api/events").contains("open-sesame") {
            assert!(Instant::now() < end, "the message is an event: {}", server.words());
        }
        drop(tcp);
        server.signal("TERM");
        assert!(server.end().success());
        let words = server.words();
        assert!(words.contains("stopped"), "{words}");
        for secret in SECRETS {
            assert!(!words.contains(secret), "{secret} in {words}");
        }
    }
}

#[test]
fn help_is_on_stdout_and_lists_every_setting() {
    let (code, help, _) = output(&["--help"]);
    assert_eq!(code, 0);
    for setting in wstap::config::SETTINGS.iter() {
        assert!(help.contains(&format!("--{}", setting.name)), "{}", setting.name);
    }
    assert!(help.contains("Examples:") && help.contains("curl -N localhost:8080/events"));
    assert_eq!(output(&["--version"]).1, concat!("wstap ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn first_signal_stops_gracefully_and_second_at_once() {
    let stopped = |name: &str| {
        let mut server = Running::server(&["--listen", "127.0.0.1:0"]);
        let _client = speak(server.port(), &[r#"{"connectionId":"a"}"#]);
        server.signal(name);
        assert!(server.end().success(), "{}", server.words());
        assert!(server.words().contains("stopped"));
    };
    // Each waits for its client to answer a close frame.
    std::thread::scope(|both| {
        for name in ["TERM", "INT"] {
            both.spawn(move || stopped(name));
        }
    });
    let mut server = Running::server(&["--listen", "127.0.0.1:0", "--shutdown-grace", "1h"]);
    let _silent = speak(server.port(), &[r#"{"connectionId":"silent"}"#]);
    // A listener that reads nothing, with more under way than its socket holds.
    server.signal("INT");
    server.until("once more Ctrl-C is at once");
    server.signal("INT");
    server.end();
}

#[test]
fn watch_prints_one_line_per_event_and_resumes_after_a_restart() {
    let mut server = Running::server(&["--listen", "127.0.0.1:0"]);
    let (url, port) = (server.url(), server.port());
    let mut watch = Running::start(wstap().args(["watch", &url, "--last", "10"]));
    let first =
        speak(port, &[r#"{"connectionId":"a"}"#, r#"{"connectionId":"a","message":"one"}"#]);
    watch.until("one  36 B");
    let lines = watch.words();
    assert!(
        lines.lines().next().is_some_and(|line| line.contains("+ a") && line.contains("connected")),
        "{lines}"
    );
    assert!(!lines.contains('\u{1b}'), "plain where there is no terminal");
    drop(first);
    watch.until("closed 1006 by the network");
    server.signal("TERM");
    server.end();
    watch.until("the stream ended");
    let _again = Running::server(&["--listen", &format!("127.0.0.1:{port}")]);
    let _second = speak(port, &[r#"{"connectionId":"b"}"#]);
    watch.until("+ b");
    assert!(watch.words().contains("gap"), "{}", watch.words());
}

#[test]
fn watch_prints_json_with_its_flag() {
    let server = Running::server(&["--listen", "127.0.0.1:0"]);
    let _client = speak(server.port(), &[r#"{"connectionId":"a"}"#, "[1]", "\"x\""]);
    let mut watch = Running::start(wstap().args([
        "watch",
        &server.url(),
        "--json",
        "--last",
        "5",
        "--kind",
        "message",
    ]));
    watch.until("\"message\":\"x\"");
    for line in watch.words().lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["kind"], "message");
    }
}

#[test]
fn a_closed_pipe_is_success() {
    let server = Running::server(&["--listen", "127.0.0.1:0"]);
    let mut client = speak(server.port(), &[r#"{"connectionId":"a"}"#]);
    let mut watch = wstap().args(["watch", &server.url(), "--last", "5"]).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(watch.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    // The reader is gone; the next lines meet a closed pipe.
    let status = ask_blocking(String::new, || {
        use std::io::Write as _;
        client.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'1']).expect("sent");
        watch.try_wait().expect("it can be asked")
    });
    assert!(status.success());
}

#[test]
fn watch_reports_why_a_server_cannot_be_followed() {
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let (code, _, words) = output(&["watch", &format!("http://{free}")]);
    assert!(code == 1 && words.contains("is wstap running there?"), "{words}");
    let (code, _, words) = output(&["watch", "ftp://localhost"]);
    assert!(code == 2 && words.contains("http://localhost:8080"), "{words}");
    let server = Running::server(&["--listen", "127.0.0.1:0"]);
    let (code, _, words) = output(&["watch", &server.url(), "--kind", "mesage"]);
    assert!(
        code == 1 && words.contains("a kind is connect, message, close, join, leave or request"),
        "{words}"
    );
}

#[test]
fn logs_are_json_with_their_flag() {
    let mut server = Running::start(
        wstap()
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
            .env("WSTAP_HEARTBAET", "1s"),
    );
    server.until("wstap is ready");
    server.until("did you mean WSTAP_HEARTBEAT?");
    for line in server.words().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("JSON");
    }
}

#[test]
fn every_command_has_examples_a_man_page_and_completions() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("man1");
    assert_eq!(output(&["man", path.to_str().expect("text")]).0, 0);
    let page = |name: &str| std::fs::read_to_string(path.join(name)).expect("a page");
    assert!(page("wstap.1").contains("wstap\\-replay(1)"), "{}", page("wstap.1"));
    let scripts: Vec<String> = ["bash", "zsh", "fish", "elvish", "powershell"]
        .iter()
        .map(|shell| output(&["completions", shell]).1)
        .collect();
    let commands = wstap::cli::command();
    for command in commands.get_subcommands() {
        let name = command.get_name();
        let (code, help, _) = output(&[name, "--help"]);
        assert!(code == 0 && help.contains("Examples:"), "{name}: {help}");
        assert!(help.contains(&format!("  wstap {name}")) || name == "serve", "{name}: {help}");
        if !command.is_hide_set() {
            assert!(page(&format!("wstap-{name}.1")).contains(".SH NAME"), "{name}");
            assert!(scripts.iter().all(|script| script.contains(name)), "{name}");
        }
    }
    let (code, _, words) = output(&["completions", "tcsh"]);
    assert!(code == 2 && words.contains("bash"), "{words}");
}
