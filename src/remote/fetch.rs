//! A request to a server that is asked about credentials: one connection, one answer, within a time and
//! a size. Redirects are answers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::address::Address;
use crate::proxy::{Dialer, TlsError, Trust};

/// Header fields of an answer.
const MAX_FIELDS: usize = 100;

/// Bytes of the head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// Sends requests to one address.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) address: Address,
    dialer: Dialer,
    limit: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("does not answer within {0:?}")]
    Slow(Duration),
    #[error("{0}")]
    Connect(#[from] crate::proxy::ConnectError),
    #[error("did not answer properly: {0}")]
    Answer(#[from] hyper::Error),
    #[error("sends more than {0} bytes, or breaks off")]
    Body(usize),
}

impl Fetcher {
    /// Makes a client with a limit of time for a whole answer.
    pub(super) fn new(address: Address, limit: Duration) -> Result<Self, TlsError> {
        let trust = address.is_encrypted().then_some(Trust::System);
        let dialer = Dialer::new(Vec::new(), trust.as_ref(), limit)?;
        Ok(Self { address, dialer, limit })
    }

    /// Sends a GET and returns the answer, whose body has at most `max` bytes. With 0 bytes the body is
    /// not read.
    pub(super) async fn get(
        &self,
        headers: HeaderMap,
        max: usize,
    ) -> Result<Response<Bytes>, FetchError> {
        let answer = timeout(self.limit, self.answer(headers, max)).await;
        answer.unwrap_or(Err(FetchError::Slow(self.limit)))
    }

    async fn answer(&self, headers: HeaderMap, max: usize) -> Result<Response<Bytes>, FetchError> {
        let io = self.dialer.dial(self.address.uri()).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(MAX_FIELDS)
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(io))
            .await?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = self.address.target().parse().expect("it is the target of a URI");
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(self.address.authority()).expect("a host is text");
        request.headers_mut().insert(HOST, host);
        let agent = HeaderValue::from_static(concat!("wstap/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(USER_AGENT).or_insert(agent);
        let asking = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            if max == 0 {
                return Ok(Response::from_parts(parts, Bytes::new()));
            }
            let body = Limited::new(body, max).collect().await;
            let body = body.map_err(|_| FetchError::Body(max))?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        // The connection is a future of its own, which has to be polled beside the answer.
        let mut asking = std::pin::pin!(asking);
        tokio::select! {
            biased;
            answer = asking.as_mut() => answer,
            ended = connection => {
                ended?;
                asking.await
            }
        }
    }
}
