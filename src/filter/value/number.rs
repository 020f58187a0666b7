//! Numbers: order across types, arithmetic, conversions.

use std::cmp::Ordering;

use super::super::cost::{self, Meter};
use super::super::error::{Answer, EvalError};
use super::Value;

/// An operator of arithmetic; `+` also joins strings and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// The longest list that a sum makes.
const MAX_LIST: usize = 1000;

/// The longest string that a sum makes.
const MAX_SUM: usize = 64 << 10;

impl Value<'_> {
    pub(super) fn number_order(&self, other: &Self) -> Option<Ordering> {
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

    /// Computes with two numbers of one type, or joins two strings or lists.
    pub(in super::super) fn arithmetic(
        &self,
        operator: Operator,
        other: &Self,
        meter: &Meter,
    ) -> Answer<Self> {
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
                let length = a.len() + b.len();
                if length > MAX_SUM {
                    return Err(EvalError);
                }
                meter.charge(cost::VALUE + cost::copy(length))?;
                Some(Self::Text([&**a, &**b].concat().into()))
            }
            (a, b) if a.is_list() && b.is_list() && operator == Add => {
                if a.len() + b.len() > MAX_LIST {
                    return Err(EvalError);
                }
                meter.charge(a.items_cost(MAX_LIST) + b.items_cost(MAX_LIST))?;
                Some(Self::List(a.items().chain(b.items()).collect()))
            }
            _ => None,
        };
        value.ok_or(EvalError)
    }

    pub(in super::super) fn negated(&self) -> Answer<Self> {
        match self {
            Self::Int(value) => value.checked_neg().map(Self::Int).ok_or(EvalError),
            Self::Double(value) => Ok(Self::Double(-value)),
            _ => Err(EvalError),
        }
    }

    pub(in super::super) fn to_int(&self) -> Answer<Self> {
        let value = match self {
            Self::Int(value) => Some(*value),
            Self::Uint(value) => i64::try_from(*value).ok(),
            Self::Double(value) => truncated(*value).and_then(|value| i64::try_from(value).ok()),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        value.map(Self::Int).ok_or(EvalError)
    }

    pub(in super::super) fn to_uint(&self) -> Answer<Self> {
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
    pub(in super::super) fn to_double(&self) -> Answer<Self> {
        let value = match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        value.map(Self::Double).ok_or(EvalError)
    }

    pub(in super::super) fn to_bool(&self) -> Answer<Self> {
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
}

/// Two to the power of 64: every integer of an expression is closer to zero.
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
