//! Reads an event stream as it arrives, in bounded memory (HTML standard, section 9.2.6).
//!
//! Bytes are read once, in pieces of any size. The data of an event is kept up to a limit; a field
//! that is not kept is counted. The reader never waits: an event is complete with the first byte of
//! the line break that ends its empty line.

use std::time::Duration;

use memchr::{memchr, memchr2};

/// The most bytes that are kept of an event name and of an id. An ellipsis marks a cut.
const MAX_TEXT: usize = 1 << 10;

/// The most digits that are read of `retry`: as many as a `u64` holds.
const MAX_DIGITS: usize = 20;

/// Capacity that the buffer of data keeps from one event to the next.
const KEEP: usize = 16 << 10;

/// The bytes of a byte order mark.
const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// An event as a browser dispatches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dispatched<'a> {
    /// The event name; `None` stands for `message`.
    pub name: Option<&'a str>,
    /// The last event id of the stream; empty if there is none.
    pub id: &'a str,
    /// The lines of data, joined by LF, or the reason why they are absent. A stream is UTF-8, and the
    /// bytes are those that were sent.
    pub data: Result<&'a [u8], Absent>,
    /// Whether the data is its beginning only: it is larger than the limit.
    pub truncated: bool,
    /// Bytes of the whole data, also where it is absent.
    pub size: u64,
    /// Bytes of the lines of the event, with their line breaks.
    pub wire: u64,
}

/// Reasons why the data of an event is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Part of the event was read without being kept.
    Skimmed,
    /// [`Reader::drop_data`] was called.
    Dropped,
}

/// Fields with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Event,
    Data,
    Id,
    Retry,
}

/// The place within a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    /// In the name of its field.
    #[default]
    Name,
    /// In the value of a field. Nothing of the value has been read if it `begins`.
    Value { field: Field, begins: bool },
    /// In a comment, or in a field without a meaning.
    Other,
}

/// Reads an event stream.
#[derive(Debug)]
pub struct Reader {
    limit: usize,
    /// Bytes of the byte order mark that have been read; all of them once the stream has begun.
    mark: usize,
    /// Whether the last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    line: Line,
    /// The beginning of the name of the field, and its length.
    field: ([u8; 5], usize),
    /// The value of the line so far, unless it is data.
    value: Vec<u8>,
    /// Whether the value has a NUL, which makes an id invalid.
    has_nul: bool,
    data: Vec<u8>,
    /// Bytes of the data of the event, with the line break after its last line.
    size: u64,
    absent: Option<Absent>,
    truncated: bool,
    wire: u64,
    name: String,
    /// The id of the event so far.
    id: Option<String>,
    last_event_id: Option<String>,
    retry: Option<Duration>,
    comments: u64,
}

impl Field {
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"event" => Some(Self::Event),
            b"data" => Some(Self::Data),
            b"id" => Some(Self::Id),
            b"retry" => Some(Self::Retry),
            _ => None,
        }
    }
}

impl Reader {
    /// Creates a reader that keeps up to `limit` bytes of the data of an event.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            mark: 0,
            after_cr: false,
            line: Line::Name,
            field: ([0; 5], 0),
            value: Vec::new(),
            has_nul: false,
            data: Vec::new(),
            size: 0,
            absent: None,
            truncated: false,
            wire: 0,
            name: String::new(),
            id: None,
            last_event_id: None,
            retry: None,
            comments: 0,
        }
    }

    /// Reads bytes, and passes each event that they complete to `each`, until that returns `false`.
    /// Returns the number of bytes that were read. Without `keep`, data is counted and not kept.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        keep: bool,
        mut each: impl FnMut(Dispatched<'_>) -> bool,
    ) -> usize {
        if !keep {
            self.skim();
        }
        let mut at = self.skip_mark(bytes, keep);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                at += 1;
                continue;
            }
            let end = memchr2(b'\r', b'\n', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            self.piece(piece, keep);
            self.wire += piece.len() as u64;
            at += piece.len();
            if end.is_none() {
                break;
            }
            self.after_cr = bytes[at] == b'\r';
            self.wire += 1;
            at += 1;
            if !self.end_line(keep, &mut each) {
                break;
            }
        }
        at
    }

    /// Returns the bytes that are kept of an incomplete event.
    #[must_use]
    pub fn held(&self) -> usize {
        self.data.len()
    }

    /// Drops the data of an incomplete event.
    pub fn drop_data(&mut self) {
        self.lose(Absent::Dropped);
    }

    /// Returns the number of comments so far.
    #[must_use]
    pub fn comments(&self) -> u64 {
        self.comments
    }

    /// Returns the id to resume from: that of the last complete event.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// Returns the reconnection time that the server has set.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Drops the incomplete event of an interrupted stream. Keeps the id and the reconnection time.
    pub fn reconnect(&mut self) {
        let (id, retry) = (self.last_event_id.take(), self.retry);
        *self = Self { id: id.clone(), last_event_id: id, retry, ..Self::new(self.limit) };
    }

    /// Notes that data of the event that is incomplete is not kept.
    fn skim(&mut self) {
        let data = Line::Value { field: Field::Data, begins: false };
        if self.size > 0 || self.line == data {
            self.lose(Absent::Skimmed);
        }
    }

    fn lose(&mut self, why: Absent) {
        self.absent.get_or_insert(why);
        self.data = Vec::new();
    }

    /// Skips a byte order mark at the beginning of the stream, and returns its length in `bytes`.
    fn skip_mark(&mut self, bytes: &[u8], keep: bool) -> usize {
        let mut at = 0;
        while self.mark < MARK.len() && at < bytes.len() {
            if bytes[at] == MARK[self.mark] {
                (self.mark, at) = (self.mark + 1, at + 1);
            } else {
                // What looked like a mark was text.
                let begun = std::mem::replace(&mut self.mark, MARK.len());
                self.piece(&MARK[..begun], keep);
                self.wire += begun as u64;
            }
        }
        at
    }

    /// Reads a part of a line.
    fn piece(&mut self, mut bytes: &[u8], keep: bool) {
        if self.line == Line::Name && !bytes.is_empty() {
            bytes = self.field_name(bytes);
        }
        let Line::Value { field, begins } = &mut self.line else { return };
        if bytes.is_empty() {
            return;
        }
        if std::mem::take(begins) && bytes[0] == b' ' {
            bytes = &bytes[1..];
        }
        match *field {
            Field::Data => self.append(bytes, keep),
            field => {
                self.has_nul |= field == Field::Id && memchr(0, bytes).is_some();
                let room = MAX_TEXT + 1 - self.value.len();
                self.value.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
    }

    /// Reads the name of a field as far as it goes, and returns the bytes after its colon.
    fn field_name<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let colon = memchr(b':', bytes);
        let part = &bytes[..colon.unwrap_or(bytes.len())];
        let (name, length) = &mut self.field;
        let whole = *length + part.len();
        if whole > name.len() {
            self.line = Line::Other;
            return &[];
        }
        name[*length..whole].copy_from_slice(part);
        *length = whole;
        let Some(colon) = colon else { return &[] };
        self.comments += u64::from(whole == 0);
        let field = Field::named(&name[..whole]);
        self.line = field.map_or(Line::Other, |field| Line::Value { field, begins: true });
        &bytes[colon + 1..]
    }

    fn append(&mut self, bytes: &[u8], keep: bool) {
        self.size += bytes.len() as u64;
        if !keep {
            self.lose(Absent::Skimmed);
        } else if self.absent.is_none() && !self.truncated {
            let room = self.limit.saturating_sub(self.data.len());
            self.truncated = bytes.len() > room;
            self.data.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Ends a line. Returns what `each` does, and `true` if no event is complete.
    fn end_line(&mut self, keep: bool, each: &mut impl FnMut(Dispatched<'_>) -> bool) -> bool {
        let length = std::mem::take(&mut self.field.1);
        match std::mem::take(&mut self.line) {
            Line::Name if length == 0 => return self.dispatch(each),
            Line::Name => {
                if let Some(field) = Field::named(&self.field.0[..length]) {
                    self.end_field(field, keep);
                }
            }
            Line::Value { field, .. } => self.end_field(field, keep),
            Line::Other => {}
        }
        true
    }

    fn end_field(&mut self, field: Field, keep: bool) {
        match field {
            Field::Data => {
                self.size += 1;
                if !keep {
                    self.lose(Absent::Skimmed);
                } else if self.absent.is_none() && !self.truncated {
                    // The line break after the last line is not part of the data.
                    self.truncated = self.data.len() > self.limit;
                    if !self.truncated {
                        self.data.push(b'\n');
                    }
                }
            }
            Field::Event => self.name = text(&self.value),
            Field::Id if !self.has_nul => self.id = Some(text(&self.value)),
            Field::Id => {}
            Field::Retry => self.retry = milliseconds(&self.value).or(self.retry),
        }
        self.has_nul = false;
        self.value.clear();
    }

    /// Ends an event. One without data sets the id only.
    fn dispatch(&mut self, each: &mut impl FnMut(Dispatched<'_>) -> bool) -> bool {
        self.last_event_id.clone_from(&self.id);
        let (size, wire) = (std::mem::take(&mut self.size), std::mem::take(&mut self.wire));
        let (absent, mut data) = (self.absent.take(), std::mem::take(&mut self.data));
        let truncated = std::mem::take(&mut self.truncated) && absent.is_none();
        // A line of data has its line break at least.
        if size == 0 {
            self.name.clear();
            return true;
        }
        let name = Some(&*self.name).filter(|name| !matches!(*name, "" | "message"));
        let kept = if truncated {
            &data[..data.len().min(self.limit)]
        } else {
            data.strip_suffix(b"\n").unwrap_or(&data)
        };
        let go_on = each(Dispatched {
            name,
            id: self.last_event_id.as_deref().unwrap_or_default(),
            data: absent.map_or(Ok(kept), Err),
            truncated,
            size: size - 1,
            wire,
        });
        self.name.clear();
        if data.capacity() <= KEEP {
            data.clear();
            self.data = data;
        }
        go_on
    }
}

/// Returns a value as text. One that was cut ends with an ellipsis.
fn text(value: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&value[..value.len().min(MAX_TEXT)]).into_owned();
    if value.len() > MAX_TEXT {
        text.push('…');
    }
    text
}

/// Reads the value of `retry`, which has digits only.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    let digits =
        !value.is_empty() && value.len() <= MAX_DIGITS && value.iter().all(u8::is_ascii_digit);
    let text = digits.then(|| std::str::from_utf8(value).ok())??;
    text.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests;
