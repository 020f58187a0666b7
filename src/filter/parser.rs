//! Compiles tokens to a program, by precedence climbing. It recurses only where brackets, `?:` or
//! arguments nest, and counts that. Chains are loops; the program counts their depth.

mod calls;

use super::error::FilterError;
use super::lexer::{Located, Token, shortened, tokens};
use super::program::{
    Constant, Conversion, Id, MAX_COST, MAX_DEPTH, Node, Program, Relation, TooMuch,
};
use super::value::Operator;
use super::variable::Variable;

/// The longest expression, in bytes.
pub(super) const MAX_LENGTH: usize = 1024;

type Parsed<T> = Result<T, FilterError>;

/// Compiles an expression.
pub(super) fn parse(source: &str) -> Parsed<Program> {
    if source.len() > MAX_LENGTH {
        let wrong = format!("the expression has {} bytes", source.len());
        let byte = source.floor_char_boundary(MAX_LENGTH);
        return Err(FilterError::at(source, byte, wrong, format!("at most {MAX_LENGTH}")));
    }
    compile(source)
}

/// Compiles an expression of any length.
pub(super) fn compile(source: &str) -> Parsed<Program> {
    let mut parser = Parser {
        source,
        tokens: tokens(source)?,
        next: 0,
        program: Program::default(),
        nesting: 0,
        element: None,
        patterns: 0,
    };
    let top = parser.expression()?;
    if *parser.peek() != Token::End {
        return Err(parser.unexpected("an operator such as == or &&, or the end"));
    }
    if !parser.may_be_condition(top) {
        let wrong = "this is a value, and neither true nor false";
        return Err(parser.error(0, wrong, "a condition, such as size > 100"));
    }
    Ok(parser.program)
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Located>,
    next: usize,
    program: Program,
    nesting: u8,
    /// The name of the element, inside a macro.
    element: Option<String>,
    patterns: usize,
}

/// Binary operators with their precedence. Those of the same precedence group from left to right.
const BINARY: [(&str, u8); 13] = [
    ("||", 1),
    ("&&", 2),
    ("==", 3),
    ("!=", 3),
    ("<", 3),
    ("<=", 3),
    (">", 3),
    (">=", 3),
    ("+", 4),
    ("-", 4),
    ("*", 5),
    ("/", 5),
    ("%", 5),
];

/// The precedence of `in`: that of a comparison.
const IN: u8 = 3;

const VALUE: &str = "a value, such as size, 5, \"text\" or (…)";

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next].1
    }

    fn advance(&mut self) -> Token {
        let token = self.tokens[self.next].0.clone();
        // The end stays.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn sees(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(own) if *own == symbol)
    }

    fn takes(&mut self, symbol: &str) -> bool {
        let seen = self.sees(symbol);
        if seen {
            self.advance();
        }
        seen
    }

    fn expect(&mut self, symbol: &str, expected: &str) -> Parsed<()> {
        if self.takes(symbol) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn error(
        &self,
        byte: usize,
        wrong: impl Into<String>,
        right: impl Into<String>,
    ) -> FilterError {
        FilterError::at(self.source, byte, wrong, right)
    }

    fn unexpected(&self, expected: &str) -> FilterError {
        self.error(self.at(), format!("unexpected {}", self.peek().name()), expected)
    }

    fn add(&mut self, byte: usize, node: Node) -> Parsed<Id> {
        self.program.add(node).map_err(|fault| match fault {
            TooMuch::Depth => self.too_deep(byte),
            TooMuch::Cost => self.error(
                byte,
                format!("this may take more than {MAX_COST} steps an event"),
                "less to be asked of every element of a list",
            ),
        })
    }

    fn too_deep(&self, byte: usize) -> FilterError {
        let wrong = format!("this nests deeper than {MAX_DEPTH} levels");
        self.error(byte, wrong, "a shorter chain or fewer brackets; && and || may be many")
    }

    fn expression(&mut self) -> Parsed<Id> {
        let start = self.at();
        if self.nesting >= MAX_DEPTH {
            return Err(self.too_deep(start));
        }
        self.nesting += 1;
        let condition = self.binary(1)?;
        let parsed = if self.takes("?") {
            let yes = self.binary(1)?;
            self.expect(":", "`:` and what holds otherwise")?;
            let no = self.expression()?;
            self.add(start, Node::Choice(condition, yes, no))
        } else {
            Ok(condition)
        };
        self.nesting -= 1;
        parsed
    }

    /// Reads operands that are joined by operators of at least this precedence.
    fn binary(&mut self, least: u8) -> Parsed<Id> {
        let mut left = self.unary()?;
        loop {
            let at = self.at();
            let (symbol, binds) = match self.peek() {
                Token::Name(name) if name == "in" => ("in", IN),
                Token::Symbol(symbol) => match BINARY.into_iter().find(|(own, _)| own == symbol) {
                    Some(operator) => operator,
                    None => return Ok(left),
                },
                _ => return Ok(left),
            };
            if binds < least {
                return Ok(left);
            }
            self.advance();
            let right = self.binary(binds + 1)?;
            let node = match symbol {
                "&&" | "||" => {
                    let mut operands = vec![left, right];
                    while self.takes(symbol) {
                        operands.push(self.binary(binds + 1)?);
                    }
                    let operands = operands.into();
                    if symbol == "&&" { Node::All(operands) } else { Node::Any(operands) }
                }
                "in" => Node::In(left, right),
                "+" => Node::Arithmetic(Operator::Add, left, right),
                "-" => Node::Arithmetic(Operator::Subtract, left, right),
                "*" => Node::Arithmetic(Operator::Multiply, left, right),
                "/" => Node::Arithmetic(Operator::Divide, left, right),
                "%" => Node::Arithmetic(Operator::Remainder, left, right),
                _ => Node::Compare(relation(symbol), left, right),
            };
            left = self.add(at, node)?;
        }
    }

    fn unary(&mut self) -> Parsed<Id> {
        let start = self.at();
        for (symbol, node) in [("!", Node::Not as fn(Id) -> Node), ("-", Node::Negate)] {
            let mut count = 0;
            while self.takes(symbol) {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            let mut operand = match (symbol, self.peek()) {
                ("-", Token::Integer(_) | Token::Double(_)) => {
                    count -= 1;
                    self.negative()?
                }
                _ => self.member()?,
            };
            for _ in 0..count {
                operand = self.add(start, node(operand))?;
            }
            return Ok(operand);
        }
        self.member()
    }

    /// Reads a number after a minus.
    fn negative(&mut self) -> Parsed<Id> {
        let at = self.at();
        let constant = match self.advance() {
            Token::Integer(value) => {
                let value = 0_i64.checked_sub_unsigned(value);
                Constant::Int(value.ok_or_else(|| self.no_integer(at))?)
            }
            Token::Double(value) => Constant::Double(-value),
            _ => return Err(self.error(at, "this is no number", "a number")),
        };
        let operand = self.add(at, Node::Constant(constant))?;
        self.members_of(operand)
    }

    fn no_integer(&self, byte: usize) -> FilterError {
        let right = "at most 9223372036854775807, or u behind it for a number without sign";
        self.error(byte, "the number is too large", right)
    }

    fn member(&mut self) -> Parsed<Id> {
        let operand = self.primary()?;
        self.members_of(operand)
    }

    /// Reads the accesses after a value: `.field`, `[index]`, `.function(…)`.
    fn members_of(&mut self, mut operand: Id) -> Parsed<Id> {
        loop {
            let start = self.at();
            if self.takes("[") {
                let index = self.expression()?;
                self.expect("]", "`]`")?;
                operand = self.add(start, Node::Index(operand, index))?;
            } else if self.takes(".") {
                let at = self.at();
                let Token::Name(name) = self.peek().clone() else {
                    let right = "the name of a field; other names stand in brackets, as [\"a-b\"]";
                    return Err(self.unexpected(right));
                };
                self.advance();
                operand = if self.takes("(") {
                    self.method(operand, &name, at)?
                } else {
                    self.add(at, Node::Field(operand, name.into()))?
                };
            } else {
                return Ok(operand);
            }
        }
    }

    fn primary(&mut self) -> Parsed<Id> {
        let at = self.at();
        let constant = match self.peek().clone() {
            Token::Integer(value) => {
                Constant::Int(i64::try_from(value).map_err(|_| self.no_integer(at))?)
            }
            Token::Unsigned(value) => Constant::Uint(value),
            Token::Double(value) => Constant::Double(value),
            Token::Text(text) => Constant::Text(text.into()),
            Token::Name(name) => match name.as_str() {
                "true" => Constant::Bool(true),
                "false" => Constant::Bool(false),
                "null" => Constant::Null,
                _ => return self.name(&name),
            },
            Token::Symbol("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")", "`)` or an operator")?;
                return Ok(inner);
            }
            Token::Symbol("[") => return self.list(),
            Token::Symbol("{") => return self.map(),
            _ => return Err(self.unexpected(VALUE)),
        };
        self.advance();
        self.add(at, Node::Constant(constant))
    }

    fn name(&mut self, name: &str) -> Parsed<Id> {
        let at = self.at();
        self.advance();
        if self.takes("(") {
            return self.function(name, at);
        }
        if self.element.as_deref() == Some(name) {
            return self.add(at, Node::Element);
        }
        let root = self.root(name, at)?;
        self.add(at, Node::Variable(root))
    }

    fn root(&self, name: &str, at: usize) -> Parsed<Variable> {
        Variable::named(name).ok_or_else(|| {
            let wrong = format!("an event has no `{}`", shortened(name));
            self.error(at, wrong, format!("one of {}; text stands in quotes", Variable::names()))
        })
    }

    fn list(&mut self) -> Parsed<Id> {
        let at = self.at();
        self.advance();
        let mut items = Vec::new();
        while !self.takes("]") {
            items.push(self.expression()?);
            if !self.takes(",") && !self.sees("]") {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
        self.add(at, Node::List(items.into()))
    }

    fn map(&mut self) -> Parsed<Id> {
        let at = self.at();
        self.advance();
        let mut entries: Vec<(Box<str>, Id)> = Vec::new();
        while !self.takes("}") {
            let here = self.at();
            let Token::Text(key) = self.peek().clone() else {
                return Err(self.unexpected("a key in quotes, or `}`"));
            };
            self.advance();
            if entries.iter().any(|(own, _)| **own == *key) {
                return Err(self.error(here, "this key stands twice", "each key once"));
            }
            self.expect(":", "`:` and a value")?;
            entries.push((key.into(), self.expression()?));
            if !self.takes(",") && !self.sees("}") {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
        self.add(at, Node::Map(entries.into()))
    }

    /// Returns whether a node can be true or false, as far as that is known without an event.
    fn may_be_condition(&self, id: Id) -> bool {
        match self.program.node(id) {
            Node::Constant(constant) => matches!(constant, Constant::Bool(_)),
            Node::Variable(root) => root.may_be_bool(),
            Node::Negate(_) | Node::Arithmetic(..) | Node::List(_) | Node::Map(_) => false,
            Node::Convert(conversion, _) => *conversion == Conversion::Bool,
            Node::Choice(_, yes, no) => self.may_be_condition(*yes) && self.may_be_condition(*no),
            _ => true,
        }
    }
}

fn relation(symbol: &str) -> Relation {
    match symbol {
        "==" => Relation::Equal,
        "!=" => Relation::NotEqual,
        "<" => Relation::Less,
        "<=" => Relation::LessOrEqual,
        ">" => Relation::Greater,
        _ => Relation::GreaterOrEqual,
    }
}
