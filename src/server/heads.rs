//! Watches the bytes of request heads as they are read.
//!
//! - It refuses a head with both a `Content-Length` and a `Transfer-Encoding`, a way to smuggle
//!   requests past a proxy (RFC 9112 section 6.3). hyper takes the `Transfer-Encoding`, drops the
//!   length without a report and closes the connection after the answer.
//! - It counts the bytes of heads that are not complete.
//! - In front of an upstream it hides from hyper what hyper would judge by itself: characters of the
//!   target that `http::Uri` does not hold, and the expectation of a `100 Continue`. Both are
//!   restored before the request is passed on.
//!
//! A head behind another request in the same read is not watched, and gets the treatment of hyper.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use http::Request;
use http::header::TRANSFER_ENCODING;
use http_body::Body as _;
use hyper::body::Incoming;

use super::budget::Share;
use crate::problem::NoRoom;
use crate::request::EXPECT_MASK;

/// Bytes of a head that are not counted: few heads are longer.
const FREE: usize = 4 << 10;

/// Stands for a character that `http::Uri` does not hold.
const STAND_IN: u8 = b'_';

/// The head of the request that is being read.
#[derive(Debug)]
pub(super) struct Heads {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The next bytes are those of a head, and not of a body or of another protocol.
    reading: bool,
    scan: Scan,
    read: usize,
    share: Share,
}

/// A head that is complete.
#[derive(Debug)]
pub(super) struct Head {
    /// It has both a `Content-Length` and a `Transfer-Encoding`.
    pub(super) ambiguous: bool,
    /// The target as it was sent, if hyper got another one.
    pub(super) target: Option<Bytes>,
}

impl Heads {
    /// Begins at the first byte of a connection. `hide` is for connections to an upstream.
    pub(super) fn new(share: Share, hide: bool) -> Self {
        let scan = Scan { hide, ..Scan::default() };
        Self { state: Mutex::new(State { reading: true, scan, read: 0, share }) }
    }

    /// Watches bytes as they are read.
    ///
    /// # Errors
    ///
    /// If the incomplete heads of all connections take too much memory.
    pub(super) fn watch(&self, bytes: &mut [u8]) -> Result<(), NoRoom> {
        let mut state = self.lock();
        if !state.reading || bytes.is_empty() {
            return Ok(());
        }
        state.scan.feed(bytes);
        let before = state.read.max(FREE);
        state.read += bytes.len();
        match state.read.checked_sub(before) {
            Some(more @ 1..) => state.share.take(more),
            _ => Ok(()),
        }
    }

    /// Takes a request whose head is complete.
    pub(super) fn take(&self, request: &Request<Incoming>) -> Head {
        let mut state = self.lock();
        let hide = state.scan.hide;
        let scan = std::mem::replace(&mut state.scan, Scan { hide, ..Scan::default() });
        let upgrade = request.headers().contains_key(http::header::UPGRADE);
        state.reading = request.body().is_end_stream() && !upgrade;
        state.read = 0;
        state.share.release();
        drop(state);
        Head {
            ambiguous: scan.length && request.headers().contains_key(TRANSFER_ENCODING),
            target: scan.hidden.then(|| scan.target.into()),
        }
    }

    /// Notes that the connection speaks another protocol than HTTP/1.
    pub(super) fn ignore(&self) {
        self.lock().reading = false;
    }

    /// Notes that the next bytes are those of a head.
    pub(super) fn expect(&self) {
        self.lock().reading = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// Reads a head, up to the empty line at its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    /// Whether the target and the expectation are hidden from hyper.
    hide: bool,
    part: Part,
    /// The target, where it may have to be hidden.
    target: Vec<u8>,
    hidden: bool,
    length: bool,
}

/// The part of a head that the next byte belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    /// The method, or empty lines before it.
    #[default]
    Method,
    Target,
    /// A line with nothing in it yet but a carriage return.
    Empty,
    /// The name of a field, which begins with as many bytes of one of ours.
    Name(Field, usize),
    /// The value of `Expect`, before its first character.
    Expect,
    /// A line that does not matter.
    Other,
    /// What follows the head.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Length,
    Expect,
}

impl Field {
    fn of(first: u8) -> Option<Self> {
        match first {
            b'c' | b'C' => Some(Self::Length),
            b'e' | b'E' => Some(Self::Expect),
            _ => None,
        }
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::Length => b"content-length",
            Self::Expect => b"expect",
        }
    }
}

impl Scan {
    fn feed(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            self.part = self.next(&mut bytes[at]);
            at += 1;
            match self.part {
                Part::End => return,
                // The rest of the line does not matter.
                Part::Other => match memchr::memchr(b'\n', &bytes[at..]) {
                    Some(more) => at += more,
                    None => return,
                },
                _ => {}
            }
        }
    }

    /// Returns the part that follows a byte.
    fn next(&mut self, byte: &mut u8) -> Part {
        match (self.part, *byte) {
            (Part::End, _) | (Part::Empty, b'\n') => Part::End,
            (Part::Method, b' ') => Part::Target,
            (Part::Method, _) => Part::Method,
            (Part::Target, b' ') => Part::Other,
            (_, b'\n') | (Part::Empty, b'\r') => Part::Empty,
            (Part::Target, _) => {
                self.hide_in_target(byte);
                Part::Target
            }
            (Part::Empty, first) => {
                Field::of(first).map_or(Part::Other, |field| Part::Name(field, 1))
            }
            (Part::Name(field, read), b':') if read == field.name().len() => match field {
                Field::Length => {
                    self.length = true;
                    Part::Other
                }
                Field::Expect if self.hide => Part::Expect,
                Field::Expect => Part::Other,
            },
            (Part::Name(field, read), byte) => {
                if field.name().get(read) == Some(&byte.to_ascii_lowercase()) {
                    Part::Name(field, read + 1)
                } else {
                    Part::Other
                }
            }
            (Part::Expect, b' ' | b'\t') => Part::Expect,
            (Part::Expect, first) => {
                if first == b'1' {
                    *byte ^= EXPECT_MASK;
                }
                Part::Other
            }
            (Part::Other, _) => Part::Other,
        }
    }

    fn hide_in_target(&mut self, byte: &mut u8) {
        if !self.hide {
            return;
        }
        self.target.push(*byte);
        if hides(*byte) {
            self.hidden = true;
            *byte = STAND_IN;
        }
    }
}

/// Returns whether a character of the target is hidden: it is beyond RFC 3986 section 2. A fragment is
/// too, since `http::Uri` drops it.
fn hides(byte: u8) -> bool {
    matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f..)
}

/// Watches a head, whole and in all pairs of pieces, which gives the same; for fuzzers.
///
/// # Panics
///
/// If it does not, or if bytes have changed that are neither the target nor an expectation.
#[doc(hidden)]
pub fn watch_head(bytes: &[u8]) {
    for hide in [false, true] {
        let (scan, read) = scan(bytes, hide);
        assert_eq!(read.len(), bytes.len());
        assert!(hide || read == bytes, "nothing is hidden");
        let changed = read.iter().zip(bytes).filter(|(read, sent)| read != sent).count();
        let hidden = scan.target.iter().filter(|byte| hides(**byte)).count();
        assert!(changed <= hidden + bytes.len() / b"\nexpect:1".len(), "{changed} of {hidden}");
        assert_eq!(scan.hidden, hidden > 0);
    }
}

/// Feeds bytes whole and in all pairs of pieces, which has to give the same.
fn scan(bytes: &[u8], hide: bool) -> (Scan, Vec<u8>) {
    let feed = |cut: usize| {
        let mut scan = Scan { hide, ..Scan::default() };
        let mut bytes = bytes.to_vec();
        let (first, second) = bytes.split_at_mut(cut);
        scan.feed(first);
        scan.feed(second);
        (scan, bytes)
    };
    let whole = feed(0);
    for cut in 1..bytes.len() {
        assert!(feed(cut) == whole, "cut at {cut}");
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_a_field_of_the_head_only() {
        let has_length = |bytes: &[u8]| scan(bytes, false).0.length;
        assert!(has_length(b"POST / HTTP/1.1\r\nHost: a\r\nCONTENT-length: 5\r\n\r\n"));
        assert!(has_length(b"\r\nPOST / HTTP/1.1\nContent-Length:5\n\n"));
        for text in [
            &b"GET / HTTP/1.1\r\nX: content-length: 5\r\n"[..],
            b"POST / HTTP/1.1\r\nHost: a\r\n\r\nContent-Length: 5\r\n\r\n",
            b"POST / HTTP/1.1\nHost: a\n\nContent-Length: 5\n\n",
            b"GET / HTTP/1.1\r\ncontent-lengths: 5",
            b"GET / HTTP/1.1\r\ncontent-length",
            b"GET / HTTP/1.1\r\ncontent\r-length: 5",
            b"",
        ] {
            assert!(!has_length(text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn target_and_expectation_are_hidden_and_nothing_else() {
        let head =
            b"GET /<a>?\"\xe9\"#x HTTP/1.1\r\nX: \"<>\"\r\nexpect: 100-continue\r\n\r\n<Expect: 1";
        let (kept, bytes) = scan(head, true);
        assert!(kept.hidden);
        assert_eq!(kept.target, b"/<a>?\"\xe9\"#x");
        let hidden =
            b"GET /_a_?____x HTTP/1.1\r\nX: \"<>\"\r\nexpect: \xb100-continue\r\n\r\n<Expect: 1";
        assert_eq!(bytes, hidden, "{}", bytes.escape_ascii());
        assert_eq!(scan(head, false).1, head);
        let plain = b"GET /a?b=%20&c=[1] HTTP/1.1\r\nHost: a\r\n\r\n";
        let (kept, bytes) = scan(plain, true);
        assert!(!kept.hidden && bytes == plain);
    }

    #[test]
    fn every_target_can_be_held_after_characters_are_hidden() {
        for byte in b'!'..=0xff {
            let head = [&b"GET /"[..], &[byte], b"?", &[byte], b" HTTP/1.1\r\n\r\n"].concat();
            let (_, bytes) = scan(&head, true);
            let target = &bytes[4..bytes.len() - 13];
            assert!(http::Uri::try_from(target).is_ok(), "{}", target.escape_ascii());
        }
    }
}
