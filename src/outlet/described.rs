//! The parameters of listeners as the description of the HTTP side tells them; `query` reads them.
//!
//! A test asks the running server which parameters it knows, and compares.

#![expect(dead_code, reason = "these types describe; nobody makes one")]
#![allow(unused_qualifications, reason = "the derives write them")]

use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::event::Kind;
use crate::problem::described::problems;
use crate::wire::{ChannelName, ConnectionName, FullEvent, KnownId};

/// Which events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Selection {
    /// Only events of this connection; may be repeated.
    #[param(inline, example = json!(["a"]))]
    connection: Option<Vec<ConnectionName>>,
    /// Only events of this channel; may be repeated.
    #[param(inline, example = json!(["news"]))]
    channel: Option<Vec<ChannelName>>,
    /// Only this kind; may be repeated.
    #[param(inline, example = json!(["message"]))]
    kind: Option<Vec<KindName>>,
    /// Only messages of this direction; may be repeated. `in` is from the client to the server.
    #[param(inline, example = json!(["in"]))]
    direction: Option<Vec<DirectionName>>,
    /// Only events for which this condition on the full JSON is true, in a subset of CEL, at most
    /// 1 KiB. What has no answer, such as a field that is missing, is false. A fault is a 400 with
    /// the `position` of the character.
    #[param(max_length = 1024, example = "message.price > 100.0")]
    filter: Option<String>,
}

/// Where to begin.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Beginning {
    /// Everything after this event.
    #[param(example = "1763670000123-0")]
    last_event_id: Option<String>,
    /// The last so many. Excludes `since`.
    #[param(example = 100)]
    last: Option<usize>,
    /// What is younger: a time such as `2026-01-31T12:00:00Z`, or a duration back from now such as
    /// `5m`.
    #[param(example = "5m")]
    since: Option<String>,
}

/// The header that an EventSource sends when it comes back; it goes before the query.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct LastEventId {
    /// What an EventSource sends when it comes back. It goes before the query.
    #[param(rename = "Last-Event-ID", nullable = false, example = "1763670000123-0")]
    last_event_id: Option<String>,
}

/// How a live stream is written.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Live {
    /// `plain` is what the client said and nothing more; `full` is everything; `ndjson` is `full`,
    /// one event a line, also by `Accept: application/x-ndjson`.
    #[param(inline)]
    format: Option<LiveFormat>,
    /// Whether SSE events carry their kind as name.
    #[param(inline)]
    names: Option<Switch>,
}

/// How a finite answer is written.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Finite {
    /// Nothing from then on: a time or a duration back from now.
    #[param(example = "1m")]
    until: Option<String>,
    /// At most so many, or `all`; 1000 is the default.
    #[param(inline, example = "100")]
    limit: Option<Most>,
    /// By time. An archive is `asc` always.
    #[param(inline)]
    order: Option<InOrder>,
    /// `json` is an array, `ndjson` a line an event, `har` an HTTP Archive with an entry a
    /// connection, and `marks` a count with the id of every so-many-th event.
    #[param(inline)]
    format: Option<FiniteFormat>,
    /// Only events whose JSON holds this text. Not for archives.
    #[param(min_length = 1, example = "late")]
    text: Option<String>,
    /// Events from one mark to the next; 200 is the default.
    #[param(minimum = 1, example = 200)]
    every: Option<usize>,
}

/// How long to wait.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Waiting {
    /// What came after this event; without it, what comes from now on.
    #[param(inline, example = "1763670000123-0")]
    after: Option<KnownId>,
    /// How long to wait for something, from `0s` to `60s`; `25s` is the default.
    #[param(example = "25s")]
    wait: Option<String>,
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
}

/// HTTP Archive 1.2, with WebSocket messages as Chrome writes them.
#[derive(ToSchema)]
pub(super) struct Har {
    log: Value,
}

/// A number of events, or all.
struct Most;

impl PartialSchema for Most {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        Schema::from(text.pattern(Some("^(all|[0-9]{1,9})$")).build()).into()
    }
}

impl ToSchema for Most {}

/// The name of a kind of event.
struct KindName;

impl PartialSchema for KindName {
    fn schema() -> RefOr<Schema> {
        let names = Kind::ALL.map(Kind::as_str);
        let names = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
        Schema::from(names.build()).into()
    }
}

impl ToSchema for KindName {}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum DirectionName {
    In,
    Out,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum LiveFormat {
    Plain,
    Full,
    Ndjson,
}

#[derive(ToSchema)]
enum Switch {
    #[schema(rename = "1")]
    One,
    #[schema(rename = "0")]
    Zero,
    #[schema(rename = "true")]
    True,
    #[schema(rename = "false")]
    False,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum FiniteFormat {
    Json,
    Ndjson,
    Har,
    Marks,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum InOrder {
    Asc,
    Desc,
}

problems!(Streaming: Malformed, Full, Stopping);
problems!(Searching: Malformed);
problems!(OfEvent: Malformed, NotFound);
