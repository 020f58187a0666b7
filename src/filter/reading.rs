//! The body of an event, read once for all expressions: a flat list of nodes in the order of the
//! JSON text. Strings are ranges of the text. Most bodies take one allocation. Only the JSON parser
//! recurses, as deep as [`crate::json::MAX_DEPTH`].

use std::fmt;
use std::io::Write as _;
use std::ops::Range;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::event::{Body, Event, EventBody};

/// What an expression reads of `message` and `fields`.
#[derive(Debug, Default)]
pub struct Reading {
    /// In the order of the text. Empty if there is no body, or one that cannot be represented: a
    /// number beyond all doubles, a string that is not Unicode.
    nodes: Vec<Node>,
    /// Strings that are not ranges of the text: those with escapes, and base64.
    strings: String,
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    /// A range of the text.
    Text(u32, u32),
    /// A range of `strings`.
    Own(u32, u32),
    /// The number of items, and the node behind the last.
    List(u32, u32),
    /// The number of entries, of which each is a key and a value, and the node behind the last.
    Map(u32, u32),
}

impl Reading {
    /// Reads the body of an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let EventBody::Message(message) = &event.body else { return Self::default() };
        match &message.body {
            Body::Object(json) | Body::Value(json) => Self::json(json.as_str()),
            Body::Binary(bytes) => {
                let mut strings = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
                let written = write!(strings, "{}", Base64Display::new(bytes, &STANDARD));
                written.expect("a Vec takes all");
                let strings = String::from_utf8(strings).expect("base64 is ASCII");
                let nodes = u32::try_from(strings.len()).map(|end| vec![Node::Own(0, end)]);
                Self { nodes: nodes.unwrap_or_default(), strings }
            }
            Body::Absent => Self { nodes: vec![Node::Null], ..Self::default() },
        }
    }

    fn json(text: &str) -> Self {
        // Ranges are of 32 bits.
        if u32::try_from(text.len()).is_err() {
            return Self::default();
        }
        let mut reading = Self::default();
        let mut parser = serde_json::Deserializer::from_str(text);
        let read = Seed { text, reading: &mut reading }.deserialize(&mut parser);
        if read.is_err() {
            return Self::default();
        }
        reading
    }

    /// Returns the bytes of memory that it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.strings.capacity()
    }

    /// Returns the steps that reading the body of an event takes.
    pub(super) fn cost(event: &Event) -> u64 {
        /// Steps a byte: most of them go into strings that need no copy, the worst into numbers.
        const BYTE: u64 = 4;
        match &event.body {
            EventBody::Message(message) => BYTE * message.body.len() as u64,
            _ => 0,
        }
    }

    /// Returns the whole body.
    pub(super) fn whole<'a>(&'a self, event: &'a Event) -> Option<Json<'a>> {
        let EventBody::Message(message) = &event.body else { return None };
        let text = match &message.body {
            Body::Object(json) | Body::Value(json) => json.as_str(),
            Body::Binary(_) | Body::Absent => "",
        };
        (!self.nodes.is_empty()).then_some(Json { reading: self, text, node: 0 })
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn end(&self) -> u32 {
        u32::try_from(self.nodes.len()).expect("a text of 32 bits has fewer nodes")
    }
}

/// What a value in a reading is. The parts of a list or map are reached by [`Json`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'a str),
    List,
    Map,
}

/// A value in a reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json<'a> {
    reading: &'a Reading,
    text: &'a str,
    node: usize,
}

impl<'a> Json<'a> {
    /// Returns what it is.
    pub(super) fn part(self) -> Part<'a> {
        match self.reading.nodes[self.node] {
            Node::Null => Part::Null,
            Node::Bool(value) => Part::Bool(value),
            Node::Int(value) => Part::Int(value),
            Node::Uint(value) => Part::Uint(value),
            Node::Double(value) => Part::Double(value),
            Node::Text(start, end) => Part::Text(&self.text[range(start, end)]),
            Node::Own(start, end) => Part::Text(&self.reading.strings[range(start, end)]),
            Node::List(..) => Part::List,
            Node::Map(..) => Part::Map,
        }
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self.reading.nodes[self.node], Node::List(..))
    }

    pub(super) fn is_map(self) -> bool {
        matches!(self.reading.nodes[self.node], Node::Map(..))
    }

    /// Returns how many items or entries there are, repeated keys counted each.
    pub(super) fn len(self) -> usize {
        match self.reading.nodes[self.node] {
            Node::List(count, _) | Node::Map(count, _) => count as usize,
            _ => 0,
        }
    }

    /// Iterates over the items of a list, or over keys and values of a map in turn.
    fn children(self) -> impl Iterator<Item = Self> {
        let end = match self.reading.nodes[self.node] {
            Node::List(_, end) | Node::Map(_, end) => end as usize,
            _ => 0,
        };
        let mut next = Self { node: self.node + 1, ..self };
        std::iter::from_fn(move || {
            let child = (next.node < end).then_some(next)?;
            next = child.behind();
            Some(child)
        })
    }

    fn behind(self) -> Self {
        let node = match self.reading.nodes[self.node] {
            Node::List(_, end) | Node::Map(_, end) => end as usize,
            _ => self.node + 1,
        };
        Self { node, ..self }
    }

    /// Iterates over the items of a list; other values have none.
    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        self.is_list().then(|| self.children()).into_iter().flatten()
    }

    /// Iterates over the entries of a map in the order of the text; of a repeated key all are
    /// there, and the last counts.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let mut children = self.is_map().then(|| self.children()).into_iter().flatten();
        std::iter::from_fn(move || Some((children.next()?.as_str(), children.next()?)))
    }

    fn as_str(self) -> &'a str {
        match self.reading.nodes[self.node] {
            Node::Text(start, end) => &self.text[range(start, end)],
            Node::Own(start, end) => &self.reading.strings[range(start, end)],
            _ => "",
        }
    }

    pub(super) fn get(self, key: &str) -> Option<Self> {
        self.entries().filter(|(own, _)| *own == key).last().map(|(_, value)| value)
    }
}

fn range(start: u32, end: u32) -> Range<usize> {
    start as usize..end as usize
}

/// Appends a value to a reading.
struct Seed<'r, 't> {
    text: &'t str,
    reading: &'r mut Reading,
}

impl<'t> Seed<'_, 't> {
    fn again(&mut self) -> Seed<'_, 't> {
        Seed { text: self.text, reading: self.reading }
    }
}

impl<'t> DeserializeSeed<'t> for Seed<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Seed<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.reading.push(Node::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.reading.push(Node::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.reading.push(Node::Int(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.reading.push(i64::try_from(value).map_or(Node::Uint(value), Node::Int));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.reading.push(Node::Double(value));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, value: &'t str) -> Result<(), E> {
        // Where a parser lends a part of its text, its address tells which.
        let start = value.as_ptr().addr() - self.text.as_ptr().addr();
        self.reading.push(Node::Text(narrow(start), narrow(start + value.len())));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        let start = self.reading.strings.len();
        self.reading.strings.push_str(value);
        self.reading.push(Node::Own(narrow(start), narrow(start + value.len())));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut items: A) -> Result<(), A::Error> {
        let list = self.reading.push(Node::List(0, 0));
        let mut count = 0;
        while items.next_element_seed(self.again())?.is_some() {
            count += 1;
        }
        self.reading.nodes[list] = Node::List(count, self.reading.end());
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let map = self.reading.push(Node::Map(0, 0));
        let mut count = 0;
        while entries.next_key_seed(self.again())?.is_some() {
            entries.next_value_seed(self.again())?;
            count += 1;
        }
        self.reading.nodes[map] = Node::Map(count, self.reading.end());
        Ok(())
    }
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at)
        .expect("the text is of 32 bits, and a string is not longer than it stands there")
}
