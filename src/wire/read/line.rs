//! The members of a line of a recording, as they stand in its text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::field::Field;

/// Why a text is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub(in crate::wire) String);

impl Unreadable {
    pub(super) fn lacks(what: &str) -> Self {
        Self(format!("it has no {what} that can be read"))
    }
}

/// A line of a recording: the members of the field list, as they stand in the text. Other members are
/// ignored; `null` counts as absent.
pub(super) struct Line<'a> {
    members: [Option<&'a RawValue>; Field::ALL.len()],
}

impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Line<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line<'de>, A::Error> {
                let mut members = [None; Field::ALL.len()];
                while let Some(Name(field)) = map.next_key()? {
                    match field {
                        Some(field) => {
                            let value: &RawValue = map.next_value()?;
                            members[field as usize] = Some(value).filter(|it| it.get() != "null");
                        }
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Line { members })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// The name of a member; `None` if the field list does not have it.
struct Name(Option<Field>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(Field::named(name)))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl<'a> Line<'a> {
    pub(super) fn raw(&self, field: Field) -> Option<&'a RawValue> {
        self.members[field as usize]
    }

    /// Reads a member, if the line has it.
    pub(super) fn get<T: Deserialize<'a>>(&self, field: Field) -> Result<Option<T>, Unreadable> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|fault| {
            Unreadable(format!("this is no event of wstap (`{}`: {fault})", field.name()))
        })
    }

    /// Reads a text. One without escapes, as almost all are, is not copied.
    pub(super) fn text(&self, field: Field) -> Result<Option<Cow<'a, str>>, Unreadable> {
        let raw = self.raw(field).map(RawValue::get);
        let quoted = raw.and_then(|raw| raw.strip_prefix('"')?.strip_suffix('"'));
        match quoted.filter(|text| !text.contains('\\')) {
            Some(plain) => Ok(Some(Cow::Borrowed(plain))),
            None => Ok(self.get::<String>(field)?.map(Cow::Owned)),
        }
    }

    /// Reads a text that an event owns.
    pub(super) fn owned(&self, field: Field) -> Result<Option<String>, Unreadable> {
        Ok(self.text(field)?.map(Cow::into_owned))
    }

    /// Reads a number. Most are short and plain.
    pub(super) fn number(&self, field: Field) -> Result<Option<u64>, Unreadable> {
        match self.raw(field).map(|raw| raw.get().parse()) {
            Some(Ok(number)) => Ok(Some(number)),
            _ => self.get(field),
        }
    }

    /// Reads a text that has a form; one of another form counts as absent.
    pub(super) fn parsed<T: FromStr>(&self, field: Field) -> Result<Option<T>, Unreadable> {
        Ok(self.text(field)?.and_then(|text| text.parse().ok()))
    }
}
