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
    pub(super) pages: [(); 0],
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
    #[serde(borrow)]
    pub(super) entries: List<Entry<'a>>,
    #[serde(default, borrow, rename = "_wstap", deserialize_with = "lenient")]
    pub(super) own: OwnLog<'a>,
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
    #[serde(deserialize_with = "lenient")]
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
    #[serde(deserialize_with = "lenient")]
    pub(super) name: Cow<'a, str>,
    #[serde(deserialize_with = "lenient")]
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
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(super) note: Option<Cow<'a, str>>,
}

/// A list whose elements are read leniently.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
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
        let read = |item: &'de RawValue| serde_json::from_str(item.get()).ok();
        Ok(Self(items.into_iter().filter_map(read).collect()))
    }
}

/// Reads a value; one of another type has the default.
fn lenient<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    let value = <&'de RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).unwrap_or_default())
}

/// Reads a text; of another value, its JSON.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    let value = <&'de RawValue>::deserialize(deserializer)?.get();
    Ok(serde_json::from_str(value).map_or(Cow::Borrowed(value), Cow::Owned))
}

/// Writes a number with three decimals.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn thousandths<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
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
