//! The values of expressions: what is equal, what is less, and how they are reckoned with. As CEL
//! says; numbers compare across their types, and what does not fit together has no answer.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use super::program::Operator;
use super::reading::Json;

/// Why there is no answer: a field is missing, types do not fit, a number overflows, a text is too
/// long. All of these make a condition false, so that they need no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EvalError;

pub(super) type Answer<T> = Result<T, EvalError>;

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

/// What an item counts for, in bytes.
const STEP: usize = 16;

/// The longest list that a sum makes.
const MAX_LIST: usize = 1000;

/// The longest string that a sum makes.
const MAX_SUM: usize = 64 << 10;

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(super) fn map<const N: usize>(entries: [(&'a str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Returns what a client's own object has beside `connectionId` and `message`, if anything.
    pub(super) fn fields(object: Json<'a>) -> Answer<Self> {
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

    /// Returns about how many bytes are touched by who goes through all of it.
    pub(super) fn walk(&self) -> usize {
        match self {
            Self::Json(json) | Self::Fields(json) => json.nodes() * STEP,
            _ => self.width(),
        }
    }

    /// Returns about how many bytes are touched by who goes through its items or keys, and not
    /// into them.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(items) => items.len() * STEP,
            Self::Map(entries) => entries.len() * STEP,
            Self::Json(json) | Self::Fields(json) => json.len() * STEP,
            _ => 0,
        }
    }

    /// Returns the value of a key; not a map, no answer.
    pub(super) fn get(&self, key: &str) -> Answer<Option<Self>> {
        match self {
            Self::Map(entries) => {
                Ok(entries.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone()))
            }
            Self::Json(json) if json.is_map() => Ok(json.get(key).map(Json::value)),
            Self::Fields(_) if is_hidden(key) => Ok(None),
            Self::Fields(json) => Ok(json.get(key).map(Json::value)),
            _ => Err(EvalError),
        }
    }

    pub(super) fn item(&self, index: usize) -> Answer<Self> {
        let item = match self {
            Self::List(items) => items.get(index).cloned(),
            Self::Json(json) => json.items().nth(index),
            _ => None,
        };
        item.ok_or(EvalError)
    }

    /// Iterates over the items of a list; anything else has none.
    pub(super) fn items(&self) -> Box<dyn Iterator<Item = Self> + '_> {
        match self {
            Self::List(items) => Box::new(items.iter().cloned()),
            Self::Json(json) => Box::new(json.items()),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Returns the entries of a map, each key once, the last first.
    pub(super) fn entries(&self) -> Vec<(Cow<'a, str>, Self)> {
        let mut entries: Vec<(Cow<'a, str>, Self)> = match self {
            Self::Map(entries) => entries.to_vec(),
            Self::Json(json) | Self::Fields(json) => {
                json.entries().map(|(key, json)| (key.into(), json.value())).collect()
            }
            _ => Vec::new(),
        };
        if matches!(self, Self::Fields(_)) {
            entries.retain(|(key, _)| !is_hidden(key));
        }
        // Of a repeated key the last counts; the sort is stable.
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.reverse();
        entries.dedup_by(|a, b| a.0 == b.0);
        entries
    }

    pub(super) fn size(&self) -> Answer<usize> {
        match self {
            Self::Text(text) => Ok(text.chars().count()),
            Self::List(items) => Ok(items.len()),
            Self::Json(json) if json.is_list() => Ok(json.len()),
            _ if self.is_map() => Ok(self.entries().len()),
            _ => Err(EvalError),
        }
    }

    /// Returns whether two values are the same. Values of different types are not, but numbers
    /// are by what they count.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (a, b) if a.is_list() && b.is_list() => {
                a.size() == b.size() && a.items().zip(b.items()).all(|(a, b)| a.equals(&b))
            }
            (a, b) if a.is_map() && b.is_map() => {
                let (a, b) = (a.entries(), b.entries());
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && a.1.equals(&b.1))
            }
            (a, b) => a.number_order(b) == Some(Ordering::Equal),
        }
    }

    /// Returns which of two values comes first; values that have no order have no answer.
    pub(super) fn order(&self, other: &Self) -> Answer<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            // By code points, which is the order of bytes.
            (Self::Text(a), Self::Text(b)) => Ok(a.cmp(b)),
            (a, b) => a.number_order(b).ok_or(EvalError),
        }
    }

    fn number_order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Int(_) | Self::Uint(_), Self::Int(_) | Self::Uint(_)) => {
                Some(self.wide()?.cmp(&other.wide()?))
            }
            (a, Self::Double(b)) => integer_and_double(a.wide()?, *b),
            (Self::Double(a), b) => integer_and_double(b.wide()?, *a).map(Ordering::reverse),
            _ => None,
        }
    }

    fn wide(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some((*value).into()),
            Self::Uint(value) => Some((*value).into()),
            _ => None,
        }
    }

    /// Reckons with two numbers of one type, or joins two strings or lists.
    pub(super) fn reckon(&self, operator: Operator, other: &Self) -> Answer<Self> {
        use Operator::{Add, Divide, Multiply, Remainder, Subtract};
        let value = match (self, other) {
            (Self::Int(a), Self::Int(b)) => match operator {
                Add => a.checked_add(*b),
                Subtract => a.checked_sub(*b),
                Multiply => a.checked_mul(*b),
                Divide => a.checked_div(*b),
                Remainder => a.checked_rem(*b),
            }
            .map(Self::Int),
            (Self::Uint(a), Self::Uint(b)) => match operator {
                Add => a.checked_add(*b),
                Subtract => a.checked_sub(*b),
                Multiply => a.checked_mul(*b),
                Divide => a.checked_div(*b),
                Remainder => a.checked_rem(*b),
            }
            .map(Self::Uint),
            (Self::Double(a), Self::Double(b)) => match operator {
                Add => Some(a + b),
                Subtract => Some(a - b),
                Multiply => Some(a * b),
                Divide => Some(a / b),
                Remainder => None,
            }
            .map(Self::Double),
            (Self::Text(a), Self::Text(b)) if operator == Add => {
                (a.len() + b.len() <= MAX_SUM).then(|| Self::Text([&**a, &**b].concat().into()))
            }
            (a, b) if a.is_list() && b.is_list() && operator == Add => {
                let items = || a.items().chain(b.items());
                let few = items().take(MAX_LIST + 1).count() <= MAX_LIST;
                few.then(|| Self::List(items().collect()))
            }
            _ => None,
        };
        value.ok_or(EvalError)
    }

    pub(super) fn negated(&self) -> Answer<Self> {
        match self {
            Self::Int(value) => value.checked_neg().map(Self::Int).ok_or(EvalError),
            Self::Double(value) => Ok(Self::Double(-value)),
            _ => Err(EvalError),
        }
    }

    pub(super) fn to_int(&self) -> Answer<Self> {
        let value = match self {
            Self::Int(value) => Some(*value),
            Self::Uint(value) => i64::try_from(*value).ok(),
            Self::Double(value) => truncated(*value).and_then(|value| i64::try_from(value).ok()),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        value.map(Self::Int).ok_or(EvalError)
    }

    pub(super) fn to_uint(&self) -> Answer<Self> {
        let value = match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::Uint(value) => Some(*value),
            Self::Double(value) if *value < 0.0 => None,
            Self::Double(value) => truncated(*value).and_then(|value| u64::try_from(value).ok()),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        value.map(Self::Uint).ok_or(EvalError)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what a double cannot hold is rounded, as in CEL"
    )]
    pub(super) fn to_double(&self) -> Answer<Self> {
        let value = match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        value.map(Self::Double).ok_or(EvalError)
    }

    pub(super) fn to_bool(&self) -> Answer<Self> {
        match self {
            Self::Bool(value) => Ok(Self::Bool(*value)),
            Self::Text(text) => match text.as_ref() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Self::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Self::Bool(false)),
                _ => Err(EvalError),
            },
            _ => Err(EvalError),
        }
    }

    pub(super) fn into_text(self) -> Answer<Self> {
        let text = match self {
            Self::Text(text) => text,
            Self::Bool(value) => value.to_string().into(),
            Self::Int(value) => value.to_string().into(),
            Self::Uint(value) => value.to_string().into(),
            Self::Double(value) => value.to_string().into(),
            _ => return Err(EvalError),
        };
        Ok(Self::Text(text))
    }
}

impl<'a> Value<'a> {
    /// Returns a string as it is, and anything else as JSON without white space.
    pub(super) fn written(self) -> Cow<'a, str> {
        if let Self::Text(text) = self {
            return text;
        }
        let mut out = String::new();
        self.write(&mut out);
        out.into()
    }

    /// Recurses as deep as JSON nests, which is bounded where it comes in.
    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Double(value) => {
                out.push_str(&serde_json::to_string(value).expect("a number is JSON or null"));
            }
            Self::Text(text) => quote(text, out),
            Self::List(_) => bracket(['[', ']'], self.items(), out, |item, out| item.write(out)),
            Self::Json(json) if json.is_list() => {
                bracket(['[', ']'], json.items(), out, |item, out| item.write(out));
            }
            Self::Map(entries) => bracket(['{', '}'], entries.iter(), out, |(key, value), out| {
                write_entry(key, value, out);
            }),
            Self::Json(json) | Self::Fields(json) => {
                let hides = matches!(self, Self::Fields(_));
                let entries = json.entries().filter(|(key, _)| !(hides && is_hidden(key)));
                bracket(['{', '}'], entries, out, |(key, json), out| {
                    write_entry(key, &json.value(), out);
                });
            }
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Uint(value) => out.push_str(&value.to_string()),
        }
    }

    /// Returns the bytes of the body that it is a part of.
    pub(super) fn source(&self) -> usize {
        match self {
            Self::Json(json) | Self::Fields(json) => json.source(),
            _ => 0,
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
}

fn write_entry(key: &str, value: &Value<'_>, out: &mut String) {
    quote(key, out);
    out.push(':');
    value.write(out);
}

fn bracket<T>(
    [open, close]: [char; 2],
    items: impl Iterator<Item = T>,
    out: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    out.push(open);
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

fn is_hidden(key: &str) -> bool {
    matches!(key, "connectionId" | "message")
}

/// Two to the power of 64: every integer of ours is closer to zero.
const BEYOND: f64 = 18_446_744_073_709_551_616.0;

/// Cuts the fraction off a double that is not beyond all integers.
#[expect(clippy::cast_possible_truncation, reason = "its range is checked")]
fn truncated(value: f64) -> Option<i128> {
    (value.abs() < BEYOND).then(|| value.trunc() as i128)
}

/// Compares by what is counted, also where a double cannot hold the integer.
fn integer_and_double(integer: i128, double: f64) -> Option<Ordering> {
    match truncated(double) {
        None if double.is_nan() => None,
        None if double > 0.0 => Some(Ordering::Less),
        None => Some(Ordering::Greater),
        Some(whole) => {
            let rest = 0.0_f64.partial_cmp(&double.fract()).expect("a fraction is no NaN");
            Some(integer.cmp(&whole).then(rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_what_they_count() {
        use Ordering::{Equal, Greater, Less};
        let int = Value::Int;
        for (a, b, order) in [
            (int(1), Value::Double(1.0), Some(Equal)),
            (int(1), Value::Double(1.5), Some(Less)),
            (int(-1), Value::Double(-1.5), Some(Greater)),
            (int(i64::MAX), Value::Double(9_223_372_036_854_775_808.0), Some(Less)),
            (Value::Uint(u64::MAX), Value::Double(f64::INFINITY), Some(Less)),
            (int(i64::MIN), Value::Double(f64::NEG_INFINITY), Some(Greater)),
            (int(0), Value::Double(f64::NAN), None),
            (int(-1), Value::Uint(u64::MAX), Some(Less)),
            (int(9_007_199_254_740_993), Value::Double(9_007_199_254_740_992.0), Some(Greater)),
        ] {
            assert_eq!(a.number_order(&b), order, "{a:?} {b:?}");
            assert_eq!(b.number_order(&a), order.map(Ordering::reverse), "{b:?} {a:?}");
        }
    }
}
