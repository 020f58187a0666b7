//! Hides values in JSON text. Everything else stays as it was written, byte for byte: digits, order of
//! keys, repeated keys, white space.
//!
//! One pass over the tokens, without a tree and without recursion; the stack is as deep as the nesting.

use super::path::{By, PathReader, Taken};
use super::rules::{HIDDEN, HIDDEN_JSON};
use super::search::Search;
use super::tokens::{end_of_string, unescaped, value_end};

/// Returns JSON text with the values hidden that the rules name, or `None` if they hide nothing. `id`
/// is for a client's own object: it replaces a `connectionId` that holds something to hide.
pub(super) fn rewritten(text: &str, id: Option<&str>, search: &Search) -> Option<String> {
    let mut pass = Pass {
        text,
        search,
        id,
        at: 0,
        copied: 0,
        out: String::new(),
        levels: Vec::new(),
        taken: Vec::new(),
        next: search.readers.iter().map(PathReader::begin).collect(),
        secret: false,
        own_id: false,
    };
    pass.run();
    (pass.copied > 0).then(|| pass.out + &text[pass.copied..])
}

struct Pass<'a> {
    text: &'a str,
    search: &'a Search,
    id: Option<&'a str>,
    at: usize,
    /// How far the text has been taken over into `out`.
    copied: usize,
    out: String,
    /// The objects and arrays around this place.
    levels: Vec<Level>,
    /// For each of them, how far each path has been followed.
    taken: Vec<Taken>,
    /// The same for the value that comes next.
    next: Vec<Taken>,
    /// Whether the key before it says that it is a secret.
    secret: bool,
    /// Whether it is the connection's own id.
    own_id: bool,
}

enum Level {
    Object { key: bool },
    Array { index: usize },
}

impl Pass<'_> {
    fn run(&mut self) {
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
                    self.taken.truncate(self.levels.len() * self.search.readers.len());
                    self.at += 1;
                }
                byte => self.value(*byte),
            }
        }
    }

    /// Reads a key, and what it says of the value that comes next.
    fn key(&mut self) {
        let end = end_of_string(self.text, self.at);
        let key = unescaped(&self.text[self.at + 1..end - 1]);
        self.follow(By::Key(&key));
        self.secret = self.search.is_secret(&key);
        self.own_id = self.id.is_some() && self.levels.len() == 1 && key == "connectionId";
        if let Some(Level::Object { key }) = self.levels.last_mut() {
            *key = false;
        }
        self.at = end;
    }

    fn value(&mut self, first: u8) {
        if let Some(Level::Array { index }) = self.levels.last() {
            let index = *index;
            self.secret = false;
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
        let here = &self.taken[self.taken.len() - readers.len()..];
        for ((next, here), reader) in self.next.iter_mut().zip(here).zip(readers) {
            *next = reader.follow(*here, by);
        }
    }

    /// Returns whether a path ends at the value that comes next, or its key is one of the usual
    /// ones. A path that ends at a client's own object ends at each of its members.
    fn hides(&self) -> bool {
        let width = self.search.readers.len();
        let in_own_object = self.id.is_some() && self.levels.len() == 1;
        self.secret
            || self.search.readers.iter().enumerate().any(|(n, reader)| {
                reader.arrived(self.next[n])
                    || in_own_object && reader.arrived(self.taken[self.taken.len() - width + n])
            })
    }

    fn replace_by_id(&mut self, end: usize) {
        let id = quoted(self.id.unwrap_or(HIDDEN));
        self.replace(end, &id);
    }

    /// Puts JSON in the place of everything up to `end`.
    fn replace(&mut self, end: usize, json: &str) {
        self.out.push_str(&self.text[self.copied..self.at]);
        self.out.push_str(json);
        self.copied = end;
        self.at = end;
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}
