//! The objects of an archive, for writing and for reading.
//!
//! Reading is lenient (`lenient`): a field that is missing, null or of another type has its default,
//! and an element of a list that is of another type is left out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::lenient::{List, lenient, maybe_string, object, string, text, whole};

/// `log`, without what is written piece by piece.
#[derive(Debug, Serialize)]
pub(super) struct LogHead {
    pub(super) version: &'static str,
    pub(super) creator: Creator,
    pub(super) pages: [Page; 1],
}

/// A page. Safari shows no entry without one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) started_date_time: String,
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    #[serde(rename = "pageTimings")]
    pub(super) timings: PageTimings,
}

/// `pageTimings`; -1 stands for unknown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageTimings {
    pub(super) on_content_load: i8,
    pub(super) on_load: i8,
}

/// `log.creator`.
#[derive(Debug, Serialize)]
pub(super) struct Creator {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

/// An archive as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Archive<'a> {
    #[serde(borrow)]
    pub(super) log: &'a RawValue,
}

/// `log` as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Log<'a> {
    #[serde(default, borrow, deserialize_with = "lenient")]
    pub(super) entries: List<Entry<'a>>,
    #[serde(default, deserialize_with = "object")]
    pub(super) creator: ReadCreator,
    #[serde(default, borrow, rename = "_wstap", deserialize_with = "object")]
    pub(super) own: OwnLog<'a>,
}

/// `log.creator` as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadCreator {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
}

/// `log._wstap`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OwnLog<'a> {
    /// The gaps of the stream, in full JSON.
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) gaps: List<&'a RawValue>,
}

/// An entry: a connection.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) pageref: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) started_date_time: Option<String>,
    /// Milliseconds.
    #[serde(serialize_with = "thousandths", deserialize_with = "lenient")]
    pub(super) time: f64,
    #[serde(borrow, deserialize_with = "object")]
    pub(super) request: Request<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub(super) response: Response<'a>,
    #[serde(skip_deserializing)]
    pub(super) cache: Cache,
    #[serde(deserialize_with = "object")]
    pub(super) timings: Timings,
    #[serde(borrow, rename = "_resourceType", deserialize_with = "maybe_string")]
    pub(super) resource_type: Option<Cow<'a, str>>,
    /// Why a request of Chrome failed.
    #[serde(
        rename = "_error",
        borrow,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "maybe_string"
    )]
    pub(super) error: Option<Cow<'a, str>>,
    /// The end of the connection; see `ending`.
    #[serde(
        borrow,
        rename = "_webSocketClose",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
    )]
    pub(super) close: Option<&'a RawValue>,
    #[serde(
        borrow,
        rename = "_webSocketMessages",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
    )]
    pub(super) messages: Option<List<Message<'a>>>,
    #[serde(
        borrow,
        rename = "_eventSourceMessages",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
    )]
    pub(super) stream_messages: Option<List<StreamMessage<'a>>>,
    /// Whether the events are those of a body: it was complete when it was written.
    #[serde(skip)]
    pub(super) is_complete: bool,
    #[serde(
        borrow,
        rename = "_wstap",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "object"
    )]
    pub(super) own: Option<OwnEntry<'a>>,
}

/// `request`: the handshake of the client.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Request<'a> {
    #[serde(deserialize_with = "lenient")]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "string")]
    pub(super) url: Cow<'a, str>,
    #[serde(deserialize_with = "lenient")]
    pub(super) http_version: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) cookies: List<Pair<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) headers: List<Pair<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) query_string: List<Pair<'a>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) headers_size: i64,
    #[serde(deserialize_with = "lenient")]
    pub(super) body_size: i64,
}

/// `response`: the answer of the server to the handshake.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(deserialize_with = "whole")]
    pub(super) status: i32,
    #[serde(deserialize_with = "lenient")]
    pub(super) status_text: Cow<'a, str>,
    #[serde(deserialize_with = "lenient")]
    pub(super) http_version: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) cookies: List<Pair<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) headers: List<Pair<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub(super) content: Content<'a>,
    #[serde(
        rename = "_error",
        borrow,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "maybe_string"
    )]
    pub(super) error: Option<Cow<'a, str>>,
    #[serde(
        rename = "_failureText",
        borrow,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "maybe_string"
    )]
    pub(super) failure: Option<Cow<'a, str>>,
    #[serde(rename = "redirectURL", deserialize_with = "lenient")]
    pub(super) redirect_url: Cow<'a, str>,
    #[serde(deserialize_with = "lenient")]
    pub(super) headers_size: i64,
    #[serde(deserialize_with = "lenient")]
    pub(super) body_size: i64,
}

/// `response.content`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Content<'a> {
    #[serde(deserialize_with = "lenient")]
    pub(super) size: i64,
    #[serde(deserialize_with = "lenient")]
    pub(super) mime_type: String,
    /// The body. It is decoded only of event streams: those of pages are large.
    #[serde(borrow, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) text: Option<&'a RawValue>,
    /// `base64`, or empty if the body is text.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "lenient")]
    pub(super) encoding: String,
    /// The file of a body that Playwright writes beside the archive.
    #[serde(
        rename = "_file",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
    )]
    pub(super) file: Option<String>,
}

/// `cache`, which has to be there.
#[derive(Debug, Default, Serialize)]
pub(super) struct Cache {}

/// `timings`, in milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Timings {
    #[serde(skip_deserializing)]
    pub(super) send: u64,
    #[serde(serialize_with = "thousandths", deserialize_with = "lenient")]
    pub(super) wait: f64,
    #[serde(skip_deserializing)]
    pub(super) receive: u64,
}

/// A header field, a cookie or a query parameter.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Pair<'a> {
    #[serde(borrow, deserialize_with = "string")]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "string")]
    pub(super) value: Cow<'a, str>,
}

/// One of `_webSocketMessages`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    /// `send` or `receive`.
    #[serde(borrow, rename = "type", deserialize_with = "string")]
    pub(super) kind: Cow<'a, str>,
    /// Seconds since 1970; Playwright writes milliseconds, and -1 if times are left out.
    #[serde(serialize_with = "thousandths", deserialize_with = "lenient")]
    pub(super) time: f64,
    #[serde(deserialize_with = "whole")]
    pub(super) opcode: i32,
    /// Text, or binary as base64.
    #[serde(borrow, deserialize_with = "text")]
    pub(super) data: Cow<'a, str>,
    #[serde(
        rename = "_wstap",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "object"
    )]
    pub(super) own: Option<OwnMessage<'a>>,
}

/// One of `_eventSourceMessages`: an event of an event stream.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StreamMessage<'a> {
    /// Seconds since 1970.
    #[serde(serialize_with = "thousandths", deserialize_with = "lenient")]
    pub(super) time: f64,
    #[serde(borrow, deserialize_with = "string")]
    pub(super) event_name: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "string")]
    pub(super) event_id: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text")]
    pub(super) data: Cow<'a, str>,
    #[serde(
        rename = "_wstap",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
    )]
    pub(super) own: Option<OwnMessage<'a>>,
}

/// `_wstap` of an entry.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OwnEntry<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_string")]
    pub(super) connection_id: Option<Cow<'a, str>>,
    /// The `connect`, in full JSON.
    #[serde(borrow, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) connect: Option<&'a RawValue>,
    /// Events that are no text or binary messages, in full JSON.
    #[serde(borrow, skip_serializing_if = "List::is_empty", deserialize_with = "lenient")]
    pub(super) control: List<&'a RawValue>,
    /// Events that the history lost while the archive was written.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "lenient")]
    pub(super) missed: usize,
    /// The `close`, in full JSON.
    #[serde(borrow, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) close: Option<&'a RawValue>,
}

/// `_wstap` of a message: the members of its full JSON that HAR lacks.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OwnMessage<'a> {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Cow<'a, str>,
    #[serde(deserialize_with = "lenient")]
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) channel: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) user: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "List::is_empty", deserialize_with = "lenient")]
    pub(super) to: List<Cow<'a, str>>,
    #[serde(skip_serializing_if = "List::is_empty", deserialize_with = "lenient")]
    pub(super) except: List<Cow<'a, str>>,
    #[serde(skip_serializing_if = "is_false", deserialize_with = "lenient")]
    pub(super) synthetic: bool,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) wire: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) fragments: Option<u32>,
    #[serde(skip_serializing_if = "is_false", deserialize_with = "lenient")]
    pub(super) compressed: bool,
    #[serde(skip_serializing_if = "is_false", deserialize_with = "lenient")]
    pub(super) truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) note: Option<Cow<'a, str>>,
}

/// Writes a number with three decimals.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn thousandths<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let digits = RawValue::from_string(format!("{number:.3}"));
    digits.map_err(serde::ser::Error::custom)?.serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
