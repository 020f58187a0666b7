//! The query of a listener: the events that it selects, where it begins, and the form of the answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde_json::json;

use super::histogram::Step;
use super::needle::Needle;
use crate::event::{Channel, ConnectionId, Direction, EventId, Kind};
use crate::filter::{Expression, Filter, FilterError};
use crate::hub::{Hub, Order, Start};
use crate::request::{Count, Faults, Moment, Value, accepts, choice, duration, parameters};
use crate::wire::Form;

/// The most values of `connection`, `kind`, `direction` and `channel` together.
const MAX_SELECTED: usize = 100;

parameters! {
    /// Which events.
    pub(crate) struct Selection {
        /// Only events of this connection; may be repeated.
        connection: Vec<ConnectionId> = "a",
        /// Only this kind; may be repeated.
        kind: Vec<Kind> = "message",
        /// Only messages of this direction; may be repeated. `in` is from the client to the server.
        direction: Vec<Direction> = "in",
        /// Only events of this channel; may be repeated. `connection`, `kind`, `direction` and
        /// `channel` have at most 100 values together.
        channel: Vec<Channel> = "news",
        /// Only events for which this condition on the full JSON is true, in a subset of CEL, at most
        /// 1 KiB. What has no answer, such as a field that is missing, is false. A fault is a 400 with
        /// the `position` of the character.
        filter: Option<Source> = "message.price > 100.0",
    }
}

parameters! {
    /// Where to begin.
    pub(crate) struct Beginning {
        /// Everything after this event.
        last_event_id: Option<String> = "1763670000123-0",
        /// The last so many. Excludes `since`.
        last: Option<Count> = 100,
        /// What is younger: a time such as `2026-01-31T12:00:00Z`, or a duration back from now such as
        /// `5m`.
        since: Option<Moment> = "5m",
    }
}

parameters! {
    /// How a live stream is written.
    pub(crate) struct Live {
        /// `plain` is what the client said and nothing more; `full` is everything; `ndjson` is `full`,
        /// one event a line, also by `Accept: application/x-ndjson`.
        format: Option<LiveFormat> = "full",
        /// Whether SSE events carry their kind as name.
        names: Option<Switch> = "1",
    }
}

parameters! {
    /// How a finite answer is written.
    pub(crate) struct Finite {
        /// Nothing from then on: a time or a duration back from now.
        until: Option<Moment> = "1m",
        /// At most so many, or `all`; 1000 is the default.
        limit: Option<Limit> = "100",
        /// By time. An archive is `asc` always.
        order: Option<InOrder> = "asc",
        /// `json` is an array, `ndjson` a line an event, `har` an HTTP Archive with an entry a
        /// connection, and `marks` a count with the id of every so-many-th event.
        format: Option<FiniteFormat> = "json",
        /// Only events with this text, at most 1 KiB. Not for archives.
        text: Option<Needle> = "late",
        /// Where the text is looked for: `event`, the default, is the JSON of the event and the bytes of
        /// a binary message; `content` is what the application has sent.
        within: Option<Within> = "content",
        /// Events from one mark to the next; 200 is the default.
        every: Option<Every> = 200,
        /// Marks contain the number of events in each step of this length. Too many steps double it.
        step: Option<Step> = "1s",
    }
}

parameters! {
    /// How long to wait.
    pub(crate) struct Waiting {
        /// What came after this event; without it, what comes from now on.
        after: Option<EventId> = "1763670000123-0",
        /// How long to wait for something, from `0s` to `60s`; `25s` is the default.
        wait: Option<Wait> = "25s",
    }
}

/// The text of a filter expression.
#[derive(Debug)]
pub(crate) struct Source(String);

impl Value for Source {
    fn right() -> Cow<'static, str> {
        "an expression is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn schema() -> serde_json::Value {
        json!({"type": "string", "maxLength": Expression::MAX_LENGTH})
    }
}

choice! {
    /// A form of the live stream.
    pub(crate) enum LiveFormat: "a format is plain, full or ndjson" {
        "plain" => Plain,
        "full" => Full,
        "ndjson" => Ndjson,
    }
}

choice! {
    /// Yes or no.
    pub(crate) enum Switch: "names=1 is right" {
        "1" => One,
        "0" => Zero,
        "true" => True,
        "false" => False,
    }
}

choice! {
    /// A form of a finite answer.
    pub(crate) enum FiniteFormat: "a format is json, ndjson, har or marks" {
        "json" => Json,
        "ndjson" => Ndjson,
        "har" => Har,
        "marks" => Marks,
    }
}

choice! {
    /// The part of an event in which a text is looked for.
    pub(crate) enum Within: "a text is within content or event" {
        "content" => Content,
        "event" => Event,
    }
}

choice! {
    /// The oldest or the newest first.
    pub(crate) enum InOrder: "an order is asc or desc" {
        "asc" => Asc,
        "desc" => Desc,
    }
}

impl From<InOrder> for Order {
    fn from(order: InOrder) -> Self {
        match order {
            InOrder::Asc => Self::Ascending,
            InOrder::Desc => Self::Descending,
        }
    }
}

/// The most events of an answer; `all` is [`usize::MAX`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(super) usize);

impl Value for Limit {
    fn right() -> Cow<'static, str> {
        "a number of events, such as 1000, or all is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        if text == "all" { Some(Self(usize::MAX)) } else { text.parse().ok().map(Self) }
    }

    fn schema() -> serde_json::Value {
        json!({"type": "string", "pattern": "^(all|[0-9]{1,9})$"})
    }
}

/// A number of events above 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Every(pub(super) u64);

impl Value for Every {
    fn right() -> Cow<'static, str> {
        "a number of events above 0, such as 200, is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|every| *every > 0).map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({"type": "integer", "minimum": 1})
    }
}

impl Value for Step {
    fn right() -> Cow<'static, str> {
        "a duration from 1ms to 24h, such as 1s, is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        let step = duration(text)?;
        (step >= Duration::from_millis(1) && step <= Self::MAX).then_some(Self(step))
    }

    fn schema() -> serde_json::Value {
        json!({"type": "string"})
    }
}

/// How long a poll waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait(pub(super) Duration);

impl Wait {
    /// The longest wait: proxies end requests that are idle for longer.
    const MAX: Duration = Duration::from_mins(1);
}

impl Value for Wait {
    fn right() -> Cow<'static, str> {
        "a duration from 0s to 60s, such as 25s, is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        duration(text).filter(|wait| *wait <= Self::MAX).map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({"type": "string"})
    }
}

impl Value for Needle {
    fn right() -> Cow<'static, str> {
        "a text is not empty and has at most 1024 bytes".into()
    }

    fn read(text: &str) -> Option<Self> {
        Self::new(text)
    }

    fn schema() -> serde_json::Value {
        json!({"type": "string", "minLength": 1, "maxLength": Self::MAX_LENGTH})
    }
}

/// What compiles a filter expression: the hub, so that listeners share equal expressions.
type Compiled = Result<Arc<Expression>, FilterError>;

impl Selection {
    /// Makes a filter of the selection. An expression is compiled in a turn, since a pattern in it may
    /// take a while.
    pub(super) async fn compile(self, hub: &Hub, faults: &mut Faults) -> Filter {
        let turn = if self.filter.is_some() { Some(hub.turn().await) } else { None };
        let filter = self.filter(|source| hub.expression(source), faults);
        drop(turn);
        filter
    }

    /// Makes the filter.
    fn filter(self, compile: impl Fn(&str) -> Compiled, faults: &mut Faults) -> Filter {
        let selected =
            self.connection.len() + self.kind.len() + self.direction.len() + self.channel.len();
        if selected > MAX_SELECTED {
            faults.add(format!(
                "connection, kind, direction and channel have {selected} values together; at most \
                 {MAX_SELECTED} are right"
            ));
        }
        let expression = self.filter.and_then(|Source(source)| {
            compile(&source)
                .map_err(|fault| faults.add_at(fault.position, format!("filter: {fault}")))
                .ok()
        });
        Filter {
            connections: self.connection.into_iter().collect(),
            kinds: self.kind.into_iter().collect(),
            directions: self.direction.into_iter().collect(),
            channels: self.channel.into_iter().collect(),
            expression,
            without_observers: false,
        }
    }
}

impl Beginning {
    /// Returns the start, if the request names one. A `Last-Event-ID` header takes precedence over the
    /// query: an EventSource that reconnects sends its first query again, with the header beside it.
    pub(super) fn start(self, headers: &HeaderMap, faults: &mut Faults) -> Option<Start> {
        let header = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
        let after = header.map(Into::into).or(self.last_event_id);
        if let Some(id) = after.filter(|id: &String| !id.is_empty()) {
            return Some(id.parse().map_or(Start::Unknown, Start::After));
        }
        if self.last.is_some() && self.since.is_some() {
            faults.add("last and since exclude each other; one of them is right");
        }
        let last = self.last.map(|Count(last)| Start::Last(last));
        last.or(self.since.map(|Moment(since)| Start::Since(since)))
    }
}

impl Live {
    /// Returns the form. Without `format`, `Accept` selects it.
    pub(super) fn form(&self, headers: &HeaderMap) -> Form {
        let names = matches!(self.names, Some(Switch::One | Switch::True));
        match self.format {
            Some(LiveFormat::Full) => Form::Full { names },
            Some(LiveFormat::Ndjson) => Form::Ndjson,
            None if accepts(headers, "application/x-ndjson") => Form::Ndjson,
            Some(LiveFormat::Plain) | None => Form::Plain { names },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;
    use http::header::ACCEPT;

    fn read(query: &str, headers: &HeaderMap) -> Result<(Filter, Option<Start>, Form), String> {
        let ((selection, beginning, live), mut faults) =
            request::read::<(Selection, Beginning, Live)>(Some(query));
        let filter =
            selection.filter(|source| Expression::parse(source).map(Arc::new), &mut faults);
        let read = (filter, beginning.start(headers, &mut faults), live.form(headers));
        faults.finish().map(|()| read).map_err(|problem| problem.detail)
    }

    #[test]
    fn more_than_100_selections_are_refused() {
        let ids = (0..99).map(|n| format!("&connection=c{n}")).collect::<Vec<_>>().concat();
        let right = read(&format!("kind=message{ids}"), &HeaderMap::new()).expect("100 values");
        assert_eq!(right.0.connections.len(), 99);
        let wrong = read(&format!("kind=message&direction=in{ids}"), &HeaderMap::new());
        assert!(wrong.expect_err("101 values").contains("at most 100"));
    }

    #[test]
    fn every_fault_is_named_with_what_would_be_right() {
        let faults = read(
            "last=-1&kind=mesage&lst=5&format=xml&connection=&last=x&filter=size+=",
            &HeaderMap::new(),
        );
        let faults = faults.expect_err("all wrong");
        for part in [
            "last=-1: a number",
            "last=x",
            "kind=mesage: a kind is connect, message, close, join, leave or request",
            "format=xml",
            "connection=:",
            "filter: column 6: `=` compares nothing, expected `==`",
            "no query parameter \"lst\"; there are connection, kind",
        ] {
            assert!(faults.contains(part), "{part} in {faults}");
        }
        assert!(read("last=1&last=2", &HeaderMap::new()).is_err());
        assert!(read("last=1&since=5m", &HeaderMap::new()).is_err());
        assert!(read("since=yesterday", &HeaderMap::new()).is_err());
    }

    #[test]
    fn the_header_goes_before_the_query_and_no_id_is_an_unknown_start() {
        let start = |query, header: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(id) = header {
                headers.insert("last-event-id", id.parse().expect("a header"));
            }
            read(query, &headers).expect("a right query").1
        };
        let after = |ms| Some(Start::After(EventId { ms, seq: 0 }));
        assert_eq!(start("last_event_id=1-0", None), after(1));
        assert_eq!(start("last_event_id=1-0", Some("2-0")), after(2));
        assert_eq!(start("last=5", Some("2-0")), after(2));
        assert_eq!(start("last=5", Some("")), Some(Start::Last(5)));
        assert_eq!(start("", Some("garbage\u{ff}")), Some(Start::Unknown));
        assert_eq!(start("since=1970-01-01T00:00:01Z", None), Some(Start::Since(1000)));
        assert_eq!(start("", None), None);
    }

    #[test]
    fn the_form_comes_from_the_query_or_from_accept() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, "text/html, Application/X-NDJSON;q=0.9".parse().expect("a header"));
        assert_eq!(read("", &headers).expect("right").2, Form::Ndjson);
        assert_eq!(
            read("format=full&names=1", &headers).expect("right").2,
            Form::Full { names: true }
        );
        assert_eq!(read("", &HeaderMap::new()).expect("right").2, Form::Plain { names: false });
    }
}
