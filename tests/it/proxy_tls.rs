//! Upstreams that speak TLS: whom wstap trusts.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wstap::hub::Settings;
use wstap::proxy::Trust;

use crate::harness::within;
use crate::proxy::{Front, SWITCH};

/// A TLS server that switches protocols and says back what it is told. Returns its port and
/// certificate.
async fn server() -> (u16, String) {
    // As `openssl req -x509` makes it: its own authority, and the server's certificate too.
    let signing_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let cert = params.self_signed(&signing_key).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key"),
        )
        .expect("they fit");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tls.read_u8().await.expect("a head"));
            }
            tls.write_all(format!("{SWITCH}\r\n").as_bytes()).await.expect("sent");
            let (mut read, mut write) = tokio::io::split(tls);
            let _ = tokio::io::copy(&mut read, &mut write).await;
        }
    });
    (port, cert.pem())
}

async fn front(port: u16, trust: &Trust) -> Front {
    named("localhost", port, trust).await
}

async fn named(name: &str, port: u16, trust: &Trust) -> Front {
    let upstream = format!("wss://{name}:{port}");
    Front::trusting(&upstream, Some(trust), Settings::default(), |_| {}).await
}

#[tokio::test]
async fn a_certificate_that_is_trusted_is_taken_and_bytes_pass() {
    let (port, pem) = server().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pem).expect("written");
    let named = Trust::File(file.path().display().to_string());
    for trust in [named, Trust::Anybody] {
        let front = front(port, &trust).await;
        let (mut client, head) = front.shake("/", "").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let said: Vec<u8> = (0_u8..=255).cycle().take(300_000).collect();
        let mut back = vec![0; said.len()];
        let (mut read, mut write) = client.split();
        let (sent, got) = within("the echo", async {
            tokio::join!(write.write_all(&said), read.read_exact(&mut back))
        })
        .await;
        sent.expect("sent");
        got.expect("back");
        assert!(said == back);
    }
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_a_502_that_says_so() {
    let (port, _) = server().await;
    let front = front(port, &Trust::System).await;
    let (mut client, head) = front.shake("/", "").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    let mut body = [0; 800];
    let read = within("a body", client.read(&mut body)).await.expect("a body");
    let body = String::from_utf8_lossy(&body[..read]).into_owned();
    assert!(body.contains("certificate"), "{body}");
    assert!(body.contains("--upstream-ca FILE") && body.contains("--upstream-insecure"), "{body}");
}

#[tokio::test]
async fn a_server_that_takes_no_connection_in_time_is_a_504_that_names_it() {
    // The kernel answers for it, and nobody greets: a connection of TLS is not taken.
    let deaf = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = deaf.local_addr().expect("it is bound").port();
    let front = front(port, &Trust::Anybody).await;
    let page = async {
        let mut tcp = TcpStream::connect(front.traffic).await.expect("there");
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        tcp.write_all(request).await.expect("sent");
        let mut answer = String::new();
        within("an answer", tcp.read_to_string(&mut answer)).await.expect("text");
        answer
    };
    let ((_, head), page) = tokio::join!(front.shake("/", ""), page);
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert!(page.starts_with("HTTP/1.1 504 "), "{page}");
    let named = format!("wss://localhost:{port} did not take a connection within 2s");
    assert!(page.contains("\"upstream_timeout\"") && page.contains(&named), "{page}");
}

#[tokio::test]
async fn a_listed_certificate_of_another_name_is_refused() {
    let (port, pem) = server().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pem).expect("written");
    let front = named("127.0.0.1", port, &Trust::File(file.path().display().to_string())).await;
    let (mut client, head) = front.shake("/", "").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    let mut body = [0; 800];
    let read = within("a body", client.read(&mut body)).await.expect("a body");
    let body = String::from_utf8_lossy(&body[..read]).into_owned();
    assert!(body.contains("--upstream-insecure accepts any certificate"), "{body}");
}
