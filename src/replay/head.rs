//! Heads of opening handshakes (RFC 6455 section 4), for both ends.
//!
//! tungstenite reads 124 header fields, and targets that are valid URIs. Here the number of fields is
//! that of the rest of wstap, and a target is what was recorded, byte for byte.

use std::io;

use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Status};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;

use crate::request::MAX_FIELDS;

/// Bytes of a head: with 2,048 fields of 512 bytes each it is complete.
const MAX_BYTES: usize = 1 << 20;

/// The status of a handshake that is accepted.
const SWITCHING: u16 = 101;

/// A request of a client, or the answer to it.
#[derive(Debug)]
struct Head {
    target: String,
    status: u16,
    fields: HeaderMap,
}

/// Why a handshake was not completed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server refused it with this status.
    Refused(u16),
    /// The connection failed, or the other end does not speak WebSocket; a description.
    Failed(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn failed(what: &str) -> Fault {
    Fault::Failed(what.to_owned())
}

/// Asks a server for a WebSocket.
pub(super) async fn ask<Io: AsyncRead + AsyncWrite + Unpin>(
    mut io: Io,
    target: &str,
    fields: &HeaderMap,
) -> Result<WebSocketStream<Io>, Fault> {
    let key = generate_key();
    let mut head = format!("GET {target} HTTP/1.1\r\n").into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    };
    // Servers of old expect it first.
    fields.get(HOST).into_iter().for_each(|host| field("Host", host.as_bytes()));
    field("Connection", b"Upgrade");
    field("Upgrade", b"websocket");
    field("Sec-WebSocket-Version", b"13");
    field("Sec-WebSocket-Key", key.as_bytes());
    for (name, value) in fields.iter().filter(|(name, _)| *name != HOST) {
        field(name.as_str(), value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    io.write_all(&head).await?;
    io.flush().await?;
    let mut buffer = Vec::new();
    loop {
        let answer = read(&mut io, &mut buffer, answer).await?;
        match answer.status {
            SWITCHING => {
                check(&answer.fields, &key, fields)?;
                return Ok(
                    WebSocketStream::from_partially_read(io, buffer, Role::Client, None).await
                );
            }
            // An interim answer, such as 103, has no body.
            100..200 => {}
            status => return Err(Fault::Refused(status)),
        }
    }
}

fn check(answer: &HeaderMap, key: &str, sent: &HeaderMap) -> Result<(), Fault> {
    let has = |name: HeaderName, token: &str| {
        answer.get_all(name).iter().any(|value| {
            let tokens = value.to_str().unwrap_or_default().split(',');
            tokens.map(str::trim).any(|it| it.eq_ignore_ascii_case(token))
        })
    };
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(failed("the server answers 101, but not for a WebSocket"));
    }
    let accept = answer.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(failed("the server answers with a wrong Sec-WebSocket-Accept"));
    }
    let offered = sent.get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let chosen = answer.get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    match (offered, chosen) {
        (Some(offered), Some(chosen)) if offered.split(',').any(|it| it.trim() == chosen) => Ok(()),
        (None, None) => Ok(()),
        (Some(offered), None) => Err(Fault::Failed(format!(
            "the server accepts none of the offered subprotocols ({offered})"
        ))),
        (_, Some(chosen)) => Err(Fault::Failed(format!(
            "the server chose the subprotocol {chosen}, which was not offered"
        ))),
    }
}

/// A client that asks for a WebSocket, and is not answered yet.
#[derive(Debug)]
pub(super) struct Asking<Io> {
    io: Io,
    buffer: Vec<u8>,
    request: Head,
}

/// Reads the request of a client.
pub(super) async fn accept<Io: AsyncRead + AsyncWrite + Unpin>(
    mut io: Io,
) -> Result<Asking<Io>, Fault> {
    let mut buffer = Vec::new();
    let request = read(&mut io, &mut buffer, request).await?;
    Ok(Asking { io, buffer, request })
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Asking<Io> {
    /// Returns path and query.
    pub(super) fn target(&self) -> &str {
        &self.request.target
    }

    /// Returns the subprotocols that the client offers.
    pub(super) fn offered(&self) -> Vec<String> {
        let values = self.request.fields.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(|it| it.trim().to_owned()).collect()
    }

    /// Returns whether the request is an opening handshake.
    pub(super) fn is_handshake(&self) -> bool {
        let fields = &self.request.fields;
        let version = fields.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
        fields.contains_key(SEC_WEBSOCKET_KEY) && version == Some(b"13")
    }

    /// Answers with a status and no body, and ends the connection.
    pub(super) async fn refuse(mut self, status: u16) {
        let head = format!("HTTP/1.1 {status} \r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // If this fails, the client has gone.
        let _ = self.io.write_all(head.as_bytes()).await;
        let _ = self.io.shutdown().await;
    }

    /// Accepts the handshake with a subprotocol.
    pub(super) async fn open(mut self, protocol: Option<&str>) -> io::Result<WebSocketStream<Io>> {
        let key = self.request.fields.get(SEC_WEBSOCKET_KEY).map_or(&b""[..], |key| key.as_bytes());
        let accept = derive_accept_key(key);
        let protocol = protocol.map(|it| format!("Sec-WebSocket-Protocol: {it}\r\n"));
        let protocol = protocol.unwrap_or_default();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
        );
        self.io.write_all(head.as_bytes()).await?;
        self.io.flush().await?;
        Ok(WebSocketStream::from_partially_read(self.io, self.buffer, Role::Server, None).await)
    }
}

/// A head and its length; `None` if it is not complete.
type Parsed = Result<Option<(Head, usize)>, httparse::Error>;

/// Reads a head. The buffer has bytes that were read before it, and gets those behind it. `parse`
/// returns the head and its length.
async fn read<Io: AsyncRead + Unpin>(
    io: &mut Io,
    buffer: &mut Vec<u8>,
    parse: fn(&[u8]) -> Parsed,
) -> Result<Head, Fault> {
    loop {
        // A head is parsed once it is complete, and not at each of its bytes.
        if memchr::memmem::find(buffer, b"\n\r\n").is_some()
            || memchr::memmem::find(buffer, b"\n\n").is_some()
        {
            let parsed = parse(buffer);
            let parsed = parsed.map_err(|fault| Fault::Failed(format!("no HTTP: {fault}")))?;
            if let Some((head, length)) = parsed {
                buffer.drain(..length);
                return Ok(head);
            }
        }
        if buffer.len() > MAX_BYTES {
            return Err(failed("the head of the handshake has more than 1 MiB"));
        }
        if io.read_buf(buffer).await? == 0 {
            return Err(failed("the connection ended before the handshake was complete"));
        }
    }
}

fn answer(bytes: &[u8]) -> Parsed {
    let mut fields = vec![EMPTY_HEADER; MAX_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let mut config = httparse::ParserConfig::default();
    // As lenient as browsers.
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let Status::Complete(length) = config.parse_response(&mut answer, bytes)? else {
        return Ok(None);
    };
    let status = answer.code.unwrap_or(0);
    let head = Head { target: String::new(), status, fields: map(answer.headers) };
    Ok(Some((head, length)))
}

fn request(bytes: &[u8]) -> Parsed {
    let mut fields = vec![EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let Status::Complete(length) = request.parse(bytes)? else { return Ok(None) };
    let target = request.path.unwrap_or("/").to_owned();
    Ok(Some((Head { target, status: 0, fields: map(request.headers) }, length)))
}

fn map(fields: &[httparse::Header<'_>]) -> HeaderMap {
    let field = |field: &httparse::Header<'_>| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(field.value).ok()?))
    };
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().filter_map(field) {
        map.append(name, value);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shakes hands over a duplex of a few bytes.
    async fn shake(target: &str, fields: &HeaderMap, protocol: Option<&str>) -> Result<(), Fault> {
        let (client, server) = tokio::io::duplex(8);
        let serve = async {
            let asking = accept(server).await?;
            assert_eq!(asking.target(), target);
            assert!(asking.is_handshake());
            Ok::<_, Fault>(asking.open(protocol).await?)
        };
        let (asked, opened) = tokio::join!(ask(client, target, fields), serve);
        opened?;
        asked.map(|_| ())
    }

    fn fields(count: usize) -> HeaderMap {
        let mut map = HeaderMap::new();
        for n in 0..count {
            map.append("x-many", HeaderValue::from(n));
        }
        map
    }

    #[tokio::test]
    async fn handshake_with_many_fields_and_odd_targets_is_completed() {
        for target in ["/", "/chat?room=7", "/a\"b<c>`d", "/\u{e9}?q=\u{1f600}", "/{}|^"] {
            for count in [0, 125, 500] {
                shake(target, &fields(count), None).await.expect(target);
            }
        }
    }

    #[tokio::test]
    async fn subprotocol_has_to_be_one_that_was_offered() {
        let mut offering = fields(0);
        offering.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("v1, v2"));
        shake("/", &offering, Some("v2")).await.expect("it was offered");
        for (fields, protocol) in
            [(&offering, Some("v3")), (&offering, None), (&fields(0), Some("v1"))]
        {
            let fault = shake("/", fields, protocol).await.expect_err("it was not offered");
            assert!(matches!(&fault, Fault::Failed(why) if why.contains("offered")), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn answers_of_servers_are_read() {
        let asked = |answer: &'static str| async move {
            let (client, mut server) = tokio::io::duplex(1 << 16);
            server.write_all(answer.as_bytes()).await.expect("room");
            server.shutdown().await.expect("open");
            ask(client, "/", &HeaderMap::new()).await.expect_err("no WebSocket")
        };
        let refused = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 403 \r\n\r\n";
        assert!(matches!(asked(refused).await, Fault::Refused(403)));
        for (answer, part) in [
            ("SSH-2.0-x\r\n\r\n", "no HTTP"),
            ("", "ended before"),
            ("HTTP/1.1 101 \r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "not for a WebSocket"),
            (
                "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
                "wrong Sec-WebSocket-Accept",
            ),
        ] {
            let fault = asked(answer).await;
            assert!(matches!(&fault, Fault::Failed(why) if why.contains(part)), "{fault:?}");
        }
    }
}
