//! Reads values of archives leniently: other programs leave fields out, or write another type.

use std::borrow::Cow;

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// Base64 as browsers read it: with or without padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

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
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::<&'de RawValue>::deserialize(deserializer)?;
        let all = items.len();
        // serde reads an array as an object whose members are in the order of the fields.
        let is_array = |item: &RawValue| item.get().starts_with('[');
        let read = |item: &'de RawValue| {
            if is_array(item) { None } else { serde_json::from_str(item.get()).ok() }
        };
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

/// Reads an object; another value has the default.
pub(super) fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    let value = <&'de RawValue>::deserialize(deserializer)?.get();
    let is_object = value.starts_with('{');
    Ok(if is_object { serde_json::from_str(value).unwrap_or_default() } else { T::default() })
}

/// Reads a whole number, also one with a fraction of zero; another value has the default.
pub(super) fn whole<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<i64> + Default,
    D: Deserializer<'de>,
{
    Ok(maybe_whole::<T, D>(deserializer)?.unwrap_or_default())
}

/// Reads a whole number, if there is one.
pub(super) fn maybe_whole<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<i64>,
    D: Deserializer<'de>,
{
    let number: Option<f64> = lenient(deserializer)?;
    Ok(number.and_then(integer).and_then(|number| T::try_from(number).ok()))
}

#[expect(clippy::cast_possible_truncation, reason = "it is whole and exact as a double")]
fn integer(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
    is_whole.then_some(number as i64)
}

/// Reads a text, if there is one.
pub(super) fn maybe_string<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(unicode(<&'de RawValue>::deserialize(deserializer)?.get()))
}

/// Reads a text; of another value, its JSON, and of `null` nothing.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    let value = <&'de RawValue>::deserialize(deserializer)?.get();
    Ok(unicode(value).unwrap_or(Cow::Borrowed(if value == "null" { "" } else { value })))
}

/// Reads a text; another value is the empty text.
pub(super) fn string<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'de, str>, D::Error> {
    let value = <&'de RawValue>::deserialize(deserializer)?.get();
    Ok(unicode(value).unwrap_or_default())
}

/// Reads a text that was kept as JSON, if it is one.
pub(super) fn raw_string(value: &RawValue) -> Option<Cow<'_, str>> {
    unicode(value.get())
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
