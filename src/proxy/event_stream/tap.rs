//! The tap of one event stream: reads a copy of its bytes after they have passed, in turns of a
//! millisecond.
//!
//! A reader that fails is dropped; the stream goes on without it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bytes::{Buf as _, Bytes};

use super::super::held::Share;
use super::super::messages::{unreadable, words};
use super::decode::{Broken, Decoder};
use crate::code::absent;
use crate::event::{
    Body, ClosedBy, Direction, EventBody, EventFields, Flow, FrameInfo, Message, Opcode,
    TransportStats,
};
use crate::frame::Note;
use crate::hub::{CloseRequest, Connection, Ending, Hub, Pace};
use crate::json::Json;
use crate::wire::sse::{Absent, Dispatched, Reader};

/// Bytes that may wait for the tap. With more, nothing is read off the upstream until there is room:
/// a stream that inflates a thousandfold waits for its own tap, as a WebSocket does.
const HOLD: usize = 256 << 10;

/// Bytes that are read at once, between two looks at the clock.
const PIECE: usize = 16 << 10;

/// Bytes of messages that are handed to the hub at once: fewer than wait in its inbox.
const HANDED: usize = 256 << 10;

/// The tap of an event stream.
#[derive(Debug)]
pub(super) struct StreamTap {
    connection: Connection,
    reader: Reader,
    /// `None` if nothing can be read, or nothing more.
    decoder: Option<Decoder>,
    /// Bytes that have passed and are not read yet.
    behind: VecDeque<Bytes>,
    behind_bytes: usize,
    /// Bytes that are decoded and not read yet, from an index on.
    decoded: (Vec<u8>, usize),
    limit: usize,
    /// Memory of the incomplete event.
    share: Share,
    passed: u64,
    began: Instant,
    last: Instant,
    note: Option<Box<str>>,
}

/// The end of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Its answer was complete.
    Complete,
    /// The client left.
    Left,
    /// The server ended the connection before the end of the answer.
    Incomplete,
    /// The connection to the server failed.
    Failed(String),
    /// wstap was told to end it.
    Requested(CloseRequest),
}

impl StreamTap {
    pub(super) fn new(
        connection: Connection,
        decoder: Option<Decoder>,
        limit: usize,
        share: Share,
    ) -> Self {
        let note = decoder.is_none().then(|| "compressed, not decoded".into());
        let now = Instant::now();
        Self {
            connection,
            reader: Reader::new(limit),
            decoder,
            behind: VecDeque::new(),
            behind_bytes: 0,
            decoded: (Vec::new(), 0),
            limit,
            share,
            passed: 0,
            began: now,
            last: now,
            note,
        }
    }

    /// Takes a copy of bytes that pass.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.passed += bytes.len() as u64;
        self.last = Instant::now();
        if self.decoder.is_some() && !bytes.is_empty() {
            self.behind_bytes += bytes.len();
            self.behind.push_back(bytes);
        }
    }

    /// Returns whether there is room for another copy.
    pub(super) fn has_room(&self) -> bool {
        self.behind_bytes < HOLD
    }

    /// Returns whether bytes have not been read yet.
    pub(super) fn is_behind(&self) -> bool {
        match &self.decoder {
            None => false,
            Some(Decoder::Plain) => !self.behind.is_empty(),
            Some(Decoder::Inflate(inflate)) => {
                !self.behind.is_empty() || !self.decoded.0.is_empty() || inflate.has_more()
            }
        }
    }

    /// Reads for about a millisecond.
    pub(super) fn turn(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.read())).is_err() {
            tracing::error!(
                "the reader of an event stream failed; this is a fault of wstap, and traffic goes on"
            );
            self.give_up("the tap failed here; no more events of this stream are shown");
        }
    }

    /// Reads nothing more.
    fn give_up(&mut self, note: &str) {
        self.decoder = None;
        self.behind = VecDeque::new();
        self.behind_bytes = 0;
        self.decoded = (Vec::new(), 0);
        self.reader.drop_data();
        self.share.resize(0);
        self.note.get_or_insert_with(|| note.into());
        let message = self.connection.draft(unreadable(Direction::Out, note));
        self.connection.offer(&mut vec![message]);
    }

    fn read(&mut self) {
        let mut pace = Pace::default();
        while pace.may_go_on() && self.is_behind() {
            if self.step(&mut pace).is_err() {
                self.give_up("this stream is not compressed as its head says; no more of its events are shown");
            }
        }
    }

    /// Reads a piece of the decoded bytes, or decodes one.
    fn step(&mut self, pace: &mut Pace) -> Result<(), Broken> {
        let (decoded, at) = &mut self.decoded;
        if !decoded.is_empty() {
            let mut bytes = std::mem::take(decoded);
            let from = std::mem::take(at);
            let next = from + self.feed(&bytes[from..], pace);
            if next < bytes.len() {
                self.decoded = (bytes, next);
            } else {
                bytes.clear();
                // `is_empty` says that all is read; the buffer is used again.
                self.decoded = (bytes, 0);
            }
            return Ok(());
        }
        let front = self.behind.front();
        let piece = front.map(|front| front.slice(..front.len().min(PIECE))).unwrap_or_default();
        let read = match &mut self.decoder {
            None => piece.len(),
            Some(Decoder::Plain) => self.feed(&piece, pace),
            Some(Decoder::Inflate(inflate)) => {
                decoded.reserve(PIECE);
                inflate.inflate(&piece, decoded)?
            }
        };
        self.take(read);
        Ok(())
    }

    /// Drops bytes that are read.
    fn take(&mut self, read: usize) {
        self.behind_bytes -= read;
        if let Some(front) = self.behind.front_mut() {
            front.advance(read);
            if front.is_empty() {
                self.behind.pop_front();
            }
        }
    }

    /// Reads bytes until the turn is over, and publishes the events that they complete. Returns the
    /// number of bytes that were read.
    fn feed(&mut self, bytes: &[u8], pace: &mut Pace) -> usize {
        let Self { connection, reader, decoder, limit, .. } = self;
        let wanted = connection.wanted();
        let is_compressed = matches!(decoder, Some(Decoder::Inflate(_)));
        let mut room = wanted && connection.has_room();
        let (mut count, mut payload, mut size) = (0, 0, 0);
        let mut drafts = Vec::new();
        let read = reader.feed(bytes, wanted, |event| {
            count += 1;
            payload += event.size;
            if wanted {
                let message = message(&event, *limit, is_compressed, room);
                let draft = connection.draft(message);
                if let EventBody::Message(message) = &draft.body {
                    size += message.body.len();
                }
                drafts.push(draft);
                if size >= HANDED {
                    connection.offer(&mut drafts);
                    (size, room) = (0, connection.has_room());
                }
            }
            pace.may_go_on()
        });
        if count > 0 {
            connection.passed(Direction::Out, count, payload);
        }
        if !drafts.is_empty() {
            connection.offer(&mut drafts);
        }
        if !self.share.resize(reader.held()) {
            reader.drop_data();
        }
        read
    }

    /// Publishes the end, after the events that have passed. `sent` is the number of bytes of the body
    /// of the request.
    pub(super) fn finish(mut self, hub: &Hub, end: End, sent: u64) {
        if !self.is_behind() || tokio::runtime::Handle::try_current().is_err() {
            return self.end(end, sent);
        }
        hub.run(async move {
            while self.is_behind() {
                self.turn();
                tokio::task::yield_now().await;
            }
            self.end(end, sent);
        });
    }

    fn end(self, end: End, sent: u64) {
        let ended = (absent::NO_STATUS, true);
        let broken = (absent::ABNORMAL, false);
        let (by, (code, clean), reason) = match end {
            End::Complete => (ClosedBy::Server, ended, String::new()),
            End::Left => (ClosedBy::Client, ended, String::new()),
            End::Incomplete => {
                let reason = "the server ended the connection before the end of its answer";
                (ClosedBy::Server, broken, reason.to_owned())
            }
            End::Failed(reason) => (ClosedBy::Network, broken, reason),
            End::Requested(CloseRequest { code, reason }) => (ClosedBy::Tap, (code, false), reason),
        };
        let wire = TransportStats {
            bytes: Flow { inward: sent, outward: self.passed },
            client_silence: self.began.elapsed(),
            server_silence: self.last.elapsed(),
            note: self.note,
            comments: Some(self.reader.comments()),
        };
        self.connection.end(Ending { code, reason, clean, by, wire: Some(wire) });
    }
}

/// Returns the message of an event. Without `room` in the inbox of the hub its data is left out, which
/// would be lost there.
fn message(event: &Dispatched<'_>, limit: usize, compressed: bool, room: bool) -> Message {
    let truncated = event.truncated && room;
    let (body, note) = match event.data {
        Ok(_) if !room => (Body::Absent, words(Some(Note::NoRoom))),
        Ok(data) if truncated => {
            let text = String::from_utf8_lossy(whole_characters(data));
            (Body::Value(Json::string(&text)), words(Some(Note::TooLarge(limit))))
        }
        Ok(data) => {
            let text = String::from_utf8_lossy(data);
            let is_mended = matches!(text, std::borrow::Cow::Owned(_));
            let body = Body::Value(Json::parse(&text).unwrap_or_else(|| Json::string(&text)));
            let note = "not UTF-8; what cannot be read is U+FFFD, as in the client";
            (body, is_mended.then(|| note.into()))
        }
        Err(absent) => {
            let note = match absent {
                Absent::Skimmed => Note::Skimmed,
                Absent::Dropped => Note::NoRoom,
            };
            (Body::Absent, words(Some(note)))
        }
    };
    Message {
        direction: Direction::Out,
        opcode: Some(Opcode::Text),
        size: event.size,
        body,
        synthetic: false,
        frame_info: Some(FrameInfo { wire: event.wire, fragments: 1, compressed, truncated, note }),
        routing: None,
        event: EventFields::of(event.name.unwrap_or_default(), event.id),
    }
}

/// Returns text that was cut without the beginning of a character at its end.
fn whole_characters(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Err(fault) if fault.error_len().is_none() => &text[..fault.valid_up_to()],
        _ => text,
    }
}
