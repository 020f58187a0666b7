//! The schemas of events, and what stands for them in the description of an answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::event::Kind;

/// The full JSON of events as a JSON Schema, a definition a name. References are to
/// `#/components/schemas/`, where `OpenAPI` and `AsyncAPI` look for them.
pub(crate) const SCHEMAS: &str = include_str!("schemas.json");

/// Returns how `OpenAPI` tells the forms of an event apart; `AsyncAPI` has another way.
pub(crate) fn discriminator() -> Value {
    let form = |name: &str| {
        let (first, rest) = name.split_at(1);
        format!("#/components/schemas/{}{rest}Event", first.to_uppercase())
    };
    let mapping: BTreeMap<_, _> =
        Kind::ALL.iter().map(|kind| (kind.as_str(), form(kind.as_str()))).collect();
    json!({"propertyName": "kind", "mapping": mapping})
}

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

/// A name of at most so many characters, none of which is a control character.
pub(crate) struct Name<const MAX: usize>;

/// What a connection is called.
pub(crate) type ConnectionName = Name<128>;

/// What a channel is called.
pub(crate) type ChannelName = Name<256>;

impl<const MAX: usize> PartialSchema for Name<MAX> {
    fn schema() -> RefOr<Schema> {
        let schema: Schema =
            serde_json::from_value(super::name_schema(MAX)).expect("it is a JSON Schema");
        schema.into()
    }
}

impl<const MAX: usize> ToSchema for Name<MAX> {}
