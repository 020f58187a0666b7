//! Short forms of expressions for the command line: `conn:room-7 dir:out "text" size>100`.

use std::fmt::Write as _;

use super::expression::Expression;
use crate::event::{Direction, Kind};

/// The keys of short forms: the name before the colon, and its meaning.
const KEYS: [(&str, Key); 11] = [
    ("conn", Key::Connection),
    ("connection", Key::Connection),
    ("channel", Key::Channel),
    ("user", Key::User),
    ("kind", Key::Kind),
    ("dir", Key::Direction),
    ("direction", Key::Direction),
    ("op", Key::Opcode),
    ("opcode", Key::Opcode),
    ("path", Key::Path),
    ("re", Key::Pattern),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Connection,
    Channel,
    User,
    Kind,
    Direction,
    Opcode,
    Path,
    Pattern,
}

/// Error of a short form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerm {
    /// A quote is not closed.
    #[error("{0}: the quote does not end")]
    OpenQuote(String),
    /// A key has a value that no event can have.
    #[error("{term}: {right}")]
    Value {
        /// What was written.
        term: String,
        /// What would be right.
        right: String,
    },
}

/// Translates terms separated by white space. All must hold; of terms with the same key, one:
///
/// | term | expression |
/// |---|---|
/// | `conn:room-7`, `conn:room-*` | `connectionId == "room-7"`, `connectionId.startsWith("room-")` |
/// | `channel:news/*`, `user:ann` | `channel.startsWith("news/")`, `user == "ann"` |
/// | `kind:close`, `dir:out`, `op:binary` | `kind == "close"` … |
/// | `path:/ws` | `path.startsWith("/ws")` |
/// | `word`, `"two words"` | `text(message).contains("word") \|\| text(fields).contains("word")` |
/// | `re:^a` | `text(message).matches("^a")` |
/// | `size>100`, `message.price<5` | itself |
/// | `!term` | `!(…)` |
///
/// # Errors
///
/// If a quote is not closed, or a key has a value that no event can have.
pub fn translate(terms: &str) -> Result<String, InvalidTerm> {
    let mut groups: Vec<(Option<Key>, Vec<String>)> = Vec::new();
    for term in split(terms)? {
        let (key, condition) = condition(&term)?;
        match groups.iter_mut().find(|(own, _)| key.is_some() && *own == key) {
            Some((_, alternatives)) => alternatives.push(condition),
            None => groups.push((key, vec![condition])),
        }
    }
    let conditions = groups.into_iter().map(|(_, alternatives)| any_of(&alternatives));
    Ok(conditions.collect::<Vec<_>>().join(" && "))
}

/// Returns whether a word has a key, and is not an address such as `localhost:8080`.
#[must_use]
pub fn has_key(word: &str) -> bool {
    keyed(word.trim_start_matches('!')).is_some()
}

/// Joins two expressions by `&&`. Either may be empty.
#[must_use]
pub fn both(one: &str, other: &str) -> String {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other.to_owned(),
        (_, true) => one.to_owned(),
        _ => format!("({one}) && {other}"),
    }
}

/// Splits at white space outside of quotes.
fn split(terms: &str) -> Result<Vec<String>, InvalidTerm> {
    let mut all = Vec::new();
    let mut term = String::new();
    let mut quote = None;
    for char in terms.chars() {
        match quote {
            None if char.is_whitespace() => all.push(std::mem::take(&mut term)),
            None => {
                quote = matches!(char, '"' | '\'').then_some(char);
                term.push(char);
            }
            Some(open) => {
                term.push(char);
                quote = Some(open).filter(|open| *open != char);
            }
        }
    }
    if quote.is_some() {
        return Err(InvalidTerm::OpenQuote(term));
    }
    all.push(term);
    all.retain(|term| !term.is_empty());
    Ok(all)
}

fn keyed(term: &str) -> Option<(Key, &str)> {
    let (name, value) = term.split_once(':')?;
    let (_, key) = KEYS.into_iter().find(|(own, _)| *own == name)?;
    Some((key, value))
}

/// Returns the condition of a term, and the key under which it is an alternative to others.
fn condition(term: &str) -> Result<(Option<Key>, String), InvalidTerm> {
    if let Some(rest) = term.strip_prefix('!').filter(|rest| !rest.is_empty()) {
        let (_, inner) = condition(rest)?;
        return Ok((None, format!("!({inner})")));
    }
    let Some((key, value)) = keyed(term) else {
        let asks = term.contains(['<', '>', '=', '(']) && !term.starts_with(['"', '\'']);
        if asks && Expression::parse(term).is_ok() {
            return Ok((None, term.to_owned()));
        }
        let word = quoted(unquoted(term));
        let said = format!("(text(message).contains({word}) || text(fields).contains({word}))");
        return Ok((None, said));
    };
    let value = unquoted(value);
    let one_of = |name: &str, values: &[&str]| {
        if values.contains(&value) {
            return Ok(format!("{name} == {}", quoted(value)));
        }
        let right = format!("a {name} is {}", values.join(", "));
        Err(InvalidTerm::Value { term: term.to_owned(), right })
    };
    let condition = match key {
        Key::Connection => named("connectionId", value),
        Key::Channel => named("channel", value),
        Key::User => named("user", value),
        Key::Kind => one_of("kind", &Kind::ALL.map(Kind::as_str))?,
        Key::Direction => one_of("direction", &[Direction::In.as_str(), Direction::Out.as_str()])?,
        Key::Opcode => one_of("opcode", &["text", "binary"])?,
        Key::Path => format!("path.startsWith({})", quoted(value)),
        Key::Pattern => format!("text(message).matches({})", quoted(value)),
    };
    Ok((Some(key), condition))
}

/// Compares a name, or with a trailing `*` its prefix.
fn named(name: &str, value: &str) -> String {
    match value.strip_suffix('*') {
        Some(start) => format!("{name}.startsWith({})", quoted(start)),
        None => format!("{name} == {}", quoted(value)),
    }
}

fn any_of(alternatives: &[String]) -> String {
    match alternatives {
        [one] => one.clone(),
        more => format!("({})", more.join(" || ")),
    }
}

fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// Writes text as a string of the language.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() => {
                write!(out, "\\u{:04x}", u32::from(char)).expect("a String takes all");
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(word: &str) -> String {
        format!("(text(message).contains({word}) || text(fields).contains({word}))")
    }

    #[test]
    fn terms_are_translated_to_what_they_are_short_for() {
        let text = said("\"text\"");
        for (terms, expression) in [
            ("", ""),
            ("  ", ""),
            ("conn:room-7", "connectionId == \"room-7\""),
            ("connection:room-*", "connectionId.startsWith(\"room-\")"),
            ("channel:a user:b*", "channel == \"a\" && user.startsWith(\"b\")"),
            ("kind:connect kind:close", "(kind == \"connect\" || kind == \"close\")"),
            ("op:binary path:/ws", "opcode == \"binary\" && path.startsWith(\"/ws\")"),
            ("conn:\"a b\"", "connectionId == \"a b\""),
            ("re:'^a b$'", "text(message).matches(\"^a b$\")"),
            ("!kind:close", "!(kind == \"close\")"),
            ("size>100 message.price<=5", "size>100 && message.price<=5"),
            ("size==1||size==2", "size==1||size==2"),
            (
                "conn:room-7 dir:out kind:message \"text\" size>100",
                &format!(
                    "connectionId == \"room-7\" && direction == \"out\" && kind == \"message\" && {text} && size>100"
                ),
            ),
            ("'it is'", &said("\"it is\"")),
            ("a=b", &said("\"a=b\"")),
            ("foo:bar", &said("\"foo:bar\"")),
            ("say\\", &said("\"say\\\\\"")),
        ] {
            assert_eq!(translate(terms).as_deref(), Ok(expression), "{terms}");
        }
    }

    #[test]
    fn what_nothing_can_be_is_told() {
        let fault = |terms| translate(terms).expect_err("wrong").to_string();
        assert_eq!(
            fault("kind:mesage"),
            "kind:mesage: a kind is connect, message, close, join, leave, request, gap"
        );
        assert_eq!(fault("dir:up"), "dir:up: a direction is in, out");
        assert_eq!(fault("a \"b c"), "\"b c: the quote does not end");
    }

    #[test]
    fn an_address_has_none_of_our_keys() {
        assert!(has_key("conn:1") && has_key("!kind:close"));
        assert!(!has_key("localhost:8080") && !has_key("word"));
    }

    proptest! {
        #[test]
        fn every_translation_is_an_expression(terms in "[a-z:*!\"'<>=\\\\ äé\u{1}0-9.]{0,60}") {
            if let Ok(expression) = translate(&terms) {
                let short = expression.len() <= Expression::MAX_LENGTH;
                let patterns = terms.matches("re:").count();
                if !expression.is_empty() && short && patterns == 0 {
                    let parsed = Expression::parse(&expression);
                    prop_assert!(parsed.is_ok(), "{} {:?}", expression, parsed);
                }
            }
        }
    }
}
