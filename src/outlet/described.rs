//! Queries and answers of listeners in the description of the HTTP side. A test asks the running
//! server which parameters it reads, and compares.

#![expect(dead_code, reason = "these types describe; nobody makes one")]
#![allow(unused_qualifications, reason = "the derives write them")]

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::query::{Beginning, Finite, Live, Selection, Waiting};
use crate::problem::described::problems;
use crate::request::described::described;
use crate::wire::FullEvent;

described!(Selection, Beginning, Live, Finite, Waiting);

/// The header that an EventSource sends when it comes back; it goes before the query.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct LastEventId {
    /// What an EventSource sends when it comes back. It goes before the query.
    #[param(rename = "Last-Event-ID", nullable = false, example = "1763670000123-0")]
    last_event_id: Option<String>,
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

problems!(Streaming: Malformed, Full, Stopping);
problems!(Searching: Malformed);
problems!(OfEvent: Malformed, NotFound);
