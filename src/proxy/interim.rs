//! Interim answers of an upstream (RFC 9110 section 15.2): `100 Continue`, `103 Early Hints`.
//!
//! hyper reports them to a callback and cannot send any. They are written to the socket of the
//! client, before the final answer.

use std::fmt::Write as _;
use std::pin::pin;

use axum::body::Body;
use http::{Request, Version};
use hyper::ext::on_informational;
use tokio::sync::mpsc;

use crate::socket::SocketControl;

/// Interim answers that wait to be passed on; further ones are left out.
const WAITING: usize = 16;

/// Sends a request, and passes its interim answers on to a client until the final answer comes. A
/// client of HTTP/1.0 gets none.
pub(super) async fn pass_on<T, F: Future<Output = T>>(
    mut request: Request<Body>,
    client: (Version, &SocketControl),
    send: impl FnOnce(Request<Body>) -> F,
) -> T {
    let (version, control) = client;
    let (tx, mut rx) = mpsc::channel(WAITING);
    if version == Version::HTTP_11 {
        on_informational(&mut request, move |answer| {
            let status = answer.status();
            let reason = status.canonical_reason().unwrap_or_default();
            let mut head = String::new();
            write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_str()).expect("a String takes all");
            let mut head = head.into_bytes();
            for (name, value) in answer.headers() {
                head.extend_from_slice(name.as_str().as_bytes());
                head.extend_from_slice(b": ");
                head.extend_from_slice(value.as_bytes());
                head.extend_from_slice(b"\r\n");
            }
            head.extend_from_slice(b"\r\n");
            // An error says that too many wait, or that the final answer has come.
            let _ = tx.try_send(head);
        });
    }
    let mut answer = pin!(send(request));
    let answer = loop {
        tokio::select! {
            biased;
            Some(interim) = rx.recv() => control.send_interim(&interim),
            answer = &mut answer => break answer,
        }
    };
    while let Ok(interim) = rx.try_recv() {
        control.send_interim(&interim);
    }
    answer
}
