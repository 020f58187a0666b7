//! WebSockets over HTTP/2 (RFC 8441): an extended CONNECT becomes the handshake of HTTP/1.1 that all
//! handlers know, and its answer 101 becomes 200.

use axum::response::Response;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version};
use hyper::ext::Protocol;

use crate::code::Code;
use crate::problem::Problem;

/// The value of `:protocol`.
const WEBSOCKET: &str = "websocket";

/// An extended CONNECT has no key. This one is right, and its answer is not sent.
const KEY: HeaderValue = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==");

/// A request that opens a WebSocket.
#[derive(Debug)]
pub(super) struct Tunnel;

impl Tunnel {
    /// Makes an extended CONNECT the handshake of HTTP/1.1. Returns `None` for other requests.
    ///
    /// # Errors
    ///
    /// If the request is a CONNECT for anything else.
    pub(super) fn of(parts: &mut Parts, offered: bool) -> Result<Option<Self>, Problem> {
        if parts.method != Method::CONNECT {
            return Ok(None);
        }
        let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
        if !offered || protocol != Some(WEBSOCKET) {
            let only = "by CONNECT this server opens WebSockets only";
            return Err(Problem::new(Code::MethodNotAllowed, only));
        }
        parts.method = Method::GET;
        parts.version = Version::HTTP_11;
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        parts.headers.insert(SEC_WEBSOCKET_KEY, KEY);
        Ok(Some(Self))
    }

    /// Returns the answer to the CONNECT.
    pub(super) fn answer(mut answer: Response) -> Response {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            *answer.status_mut() = StatusCode::OK;
            answer.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn connect(protocol: Option<&'static str>) -> Parts {
        let mut request = Request::builder().method(Method::CONNECT).version(Version::HTTP_2);
        if let Some(protocol) = protocol {
            request = request.extension(Protocol::from_static(protocol));
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn extended_connect_becomes_a_handshake() {
        let mut parts = connect(Some("websocket"));
        assert!(matches!(Tunnel::of(&mut parts, true), Ok(Some(_))));
        assert_eq!((parts.method, parts.version), (Method::GET, Version::HTTP_11));
        assert_eq!(parts.headers[UPGRADE], "websocket");
    }

    #[test]
    fn other_tunnels_are_refused() {
        for (protocol, offered) in
            [(None, true), (Some("connect-udp"), true), (Some("websocket"), false)]
        {
            assert!(Tunnel::of(&mut connect(protocol), offered).is_err(), "{protocol:?}");
        }
        let mut get = Request::builder().body(()).expect("a request").into_parts().0;
        assert!(matches!(Tunnel::of(&mut get, true), Ok(None)));
    }
}
