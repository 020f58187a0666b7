//! The variables of expressions: the members of the full JSON, by the list that writing follows too.
//! Those of the handshake (`path`, `subprotocol`, `remote`, `user`) are there at every event of its
//! connection.
//! `message` and `fields` need the body of the event read; the others are borrowed from the event.

use super::cost::{self, Meter};
use super::error::{Answer, EvalError};
use super::reading::Reading;
use super::value::Value;
use crate::event::{Body, Event, EventBody, Flow};
use crate::wire::{self, Field, Member};

/// A variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variable(Field);

impl Variable {
    /// Returns the variable of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Field::named(name).filter(|field| is_variable(*field)).map(Self)
    }

    /// Returns all names, for a person.
    pub(super) fn names() -> String {
        let names = Field::ALL.iter().filter(|field| is_variable(**field));
        names.map(|field| field.name()).collect::<Vec<_>>().join(", ")
    }

    /// Returns whether the body of a message has to be read for it.
    pub(super) fn is_body(self) -> bool {
        matches!(self.0, Field::Message | Field::Fields)
    }

    /// Returns whether it is the payload of a message.
    pub(super) fn is_message(self) -> bool {
        self.0 == Field::Message
    }

    /// Returns whether its values may be true or false.
    pub(super) fn may_be_bool(self) -> bool {
        matches!(self.0, Field::Message | Field::Compressed | Field::Truncated | Field::Synthetic)
    }

    /// Returns its value in an event; a variable that the event does not have has no answer.
    pub(super) fn of<'a>(
        self,
        event: &'a Event,
        body: Option<&'a Reading>,
        meter: &Meter,
    ) -> Answer<Value<'a>> {
        if self.is_body() {
            return self.of_body(event, body, meter);
        }
        wire::selected(event, self.0).map(value).ok_or(EvalError)
    }

    fn of_body<'a>(
        self,
        event: &'a Event,
        body: Option<&'a Reading>,
        meter: &Meter,
    ) -> Answer<Value<'a>> {
        let EventBody::Message(message) = &event.body else { return Err(EvalError) };
        let whole = body.and_then(|body| body.whole(event)).ok_or(EvalError)?;
        let own_object = matches!(message.body, Body::Object(_));
        match self.0 {
            Field::Message if !own_object => Ok(whole.into()),
            Field::Message => {
                meter.charge(whole.len() * cost::ENTRY)?;
                Ok(whole.get("message").map_or(Value::Null, Value::from))
            }
            _ if own_object => Value::fields(whole, meter),
            _ => Err(EvalError),
        }
    }
}

/// Returns whether expressions can name a field. The members of a gap are none: every filter selects
/// gaps.
fn is_variable(field: Field) -> bool {
    !matches!(field, Field::Missed | Field::After | Field::Before)
}

/// Returns the value that is written for a member.
fn value(member: Member<'_>) -> Value<'_> {
    let flow =
        |flow: Flow| Value::map([("in", integer(flow.inward)), ("out", integer(flow.outward))]);
    let seconds = |seconds: f64, digits: i32| {
        let factor = 10_f64.powi(digits);
        Value::Double((seconds * factor).round() / factor)
    };
    match member {
        // The body is read by `of_body`.
        Member::Null | Member::Body(_) => Value::Null,
        Member::Bool(value) => Value::Bool(value),
        Member::Number(number) => integer(number),
        Member::Seconds(time, digits) => seconds(time.as_secs_f64(), digits),
        Member::Name(name) => Value::text(name),
        Member::Text(text) => Value::text(text),
        Member::Id(id) => Value::Text(id.to_string().into()),
        Member::Time(ms) => Value::Text(wire::time(ms).to_string().into()),
        Member::Address(address) => Value::Text(address.to_string().into()),
        Member::Users(users) => {
            Value::List(users.iter().map(|user| Value::text(user.as_str())).collect())
        }
        Member::Headers(headers) => {
            let headers = headers.iter().rev();
            let entries = headers.map(|(name, value)| ((*name).into(), Value::text(value)));
            Value::Map(entries.collect())
        }
        Member::Flow(each) => flow(each),
        Member::Silence(inward, outward) => Value::map([
            ("in", seconds(inward.as_secs_f64(), 3)),
            ("out", seconds(outward.as_secs_f64(), 3)),
        ]),
        Member::Close(close) => Value::map([
            ("code", Value::Int(close.code.into())),
            ("reason", Value::text(&close.reason)),
            ("clean", Value::Bool(close.clean)),
            ("by", Value::text(close.by.as_str())),
        ]),
    }
}

fn integer<'a>(number: u64) -> Value<'a> {
    i64::try_from(number).map_or(Value::Uint(number), Value::Int)
}
