//! The patterns of `matches`: RE2 syntax, as CEL has it.
//!
//! A pattern runs as a DFA if the whole DFA is small: then a byte takes two steps, whatever the text
//! is. Other patterns run on the engines of the crate `regex`, which take time linear in the text
//! too, but up to the size of the pattern for each byte. They are charged for that.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Input, MatchKind};

use super::cost::Meter;
use super::error::{Answer, EvalError};

/// The most memory of a compiled pattern. It bounds the time of compiling it too.
const SIZE: usize = 32 << 10;

/// The most memory of a DFA, and of making it. Enough for what people write: words, alternatives,
/// dates, addresses. Finding out that it is not enough takes 0.3 ms.
const DFA_SIZE: usize = 64 << 10;

/// Memory of the cache of another pattern, for each thread that matches at one time.
const CACHE: usize = 64 << 10;

/// Nesting of groups.
const NESTING: u32 = 16;

/// The longest text that is matched; a longer one has no answer.
const MAX_TEXT: usize = 64 << 10;

/// The steps of a match beside those of its bytes.
const MATCH: usize = 100;

/// The steps of a byte in a DFA.
const DFA_BYTE: usize = 3;

/// The steps of a byte for each state of another pattern: its worst texts make a new set of states
/// at each byte.
const STATE_BYTE: usize = 16;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    engine: Engine,
    /// Steps of a byte.
    byte: usize,
}

#[derive(Debug)]
enum Engine {
    Dfa(Box<dense::DFA<Vec<u32>>>),
    Regex(Regex),
}

impl Pattern {
    /// Compiles a pattern, or says what is wrong with it.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        let pattern = ascii_classes(pattern);
        let built = RegexBuilder::new(&pattern)
            .size_limit(SIZE)
            .dfa_size_limit(CACHE)
            .nest_limit(NESTING)
            .build();
        let regex = built.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large once compiled".to_owned(),
            other => {
                // The last line says what is wrong; those before draw a picture.
                let words = other.to_string();
                let last = words.lines().last().unwrap_or_default();
                format!("the pattern cannot be read: {}", last.trim_start_matches("error: "))
            }
        })?;
        let states = thompson::Config::new().which_captures(WhichCaptures::None);
        let nfa = NFA::compiler().configure(states).build(&pattern);
        let Ok(nfa) = nfa else { return Err("the pattern cannot be compiled".to_owned()) };
        let whole = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(DFA_SIZE))
            .determinize_size_limit(Some(DFA_SIZE));
        Ok(match dense::Builder::new().configure(whole).build_from_nfa(&nfa) {
            Ok(dfa) => Self { engine: Engine::Dfa(Box::new(dfa)), byte: DFA_BYTE },
            Err(_) => Self { engine: Engine::Regex(regex), byte: STATE_BYTE * nfa.states().len() },
        })
    }

    /// Returns whether the pattern matches anywhere in a text.
    pub(super) fn matches(&self, text: &str, meter: &Meter) -> Answer<bool> {
        if text.len() > MAX_TEXT {
            return Err(EvalError);
        }
        meter.charge(MATCH + self.byte * text.len())?;
        match &self.engine {
            Engine::Dfa(dfa) => {
                let found = dfa.try_search_fwd(&Input::new(text).earliest(true));
                found.map(|end| end.is_some()).map_err(|_| EvalError)
            }
            Engine::Regex(regex) => Ok(regex.is_match(text)),
        }
    }
}

/// Makes `\w`, `\d` and `\s` those of RE2, which are ASCII: small, and what CEL says.
fn ascii_classes(pattern: &str) -> Cow<'_, str> {
    if !pattern.contains('\\') {
        return Cow::Borrowed(pattern);
    }
    let mut out = String::with_capacity(pattern.len() + 32);
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            // Classes may stand in classes.
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
            Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
            Some('b') => out.push_str("(?-u:\\b)"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_re2() {
        for (pattern, text, matched) in [
            (r"^\w+$", "abc_1", true),
            (r"^\w+$", "ä", false),
            (r"^\W$", "ä", true),
            (r"^[\w.]+@\d\d$", "a.b@12", true),
            (r"^[^\d]+$", "ab", true),
            (r"^[^\d]+$", "a1", false),
            (r"\bfoo\b", "a foo b", true),
            (r"^\\w$", r"\w", true),
            (r"^.$", "ä", true),
            ("(?i)HELLO", "hello", true),
            (r"^\S+\s\D$", "ab c", true),
        ] {
            assert_eq!(
                Pattern::compile(pattern)
                    .map(|it| it.matches(text, &Meter::default()).expect("an answer")),
                Ok(matched),
                "{pattern}"
            );
        }
    }

    #[test]
    fn patterns_that_blow_up_are_refused() {
        for pattern in [
            "(((a{10}){10}){10}){10}",
            "a{4294967295}",
            "(",
            "[z-a]",
            &"(".repeat(500),
            &format!("{}{}", "(".repeat(100), ")".repeat(100)),
            "(?=a)",
            r"\",
        ] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
    }
    #[test]
    fn usual_patterns_are_dfas_and_all_patterns_match_alike() {
        for (pattern, is_dfa) in [
            ("^[a-z]+ [0-9]{4}$", true),
            ("late|error|warning", true),
            ("(?i)hello", true),
            (r"[\w.]+@\w+\.com", true),
            (r"\bfoo\b", true),
            (".*foo.*bar", true),
            ("(x+x+)+y", true),
            ("^$", true),
            ("a[ab]{60}c", false),
            ("(a|b)*a(a|b){12}c", false),
        ] {
            let compiled = Pattern::compile(pattern).expect("a pattern");
            assert_eq!(matches!(compiled.engine, Engine::Dfa(_)), is_dfa, "{pattern}");
            let regex = Regex::new(&ascii_classes(pattern)).expect("a pattern");
            for text in [
                "",
                "abc 2026",
                "ABC 2026",
                "an error",
                "HELLO",
                "ä.b@c.com",
                "a foo b",
                "foobar",
                "xxxxxxxxxy",
                "ab\nfoo\nbar",
                "babbabababababac",
                &format!("b{}c", "ab".repeat(31)),
                &format!("{}c", "ab".repeat(29)),
            ] {
                let own = compiled.matches(text, &Meter::default());
                assert_eq!(own, Ok(regex.is_match(text)), "{pattern} {text}");
            }
        }
    }
}
