//! A configuration that is read again on SIGHUP, and the health check of a running server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;

use crate::cli::{Running, got, output, speak, wstap};
use crate::harness::{LIMIT, ask_blocking};
use crate::tls::Authority;

/// A server with a configuration file.
struct Configured {
    folder: tempfile::TempDir,
    server: Running,
}

impl Configured {
    fn start(text: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("wstap.toml");
        fs::write(&file, text).expect("written");
        let mut command = wstap();
        command.args(["--listen", "127.0.0.1:0", "--config"]).arg(&file).args(more);
        let mut server = Running::start(&mut command);
        server.until("Ctrl-C stops.");
        Self { folder, server }
    }

    /// Replaces the file, and waits until the server has said `words` once more.
    fn reload(&self, text: &str, words: &str) {
        let said = || self.server.words().matches(words).count();
        let before = said();
        fs::write(self.folder.path().join("wstap.toml"), text).expect("written");
        self.server.signal("HUP");
        ask_blocking(|| self.server.words(), || (said() > before).then_some(()));
    }

    /// Returns the status of the answer to a WebSocket handshake, and the socket.
    fn handshake(&self, id: &str) -> (u16, TcpStream) {
        let mut tcp = TcpStream::connect(("127.0.0.1", self.server.port())).expect("it is there");
        let head = format!(
            "GET /ws?connectionId={id} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        tcp.write_all(head.as_bytes()).expect("sent");
        tcp.set_read_timeout(Some(LIMIT)).expect("set");
        let mut answer = [0; 256];
        let length = tcp.read(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
        (status.expect("a status"), tcp)
    }

    /// Waits until an answer contains some text.
    fn until_got(&self, path: &str, part: &str) {
        let get = || got(self.server.port(), path);
        ask_blocking(get, || get().contains(part).then_some(()));
    }
}

#[test]
fn limits_are_replaced_on_hangup_and_open_connections_stay() {
    let it = Configured::start("max-connections = 1\n", &[]);
    let (status, mut first) = it.handshake("a");
    assert_eq!(status, 101);
    assert_eq!(it.handshake("b").0, 503);
    it.reload("max-connections = 3\n", "applied: max-connections");
    let (status, _second) = it.handshake("b");
    assert_eq!(status, 101);
    it.reload("max-connections = 1\n", "applied: max-connections");
    assert_eq!(it.handshake("c").0, 503);
    // Still open: it is heard.
    first.write_all(&[0x81, 0x84, 0, 0, 0, 0, b'h', b'e', b'a', b'r']).expect("sent");
    it.until_got("/api/events?kind=message", "hear");
    it.until_got("/api/info", "\"connections\":1");
}

#[test]
fn size_of_messages_is_replaced_for_new_connections() {
    let it = Configured::start("max-message-bytes = \"1KiB\"\n", &[]);
    it.reload("max-message-bytes = \"16B\"\n", "applied: max-message-bytes");
    let (_, mut tcp) = it.handshake("a");
    tcp.write_all(&[&[0x81, 0x91, 0, 0, 0, 0][..], &[b'x'; 17]].concat()).expect("sent");
    it.until_got("/api/events?kind=close", "1009");
}

#[test]
fn redaction_is_replaced_on_hangup() {
    let it = Configured::start("", &[]);
    let message = r#"{"connectionId":"a","message":{"password":"hunter2","n":1}}"#;
    let _one = speak(it.server.port(), &[r#"{"connectionId":"a"}"#, message]);
    it.until_got("/api/events?kind=message", "hunter2");
    it.reload("redact = [\"message.password\"]\n", "applied: redact");
    let second = message.replace("\"n\":1", "\"n\":2");
    let _two =
        speak(it.server.port(), &[r#"{"connectionId":"b"}"#, &second.replace("\"a\"", "\"b\"")]);
    it.until_got("/api/events?kind=message&connection=b", "\"n\":2");
    let events = got(it.server.port(), "/api/events?kind=message&connection=b");
    assert!(events.contains("[redacted]") && !events.contains("hunter2"), "{events}");
    assert!(got(it.server.port(), "/api/info").contains("\"redaction\":true"));
}

#[test]
fn rules_of_channels_are_replaced_also_where_members_are() {
    let it = Configured::start("[[channel]]\nname = \"news\"\nhistory = 5\n", &[]);
    let enter = r#"{"type":"subscribe","params":{"channels":["news"]}}"#;
    let _member = speak(it.server.port(), &[r#"{"connectionId":"a"}"#, enter]);
    it.until_got("/api/channels", "\"members\":1");
    it.until_got("/api/channels", "\"private\":false");
    let new = "[[channel]]\nname = \"news\"\nprivate = true\n[[channel]]\nname = \"other\"\n";
    it.reload(new, "applied: [[channel]]");
    it.until_got("/api/channels", "\"private\":true");
    it.until_got("/api/channels", "\"members\":1");
}

#[test]
fn level_of_the_logs_is_replaced_on_hangup() {
    let it = Configured::start("", &[]);
    it.reload("log-level = \"wstap=debug\"\n", "applied: log-level");
    let seen = || it.server.words().contains("accepted a connection");
    ask_blocking(
        || it.server.words(),
        || {
            got(it.server.port(), "/healthz");
            seen().then_some(())
        },
    );
}

#[test]
fn settings_that_cannot_change_are_named() {
    let it = Configured::start("heartbeat = \"20s\"\n", &[]);
    it.reload(
        "heartbeat = \"10s\"\nlisten = \"127.0.0.1:1\"\nmax-listeners = 7\n",
        "applied after a restart only: heartbeat",
    );
    let words = it.server.words();
    assert!(words.contains("applied: max-listeners"), "{words}");
    // The flag wins over the file, so that its value has not changed.
    assert!(!words.contains("listen, "), "{words}");
    it.until_got("/api/info", "\"listeners\":7");
    let later = || it.server.words().matches("after a restart").count();
    let before = later();
    it.reload("heartbeat = \"20s\"\nmax-listeners = 7\n", "no setting to apply");
    assert_eq!(later(), before, "it has the value of the start again");
}

#[test]
fn faulty_file_changes_nothing_and_is_named_with_its_line() {
    let it = Configured::start("max-connections = 1\n", &[]);
    let (_, _first) = it.handshake("a");
    let told = "the settings stay as they were";
    it.reload("max-connections = 5\nmax-listeners = \"many\"\nredcat = 1\n", told);
    let words = it.server.words();
    let line = words.lines().find(|line| line.contains(told)).expect("a line");
    assert!(line.contains("wstap.toml, line 2: max-listeners"), "{line}");
    assert!(line.contains("line 3: there is no setting \"redcat\""), "{line}");
    assert_eq!(it.handshake("b").0, 503);
    fs::remove_file(it.folder.path().join("wstap.toml")).expect("removed");
    it.server.signal("HUP");
    ask_blocking(
        || it.server.words(),
        || (it.server.words().matches(told).count() == 2).then_some(()),
    );
    assert_eq!(it.handshake("b").0, 503);
}

/// The end of a supervisor at which notifications arrive.
struct Supervisor {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Supervisor {
    fn new(folder: &std::path::Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(LIMIT)).expect("set");
        Self { socket, path }
    }

    /// Waits for a notification with a line, and returns it.
    fn hear(&self, wanted: &str) -> String {
        let mut datagram = [0; 4096];
        loop {
            let length = self.socket.recv(&mut datagram).expect("a notification");
            let told = String::from_utf8_lossy(&datagram[..length]).into_owned();
            if told.lines().any(|line| line == wanted) {
                return told;
            }
        }
    }
}

#[test]
fn supervisor_is_notified_of_a_reload() {
    let folder = tempfile::tempdir().expect("a folder");
    let supervisor = Supervisor::new(folder.path());
    let mut command = wstap();
    command.args(["--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &supervisor.path);
    let mut server = Running::start(&mut command);
    server.until("Ctrl-C stops.");
    supervisor.hear("READY=1");
    server.signal("HUP");
    assert!(supervisor.hear("RELOADING=1").contains("MONOTONIC_USEC="));
    supervisor.hear("READY=1");
    server.until("no configuration file to read again");
}

/// A server with a file of each kind that SIGHUP reads.
struct Guarded {
    authority: Authority,
    supervisor: Supervisor,
    token: String,
    server: Running,
}

impl Guarded {
    fn start() -> Self {
        let authority = Authority::new();
        authority.sign("cert.pem", "key.pem");
        let path = |name| authority.path(name);
        fs::write(path("wstap.toml"), "max-listeners = 3\n").expect("written");
        let (code, token, words) =
            output(&["token", "new", "ann", "all", "--token-file", &path("tokens")]);
        assert_eq!(code, 0, "{words}");
        let supervisor = Supervisor::new(std::path::Path::new(&path("")));
        let mut command = wstap();
        command.args(["--listen", "localhost:0", "--config", &path("wstap.toml")]);
        command.args(["--tls-cert", &path("cert.pem"), "--tls-key", &path("key.pem")]);
        command.args(["--token-file", &path("tokens"), "--audit-log", &path("audit")]);
        command.env("NOTIFY_SOCKET", &supervisor.path);
        let mut server = Running::start(&mut command);
        server.until("Ctrl-C stops.");
        supervisor.hear("READY=1");
        Self { authority, supervisor, token: token.trim().to_owned(), server }
    }

    /// Sends SIGHUP, and returns the notification at its end.
    fn reload(&self) -> String {
        self.server.signal("HUP");
        self.supervisor.hear("RELOADING=1");
        self.supervisor.hear("READY=1")
    }

    fn until_said(&self, words: &str) {
        ask_blocking(|| self.server.words(), || self.server.words().contains(words).then_some(()));
    }

    /// Returns whether a client that knows the authority and has the token is served.
    fn serves(&self) -> bool {
        let (url, ca) = (self.server.url(), self.authority.path("ca.pem"));
        let mut command = wstap();
        command.args(["export", &url, "--ca", &ca]).env("WSTAP_TOKEN", &self.token);
        command.output().expect("it runs").status.success()
    }
}

#[test]
fn one_hangup_reads_every_file_again_before_the_supervisor_is_notified() {
    let it = Guarded::start();
    // What has not changed is read by SIGHUP only.
    fs::rename(it.authority.path("audit"), it.authority.path("audit.1")).expect("moved");
    let told = it.reload();
    assert!(told.lines().any(|line| line == "STATUS=serving"), "{told}");
    it.until_said("cert.pem: the certificate was read again");
    it.until_said("tokens: 1 tokens");
    it.until_said("wstap.toml: read again; no setting to apply");
    let audit = || fs::exists(it.authority.path("audit")).is_ok_and(|there| there);
    ask_blocking(|| "a new audit log".to_owned(), || audit().then_some(()));
    assert!(it.serves());
    // A token that is not in the file any more is refused as soon as the supervisor is notified.
    fs::write(it.authority.path("tokens"), "").expect("written");
    it.reload();
    assert!(!it.serves());
}

#[test]
fn faulty_files_are_named_with_their_lines_and_change_nothing() {
    let it = Guarded::start();
    let write = |name: &str, text: &str| fs::write(it.authority.path(name), text).expect("written");
    write("tokens", "# tokens\nann all md5:abc\n");
    write("cert.pem", "no certificate\n");
    write("wstap.toml", "max-listeners = 5\n\nheartbeat = \"often\"\n");
    let status = it.reload();
    assert!(status.contains("STATUS=serving with the settings from before"), "{status}");
    it.until_said("tokens: line 2: a line is a name, grants and a hash");
    it.until_said("the credentials stay as they were");
    it.until_said("cert.pem: it has no certificate");
    it.until_said("the certificate stays as it was");
    it.until_said("wstap.toml, line 3: heartbeat");
    it.until_said("the settings stay as they were");
    assert!(it.serves(), "with the certificate and the token of the start");
}

#[test]
fn health_check_succeeds_while_a_server_is_alive() {
    let server = Running::server(&["--listen", "127.0.0.1:0"]);
    let address = format!("127.0.0.1:{}", server.port());
    let (code, out, words) = output(&["check", "--live", "--listen", &address]);
    assert_eq!((code, out.as_str(), words), (0, "", format!("{address}: alive\n")));
    drop(server);
    let (code, _, words) = output(&["check", "--live", "--listen", &address]);
    assert_eq!((code, words.lines().count()), (1, 1), "{words}");
    assert!(words.contains(&address), "{words}");
}

#[test]
fn health_check_asks_the_address_of_observers_of_a_guarded_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = folder.path().join("tokens").display().to_string();
    fs::write(&tokens, "").expect("written");
    let server = Running::server(&[
        "--listen",
        "127.0.0.1:0",
        "--tap-listen",
        "0.0.0.0:0",
        "--token-file",
        &tokens,
    ]);
    let address = format!("0.0.0.0:{}", server.port());
    let (code, _, words) = output(&["check", "--live", "--tap-listen", &address]);
    assert_eq!(code, 0, "{words}");
}

#[test]
fn health_check_refuses_another_server_and_a_port_that_is_not_known() {
    let other = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = other.local_addr().expect("bound").to_string();
    let answering = std::thread::spawn(move || {
        let (mut tcp, _) = other.accept().expect("it comes");
        let mut head = [0; 1024];
        let _ = tcp.read(&mut head);
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").expect("sent");
    });
    let (code, _, words) = output(&["check", "--live", "--listen", &address]);
    answering.join().expect("no panic");
    assert_eq!((code, words.lines().count()), (1, 1), "{words}");
    assert!(words.contains("another server answers"), "{words}");
    let (code, _, words) = output(&["check", "--live", "--listen", "localhost:0"]);
    assert_eq!(code, 2, "{words}");
}

#[test]
fn distributions_have_samples_once_a_listener_was_given_events() {
    let server = Running::server(&["--listen", "127.0.0.1:0"]);
    let port = server.port();
    let mut events = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let head = "GET /events?filter=size%20%3E%200 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    events.write_all(head.as_bytes()).expect("sent");
    events.set_read_timeout(Some(LIMIT)).expect("set");
    let mut told = [0; 4096];
    let _ = events.read(&mut told).expect("a head");
    let _client = speak(port, &[r#"{"connectionId":"a"}"#, r#"{"message":"x"}"#]);
    for name in ["delivery_latency_seconds", "batch_events", "filter_duration_seconds"] {
        let get = || got(port, "/metrics");
        let none = format!("wstap_{name}_count 0\n");
        ask_blocking(get, || (!get().contains(&none)).then_some(()));
        assert!(get().contains(&format!("wstap_{name}_bucket{{le=\"+Inf\"}}")), "{}", get());
    }
}
