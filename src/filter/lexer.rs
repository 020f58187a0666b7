//! Splits an expression into tokens, in one pass and without recursion.

use super::error::FilterError;

/// A token, and the byte at which it begins.
pub(super) type Located = (Token, usize);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Integer(u64),
    Unsigned(u64),
    Double(f64),
    Text(String),
    Name(String),
    Symbol(&'static str),
    End,
}

impl Token {
    /// Returns the token as an error names it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Integer(_) | Self::Unsigned(_) | Self::Double(_) => "a number".to_owned(),
            Self::Text(_) => "a string".to_owned(),
            Self::Name(name) => format!("`{}`", shortened(name)),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Returns a name as an error shows it, at most 40 characters.
pub(super) fn shortened(name: &str) -> String {
    const MOST: usize = 40;
    let mut short: String = name.chars().take(MOST).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

/// Symbols of two characters come before those of one.
const SYMBOLS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}", "=", "&",
];

/// Splits an expression into tokens; the last is the end.
pub(super) fn tokens(source: &str) -> Result<Vec<Located>, FilterError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let (token, start) = lexer.next()?;
        let end = token == Token::End;
        tokens.push((token, start));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, byte: usize, wrong: impl Into<String>, expected: &str) -> FilterError {
        FilterError::at(self.source, byte, wrong, expected)
    }

    /// Takes characters while they fit.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|char| !fits(char)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn next(&mut self) -> Result<Located, FilterError> {
        self.take(|char| matches!(char, ' ' | '\t' | '\r' | '\n' | '\u{c}'));
        let start = self.at;
        let Some(first) = self.peek() else { return Ok((Token::End, start)) };
        let second = self.rest().chars().nth(1);
        let token = match first {
            '"' | '\'' => self.text(false)?,
            'r' | 'R' if matches!(second, Some('"' | '\'')) => {
                self.at += 1;
                self.text(true)?
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let name = self.take(|char| char.is_ascii_alphanumeric() || char == '_');
                Token::Name(name.to_owned())
            }
            '0'..='9' => self.number()?,
            '.' if second.is_some_and(|char| char.is_ascii_digit()) => self.number()?,
            _ => self.symbol(first)?,
        };
        Ok((token, start))
    }

    fn symbol(&mut self, first: char) -> Result<Token, FilterError> {
        let symbol = SYMBOLS.into_iter().find(|symbol| self.rest().starts_with(symbol));
        match symbol {
            Some("=") => Err(self.error(self.at, "`=` compares nothing", "`==`")),
            Some("&") => Err(self.error(self.at, "`&` alone", "`&&`")),
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None if first == '|' => Err(self.error(self.at, "`|` alone", "`||`")),
            None => {
                let wrong = format!("the character {first:?}");
                Err(self.error(self.at, wrong, "a value or an operator; text stands in quotes"))
            }
        }
    }

    fn number(&mut self) -> Result<Token, FilterError> {
        let start = self.at;
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.at += 2;
            let digits = self.take(|char| char.is_ascii_hexdigit());
            let value = u64::from_str_radix(digits, 16);
            let value = value.map_err(|_| self.no_number(start))?;
            return self.integer(value, start);
        }
        self.take(|char| char.is_ascii_digit());
        let mut whole = true;
        let digit_at = |text: &str, n| text.as_bytes().get(n).is_some_and(u8::is_ascii_digit);
        if self.rest().starts_with('.') && digit_at(self.rest(), 1) {
            whole = false;
            self.at += 1;
            self.take(|char| char.is_ascii_digit());
        }
        if self.rest().starts_with(['e', 'E']) {
            let sign = usize::from(self.rest()[1..].starts_with(['+', '-']));
            if digit_at(self.rest(), 1 + sign) {
                whole = false;
                self.at += 1 + sign;
                self.take(|char| char.is_ascii_digit());
            }
        }
        let text = &self.source[start..self.at];
        if whole {
            let value = text.parse().map_err(|_| self.no_number(start))?;
            return self.integer(value, start);
        }
        let value = text.parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| self.no_number(start))?;
        self.ended(Token::Double(value), start)
    }

    fn integer(&mut self, value: u64, start: usize) -> Result<Token, FilterError> {
        if self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            return self.ended(Token::Unsigned(value), start);
        }
        self.ended(Token::Integer(value), start)
    }

    /// A number ends where no letter follows: `5MB` is no number and not two tokens.
    fn ended(&self, token: Token, start: usize) -> Result<Token, FilterError> {
        match self.peek() {
            Some(char) if char.is_alphanumeric() || char == '_' => Err(self.no_number(start)),
            _ => Ok(token),
        }
    }

    fn no_number(&self, start: usize) -> FilterError {
        let right = "a number such as 100, -1, 0xff or 2.5e3, of at most 64 bits";
        self.error(start, "this is no number", right)
    }

    fn text(&mut self, raw: bool) -> Result<Token, FilterError> {
        let start = self.at;
        let quote = &self.rest()[..1];
        let long = [quote; 3].concat();
        let quote = if self.rest().starts_with(&long) { long } else { quote.to_owned() };
        self.at += quote.len();
        let mut text = String::new();
        loop {
            if self.rest().starts_with(&quote) {
                self.at += quote.len();
                return Ok(Token::Text(text));
            }
            match self.peek() {
                Some('\\') if !raw => text.push(self.escape()?),
                Some(char) if quote.len() == 3 || !matches!(char, '\r' | '\n') => {
                    text.push(char);
                    self.at += char.len_utf8();
                }
                _ => {
                    let wrong = "the string does not end";
                    return Err(self.error(start, wrong, &format!("a closing {quote}")));
                }
            }
        }
    }

    /// Reads an escape: `\n`, `\"`, `\x41`, `\u00e4`, `\U0001f600`, `\101`.
    fn escape(&mut self) -> Result<char, FilterError> {
        let start = self.at;
        self.at += 1;
        let kind = self.peek();
        self.at += kind.map_or(0, char::len_utf8);
        let char = match kind {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some('a') => Some('\u{7}'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('v') => Some('\u{b}'),
            Some(char @ ('\\' | '"' | '\'' | '`' | '?')) => Some(char),
            Some('x' | 'X') => self.code(2, 16),
            Some('u') => self.code(4, 16),
            Some('U') => self.code(8, 16),
            Some('0'..='3') => {
                self.at -= 1;
                self.code(3, 8)
            }
            _ => None,
        };
        let right =
            "an escape such as \\n, \\\", \\\\ or \\u00e4; r\"…\" takes backslashes as they are";
        char.ok_or_else(|| self.error(start, "this is no escape", right))
    }

    fn code(&mut self, digits: usize, radix: u32) -> Option<char> {
        let text = self.rest().get(..digits)?;
        let plain = text.chars().all(|char| char.is_digit(radix));
        let code = plain.then(|| u32::from_str_radix(text, radix).ok()).flatten()?;
        self.at += digits;
        char::from_u32(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Vec<Token> {
        tokens(source).expect("tokens").into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn numbers_and_strings_are_those_of_cel() {
        use Token::{Double, End, Integer, Symbol, Text, Unsigned};
        assert_eq!(
            read("1 0x1F 7u .5 1.5e-3 2e2 9223372036854775808"),
            [
                Integer(1),
                Integer(31),
                Unsigned(7),
                Double(0.5),
                Double(0.0015),
                Double(200.0),
                Integer(1 << 63),
                End
            ]
        );
        assert_eq!(
            read(
                r#"'a"' "\"\n\x41\u00e4\U0001F600\101" r'\d' '''a'b
c'''"#
            ),
            [
                Text("a\"".into()),
                Text("\"\nAä\u{1f600}A".into()),
                Text("\\d".into()),
                Text("a'b\nc".into()),
                End
            ]
        );
        assert_eq!(
            read("a[0].b"),
            [
                Token::Name("a".into()),
                Symbol("["),
                Integer(0),
                Symbol("]"),
                Symbol("."),
                Token::Name("b".into()),
                End
            ]
        );
    }

    #[test]
    fn what_is_no_token_is_told_with_its_column() {
        for (source, position) in [
            ("ä", 1),
            ("'ä' = 1", 5),
            ("\"ä\" \"b", 5),
            ("'\\q'", 2),
            ("'\\ud800'", 2),
            ("a & b", 3),
            ("a | b", 3),
            ("1 + 5MB", 5),
            ("99999999999999999999", 1),
            ("1e999", 1),
            ("0x", 1),
            ("'a\nb'", 1),
            ("a # b", 3),
            ("'\\", 2),
            ("'\\x1ä'", 2),
        ] {
            let error = tokens(source).expect_err(source);
            assert_eq!(error.position, position, "{source}: {error}");
        }
    }
}
