//! Lists as answers: read from a cursor on, and written in pieces.
//!
//! A list is read from the hub and rendered while it is sent: a client that does not read its answer
//! holds one piece of it, however long the list is. A list that fits into the first piece is sent
//! with its length.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use serde::Serialize;
use serde_json::json;

use crate::event::Channel;
use crate::hub::{Hub, Pace};
use crate::request::{InTurns, Value, parameters};
use crate::wire;

parameters! {
    /// The part of a list that is ordered by number.
    pub(crate) struct Numbered {
        /// At most so many, up to 1000. Without it, all. The header `Link` has the address of the
        /// next page.
        limit: Option<PageLimit> = 100,
        /// Only what comes after this `number`, or after this `id` of a listener.
        after: Option<Number> = 12,
    }
}

parameters! {
    /// The part of a list that is ordered by name.
    pub(crate) struct Named {
        /// At most so many, up to 1000. Without it, all. The header `Link` has the address of the
        /// next page.
        limit: Option<PageLimit> = 100,
        /// Only what comes after this name.
        after: Option<Name> = "news",
    }
}

/// The most items of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageLimit(pub(super) usize);

impl PageLimit {
    /// A page is looked up before its head is sent, so that the next page can be named there.
    const MAX: usize = 1000;
}

impl Value for PageLimit {
    fn right() -> Cow<'static, str> {
        "a number from 1 to 1000 is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|limit| (1..=Self::MAX).contains(limit)).map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({"type": "integer", "minimum": 1, "maximum": Self::MAX})
    }
}

/// A place in a list that is ordered by number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(super) u64);

impl Value for Number {
    fn right() -> Cow<'static, str> {
        "a number, such as after=12, is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({"type": "integer", "minimum": 0, "maximum": u64::MAX})
    }
}

/// A place in a list that is ordered by name: a channel as it is listed.
#[derive(Debug)]
pub(crate) struct Name(pub(super) String);

impl Value for Name {
    fn right() -> Cow<'static, str> {
        "a channel as it is listed, such as after=news, is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    fn schema() -> serde_json::Value {
        wire::name_schema(Channel::MAX_CHARS)
    }
}

/// A piece of an answer is sent once it has this many bytes.
const PIECE: usize = 16 << 10;

/// Items that are read from the hub at once.
const BATCH: usize = 64;

/// Returns the headers that name the next page.
pub(super) fn next_page(limit: PageLimit, after: &str) -> HeaderMap {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit.0.to_string()).append_pair("after", after);
    let link = format!("<?{}>; rel=\"next\"", query.finish());
    let link = HeaderValue::try_from(link).expect("an encoded query is ASCII");
    HeaderMap::from_iter([(LINK, link)])
}

/// Returns the JSON answer that `write` writes. It is called until it returns `false`, and appends
/// about [`PIECE`] bytes in about a millisecond.
pub(super) async fn answer(
    hub: &Hub,
    mut write: impl FnMut(&mut Vec<u8>) -> bool + Send + Unpin + 'static,
) -> Response {
    let mut first = Vec::new();
    let mut turns = hub.turns();
    let turn = turns.take().await;
    let more = write(&mut first);
    drop(turn);
    let body = if more {
        Body::new(InTurns::new(turns, Pieces { first: Some(first.into()), write: Some(write) }))
    } else {
        Body::from(first)
    };
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Returns a writer of a JSON array. `read` returns the next items after the last one, at most as
/// many as it is asked for; fewer are the end of the list.
pub(super) fn array<T, Item: Serialize>(
    mut read: impl FnMut(Option<&T>, usize) -> Vec<T>,
    item: impl Fn(&T) -> Option<Item>,
) -> impl FnMut(&mut Vec<u8>) -> bool {
    let (mut last, mut begun, mut written) = (None, false, false);
    move |out| {
        if !begun {
            out.push(b'[');
            begun = true;
        }
        let mut pace = Pace::default();
        loop {
            // What does not fit into the piece is read again: an answer that waits keeps nothing
            // alive but the last item.
            let items = read(last.as_ref(), BATCH);
            let end = items.len() < BATCH;
            let count = items.len();
            for (n, one) in items.into_iter().enumerate() {
                if let Some(json) = item(&one) {
                    if written {
                        out.push(b',');
                    }
                    written = true;
                    serde_json::to_writer(&mut *out, &json).expect("an answer is JSON");
                }
                last = Some(one);
                let over = out.len() >= PIECE || !pace.may_go_on();
                if over && (n + 1 < count || !end) {
                    return true;
                }
            }
            if end {
                out.push(b']');
                return false;
            }
        }
    }
}

/// The body of an answer that is written in pieces.
struct Pieces<W> {
    first: Option<Bytes>,
    write: Option<W>,
}

impl<W: FnMut(&mut Vec<u8>) -> bool + Unpin> http_body::Body for Pieces<W> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(write) = &mut self.write else { return Poll::Ready(None) };
        let mut out = Vec::new();
        if !write(&mut out) {
            self.write = None;
        }
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(count: usize, bytes: usize) -> (String, usize) {
        let read = |last: Option<&usize>, wanted: usize| {
            let first = last.map_or(0, |last| last + 1);
            (first..count.min(first + wanted)).collect()
        };
        let odd = |n: &usize| (n % 2 == 1).then(|| format!("{n}{}", "x".repeat(bytes)));
        let mut write = array(read, odd);
        let (mut all, mut pieces) = (Vec::new(), 1);
        loop {
            let before = all.len();
            let more = write(&mut all);
            assert!(all.len() - before <= PIECE + bytes + 30, "{} bytes", all.len() - before);
            if !more {
                return (String::from_utf8(all).expect("text"), pieces);
            }
            pieces += 1;
        }
    }

    #[test]
    fn array_in_pieces_has_every_item_once() {
        for (count, bytes) in [
            (0, 0),
            (1, 0),
            (2, 0),
            (BATCH, 9),
            (BATCH * 2, 999),
            (BATCH * 2 + 1, 40_000),
            (5000, 50),
        ] {
            let (json, pieces) = written(count, bytes);
            let items: Vec<String> = serde_json::from_str(&json).expect("JSON");
            let numbers: Vec<_> =
                items.iter().map(|it| it.trim_end_matches('x').parse::<usize>()).collect();
            let odd: Vec<_> = (0..count).filter(|n| n % 2 == 1).map(Ok).collect();
            assert_eq!(numbers, odd, "{count} items");
            assert!(pieces > json.len() / (PIECE + bytes + 30), "{pieces} pieces");
        }
    }
}
