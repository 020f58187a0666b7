//! The query of a listener: what it wants, from where on, in which form.

use std::sync::Arc;

use http::HeaderMap;

use crate::event::{Direction, Kind};
use crate::filter::{Expression, Filter, FilterError};
use crate::hub::Start;
use crate::request::{Params, accepts};
use crate::wire::Form;

/// What compiles a filter expression: the hub, so that equal ones are one.
type Compiled = Result<Arc<Expression>, FilterError>;

/// Takes the parameters that select events.
pub(crate) fn filter(params: &mut Params, compile: impl Fn(&str) -> Compiled) -> Filter {
    let id = "a connection id has 1 to 128 characters and no control characters";
    Filter {
        connections: params.all("connection", id, |value| value.parse().ok()),
        kinds: params.all("kind", "a kind is connect, message, close, join or leave", |value| {
            Kind::ALL.into_iter().find(|kind| kind.as_str() == value)
        }),
        directions: params.all("direction", "a direction is in or out", |value| {
            [Direction::In, Direction::Out].into_iter().find(|d| d.as_str() == value)
        }),
        channels: params.all(
            "channel",
            "a channel has 1 to 256 characters and no control characters",
            |value| value.parse().ok(),
        ),
        expression: expression(params, compile),
    }
}

fn expression(params: &mut Params, compile: impl Fn(&str) -> Compiled) -> Option<Arc<Expression>> {
    let source = params.one("filter", "", |value| Some(value.to_owned()))?;
    match compile(&source) {
        Ok(expression) => Some(expression),
        Err(fault) => {
            params.fault_at(fault.position, format!("filter: {fault}"));
            None
        }
    }
}

/// Takes the parameters that say where to begin. A `Last-Event-ID` header goes before the query:
/// an EventSource that comes back sends its first query again, and the header beside it.
pub(crate) fn start(params: &mut Params, headers: &HeaderMap) -> Option<Start> {
    let after = params.one("last_event_id", "", |value| Some(value.to_owned()));
    let last = params
        .one("last", "a number of events, such as last=100, is right", |value| value.parse().ok());
    let since = params.time("since");
    let header = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let after = header.map(Into::into).or(after).filter(|id: &String| !id.is_empty());
    if let Some(id) = after {
        return Some(id.parse().map_or(Start::Unknown, Start::After));
    }
    if last.is_some() && since.is_some() {
        params.fault("last and since exclude each other; one of them is right");
    }
    last.map(Start::Last).or(since.map(Start::Since))
}

/// Takes the parameters that say in which form to answer; without them `Accept` does.
pub(crate) fn form(params: &mut Params, headers: &HeaderMap) -> Form {
    let right = "a format is plain, full or ndjson";
    let format = params.one("format", right, |value| match value {
        "plain" | "full" | "ndjson" => Some(value.to_owned()),
        _ => None,
    });
    let names = params.one("names", "names=1 is right", |value| match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    });
    let names = names.unwrap_or(false);
    match format.as_deref() {
        Some("full") => Form::Full { names },
        Some("ndjson") => Form::Ndjson,
        None if accepts(headers, "application/x-ndjson") => Form::Ndjson,
        _ => Form::Plain { names },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;
    use http::header::ACCEPT;

    fn read(query: &str, headers: &HeaderMap) -> Result<(Filter, Option<Start>, Form), String> {
        let mut params = Params::new(Some(query));
        let filter = filter(&mut params, |source| Expression::parse(source).map(Arc::new));
        let read = (filter, start(&mut params, headers), form(&mut params, headers));
        params.finish().map(|()| read).map_err(|problem| problem.detail)
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
            "kind=mesage: a kind is connect, message, close, join or leave",
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
