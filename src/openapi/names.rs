//! Schemas that are not derived: those of events, names and times.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::schema;
use crate::control::answers::Time;
use crate::control::channels::EventJson;
use crate::event::Kind;
use crate::wire;

/// Returns the discriminator of the forms of an event in `OpenAPI`. `AsyncAPI` does it differently.
pub(super) fn discriminator() -> Value {
    let form = |kind: Kind| format!("#/components/schemas/{}", schema::name(kind));
    let mapping: BTreeMap<_, _> = Kind::ALL.map(|kind| (kind.as_str(), form(kind))).into();
    json!({"propertyName": "kind", "mapping": mapping})
}

/// An event in full JSON.
pub(super) struct FullEvent;

/// The id of an event.
pub(super) struct KnownId;

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

impl PartialSchema for EventJson {
    fn schema() -> RefOr<Schema> {
        FullEvent::schema()
    }
}

impl ToSchema for EventJson {
    fn name() -> Cow<'static, str> {
        FullEvent::name()
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        Schema::from(text.format(Some(format)).build()).into()
    }
}

impl ToSchema for Time {}

/// A name of at most `MAX` characters without control characters.
pub(super) struct Name<const MAX: usize>;

/// The id of a connection.
pub(super) type ConnectionName = Name<128>;

/// The name of a channel.
pub(super) type ChannelName = Name<256>;

impl<const MAX: usize> PartialSchema for Name<MAX> {
    fn schema() -> RefOr<Schema> {
        let schema: Schema =
            serde_json::from_value(wire::name_schema(MAX)).expect("it is a JSON Schema");
        schema.into()
    }
}

impl<const MAX: usize> ToSchema for Name<MAX> {}
