//! The objects of an archive, for writing and for reading.
//!
//! Reading is lenient: a field that is missing, null or of another type has its default, and an
//! element of a list that is of another type is left out.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

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
    pub(super) log: Log<'a>,
}

/// `log` as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Log<'a> {
    #[serde(default, borrow, deserialize_with = "lenient")]
    pub(super) entries: List<Entry<'a>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) creator: ReadCreator,
    #[serde(default, borrow, rename = "_wstap", deserialize_with = "lenient")]
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
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) request: Request<'a>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) response: Response<'a>,
    #[serde(skip_deserializing)]
    pub(super) cache: Cache,
    #[serde(deserialize_with = "lenient")]
    pub(super) timings: Timings,
    #[serde(rename = "_resourceType", deserialize_with = "lenient")]
    pub(super) resource_type: Option<Cow<'a, str>>,
    /// Why a request of Chrome failed.
    #[serde(
        rename = "_error",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
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
        rename = "_wstap",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
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
    #[serde(deserialize_with = "lenient")]
    pub(super) status: i32,
    #[serde(deserialize_with = "lenient")]
    pub(super) status_text: Cow<'a, str>,
    #[serde(deserialize_with = "lenient")]
    pub(super) http_version: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) cookies: List<Pair<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(super) headers: List<Pair<'a>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) content: Content,
    #[serde(
        rename = "_error",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
    )]
    pub(super) error: Option<Cow<'a, str>>,
    #[serde(
        rename = "_failureText",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient"
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
pub(super) struct Content {
    #[serde(deserialize_with = "lenient")]
    pub(super) size: i64,
    #[serde(deserialize_with = "lenient")]
    pub(super) mime_type: String,
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
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: Cow<'a, str>,
    /// Seconds since 1970; Playwright writes milliseconds, and -1 if times are left out.
    #[serde(serialize_with = "thousandths", deserialize_with = "lenient")]
    pub(super) time: f64,
    #[serde(deserialize_with = "lenient")]
    pub(super) opcode: i32,
    /// Text, or binary as base64.
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
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
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

/// A list whose elements are read leniently.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct List<T>(
    pub(super) Vec<T>,
    /// The number of elements that could not be read.
    #[serde(skip)]
    pub(super) usize,
);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new(), 0)
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect(), 0)
    }
}

impl<T> List<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::<&'de RawValue>::deserialize(deserializer)?;
        let all = items.len();
        let read = |item: &'de RawValue| serde_json::from_str(item.get()).ok();
        let items: Vec<T> = items.into_iter().filter_map(read).collect();
        let odd = all - items.len();
        Ok(Self(items, odd))
    }
}

/// Reads a value; one of another type has the default.
pub(super) fn lenient<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    let value = <&'de RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).unwrap_or_default())
}

/// Reads a text; of another value, its JSON, and of `null` nothing.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    let value = <&'de RawValue>::deserialize(deserializer)?.get();
    Ok(unicode(value).unwrap_or(Cow::Borrowed(if value == "null" { "" } else { value })))
}

/// Reads a text; another value is the empty text.
fn string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    let value = <&'de RawValue>::deserialize(deserializer)?.get();
    Ok(unicode(value).unwrap_or_default())
}

/// Reads a JSON string. Half a surrogate pair, which is no Unicode, becomes U+FFFD.
fn unicode(json: &str) -> Option<Cow<'_, str>> {
    if !json.starts_with('"') {
        return None;
    }
    let read = |json: &str| serde_json::from_str::<String>(json).ok();
    read(json).or_else(|| read(&without_halves(json))).map(Cow::Owned)
}

/// Replaces the escapes of half surrogate pairs in a JSON string.
fn without_halves(json: &str) -> String {
    let unit = |at: usize| {
        let digits = json.get(at..).filter(|rest| rest.starts_with("\\u"))?.get(2..6)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut at) = (String::with_capacity(json.len()), 0);
    while let Some(found) = memchr::memchr(b'\\', &json.as_bytes()[at..]).map(|n| at + n) {
        out.push_str(&json[at..found]);
        let length = match (unit(found), unit(found + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => 6,
            _ => 2,
        };
        let end = json.len().min(found + length);
        let whole = length != 6;
        out.push_str(if whole { json.get(found..end).unwrap_or_default() } else { "\\ufffd" });
        at = end;
    }
    out.push_str(json.get(at..).unwrap_or_default());
    out
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
