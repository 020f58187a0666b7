//! Splits Rust code into tokens: names, `::`, other signs, and the texts of string literals.

/// Splits code into tokens and drops what is compiled for tests only.
///
/// A string literal becomes one token that starts with `"`. Comments, lifetimes and characters are
/// dropped.
pub(super) fn tokens(code: &str) -> Vec<String> {
    let mut reader = Reader { chars: code.chars().collect(), at: 0, tokens: Vec::new() };
    while reader.at < reader.chars.len() {
        reader.next();
    }
    without_tests(&reader.tokens)
}

/// Returns the index after the bracket that closes the one at `open`.
pub(super) fn after_group(tokens: &[String], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Returns whether a token is a name or a keyword.
pub(super) fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    tokens: Vec<String>,
}

impl Reader {
    fn next(&mut self) {
        let c = self.chars[self.at];
        match (c, self.peek(1)) {
            _ if c.is_whitespace() => self.at += 1,
            ('/', Some('/')) => self.skip_while(|c| c != '\n'),
            ('/', Some('*')) => self.block_comment(),
            (':', Some(':')) => {
                self.tokens.push("::".to_owned());
                self.at += 2;
            }
            ('"', _) => self.string(0, true),
            ('\'', _) => self.quote(),
            _ if c.is_alphanumeric() || c == '_' => self.name(),
            _ => {
                self.tokens.push(c.to_string());
                self.at += 1;
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
    }

    /// Skips a comment, which may contain others.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => (depth, self.at) = (depth + 1, self.at + 2),
                (Some('*'), Some('/')) => (depth, self.at) = (depth - 1, self.at + 2),
                _ => self.at += 1,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Reads a string literal from its first quote; a raw one ends with a quote and `hashes`.
    fn string(&mut self, hashes: usize, escapes: bool) {
        let mut text = String::from('"');
        self.at += 1;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                self.at += hashes;
                break;
            }
            text.push(c);
            if c == '\\' && escapes {
                text.extend(self.peek(0));
                self.at += 1;
            }
        }
        self.tokens.push(text);
    }

    /// Skips a character or a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some('\\') {
            self.at += 3;
            self.skip_while(|c| c != '\'');
            self.at += 1;
        } else if self.peek(2) == Some('\'') {
            self.at += 3;
        } else {
            self.at += 1;
            self.skip_while(|c| c.is_alphanumeric() || c == '_');
        }
    }

    /// Reads a name, a number, a raw name, or a string with a prefix.
    fn name(&mut self) {
        let start = self.at;
        self.skip_while(|c| c.is_alphanumeric() || c == '_');
        let name: String = self.chars[start..self.at].iter().collect();
        let hashes = self.chars[self.at..].iter().take_while(|c| **c == '#').count();
        match name.as_str() {
            "r" | "br" | "cr" if self.peek(hashes) == Some('"') => {
                self.at += hashes;
                self.string(hashes, false);
            }
            "b" | "c" if self.peek(0) == Some('"') => self.string(0, true),
            "b" if self.peek(0) == Some('\'') => self.quote(),
            "r" if hashes == 1 => self.at += 1,
            _ => self.tokens.push(name),
        }
    }
}

/// Drops each item that stands behind `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().take(MARK.len()).eq(&MARK) {
            at = after_item(tokens, at + MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Returns the index after an item: after its `;` or its braces, or before the end of its block.
fn after_item(tokens: &[String], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].as_str() {
            ";" => return at + 1,
            "{" => return after_group(tokens, at),
            "(" | "[" => at = after_group(tokens, at),
            ")" | "]" | "}" => return at,
            _ => at += 1,
        }
    }
    at
}
