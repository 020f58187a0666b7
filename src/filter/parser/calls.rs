//! Calls: functions, functions of a value, and macros over elements.

use super::super::lexer::{Token, shortened};
use super::super::pattern::Pattern;
use super::super::program::{Conversion, Id, Node, Quantifier, StringTest};
use super::{Parsed, Parser};

/// The most patterns of an expression: each takes time to compile, and memory. `a|b` is one.
const MAX_PATTERNS: usize = 4;

/// Reserved words of CEL.
const RESERVED: [&str; 18] = [
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

impl Parser<'_> {
    /// Reads the arguments of a function, after its bracket.
    fn arguments(&mut self, at: usize, name: &str, count: usize) -> Parsed<Vec<Id>> {
        let mut arguments = Vec::new();
        while !self.takes(")") {
            arguments.push(self.expression()?);
            if !self.takes(",") && !self.sees(")") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        if arguments.len() == count {
            return Ok(arguments);
        }
        let wrong = format!("{name} with {} arguments", arguments.len());
        Err(self.error(at, wrong, format!("{count}")))
    }

    pub(super) fn function(&mut self, name: &str, at: usize) -> Parsed<Id> {
        let conversion = match name {
            "has" => return self.has(at),
            "size" => Conversion::Size,
            "int" => Conversion::Int,
            "uint" => Conversion::Uint,
            "double" => Conversion::Double,
            "string" => Conversion::String,
            "text" => Conversion::Text,
            "bool" => Conversion::Bool,
            _ => {
                let wrong = format!("there is no function `{}`", shortened(name));
                let right = "has, size, text, int, uint, double, string or bool; \
                             those of a value stand behind it, as message.contains(\"a\")";
                return Err(self.error(at, wrong, right));
            }
        };
        let arguments = self.arguments(at, name, 1)?;
        self.add(at, Node::Convert(conversion, arguments[0]))
    }

    /// Reads `has(a.b)` after its bracket, as in CEL, or `has(a)` of a variable.
    fn has(&mut self, at: usize) -> Parsed<Id> {
        let right = "a field, such as has(message.price)";
        let inside = self.at();
        let root = match self.peek().clone() {
            Token::Name(name) if self.tokens[self.next + 1].0 == Token::Symbol(")") => {
                self.advance();
                Some(self.root(&name, inside)?)
            }
            _ => None,
        };
        if let Some(root) = root {
            self.advance();
            return self.add(at, Node::HasVariable(root));
        }
        let field = self.expression()?;
        self.expect(")", "`)`")?;
        let node = match self.program.node(field) {
            Node::Field(of, name) => Node::Has(*of, name.clone()),
            _ => return Err(self.error(inside, "has of something else than a field", right)),
        };
        self.add(at, node)
    }

    pub(super) fn method(&mut self, of: Id, name: &str, at: usize) -> Parsed<Id> {
        let test = match name {
            "size" | "lowerAscii" | "upperAscii" => {
                self.arguments(at, name, 0)?;
                let conversion = match name {
                    "size" => Conversion::Size,
                    "lowerAscii" => Conversion::Lower,
                    _ => Conversion::Upper,
                };
                return self.add(at, Node::Convert(conversion, of));
            }
            "matches" => return self.matches(of, at),
            "exists" => return self.each(Quantifier::Exists, of, at),
            "all" => return self.each(Quantifier::All, of, at),
            "exists_one" | "existsOne" => return self.each(Quantifier::ExistsOne, of, at),
            "contains" => StringTest::Contains,
            "startsWith" => StringTest::StartsWith,
            "endsWith" => StringTest::EndsWith,
            _ => {
                let wrong = format!("there is no function `{}` of a value", shortened(name));
                let right = "contains, startsWith, endsWith, matches, size, lowerAscii, \
                             upperAscii, exists, all or exists_one";
                return Err(self.error(at, wrong, right));
            }
        };
        let arguments = self.arguments(at, name, 1)?;
        self.add(at, Node::Test(test, of, arguments[0]))
    }

    fn matches(&mut self, of: Id, at: usize) -> Parsed<Id> {
        let inside = self.at();
        let Token::Text(text) = self.peek().clone() else {
            return Err(self.unexpected("a pattern in quotes, which is compiled beforehand"));
        };
        self.advance();
        self.expect(")", "`)`; a pattern is one string")?;
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            let right = format!("at most {MAX_PATTERNS}; a|b is one");
            return Err(self.error(at, "this is one pattern too many", right));
        }
        let right = "RE2 syntax, such as \"^a.*z$\", that compiles to less than 32 KiB";
        let pattern = Pattern::compile(&text).map_err(|wrong| self.error(inside, wrong, right))?;
        self.add(at, Node::Matches(of, Box::new(pattern)))
    }

    /// Reads `exists(x, condition)`, `all` or `exists_one`, after the bracket.
    fn each(&mut self, quantifier: Quantifier, of: Id, at: usize) -> Parsed<Id> {
        if self.element.is_some() {
            let right = "one level of exists, all and exists_one";
            return Err(self.error(at, "this stands inside of another", right));
        }
        let name = match self.peek().clone() {
            Token::Name(name) if !RESERVED.contains(&name.as_str()) => name,
            _ => return Err(self.unexpected("a name for the element, as in exists(x, x > 1)")),
        };
        self.advance();
        self.expect(",", "`,` and a condition on the element")?;
        self.element = Some(name);
        let body = self.expression()?;
        self.element = None;
        self.expect(")", "`)` or an operator")?;
        self.add(at, Node::Macro(quantifier, of, body))
    }
}
