//! The values of expressions: access to their parts, equality and order, as CEL has them. Numbers
//! compare across their types; values whose types do not match have no answer.
//!
//! Work that grows with a value is charged to the [`Meter`] before it is done.

mod number;
mod written;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use super::cost::{self, Meter};
use super::error::{Answer, EvalError};
use super::reading::{Json, Part};

pub(super) use number::Operator;

#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    List(Rc<[Self]>),
    /// No key twice.
    Map(Rc<[(Cow<'a, str>, Self)]>),
    /// A list or a map in the body of an event.
    Json(Json<'a>),
    /// A client's own object without `connectionId` and `message`.
    Fields(Json<'a>),
}

/// The entries of a map.
type Entries<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

impl<'a> From<Json<'a>> for Value<'a> {
    fn from(json: Json<'a>) -> Self {
        match json.part() {
            Part::Null => Self::Null,
            Part::Bool(value) => Self::Bool(value),
            Part::Int(value) => Self::Int(value),
            Part::Uint(value) => Self::Uint(value),
            Part::Double(value) => Self::Double(value),
            Part::Text(text) => Self::text(text),
            Part::List | Part::Map => Self::Json(json),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(super) fn map<const N: usize>(entries: [(&'a str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Returns what a client's own object has beside `connectionId` and `message`, if anything.
    pub(super) fn fields(object: Json<'a>, meter: &Meter) -> Answer<Self> {
        meter.charge(object.len() * cost::ENTRY)?;
        let any = object.entries().any(|(key, _)| !is_hidden(key));
        if any { Ok(Self::Fields(object)) } else { Err(EvalError) }
    }

    pub(super) fn count(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    pub(super) fn bool(&self) -> Answer<bool> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(EvalError),
        }
    }

    pub(super) fn str(&self) -> Answer<&str> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(EvalError),
        }
    }

    pub(super) fn is_map(&self) -> bool {
        match self {
            Self::Map(_) | Self::Fields(_) => true,
            Self::Json(json) => json.is_map(),
            _ => false,
        }
    }

    pub(super) fn is_list(&self) -> bool {
        match self {
            Self::List(_) => true,
            Self::Json(json) => json.is_list(),
            _ => false,
        }
    }

    /// Returns the number of items or entries, repeated keys counted each.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(items) => items.len(),
            Self::Map(entries) => entries.len(),
            Self::Json(json) | Self::Fields(json) => json.len(),
            _ => 0,
        }
    }

    /// Returns a copy. A text that was computed is copied, everything else is shared.
    pub(super) fn copied(&self, meter: &Meter) -> Answer<Self> {
        if let Self::Text(Cow::Owned(text)) = self {
            meter.charge(cost::VALUE + cost::copy(text.len()))?;
        }
        Ok(self.clone())
    }

    /// Returns the value of a key; a value that is not a map has no answer.
    pub(super) fn get(&self, key: &str, meter: &Meter) -> Answer<Option<Self>> {
        meter.charge(self.len() * (cost::ENTRY + cost::copy(key.len())))?;
        match self {
            Self::Map(entries) => {
                let entry = entries.iter().find(|(own, _)| own == key);
                entry.map(|(_, value)| value.copied(meter)).transpose()
            }
            Self::Json(json) if json.is_map() => Ok(json.get(key).map(Self::from)),
            Self::Fields(_) if is_hidden(key) => Ok(None),
            Self::Fields(json) => Ok(json.get(key).map(Self::from)),
            _ => Err(EvalError),
        }
    }

    /// Returns an item of a list.
    pub(super) fn item(&self, index: usize, meter: &Meter) -> Answer<Self> {
        match self {
            Self::List(items) => items.get(index).ok_or(EvalError)?.copied(meter),
            Self::Json(json) => {
                meter.charge(index.min(json.len()) * cost::ENTRY)?;
                json.items().nth(index).map(Self::from).ok_or(EvalError)
            }
            _ => Err(EvalError),
        }
    }

    /// Iterates over the items of a list; other values have none. The caller charges for them.
    pub(super) fn items(&self) -> Box<dyn Iterator<Item = Self> + '_> {
        match self {
            Self::List(items) => Box::new(items.iter().cloned()),
            Self::Json(json) => Box::new(json.items().map(Self::from)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Returns the steps of iterating over the first `most` items.
    pub(super) fn items_cost(&self, most: usize) -> usize {
        match self {
            Self::List(items) => {
                let text = |item: &Self| item.str().map_or(0, |text| cost::copy(text.len()));
                items.iter().take(most).map(|item| cost::VALUE + text(item)).sum()
            }
            _ => self.len().min(most) * cost::VALUE,
        }
    }

    /// Returns the entries of a map, each key once, the last first.
    pub(super) fn entries(&self, meter: &Meter) -> Answer<Entries<'a>> {
        meter.charge(self.len() * cost::VALUE)?;
        let mut entries: Entries<'a> = match self {
            Self::Map(entries) => entries.to_vec(),
            Self::Json(json) | Self::Fields(json) => {
                json.entries().map(|(key, json)| (key.into(), json.into())).collect()
            }
            _ => Vec::new(),
        };
        if matches!(self, Self::Fields(_)) {
            entries.retain(|(key, _)| !is_hidden(key));
        }
        let bytes = entries.iter().map(|(key, _)| key.len()).sum();
        meter.charge(cost::sort(entries.len(), bytes))?;
        // Of a repeated key the last counts; the sort is stable.
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.reverse();
        entries.dedup_by(|a, b| a.0 == b.0);
        Ok(entries)
    }

    pub(super) fn size(&self, meter: &Meter) -> Answer<usize> {
        match self {
            Self::Text(text) => {
                meter.charge(cost::scan(text.len()))?;
                Ok(text.chars().count())
            }
            Self::List(items) => Ok(items.len()),
            Self::Json(json) if json.is_list() => Ok(json.len()),
            _ if self.is_map() => Ok(self.entries(meter)?.len()),
            _ => Err(EvalError),
        }
    }

    /// Returns whether two values are equal. Values of different types are not; numbers compare by
    /// their value. Recurses as deep as JSON nests, which is bounded where it comes in.
    pub(super) fn equals(&self, other: &Self, meter: &Meter) -> Answer<bool> {
        match (self, other) {
            (Self::Null, Self::Null) => Ok(true),
            (Self::Bool(a), Self::Bool(b)) => Ok(a == b),
            (Self::Text(a), Self::Text(b)) if a.len() != b.len() => Ok(false),
            (Self::Text(a), Self::Text(b)) => {
                meter.charge(cost::copy(a.len()))?;
                Ok(a == b)
            }
            (a, b) if a.is_list() && b.is_list() => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                meter.charge(a.items_cost(usize::MAX) + b.items_cost(usize::MAX))?;
                for (a, b) in a.items().zip(b.items()) {
                    if !a.equals(&b, meter)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (a, b) if a.is_map() && b.is_map() => {
                let (a, b) = (a.entries(meter)?, b.entries(meter)?);
                if a.len() != b.len() {
                    return Ok(false);
                }
                for ((key, a), (other, b)) in a.iter().zip(&b) {
                    meter.charge(cost::copy(key.len()))?;
                    if key != other || !a.equals(b, meter)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (a, b) => Ok(a.number_order(b) == Some(Ordering::Equal)),
        }
    }

    /// Returns which of two values comes first; values that have no order have no answer.
    pub(super) fn order(&self, other: &Self, meter: &Meter) -> Answer<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => {
                meter.charge(cost::copy(a.len().min(b.len())))?;
                // By code points, which is the order of bytes.
                Ok(a.cmp(b))
            }
            (a, b) => a.number_order(b).ok_or(EvalError),
        }
    }
}

fn is_hidden(key: &str) -> bool {
    matches!(key, "connectionId" | "message")
}
