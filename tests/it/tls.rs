//! TLS of the server: events, sign-in, certificates of clients, and clients that do not get on with
//! the handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wstap::hub::{Hub, Settings};
use wstap::server::{CertificateFiles, Endpoint, Server, Tls, Transport};
use wstap::web::Web;

use crate::harness::{Events, Tap, within};

/// An authority, and a folder with the certificates that it has signed.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { issuer, folder }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Signs a certificate for localhost and writes it and its key.
    pub(crate) fn sign(&self, cert: &str, key: &str) -> (CertificateDer<'static>, KeyPair) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let pair = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&pair, &self.issuer).expect("a certificate");
        std::fs::write(self.path(cert), signed.pem()).expect("written");
        std::fs::write(self.path(key), pair.serialize_pem()).expect("written");
        (signed.der().clone(), pair)
    }

    pub(crate) fn files(&self) -> CertificateFiles {
        CertificateFiles { cert: self.path("cert.pem"), key: self.path("key.pem"), client_ca: None }
    }

    /// Returns the configuration of a client that trusts the authority.
    pub(crate) fn client(
        &self,
        identity: Option<(CertificateDer<'static>, KeyPair)>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                builder.with_client_auth_cert(vec![cert], key).expect("they fit")
            }
        }
    }
}

/// A server with TLS.
pub(crate) struct Secure {
    pub(crate) tap: Tap,
    pub(crate) authority: Authority,
    tls: Tls,
}

impl Secure {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default(), None, |_| {}, |_, _, _| {}).await
    }

    pub(crate) async fn with(
        settings: Settings,
        max_per_address: Option<usize>,
        change: impl FnOnce(&mut Web),
        configure: impl FnOnce(&mut Transport, &Authority, SocketAddr),
    ) -> Self {
        let authority = Authority::new();
        authority.sign("cert.pem", "key.pem");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let hub = Hub::new(settings);
        let mut web = Web::new(hub.clone());
        change(&mut web);
        let endpoint = Endpoint { listener, router: web.together(), patient: false };
        let server = Server { endpoints: vec![endpoint], max_per_address };
        let tls = Some(Tls::read(authority.files()).expect("right files"));
        let mut transport = Transport { tls, ..Transport::default() };
        configure(&mut transport, &authority, addr);
        let tls = transport.tls.clone().expect("a certificate");
        let mut tap = Tap::of(addr, hub.clone());
        let grace = Duration::from_secs(5);
        tap.running(tokio::spawn(server.run_over(transport, hub, tap.stop.clone(), grace)));
        Self { tap, authority, tls }
    }

    /// Opens a connection that offers these protocols.
    pub(crate) async fn connect(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        self.try_connect(protocols, None).await.expect("a handshake")
    }

    async fn try_connect(
        &self,
        protocols: &[&str],
        identity: Option<(CertificateDer<'static>, KeyPair)>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = self.authority.client(identity);
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        let tcp = TcpStream::connect(self.tap.addr).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        within("a handshake", TlsConnector::from(Arc::new(config)).connect(name, tcp)).await
    }

    /// Sends a request by HTTP/1.1.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> hyper::Response<Incoming> {
        let tls = self.connect(&["http/1.1"]).await;
        let io = TokioIo::new(tls);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.expect("a connection");
        tokio::spawn(connection);
        let mut request = hyper::Request::builder().method(method).uri(path);
        request = request.header("host", format!("localhost:{}", self.tap.addr.port()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
        within("an answer", sender.send_request(request)).await.expect("an answer")
    }

    /// Opens a WebSocket by HTTP/1.1.
    pub(crate) async fn ws(
        &self,
        path: &str,
    ) -> tokio_tungstenite::WebSocketStream<TlsStream<TcpStream>> {
        let tls = self.connect(&[]).await;
        let url = format!("wss://localhost:{}{path}", self.tap.addr.port());
        let opened =
            within("a handshake", Box::pin(tokio_tungstenite::client_async(url, tls))).await;
        opened.expect("the handshake is accepted").0
    }
}

#[tokio::test]
async fn events_of_a_websocket_arrive_over_tls() {
    use futures_util::SinkExt as _;
    let server = Secure::start().await;
    let mut events = Events::of(server.request("GET", "/events?format=full", &[], "").await);
    let mut ws = server.ws("/ws?connectionId=a").await;
    assert_eq!(events.json().await["kind"], "connect");
    // More than a socket holds, in pieces of all sizes.
    let text = "x".repeat(300_000);
    for _ in 0..20 {
        ws.send(tungstenite::Message::text(text.clone())).await.expect("sent");
    }
    for _ in 0..20 {
        assert_eq!(events.json().await["message"], text);
    }
    ws.send(tungstenite::Message::text("last")).await.expect("sent");
    assert_eq!(events.json().await["message"], "last");
}

#[tokio::test]
async fn request_without_tls_is_a_400_that_names_https() {
    let server = Secure::start().await;
    let answer = server.tap.raw(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("\"malformed\"") && answer.contains("https:"), "{answer}");
}

#[tokio::test]
async fn clients_that_do_not_go_on_with_the_handshake_delay_no_other() {
    let server = Secure::start().await;
    let mut stuck = Vec::new();
    for n in 0..300_usize {
        let mut tcp = TcpStream::connect(server.tap.addr).await.expect("the server is there");
        // Nothing, one byte of a record, or the head of a record that does not come.
        tcp.write_all(&[22, 3, 1, 2, 0][..n % 3 * 2]).await.expect("sent");
        stuck.push(tcp);
    }
    let answer = server.request("GET", "/healthz", &[], "").await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn client_that_sends_no_hello_is_closed_after_a_time() {
    let server = Secure::start().await;
    let mut tcp = TcpStream::connect(server.tap.addr).await.expect("the server is there");
    tcp.write_all(&[22]).await.expect("sent");
    let mut rest = Vec::new();
    within("the end", tcp.read_to_end(&mut rest)).await.expect("an end in good order");
    assert!(rest.is_empty(), "{rest:?}");
    let metrics = server.tap.hub.metrics().render(server.tap.hub.numbers());
    let count =
        |result| metrics.contains(&format!("tls_handshakes_total{{result=\"{result}\"}} 1\n"));
    assert!(count("abandoned") && !count("completed") && !count("failed"), "{metrics}");
}

#[tokio::test]
async fn server_stops_while_handshakes_are_open() {
    let mut server = Secure::start().await;
    let _silent = TcpStream::connect(server.tap.addr).await.expect("the server is there");
    let mut begun = TcpStream::connect(server.tap.addr).await.expect("the server is there");
    begun.write_all(&[22, 3, 1]).await.expect("sent");
    let events = server.request("GET", "/events", &[], "").await;
    server.tap.stop().await;
    let mut events = Events::of(events);
    assert!(events.try_next().await.is_none(), "the stream has ended");
}

#[tokio::test]
async fn certificate_is_replaced_and_a_faulty_one_changes_nothing() {
    let server = Secure::start().await;
    let shown = async || {
        let tls = server.connect(&[]).await;
        let chain = tls.get_ref().1.peer_certificates().expect("a certificate");
        chain[0].clone().into_owned()
    };
    let first = shown().await;
    let (second, _) = server.authority.sign("cert.pem", "key.pem");
    assert_eq!(shown().await, first, "the files are read when the server is told to");
    server.tls.reread().expect("right files");
    assert_eq!(shown().await, second);
    server.authority.sign("cert.pem", "other.pem");
    let fault = server.tls.reread().expect_err("the key of another certificate").to_string();
    assert!(fault.contains("tls-key") && fault.contains("another certificate"), "{fault}");
    assert_eq!(shown().await, second);
}

#[tokio::test]
async fn clients_need_a_certificate_of_the_authority() {
    let server = Secure::with(
        Settings::default(),
        None,
        |_| {},
        |transport, authority, _| {
            let client_ca = Some(authority.path("ca.pem"));
            let files = CertificateFiles { client_ca, ..authority.files() };
            transport.tls = Some(Tls::read(files).expect("right files"));
        },
    )
    .await;
    let stranger = Authority::new().sign("cert.pem", "key.pem");
    for identity in [None, Some(stranger)] {
        // By TLS 1.3 the client learns of the refusal when it reads.
        let Ok(mut tls) = server.try_connect(&[], identity).await else { continue };
        let _ = tls.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut answer = Vec::new();
        let read = within("an end", tls.read_to_end(&mut answer)).await;
        assert!(read.is_err() && answer.is_empty(), "{read:?}");
    }
    let own = server.authority.sign("client.pem", "client-key.pem");
    let mut tls = server.try_connect(&[], Some(own)).await.expect("a handshake");
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    tls.write_all(request).await.expect("sent");
    let mut answer = String::new();
    let _ = within("an answer", tls.read_to_string(&mut answer)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn cookie_of_a_page_is_secure_and_bound_to_its_host() {
    let server = Secure::start().await;
    let out = server.request("DELETE", "/api/session", &[], "").await;
    let cookie = out.headers()["set-cookie"].to_str().expect("text");
    assert!(cookie.starts_with("__Host-wstap=;") && cookie.contains("; Secure"), "{cookie}");
}

#[tokio::test]
async fn full_server_answers_over_tls_as_well() {
    let server = Secure::with(Settings::default(), Some(1), |_| {}, |_, _, _| {}).await;
    let _first = server.request("GET", "/events", &[], "").await;
    let refused = server.request("GET", "/api/info", &[], "").await;
    assert_eq!(refused.status(), 503);
    let body = within("a body", refused.into_body().collect()).await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("\"full\""), "{body:?}");
}
