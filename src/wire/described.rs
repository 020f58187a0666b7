//! The schemas of events, and what stands for them in the description of an answer.

use std::borrow::Cow;

use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The full JSON of events as a JSON Schema, a definition a name. References are to
/// `#/components/schemas/`, where OpenAPI and AsyncAPI look for them.
pub(crate) const SCHEMAS: &str = include_str!("schemas.json");

/// An event in full JSON.
pub(crate) struct FullEvent;

/// The id of an event.
pub(crate) struct KnownId;

impl PartialSchema for FullEvent {
    fn schema() -> RefOr<Schema> {
        Ref::from_schema_name(Self::name()).into()
    }
}

impl ToSchema for FullEvent {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }
}

impl PartialSchema for KnownId {
    fn schema() -> RefOr<Schema> {
        Ref::from_schema_name(Self::name()).into()
    }
}

impl ToSchema for KnownId {
    fn name() -> Cow<'static, str> {
        "EventId".into()
    }
}
