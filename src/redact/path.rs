//! Paths to hidden values in a message: `password`, `users[*].token`, `**.secret`.
//!
//! A path is followed as a small automaton. The steps taken on the way to a value are a set of bits,
//! so that the work at each key is bounded by the number of steps, whatever the message is.

use std::str::FromStr;

/// A path into messages. Keys are joined by dots; `*` (also `[*]`) is any member or element, `[0]`
/// an element, `**` any number of levels, and `["a.b"]` a key of any characters.
///
/// It begins at the message, and at the client's own object too: a leading `message.` or `fields.` may
/// be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Element(usize),
    Any,
    Deep,
}

/// Error of a text that is not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path is at most 32 keys joined by dots, such as message.password, users[*].token or **.secret"
)]
pub struct InvalidPath;

/// The most steps: a set of them fits into 64 bits.
const MAX_STEPS: usize = 32;

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let mut rest = text.strip_prefix("$.").unwrap_or(text);
        let mut steps = Vec::new();
        loop {
            let (step, after) = step(rest)?;
            steps.push(step);
            rest = after;
            if rest.is_empty() {
                break;
            }
            if let Some(after) = rest.strip_prefix('.') {
                rest = after;
            } else if !rest.starts_with('[') {
                return Err(InvalidPath);
            }
        }
        if steps.len() > MAX_STEPS { Err(InvalidPath) } else { Ok(Self(steps)) }
    }
}

/// Reads the first step of a text, and returns the rest.
fn step(text: &str) -> Result<(Step, &str), InvalidPath> {
    if let Some(inner) = text.strip_prefix('[') {
        if let Some(quoted) = inner.strip_prefix('"') {
            let end = super::tokens::string_end(inner.as_bytes(), 0).ok_or(InvalidPath)?;
            let key = super::tokens::unescaped(&quoted[..end - 2]).into_owned();
            let after = inner[end..].strip_prefix(']').ok_or(InvalidPath)?;
            return Ok((Step::Key(key), after));
        }
        let (inner, after) = inner.split_once(']').ok_or(InvalidPath)?;
        let step = match inner {
            "*" => Step::Any,
            digits => Step::Element(digits.parse().map_err(|_| InvalidPath)?),
        };
        return Ok((step, after));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let step = match name {
        "" => return Err(InvalidPath),
        "*" => Step::Any,
        "**" => Step::Deep,
        name if name.contains(['*', ']', '"']) => return Err(InvalidPath),
        name => Step::Key(name.to_owned()),
    };
    Ok((step, after))
}

impl Path {
    /// Returns the paths that it stands for: itself, and the same with `message` before it, or without
    /// the `message` or `fields` that it begins with.
    pub(super) fn readers(&self) -> Vec<PathReader> {
        let key = |name: &str| Step::Key(name.to_owned());
        let other = match self.0.split_first() {
            Some((Step::Key(first), rest)) if first == "message" || first == "fields" => {
                rest.to_vec()
            }
            _ => [vec![key("message")], self.0.clone()].concat(),
        };
        vec![PathReader(self.0.clone()), PathReader(other)]
    }
}

/// Follows a path from the outermost value of a message.
#[derive(Debug, Clone)]
pub(super) struct PathReader(Vec<Step>);

/// The step from a value to one within it.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    /// To the member of this key.
    Key(&'a str),
    /// To this element.
    Element(usize),
}

/// The steps that may have been taken on the way to a value: bit `n` for the first `n`.
pub(super) type Taken = u64;

impl PathReader {
    /// Returns the last key of the path, if it has one.
    pub(super) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Element(_) | Step::Any | Step::Deep => None,
        })
    }

    /// Returns the steps taken at the outermost value.
    pub(super) fn begin(&self) -> Taken {
        self.without_levels(1)
    }

    /// Returns the steps taken at a value within another one.
    pub(super) fn follow(&self, taken: Taken, by: By<'_>) -> Taken {
        if taken == 0 {
            return 0;
        }
        let mut next = 0;
        for (n, step) in self.0.iter().enumerate() {
            if taken & 1 << n == 0 {
                continue;
            }
            match (step, by) {
                (Step::Deep, _) => next |= 1 << n,
                (Step::Any, _) => next |= 1 << (n + 1),
                (Step::Key(name), By::Key(key)) if name == key => next |= 1 << (n + 1),
                (Step::Element(at), By::Element(index)) if *at == index => next |= 1 << (n + 1),
                (Step::Key(_) | Step::Element(_), _) => {}
            }
        }
        self.without_levels(next)
    }

    /// Returns whether the whole path is taken.
    pub(super) fn arrived(&self, taken: Taken) -> bool {
        taken & 1 << self.0.len() != 0
    }

    /// Adds the steps behind a `**` that stands for no level.
    fn without_levels(&self, mut taken: Taken) -> Taken {
        for (n, step) in self.0.iter().enumerate() {
            if *step == Step::Deep && taken & 1 << n != 0 {
                taken |= 1 << (n + 1);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(path: &str, way: &[By<'_>]) -> bool {
        let path: Path = path.parse().expect("a path");
        path.readers().iter().any(|reader| {
            let taken = way.iter().fold(reader.begin(), |taken, by| reader.follow(taken, *by));
            reader.arrived(taken)
        })
    }

    #[test]
    fn a_path_is_keys_elements_and_wildcards() {
        use By::{Element, Key};
        for (path, way) in [
            ("message.password", &[Key("password")][..]),
            ("password", &[Key("password")]),
            ("password", &[Key("message"), Key("password")]),
            ("message.password", &[Key("message"), Key("password")]),
            ("fields.token", &[Key("token")]),
            ("message.users[*].token", &[Key("users"), Element(7), Key("token")]),
            ("users.*.token", &[Key("users"), Key("x"), Key("token")]),
            ("users[1]", &[Key("users"), Element(1)]),
            ("[0][1]", &[Element(0), Element(1)]),
            ("**.secret", &[Key("secret")]),
            ("**.secret", &[Key("a"), Element(2), Key("b"), Key("secret")]),
            ("a.**.b", &[Key("a"), Key("b")]),
            ("a.**", &[Key("a"), Key("x"), Key("y")]),
            ("a[\"b.c]\\\"\"].d", &[Key("a"), Key("b.c]\""), Key("d")]),
            ("$.a", &[Key("a")]),
            ("message", &[]),
            ("**", &[]),
        ] {
            assert!(fits(path, way), "{path} {way:?}");
        }
        for (path, way) in [
            ("password", &[Key("Password")][..]),
            ("password", &[Key("a"), Key("password")]),
            ("users[1]", &[Key("users"), Element(0)]),
            ("users[1]", &[Key("users"), Key("1")]),
            ("users.token", &[Key("users"), Element(0), Key("token")]),
            ("**.secret", &[]),
        ] {
            assert!(!fits(path, way), "{path} {way:?}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in
            ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[\"b]", "a[0]b", "***", "a*", "a[-1]"]
        {
            assert_eq!(text.parse::<Path>(), Err(InvalidPath), "{text}");
        }
        assert!(vec!["a"; 32].join(".").parse::<Path>().is_ok());
        assert!(vec!["a"; 33].join(".").parse::<Path>().is_err());
    }
}
