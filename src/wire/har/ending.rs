//! How a connection of an archive ended: `_webSocketClose` or a close frame among the messages; and
//! whether it was refused.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::lenient::BASE64;
use super::model::{Entry, Message as Frame};
use crate::code::absent;
use crate::event::{Close, ClosedBy};

/// `_webSocketClose`. Programs differ in the names; wstap writes the first of each.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Closing<'a> {
    #[serde(deserialize_with = "super::lenient::maybe_whole")]
    pub(super) code: Option<u16>,
    #[serde(
        rename = "closeCode",
        skip_serializing,
        deserialize_with = "super::lenient::maybe_whole"
    )]
    pub(super) other_code: Option<u16>,
    #[serde(borrow, deserialize_with = "super::lenient::maybe_string")]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(
        borrow,
        rename = "closeReason",
        skip_serializing,
        deserialize_with = "super::lenient::maybe_string"
    )]
    pub(super) other_reason: Option<Cow<'a, str>>,
    /// Seconds since 1970.
    #[serde(
        serialize_with = "super::model::thousandths",
        deserialize_with = "super::lenient::lenient"
    )]
    pub(super) timestamp: f64,
    #[serde(rename = "time", skip_serializing, deserialize_with = "super::lenient::lenient")]
    pub(super) other_time: f64,
    #[serde(
        rename = "wasClean",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::lenient"
    )]
    pub(super) clean: Option<bool>,
    /// `client`, `server`, `tap` or `network`.
    #[serde(
        borrow,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::maybe_string"
    )]
    pub(super) by: Option<Cow<'a, str>>,
}

/// The end of a connection, and its time if that is known.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) ms: Option<u64>,
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) clean: bool,
    pub(super) by: ClosedBy,
}

impl Ending {
    /// Returns the end of the connection of an entry; `None` if it was still open.
    pub(super) fn of(entry: &Entry<'_>, clock: &Clock) -> Option<Self> {
        let frames = || entry.messages.iter().flat_map(|messages| &messages.0);
        let frame = frames().find(|frame| frame.opcode == 8);
        let by_frame = frame.map(|frame| side(frame));
        if let Some(raw) = entry.close {
            // A word such as "aborted" has no fields.
            let is_object = raw.get().starts_with('{');
            let closing = is_object.then(|| serde_json::from_str::<Closing<'_>>(raw.get()).ok());
            let closing = closing.flatten().unwrap_or_default();
            let code = closing.code.or(closing.other_code).unwrap_or(absent::ABNORMAL);
            let sides = [ClosedBy::Client, ClosedBy::Server, ClosedBy::Tap, ClosedBy::Network];
            let by = sides.into_iter().find(|by| closing.by.as_deref() == Some(by.as_str()));
            return Some(Self {
                ms: clock.ms(closing.timestamp).or_else(|| clock.ms(closing.other_time)),
                code,
                reason: closing.reason.or(closing.other_reason).unwrap_or_default().into_owned(),
                clean: closing.clean.unwrap_or(!is_abnormal(code)),
                by: by.or(by_frame).unwrap_or_else(|| likely(code)),
            });
        }
        if let Some((frame, by)) = frame.zip(by_frame) {
            let (code, reason) = close_frame(&frame.data);
            return Some(Self {
                ms: clock.ms(frame.time),
                code,
                reason,
                clean: !is_abnormal(code),
                by,
            });
        }
        entry.is_complete.then(|| Self::of_stream(entry, clock))
    }

    /// Returns the end of an event stream whose body is complete: it lasted as long as the entry.
    fn of_stream(entry: &Entry<'_>, clock: &Clock) -> Self {
        let time = Duration::try_from_secs_f64(entry.time / 1e3).unwrap_or_default();
        let time = u64::try_from(time.as_millis()).unwrap_or(0);
        Self {
            ms: clock.start().map(|start| start.saturating_add(time)),
            code: absent::NO_STATUS,
            reason: String::new(),
            clean: true,
            by: ClosedBy::Server,
        }
    }

    /// Returns the close without duration and counts.
    pub(super) fn close(self) -> Close {
        let Self { code, reason, clean, by, .. } = self;
        Close {
            code,
            reason,
            clean,
            by,
            duration: Duration::ZERO,
            messages: crate::event::Flow::default(),
            bytes: crate::event::Flow::default(),
            wire: None,
            refused: None,
        }
    }
}

/// Returns the status with which a handshake was refused, 0 if it was not
/// answered, and the reason;
/// `None` if the connection was opened.
pub(super) fn refusal(entry: &Entry<'_>) -> Option<(u16, String)> {
    let frames = entry.messages.iter().flat_map(|messages| &messages.0);
    if frames.clone().any(|frame| matches!(frame.opcode, 1 | 2 | 9 | 10) && frame.kind != "error") {
        return None;
    }
    let response = &entry.response;
    let error = [&entry.error, &response.error, &response.failure].into_iter().flatten().next();
    let error = error.map(|error| error.clone().into_owned()).or_else(|| {
        frames.clone().find(|frame| frame.kind == "error").map(|it| it.data.clone().into_owned())
    });
    let error = error.filter(|error| !error.is_empty());
    match u16::try_from(response.status).unwrap_or(0) {
        0 => Some((0, error?)),
        101 => None,
        status => Some((status, error.unwrap_or_else(|| format!("the server answered {status}")))),
    }
}

fn side(frame: &Frame<'_>) -> ClosedBy {
    match &*frame.kind {
        "send" | "request" => ClosedBy::Client,
        _ => ClosedBy::Server,
    }
}

fn is_abnormal(code: u16) -> bool {
    matches!(code, 1006 | 1015)
}

/// Returns the side that ended a connection, as far as the code tells.
fn likely(code: u16) -> ClosedBy {
    match code {
        1006 | 1015 => ClosedBy::Network,
        1000 | 1001 | 1005 => ClosedBy::Client,
        _ => ClosedBy::Server,
    }
}

/// Reads the payload of a close frame: its bytes as characters, or as base64, or the code in digits.
fn close_frame(data: &str) -> (u16, String) {
    let characters = |data: &str| {
        let mut chars = data.chars();
        let (high, low) = (u8::try_from(chars.next()?).ok()?, u8::try_from(chars.next()?).ok()?);
        let reason = chars.as_str();
        let bytes: Option<Vec<u8>> = reason.chars().map(|char| u8::try_from(char).ok()).collect();
        let utf8 = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        coded(high, low, utf8.unwrap_or_else(|| reason.to_owned()))
    };
    let base64 = |data: &str| {
        let bytes = BASE64.decode(data).ok()?;
        let [high, low, reason @ ..] = &bytes[..] else { return None };
        coded(*high, *low, String::from_utf8_lossy(reason).into_owned())
    };
    let digits = |data: &str| {
        let end = data.find(|char: char| !char.is_ascii_digit()).unwrap_or(data.len());
        let code: u16 = data[..end].parse().ok()?;
        let reason = data[end..].trim_start_matches([' ', ':', ',', ';', '-']);
        (1000..5000).contains(&code).then(|| (code, reason.to_owned()))
    };
    let read = characters(data).or_else(|| digits(data)).or_else(|| base64(data));
    read.unwrap_or_else(|| (absent::NO_STATUS, data.to_owned()))
}

fn coded(high: u8, low: u8, reason: String) -> Option<(u16, String)> {
    let code = u16::from_be_bytes([high, low]);
    (1000..5000).contains(&code).then_some((code, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_frames_are_read_in_every_writing() {
        for (data, code, reason) in [
            ("\u{3}\u{e8}bye", 1000, "bye"),
            ("\u{f}\u{a0}sch\u{c3}\u{b6}n", 4000, "schön"),
            ("\u{f}\u{a0}schön \u{1f600}", 4000, "schön \u{1f600}"),
            ("A+hieWU=", 1000, "bye"),
            ("1001", 1001, ""),
            ("4000: enough", 4000, "enough"),
            ("", 1005, ""),
            ("bye", 1005, "bye"),
        ] {
            assert_eq!(close_frame(data), (code, reason.to_owned()), "{data:?}");
        }
    }
}
