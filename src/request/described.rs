//! Query parameters in the description of the HTTP side: made from their declarations.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{RefOr, Required, Schema};

use super::query::{self, Query};

/// Returns the parameters of a query as `OpenAPI` describes them.
pub(crate) fn parameters<Q: Query>() -> Vec<Parameter> {
    query::declared::<Q>().iter().map(parameter).collect()
}

fn parameter(declared: &query::Parameter) -> Parameter {
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

/// Describes queries, so that `params(…)` of a handler can name them.
macro_rules! described {
    ($($query:ty),+ $(,)?) => {$(
        impl utoipa::IntoParams for $query {
            fn into_params(
                _in: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                $crate::request::described::parameters::<Self>()
            }
        }
    )+};
}
pub(crate) use described;
