//! The built program with TLS: its addresses, faulty files, files that change, and the commands that
//! read from it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::cli::{Running, output, wstap};
use crate::harness::ask_blocking;
use crate::tls::Authority;

/// An authority with a certificate for localhost.
fn authority() -> Authority {
    let authority = Authority::new();
    authority.sign("cert.pem", "key.pem");
    authority
}

fn start(authority: &Authority, more: &[&str]) -> Running {
    let (cert, key) = (authority.path("cert.pem"), authority.path("key.pem"));
    let mut command = wstap();
    command.args(["--listen", "localhost:0", "--tls-cert", &cert, "--tls-key", &key]).args(more);
    let mut server = Running::start(&mut command);
    server.until("Ctrl-C stops.");
    server
}

#[test]
fn addresses_are_printed_with_their_schemes() {
    let server = start(&authority(), &[]);
    let words = server.words();
    assert!(words.contains("wss://localhost:"), "{words}");
    assert!(words.contains("curl -N https://localhost:"), "{words}");
    assert!(!words.contains(" http://") && !words.contains(" ws://"), "{words}");
}

#[test]
fn faulty_files_are_named_at_the_start() {
    let authority = authority();
    authority.sign("other.pem", "other-key.pem");
    let path = |name| authority.path(name);
    fs::write(path("empty.pem"), "").expect("written");
    fs::write(path("cut.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").expect("written");
    fs::write(path("odd.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(path("encrypted.pem"), encrypted).expect("written");
    for (cert, key, words) in [
        ("missing.pem", "key.pem", "tls-cert"),
        ("missing.pem", "key.pem", "No such file"),
        ("cert.pem", "missing.pem", "tls-key"),
        ("empty.pem", "key.pem", "it has no certificate"),
        ("cut.pem", "key.pem", "no PEM"),
        ("odd.pem", "key.pem", "odd.pem"),
        ("cert.pem", "cert.pem", "it has no private key"),
        ("cert.pem", "encrypted.pem", "openssl pkey"),
        ("cert.pem", "other-key.pem", "the key of another certificate"),
    ] {
        let (cert, key) = (path(cert), path(key));
        for command in ["serve", "check"] {
            let arguments = [command, "--tls-cert", &cert, "--tls-key", &key];
            let (code, _, said) = output(&arguments);
            assert_eq!(code, 2, "{said}");
            assert!(said.contains(words) && said.lines().count() == 1, "{words:?} in {said}");
        }
    }
    for (flag, words) in [("--tls-cert", "tls-key"), ("--tls-key", "tls-cert")] {
        let (code, _, said) = output(&["serve", flag, &path("cert.pem")]);
        assert!(code == 2 && said.contains(&format!("add {words}")), "{said}");
    }
    let (code, _, said) = output(&["serve", "--proxy-protocol"]);
    assert!(code == 2 && said.contains("trusted-proxy"), "{said}");
}

#[test]
fn commands_read_from_it() {
    let authority = authority();
    let server = start(&authority, &[]);
    let (url, ca) = (server.url(), authority.path("ca.pem"));
    let mut watch = Running::start(wstap().args(["watch", &url, "--json", "--ca", &ca]));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson").display().to_string();
    let mut record = Running::start(wstap().args(["record", &url, &file, "--insecure"]));
    // An unknown certificate is refused, and the flag that helps is named.
    let (code, _, said) = output(&["export", &url]);
    assert!(code == 1 && said.contains("--ca FILE"), "{said}");
    assert!(!said.contains("--upstream-ca"), "{said}");
    assert_eq!(output(&["export", &url, "--ca", &ca]), (0, String::new(), String::new()));
    let recording = folder.path().join("played.ndjson").display().to_string();
    let lines = [
        r#"{"id":"1-0","time":"2026-01-01T00:00:00Z","kind":"connect","connectionId":"a","remote":"127.0.0.1:1","path":"/ws?connectionId=a","headers":{}}"#,
        r#"{"id":"2-0","time":"2026-01-01T00:00:00Z","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":7,"message":"by tls!"}"#,
    ];
    fs::write(&recording, lines.join("\n") + "\n").expect("written");
    let wss = url.replace("https", "wss");
    // Played until both commands follow: they may not have begun yet.
    for _ in 0..50 {
        let (code, out, said) =
            output(&["replay", &recording, &wss, "--ca", &ca, "--speed", "max"]);
        assert_eq!(code, 0, "{out}{said}");
        let recorded = fs::read_to_string(&file).unwrap_or_default();
        if watch.words().contains("by tls!") && recorded.contains("by tls!") {
            break;
        }
    }
    watch.until("by tls!");
    record.signal("INT");
    assert!(record.end().success());
    assert!(fs::read_to_string(&file).expect("a recording").contains("by tls!"));
}

#[test]
fn certificate_that_changes_is_read_again_and_on_hangup() {
    let authority = authority();
    let mut server = start(&authority, &[]);
    authority.sign("cert.pem", "key.pem");
    server.until("the certificate was read again");
    fs::write(authority.path("key.pem"), "nothing").expect("written");
    server.until("the certificate stays as it was");
    let url = server.url();
    let asked = |ca: &str| output(&["export", &url, "--ca", ca]).0;
    assert_eq!(asked(&authority.path("ca.pem")), 0, "it serves on");
    authority.sign("cert.pem", "key.pem");
    let read = server.words().matches("was read again").count();
    server.signal("HUP");
    let again = || (server.words().matches("was read again").count() > read).then_some(());
    ask_blocking(|| server.words(), again);
    assert_eq!(asked(&authority.path("ca.pem")), 0);
}

#[test]
fn clients_of_proxy_mode_speak_tls_and_upstreams_learn_of_it() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = upstream.local_addr().expect("it is bound").port();
    let heads = std::thread::spawn(move || {
        // The server checks at the start whether the upstream is there, with a connection of its own.
        loop {
            let (mut tcp, _) = upstream.accept().expect("a connection");
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && matches!(tcp.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            if !head.is_empty() {
                tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage").expect("sent");
                return String::from_utf8(head).expect("text");
            }
        }
    });
    let authority = authority();
    let upstream = format!("http://127.0.0.1:{port}");
    let server = start(&authority, &["--tap-listen", "localhost:0", "--upstream", &upstream]);
    let words = server.words();
    let line = words.lines().find(|line| line.contains("Connect to")).expect("the address");
    let url = line.split_whitespace().last().expect("a URL").to_owned();
    assert!(url.starts_with("https://localhost:"), "{words}");
    let port: u16 = url.rsplit_once(':').expect("a port").1.parse().expect("a port");
    // The answer to a request without TLS is that of the listener, and not of the upstream.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // Not wstap, but reached by TLS.
    let (_, _, said) = output(&["export", &url, "--insecure"]);
    assert!(said.contains("this is an application"), "{said}");
    let head = heads.join().expect("no panic").to_ascii_lowercase();
    assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
}
