//! Evaluation: a program and an event in, true or false out. It recurses as deep as the program
//! nests, which is bounded, and takes bounded time.

use std::cell::Cell;
use std::cmp::Ordering;

use super::pattern::MAX_TEXT;
use super::program::{
    Constant, Conversion, Id, MAX_ELEMENTS, Node, Program, Quantifier, Relation, Text,
};
use super::reading::Reading;
use super::value::{Answer, EvalError, Value};
use crate::event::Event;

/// The most bytes of texts, lists and maps that one evaluation walks through: about 10 ms. What
/// asks many things of one huge message gets no answer rather than more time.
const MAX_WALK: usize = 32 << 20;

/// What a byte costs that a pattern looks at, compared with one that is searched for a text.
const PATTERN: usize = 16;

/// Returns whether a program is true of an event. `body` may be missing if the program does not
/// read it.
pub(super) fn holds(program: &Program, event: &Event, body: Option<&Reading>) -> bool {
    let run = Run { program, event, body, walked: Cell::new(0) };
    run.value(program.top(), None).and_then(|value| value.bool()).unwrap_or(false)
}

struct Run<'a> {
    program: &'a Program,
    event: &'a Event,
    body: Option<&'a Reading>,
    walked: Cell<usize>,
}

/// What a macro looks at.
type Element<'e, 'a> = Option<&'e Value<'a>>;

impl<'a> Run<'a> {
    fn value(&self, id: Id, element: Element<'_, 'a>) -> Answer<Value<'a>> {
        let value = |id: &Id| self.value(*id, element);
        match self.program.node(id) {
            Node::Constant(constant) => Ok(constant.value()),
            Node::Variable(root) => root.of(self.event, self.body),
            Node::Element => element.cloned().ok_or(EvalError),
            Node::Field(of, name) => self.get(&value(of)?, name)?.ok_or(EvalError),
            Node::Index(of, at) => self.index(&value(of)?, &value(at)?),
            Node::Has(of, name) => Ok(Value::Bool(self.get(&value(of)?, name)?.is_some())),
            Node::HasVariable(root) => Ok(Value::Bool(root.of(self.event, self.body).is_ok())),
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
                let (a, b) = (value(a)?, value(b)?);
                self.walk(a.walk() + b.walk())?;
                a.reckon(*operator, &b)
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
            Node::Convert(conversion, of) => self.convert(*conversion, value(of)?),
            Node::Compute(question, a, b) => {
                let (text, part) = (value(a)?, value(b)?);
                self.walk(text.walk())?;
                let (text, part) = (text.str()?, part.str()?);
                Ok(Value::Bool(match question {
                    Text::Contains => text.contains(part),
                    Text::StartsWith => text.starts_with(part),
                    Text::EndsWith => text.ends_with(part),
                }))
            }
            Node::Matches(of, regex) => {
                let text = value(of)?;
                let text = text.str()?;
                self.walk(text.len() * PATTERN)?;
                if text.len() > MAX_TEXT {
                    return Err(EvalError);
                }
                Ok(Value::Bool(regex.is_match(text)))
            }
            Node::Macro(quantifier, of, body) => {
                self.each(*quantifier, &value(of)?, *body).map(Value::Bool)
            }
        }
    }

    /// Notes bytes that are walked through, and ends what walks too far.
    fn walk(&self, bytes: usize) -> Answer<()> {
        self.walked.set(self.walked.get().saturating_add(bytes));
        if self.walked.get() > MAX_WALK { Err(EvalError) } else { Ok(()) }
    }

    fn get(&self, map: &Value<'a>, key: &str) -> Answer<Option<Value<'a>>> {
        self.walk(map.width())?;
        map.get(key)
    }

    fn index(&self, of: &Value<'a>, at: &Value<'a>) -> Answer<Value<'a>> {
        if let (true, Value::Text(key)) = (of.is_map(), at) {
            return self.get(of, key)?.ok_or(EvalError);
        }
        let Value::Int(index) = at.to_int()? else { return Err(EvalError) };
        // A number that is written as text is none, and one with a fraction is none of a list.
        if matches!(at, Value::Text(_)) || !at.equals(&Value::Int(index)) {
            return Err(EvalError);
        }
        self.walk(of.width())?;
        of.item(usize::try_from(index).map_err(|_| EvalError)?)
    }

    fn compare(&self, relation: Relation, a: &Value<'a>, b: &Value<'a>) -> Answer<bool> {
        self.walk(a.walk().min(b.walk()))?;
        let order = || a.order(b);
        match relation {
            Relation::Equal => Ok(a.equals(b)),
            Relation::NotEqual => Ok(!a.equals(b)),
            Relation::Less => order().map(Ordering::is_lt),
            Relation::LessOrEqual => order().map(Ordering::is_le),
            Relation::Greater => order().map(Ordering::is_gt),
            Relation::GreaterOrEqual => order().map(Ordering::is_ge),
        }
    }

    fn is_in(&self, what: Id, list: Id, element: Element<'_, 'a>) -> Answer<bool> {
        let what = self.value(what, element)?;
        // The usual case, without making a list of it.
        if let Node::List(items) = self.program.node(list)
            && self.program.is_constant(items)
        {
            return items.iter().try_fold(false, |found, item| {
                Ok(found || self.value(*item, None)?.equals(&what))
            });
        }
        let list = self.value(list, element)?;
        self.walk(list.walk())?;
        if list.is_list() {
            return Ok(list.items().any(|item| item.equals(&what)));
        }
        match &what {
            Value::Text(key) => Ok(list.get(key)?.is_some()),
            // Such keys are allowed, and no map of ours has one.
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) if list.is_map() => Ok(false),
            _ => Err(EvalError),
        }
    }

    fn convert(&self, conversion: Conversion, value: Value<'a>) -> Answer<Value<'a>> {
        self.walk(value.width())?;
        match conversion {
            Conversion::Size => value.size().map(Value::count),
            Conversion::Int => value.to_int(),
            Conversion::Uint => value.to_uint(),
            Conversion::Double => value.to_double(),
            Conversion::Bool => value.to_bool(),
            Conversion::String => value.into_text(),
            Conversion::Text => {
                self.walk(value.walk() + value.source())?;
                Ok(Value::Text(value.written()))
            }
            Conversion::Lower => Ok(Value::Text(value.str()?.to_ascii_lowercase().into())),
            Conversion::Upper => Ok(Value::Text(value.str()?.to_ascii_uppercase().into())),
        }
    }

    /// Asks the elements of a list, or the keys of a map, up to [`MAX_ELEMENTS`] of them; those
    /// behind have no answer.
    fn each(&self, quantifier: Quantifier, of: &Value<'a>, body: Id) -> Answer<bool> {
        self.walk(of.width())?;
        let elements: Vec<Value<'a>> = if of.is_map() {
            of.entries().into_iter().map(|(key, _)| Value::Text(key)).collect()
        } else if of.is_list() {
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

/// Joins answers: one that is `decisive` decides, also where others have no answer; without one,
/// no answer is none.
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
