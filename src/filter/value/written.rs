//! Values as text: `string(x)`, and `text(x)`, which writes JSON without white space.

use std::borrow::Cow;

use super::super::cost::{self, Meter};
use super::super::error::{Answer, EvalError};
use super::{Value, is_hidden};

impl<'a> Value<'a> {
    /// Returns a string, a number or a truth value as a string.
    pub(in super::super) fn into_text(self) -> Answer<Self> {
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

    /// Returns a string as it is, and anything else as JSON without white space.
    pub(in super::super) fn written(self, meter: &Meter) -> Answer<Cow<'a, str>> {
        if let Self::Text(text) = self {
            return Ok(text);
        }
        let mut out = String::new();
        self.write(&mut out, meter)?;
        Ok(out.into())
    }

    /// Recurses as deep as JSON nests, which is bounded where it comes in.
    fn write(&self, out: &mut String, meter: &Meter) -> Answer<()> {
        meter.charge(2 * cost::VALUE)?;
        match self {
            Self::Null => out.push_str("null"),
            Self::Double(value) => {
                out.push_str(&serde_json::to_string(value).expect("a number is JSON or null"));
            }
            Self::Text(text) => quote(text, out, meter)?,
            Self::List(_) => write_list(self.items(), out, meter)?,
            Self::Json(json) if json.is_list() => {
                write_list(json.items().map(Self::from), out, meter)?;
            }
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| (&**key, value.clone()));
                write_map(entries, out, meter)?;
            }
            Self::Json(json) | Self::Fields(json) => {
                let hides = matches!(self, Self::Fields(_));
                let entries = json.entries().filter(|(key, _)| !(hides && is_hidden(key)));
                write_map(entries.map(|(key, json)| (key, json.into())), out, meter)?;
            }
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Uint(value) => out.push_str(&value.to_string()),
        }
        Ok(())
    }
}

fn quote(text: &str, out: &mut String, meter: &Meter) -> Answer<()> {
    // An escape makes six bytes of one.
    meter.charge(cost::VALUE + 2 * cost::scan(text.len()))?;
    out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
    Ok(())
}

fn write_list<'a>(
    items: impl Iterator<Item = Value<'a>>,
    out: &mut String,
    meter: &Meter,
) -> Answer<()> {
    out.push('[');
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.push(',');
        }
        item.write(out, meter)?;
    }
    out.push(']');
    Ok(())
}

fn write_map<'a, 'k>(
    entries: impl Iterator<Item = (&'k str, Value<'a>)>,
    out: &mut String,
    meter: &Meter,
) -> Answer<()> {
    out.push('{');
    for (n, (key, value)) in entries.enumerate() {
        if n > 0 {
            out.push(',');
        }
        quote(key, out, meter)?;
        out.push(':');
        value.write(out, meter)?;
    }
    out.push('}');
    Ok(())
}
