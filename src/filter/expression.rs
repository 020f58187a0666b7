//! A compiled condition on events.

use std::fmt;

use super::cost::{self, Meter};
use super::error::FilterError;
use super::program::Program;
use super::reading::Reading;
use super::{eval, parser};
use crate::event::{Event, Kind};

/// A condition on events, such as `kind == "message" && message.price > 100.0`.
pub struct Expression {
    source: Box<str>,
    program: Program,
}

/// The result of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether the expression is true of the event.
    pub holds: bool,
    /// The steps used, reading the body included. A step is about a nanosecond, so that a scan can
    /// add them up and yield.
    pub steps: u64,
    /// Whether [`Expression::BUDGET`] did not suffice. Then there is no answer, and `holds` is false.
    pub exhausted: bool,
}

impl Expression {
    /// The longest expression, in bytes.
    pub const MAX_LENGTH: usize = parser::MAX_LENGTH;

    /// The most steps of an evaluation beside those of reading the body: about 10 ms.
    pub const BUDGET: u64 = cost::BUDGET;

    /// Compiles an expression. Takes less than a few milliseconds, whatever the text is.
    ///
    /// # Errors
    ///
    /// If the text is not an expression, or one that is too long, too deep or too costly.
    pub fn parse(source: &str) -> Result<Self, FilterError> {
        Ok(Self { source: source.into(), program: parser::parse(source)? })
    }

    /// Returns the expression that is true where this one and `other` are. It is what a reader gets
    /// whose grant has an expression, and who asks for another.
    ///
    /// # Errors
    ///
    /// If both together are too deep or too costly.
    pub fn and(&self, other: &Self) -> Result<Self, FilterError> {
        // Each text is an expression by itself, so that neither ends within the other's brackets.
        let source = format!("({}) && ({})", self.source, other.source);
        Ok(Self { program: parser::compile(&source)?, source: source.into() })
    }

    /// Returns the text that it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether it reads the body of a message: then [`evaluate_with`](Self::evaluate_with)
    /// saves reading it again.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.program.reads_body()
    }

    /// Returns the most steps that the expression itself takes at an event, without the work that
    /// grows with the event.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.program.cost()
    }

    /// Evaluates the expression at an event.
    #[must_use]
    pub fn evaluate(&self, event: &Event) -> Evaluation {
        if !self.reads_body() {
            return self.run(event, None);
        }
        let evaluation = self.run(event, Some(&Reading::of(event)));
        Evaluation { steps: evaluation.steps + Reading::cost(event), ..evaluation }
    }

    /// Evaluates the expression at an event whose body has been read.
    #[must_use]
    pub fn evaluate_with(&self, event: &Event, body: &Reading) -> Evaluation {
        self.run(event, Some(body))
    }

    /// Returns whether the expression is true of an event.
    #[must_use]
    pub fn holds(&self, event: &Event) -> bool {
        self.evaluate(event).holds
    }

    /// Returns whether the expression is true of an event whose body has been read.
    #[must_use]
    pub fn holds_with(&self, event: &Event, body: &Reading) -> bool {
        self.evaluate_with(event, body).holds
    }

    fn run(&self, event: &Event, body: Option<&Reading>) -> Evaluation {
        let meter = Meter::default();
        // A gap of the tap concerns every listener.
        let holds = event.kind() == Kind::Gap || eval::holds(&self.program, event, body, &meter);
        let exhausted = meter.is_exhausted();
        Evaluation { holds: holds && !exhausted, steps: meter.used(), exhausted }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}
