//! Evaluation of a program at an event. It recurses as deep as the program nests, which is bounded,
//! and takes bounded time: work is charged to a [`Meter`] before it is done.

use std::cmp::Ordering;

use super::cost::{self, Meter};
use super::error::{Answer, EvalError};
use super::program::{
    Constant, Conversion, Id, MAX_ELEMENTS, Node, Program, Quantifier, Relation, StringTest,
};
use super::reading::Reading;
use super::value::Value;
use super::variable::Variable;
use crate::event::{Body, Event, EventBody, Message};

/// Returns whether a program is true of an event. `body` may be absent if the program does not read
/// it.
pub(super) fn holds(
    program: &Program,
    event: &Event,
    body: Option<&Reading>,
    meter: &Meter,
) -> bool {
    let run = Run { program, event, body, meter };
    run.value(program.top(), None).and_then(|value| value.bool()).unwrap_or(false)
}

struct Run<'a> {
    program: &'a Program,
    event: &'a Event,
    body: Option<&'a Reading>,
    meter: &'a Meter,
}

/// The element that a macro evaluates its condition at.
type Element<'e, 'a> = Option<&'e Value<'a>>;

impl<'a> Run<'a> {
    fn value(&self, id: Id, element: Element<'_, 'a>) -> Answer<Value<'a>> {
        self.meter.charge(cost::NODE)?;
        let value = |id: &Id| self.value(*id, element);
        match self.program.node(id) {
            Node::Constant(constant) => Ok(constant.value()),
            Node::Variable(variable) => self.variable(*variable),
            Node::Element => element.ok_or(EvalError)?.copied(self.meter),
            Node::Field(of, name) => value(of)?.get(name, self.meter)?.ok_or(EvalError),
            Node::Index(of, at) => self.index(&value(of)?, &value(at)?),
            Node::Has(of, name) => Ok(Value::Bool(value(of)?.get(name, self.meter)?.is_some())),
            Node::HasVariable(variable) => Ok(Value::Bool(self.variable(*variable).is_ok())),
            Node::Not(of) => Ok(Value::Bool(!value(of)?.bool()?)),
            Node::Negate(of) => value(of)?.negated(),
            Node::All(conditions) => {
                fold(false, conditions.iter().map(|one| value(one)?.bool())).map(Value::Bool)
            }
            Node::Any(conditions) => {
                fold(true, conditions.iter().map(|one| value(one)?.bool())).map(Value::Bool)
            }
            Node::Compare(relation, a, b) => {
                self.compare(*relation, &value(a)?, &value(b)?).map(Value::Bool)
            }
            Node::In(what, list) => self.is_in(*what, *list, element).map(Value::Bool),
            Node::Arithmetic(operator, a, b) => {
                value(a)?.arithmetic(*operator, &value(b)?, self.meter)
            }
            Node::Choice(condition, yes, no) => {
                if value(condition)?.bool()? {
                    value(yes)
                } else {
                    value(no)
                }
            }
            Node::List(items) => {
                Ok(Value::List(items.iter().map(value).collect::<Answer<Vec<_>>>()?.into()))
            }
            Node::Map(entries) => {
                let entry = |(key, one): &'a (Box<str>, Id)| Ok(((&**key).into(), value(one)?));
                Ok(Value::Map(entries.iter().map(entry).collect::<Answer<Vec<_>>>()?.into()))
            }
            Node::Convert(conversion, of) => match (conversion, self.bytes(*of)) {
                (Conversion::Text, Some(bytes)) => self.text_of_bytes(bytes),
                _ => self.convert(*conversion, value(of)?),
            },
            Node::Test(kind, a, b) => {
                let (text, part) = (value(a)?, value(b)?);
                self.test(*kind, text.str()?, part.str()?).map(Value::Bool)
            }
            Node::Matches(of, pattern) => {
                let text = value(of)?;
                pattern.matches(text.str()?, self.meter).map(Value::Bool)
            }
            Node::Macro(quantifier, of, body) => {
                self.each(*quantifier, &value(of)?, *body).map(Value::Bool)
            }
        }
    }

    /// Returns the bytes of a binary message, if a node is `message`.
    fn bytes(&self, node: Id) -> Option<&'a [u8]> {
        let Node::Variable(variable) = self.program.node(node) else { return None };
        match &self.event.body {
            EventBody::Message(Message { body: Body::Binary(bytes), .. })
                if variable.is_message() =>
            {
                Some(bytes)
            }
            _ => None,
        }
    }

    /// Returns the UTF-8 within bytes; what is none becomes U+FFFD.
    fn text_of_bytes(&self, bytes: &'a [u8]) -> Answer<Value<'a>> {
        self.meter.charge(cost::NODE + cost::VALUE + 3 * cost::copy(bytes.len()))?;
        Ok(Value::Text(String::from_utf8_lossy(bytes)))
    }

    fn variable(&self, variable: Variable) -> Answer<Value<'a>> {
        let value = variable.of(self.event, self.body, self.meter)?;
        // Most are made for this evaluation: an id and a time are written, a map is collected.
        self.meter.charge(cost::VALUE + value.items_cost(usize::MAX))?;
        Ok(value)
    }

    fn test(&self, kind: StringTest, text: &str, part: &str) -> Answer<bool> {
        match kind {
            StringTest::Contains => {
                self.meter.charge(cost::scan(text.len()) + 4 * cost::scan(part.len()))?;
                Ok(memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some())
            }
            StringTest::StartsWith => {
                self.meter.charge(cost::copy(part.len()))?;
                Ok(text.starts_with(part))
            }
            StringTest::EndsWith => {
                self.meter.charge(cost::copy(part.len()))?;
                Ok(text.ends_with(part))
            }
        }
    }

    fn index(&self, of: &Value<'a>, at: &Value<'a>) -> Answer<Value<'a>> {
        if let (true, Value::Text(key)) = (of.is_map(), at) {
            return of.get(key, self.meter)?.ok_or(EvalError);
        }
        let Value::Int(index) = at.to_int()? else { return Err(EvalError) };
        // Text that reads as a number is no index, and neither is a number with a fraction.
        if matches!(at, Value::Text(_)) || !at.equals(&Value::Int(index), self.meter)? {
            return Err(EvalError);
        }
        of.item(usize::try_from(index).map_err(|_| EvalError)?, self.meter)
    }

    fn compare(&self, relation: Relation, a: &Value<'a>, b: &Value<'a>) -> Answer<bool> {
        let order = || a.order(b, self.meter);
        match relation {
            Relation::Equal => a.equals(b, self.meter),
            Relation::NotEqual => Ok(!a.equals(b, self.meter)?),
            Relation::Less => order().map(Ordering::is_lt),
            Relation::LessOrEqual => order().map(Ordering::is_le),
            Relation::Greater => order().map(Ordering::is_gt),
            Relation::GreaterOrEqual => order().map(Ordering::is_ge),
        }
    }

    fn is_in(&self, what: Id, list: Id, element: Element<'_, 'a>) -> Answer<bool> {
        let what = self.value(what, element)?;
        // The usual case: the list needs not be built.
        if let Node::List(items) = self.program.node(list)
            && self.program.is_constant(items)
        {
            for item in items {
                if self.value(*item, None)?.equals(&what, self.meter)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let list = self.value(list, element)?;
        if list.is_list() {
            self.meter.charge(list.items_cost(usize::MAX))?;
            for item in list.items() {
                if item.equals(&what, self.meter)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        match &what {
            Value::Text(key) => Ok(list.get(key, self.meter)?.is_some()),
            // Such keys are allowed, and no map here has one.
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) if list.is_map() => Ok(false),
            _ => Err(EvalError),
        }
    }

    fn convert(&self, conversion: Conversion, value: Value<'a>) -> Answer<Value<'a>> {
        if let Value::Text(text) = &value {
            self.meter.charge(cost::scan(text.len()))?;
        }
        match conversion {
            Conversion::Size => value.size(self.meter).map(Value::count),
            Conversion::Int => value.to_int(),
            Conversion::Uint => value.to_uint(),
            Conversion::Double => value.to_double(),
            Conversion::Bool => value.to_bool(),
            Conversion::String => value.into_text(),
            Conversion::Text => value.written(self.meter).map(Value::Text),
            Conversion::Lower => Ok(Value::Text(value.str()?.to_ascii_lowercase().into())),
            Conversion::Upper => Ok(Value::Text(value.str()?.to_ascii_uppercase().into())),
        }
    }

    /// Evaluates a condition at the elements of a list, or the keys of a map, up to [`MAX_ELEMENTS`]
    /// of them; the elements after those have no answer.
    fn each(&self, quantifier: Quantifier, of: &Value<'a>, body: Id) -> Answer<bool> {
        let elements: Vec<Value<'a>> = if of.is_map() {
            of.entries(self.meter)?.into_iter().map(|(key, _)| Value::Text(key)).collect()
        } else if of.is_list() {
            self.meter.charge(of.items_cost(MAX_ELEMENTS + 1))?;
            of.items().take(MAX_ELEMENTS + 1).collect()
        } else {
            return Err(EvalError);
        };
        let answers = elements.iter().enumerate().map(|(n, element)| {
            if n >= MAX_ELEMENTS {
                return Err(EvalError);
            }
            self.value(body, Some(element))?.bool()
        });
        match quantifier {
            Quantifier::Exists => fold(true, answers),
            Quantifier::All => fold(false, answers),
            Quantifier::ExistsOne => {
                let found = answers.map(|answer| answer.map(usize::from));
                found.sum::<Answer<usize>>().map(|found| found == 1)
            }
        }
    }
}

/// Joins answers. An answer that is `decisive` decides, also where others have none; without a
/// decisive answer, one that is missing makes the whole missing.
fn fold(decisive: bool, answers: impl Iterator<Item = Answer<bool>>) -> Answer<bool> {
    let mut joined = Ok(!decisive);
    for answer in answers {
        match answer {
            Ok(answer) if answer == decisive => return Ok(decisive),
            Ok(_) => {}
            Err(EvalError) => joined = Err(EvalError),
        }
    }
    joined
}

impl Constant {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(text) => Value::text(text),
        }
    }
}
