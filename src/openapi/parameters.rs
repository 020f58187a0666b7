//! Parameters and finite answers of listeners: the queries are described from their declarations.

#![expect(dead_code, reason = "the types describe answers and are never constructed")]
#![allow(unused_qualifications, reason = "the derives write them")]

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{RefOr, Required, Schema};
use utoipa::{IntoParams, ToSchema};

use super::names::FullEvent;
use crate::control::list::{Named, Numbered};
use crate::control::query::{Closing, Publishing, Sending};
use crate::outlet::query::{Beginning, Finite, Live, Selection, Waiting};
use crate::request::{self, Query};

/// Describes queries, so that `params(…)` of an operation can name them.
macro_rules! described {
    ($($query:ty)+) => {$(
        impl IntoParams for $query {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                parameters::<Self>()
            }
        }
    )+};
}
described!(Selection Beginning Live Finite Waiting Sending Closing Publishing Numbered Named);

/// Returns the parameters of a query as `OpenAPI` describes them.
fn parameters<Q: Query>() -> Vec<Parameter> {
    request::query::declared::<Q>().iter().map(parameter).collect()
}

fn parameter(declared: &request::Parameter) -> Parameter {
    let lines: Vec<_> = declared.words.lines().map(str::trim).collect();
    let (one, example) = ((declared.schema)(), (declared.example)());
    let (schema, example) = if declared.repeated {
        (json!({"type": "array", "items": one}), Value::Array(vec![example]))
    } else {
        (one, example)
    };
    let schema: RefOr<Schema> =
        serde_json::from_value(schema).expect("a declared schema is JSON Schema");
    ParameterBuilder::new()
        .name(declared.name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(lines.join("\n")))
        .schema(Some(schema))
        .example(Some(example))
        .build()
}

/// The header that an EventSource sends when it comes back; it goes before the query.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct LastEventId {
    /// What an EventSource sends when it comes back. It goes before the query.
    #[param(rename = "Last-Event-ID", nullable = false, example = "1763670000123-0")]
    last_event_id: Option<String>,
}

/// A channel with its members and its history.
#[derive(ToSchema)]
pub(super) struct ChannelPage {
    channel: String,
    /// Whether joining needs a token.
    private: bool,
    /// Whether members get presence events.
    presence: bool,
    /// Messages published to it.
    messages: u64,
    /// Ids of the connections in it.
    members: Vec<String>,
    /// Their users.
    users: Vec<String>,
    /// Full events, the oldest first.
    history: Vec<FullEvent>,
}

/// A finite answer.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum Found {
    /// `format=json`: the events.
    Json(Vec<FullEvent>),
    /// `format=marks`: how many, and where to read on.
    Marks(Marks),
    /// `format=har`: an HTTP Archive.
    Har(Har),
}

/// How many events were selected, and where to read on.
#[derive(ToSchema)]
pub(super) struct Marks {
    /// Events from one mark to the next.
    #[schema(example = 200)]
    every: u64,
    /// Ids of every so-many-th event.
    #[schema(rename = "marks")]
    ids: Vec<String>,
    #[schema(example = 12)]
    count: u64,
    #[schema(required, example = "1763670000000-0")]
    first: Option<String>,
    #[schema(required, example = "1763670000456-0")]
    last: Option<String>,
    /// With `step=`: milliseconds of a step.
    #[schema(example = 1000)]
    step: Option<u64>,
    /// With `step=`: when each step begins that has events, and how many.
    counts: Option<Vec<(u64, u64)>>,
    /// What was not counted, as a gap: the search took too long.
    unfinished: Option<Rest>,
}

/// What a search has left out that took too long.
#[derive(ToSchema)]
pub(super) struct Rest {
    #[schema(example = "gap")]
    kind: String,
    /// Number of events, selected or not.
    #[schema(required)]
    missed: Option<u64>,
    /// The last event that was looked at.
    #[schema(required, example = "1763670000123-0")]
    after: Option<String>,
    #[schema(required)]
    before: Option<String>,
}

/// HTTP Archive 1.2, with WebSocket messages as Chrome writes them.
#[derive(ToSchema)]
pub(super) struct Har {
    log: Value,
}
