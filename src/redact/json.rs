//! Hides values in JSON text. Everything else stays as it was written, byte for byte: digits, order of
//! keys, repeated keys, white space.
//!
//! One pass over the tokens, without a tree and without recursion; the stack is as deep as the nesting.

use super::builtin::Secret;
use super::edit::{Edit, applied};
use super::path::{By, PathReader, Taken};
use super::rules::{HIDDEN, HIDDEN_JSON};
use super::search::Search;
use super::tokens::{end_of_string, unescaped, value_end};

/// Returns JSON text with the values hidden that the rules name, or `None` if they hide nothing. `id`
/// is for a client's own object: it replaces a `connectionId` that holds something to hide.
pub(super) fn rewritten(text: &str, id: Option<&str>, search: &Search) -> Option<String> {
    let edits = along_paths(text, id, search);
    (!edits.is_empty()).then(|| applied(text, edits))
}

/// Returns the edits of JSON that is a message.
pub(super) fn edits(text: &str, search: &Search) -> Vec<Edit> {
    along_paths(text, None, search)
}

fn along_paths(text: &str, id: Option<&str>, search: &Search) -> Vec<Edit> {
    let next = search.readers.iter().map(PathReader::begin).collect();
    Pass::new(text, id, search, next).run()
}

/// Returns the edits of JSON that is a part of a text. Paths begin nowhere in it: the last key of each
/// is hidden anywhere.
pub(super) fn edits_of_part(text: &str, search: &Search) -> Vec<Edit> {
    let mut pass = Pass::new(text, None, search, Vec::new());
    pass.anywhere = true;
    pass.run()
}

struct Pass<'a> {
    text: &'a str,
    search: &'a Search,
    id: Option<&'a str>,
    /// Whether keys are looked for at any place, instead of along the paths.
    anywhere: bool,
    at: usize,
    edits: Vec<Edit>,
    /// The objects and arrays around this place.
    levels: Vec<Level>,
    /// For each of them, how far each path has been followed.
    taken: Vec<Taken>,
    /// The same for the value that comes next.
    next: Vec<Taken>,
    /// What the key before it says of it.
    secret: Secret,
    /// Whether it is the connection's own id.
    own_id: bool,
}

enum Level {
    Object { key: bool },
    Array { index: usize },
}

impl<'a> Pass<'a> {
    fn new(text: &'a str, id: Option<&'a str>, search: &'a Search, next: Vec<Taken>) -> Self {
        Self {
            text,
            search,
            id,
            anywhere: false,
            at: 0,
            edits: Vec::new(),
            levels: Vec::new(),
            taken: Vec::new(),
            next,
            secret: Secret::No,
            own_id: false,
        }
    }

    fn run(mut self) -> Vec<Edit> {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' if matches!(self.levels.last(), Some(Level::Object { key: true })) => {
                    self.key();
                }
                b' ' | b'\t' | b'\r' | b'\n' | b':' => self.at += 1,
                b',' => {
                    match self.levels.last_mut() {
                        Some(Level::Object { key }) => *key = true,
                        Some(Level::Array { index }) => *index += 1,
                        None => {}
                    }
                    self.at += 1;
                }
                b'}' | b']' => {
                    self.levels.pop();
                    self.taken.truncate(self.levels.len() * self.next.len());
                    self.at += 1;
                }
                byte => self.value(*byte),
            }
        }
        self.edits
    }

    /// Reads a key, and what it says of the value that comes next.
    fn key(&mut self) {
        let end = end_of_string(self.text, self.at);
        let key = unescaped(&self.text[self.at + 1..end - 1]);
        self.follow(By::Key(&key));
        self.secret =
            if self.anywhere { self.search.named(&key) } else { self.search.secret(&key) };
        self.own_id = self.id.is_some() && self.levels.len() == 1 && key == "connectionId";
        if let Some(Level::Object { key }) = self.levels.last_mut() {
            *key = false;
        }
        self.at = end;
    }

    fn value(&mut self, first: u8) {
        if let Some(Level::Array { index }) = self.levels.last() {
            let index = *index;
            self.secret = Secret::No;
            self.own_id = false;
            self.follow(By::Element(index));
        }
        // A client's own object is more than a message: it stays one, with its id.
        let own_object = self.id.is_some() && self.levels.is_empty();
        if self.hides() && !own_object && !self.own_id {
            let end = value_end(self.text, self.at);
            return self.replace(end, HIDDEN_JSON);
        }
        match first {
            b'{' | b'[' => {
                let level = if first == b'{' {
                    Level::Object { key: true }
                } else {
                    Level::Array { index: 0 }
                };
                self.levels.push(level);
                self.taken.extend_from_slice(&self.next);
                self.at += 1;
            }
            b'"' => {
                let end = end_of_string(self.text, self.at);
                let inner = unescaped(&self.text[self.at + 1..end - 1]);
                match self.search.hidden(&inner) {
                    Some(_) if self.own_id => self.replace_by_id(end),
                    Some(text) => self.replace(end, &quoted(&text)),
                    None => self.at = end,
                }
            }
            b'-' | b'0'..=b'9' => {
                let end = value_end(self.text, self.at);
                match self.search.hidden(&self.text[self.at..end]) {
                    Some(_) if self.own_id => self.replace_by_id(end),
                    // Half a number is no number.
                    Some(_) => self.replace(end, HIDDEN_JSON),
                    None => self.at = end,
                }
            }
            _ => self.at = value_end(self.text, self.at),
        }
    }

    /// Takes a step on all paths, from the innermost object or array to a value in it.
    fn follow(&mut self, by: By<'_>) {
        let readers = &self.search.readers;
        let here = &self.taken[self.taken.len() - self.next.len()..];
        for ((next, here), reader) in self.next.iter_mut().zip(here).zip(readers) {
            *next = reader.follow(*here, by);
        }
    }

    /// Returns whether a path ends at the value that comes next, or its key is one of the usual
    /// ones. A path that ends at a client's own object ends at each of its members.
    fn hides(&self) -> bool {
        let width = self.next.len();
        let in_own_object = self.id.is_some() && self.levels.len() == 1;
        let named = self.secret != Secret::No
            && self.secret.hides(&self.text[self.at..value_end(self.text, self.at)]);
        named
            || self.search.readers.iter().zip(&self.next).enumerate().any(|(n, (reader, next))| {
                reader.arrived(*next)
                    || in_own_object && reader.arrived(self.taken[self.taken.len() - width + n])
            })
    }

    fn replace_by_id(&mut self, end: usize) {
        let id = quoted(self.id.unwrap_or(HIDDEN));
        self.replace(end, &id);
    }

    /// Puts JSON in the place of everything up to `end`.
    fn replace(&mut self, end: usize, json: &str) {
        self.edits.push(Edit::new(self.at..end, json.to_owned()));
        self.at = end;
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}
