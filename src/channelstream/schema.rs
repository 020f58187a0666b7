//! Parses a JSON object field by field, and reports faults in the words that clients of Channelstream
//! know: those of the Python package marshmallow, version 2. Pure.
//!
//! All faults are reported at once: `{"username":["Missing data for required field."]}`, with the
//! place of a value within a list or an object: `{"channels":{"1":["Not a valid string."]}}`.
//! Unknown members are not a fault.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::time::Moment;
use crate::json;

/// The faults of a value, as the answer reports them.
pub(super) type Fault = Value;

/// A value as it was written.
pub(super) type Raw = Box<RawValue>;

const MISSING: &str = "Missing data for required field.";
const NULL: &str = "Field may not be null.";

/// Returns a fault in words.
pub(super) fn fault(words: &str) -> Fault {
    json!([words])
}

/// The unread members of an object, and the faults of those that were read.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    members: BTreeMap<String, &'a RawValue>,
    faults: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Begins to parse an object.
    pub(super) fn of(raw: &'a RawValue) -> Result<Self, Fault> {
        let members = object(raw).ok_or_else(|| json!({"_schema": ["Invalid input type."]}))?;
        Ok(Self { members, faults: Map::new() })
    }

    /// Parses a required member. Returns `None` for a fault, which [`Fields::finish`] reports.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = self.optional(name, read);
        if value.is_none() && !self.faults.contains_key(name) {
            self.faults.insert(name.to_owned(), fault(MISSING));
        }
        value
    }

    /// Parses a member that may be missing but not null.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        let raw = self.members.remove(name)?;
        let value = if is_null(raw) { Err(fault(NULL)) } else { read(raw) };
        value.map_err(|fault| self.faults.insert(name.to_owned(), fault)).ok()
    }

    /// Parses a member that is required here or, if it is missing here, in `elsewhere`.
    pub(super) fn required_or<T>(
        &mut self,
        name: &'static str,
        elsewhere: Option<&'a RawValue>,
        read: impl Fn(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        if !self.members.contains_key(name) && elsewhere.is_none() {
            self.fault(name, NULL);
        }
        if let Some(elsewhere) = elsewhere {
            self.members.entry(name.to_owned()).or_insert(elsewhere);
        }
        self.optional(name, read)
    }

    /// Parses a member that may be missing or null.
    pub(super) fn nullable<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&'a RawValue) -> Result<T, Fault>,
    ) -> Option<T> {
        if self.members.get(name).is_some_and(|raw| is_null(raw)) {
            self.members.remove(name);
        }
        self.optional(name, read)
    }

    /// Adds a fault that parsing has not found.
    pub(super) fn fault(&mut self, name: &'static str, words: &str) {
        self.faults.entry(name).or_insert_with(|| fault(words));
    }

    /// Returns the members that were not read.
    ///
    /// # Errors
    ///
    /// All faults together.
    pub(super) fn finish(self) -> Result<BTreeMap<String, &'a RawValue>, Fault> {
        if self.faults.is_empty() { Ok(self.members) } else { Err(Value::Object(self.faults)) }
    }
}

/// Returns the members of an object. Of repeated keys the last counts; keys that are not valid text
/// are ignored.
fn object(raw: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    let mut members = BTreeMap::new();
    let read = json::object(raw.get(), |key, value| {
        if let Ok(key) = serde_json::from_str(key.as_json()) {
            members.insert(key, value);
        }
    });
    read.is_ok().then_some(members)
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// Parses a string.
pub(super) fn text(raw: &RawValue) -> Result<String, Fault> {
    serde_json::from_str(raw.get()).map_err(|_| fault("Not a valid string."))
}

/// Parses a name, such as that of a channel, of at most `max` characters.
pub(super) fn name<T: std::str::FromStr>(max: usize) -> impl Fn(&RawValue) -> Result<T, Fault> {
    move |raw| {
        let text = text(raw)?;
        if text.is_empty() || text.chars().nth(max).is_some() {
            return Err(fault(&format!("Length must be between 1 and {max}.")));
        }
        text.parse().map_err(|_| fault("Control characters are not allowed."))
    }
}

/// Accepts an object with any members.
pub(super) fn mapping(raw: &RawValue) -> Result<Raw, Fault> {
    if raw.get().starts_with('{') {
        Ok(raw.to_owned())
    } else {
        Err(fault("Not a valid mapping type."))
    }
}

/// Parses a UUID in any of its usual forms.
pub(super) fn uuid(raw: &RawValue) -> Result<Uuid, Fault> {
    let text = text(raw).unwrap_or_default();
    text.parse().map_err(|_| fault("Not a valid UUID."))
}

/// Parses a time in ISO 8601, with or without a zone.
pub(super) fn moment(raw: &RawValue) -> Result<Moment, Fault> {
    let text = text(raw).unwrap_or_default();
    text.parse().map_err(|()| fault("Not a valid datetime."))
}

/// Parses a boolean, also as a word or a number.
pub(super) fn boolean(raw: &RawValue) -> Result<bool, Fault> {
    match raw.get().trim_matches('"') {
        "true" | "True" | "TRUE" | "t" | "T" | "1" | "1.0" => Ok(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" | "0.0" => Ok(false),
        _ => Err(fault("Not a valid boolean.")),
    }
}

/// Parses a count, also as a string of digits.
pub(super) fn count(raw: &RawValue) -> Result<usize, Fault> {
    let number = raw.get().trim_matches('"').trim();
    let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
    match whole.parse::<i128>() {
        Ok(number) if number < 0 => Err(fault("Must be at least 0.")),
        Ok(number) => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        Err(_) => Err(fault("Not a valid integer.")),
    }
}

/// Parses a value of a user's state: a string, a number, a boolean or null.
pub(super) fn scalar(raw: &RawValue) -> Result<Raw, Fault> {
    if raw.get().starts_with(['{', '[']) {
        Err(fault("Value is not type of string, integer, boolean or float."))
    } else {
        Ok(raw.to_owned())
    }
}

/// Parses a list.
pub(super) fn list<'a, T>(
    read: impl Fn(&'a RawValue) -> Result<T, Fault>,
) -> impl Fn(&'a RawValue) -> Result<Vec<T>, Fault> {
    move |raw| {
        let items = items(raw).ok_or_else(|| fault("Not a valid list."))?;
        each(items, |item| if is_null(item) { Err(fault(NULL)) } else { read(item) })
    }
}

/// Parses an object of names and values.
pub(super) fn dictionary<'a, T>(
    read: impl Fn(&'a RawValue) -> Result<T, Fault>,
) -> impl Fn(&'a RawValue) -> Result<BTreeMap<String, T>, Fault> {
    move |raw| {
        let members = object(raw).ok_or_else(|| fault("Not a valid mapping type."))?;
        let (mut values, mut faults) = (BTreeMap::new(), Map::new());
        for (name, raw) in members {
            match read(raw) {
                Ok(value) => _ = values.insert(name, value),
                Err(fault) => _ = faults.insert(name, json!({"value": fault})),
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(Value::Object(faults)) }
    }
}

/// Parses a body that is a list of objects.
pub(super) fn many<'a, T>(
    raw: &'a RawValue,
    read: impl Fn(&'a RawValue) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let items = items(raw).ok_or_else(|| json!({"_schema": ["Invalid input type."]}))?;
    each(items, read)
}

fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    Vec::deserialize(&mut serde_json::Deserializer::from_str(raw.get())).ok()
}

/// Parses each item. Faults are reported by the indices of the items.
fn each<'a, T>(
    items: Vec<&'a RawValue>,
    read: impl Fn(&'a RawValue) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let (mut values, mut faults) = (Vec::with_capacity(items.len()), Map::new());
    for (at, item) in items.into_iter().enumerate() {
        match read(item) {
            Ok(value) => values.push(value),
            Err(fault) => _ = faults.insert(at.to_string(), fault),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(Value::Object(faults)) }
}
