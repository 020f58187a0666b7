//! Errors in the description of the HTTP side: the schema of their body, and the errors that an
//! operation may answer. Statuses and names come from the table in `code`.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

use crate::code::Code;
use crate::problem;

/// An error as problem details (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "the type describes `problem::Details` and is never constructed")]
pub(super) struct Problem {
    /// Always `about:blank`; the code tells errors apart.
    #[schema(rename = "type")]
    kind: String,
    /// The code in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The code to branch on.
    #[schema(schema_with = codes)]
    code: String,
    /// What is wrong and what would be right, for people.
    detail: String,
    /// The position of the fault in a filter expression: a number of characters, from 1.
    #[schema(nullable = false)]
    position: Option<usize>,
}

fn codes() -> ObjectBuilder {
    let names = Code::ALL.map(|code| code.row().name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
}

/// Defines a type that stands for the errors of an operation: `problems!(Finding: Malformed, NotFound)`.
macro_rules! problems {
    ($name:ident: $($code:ident),+) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> $crate::openapi::problems::Responses {
                $crate::openapi::problems::responses(&[$($crate::code::Code::$code),+])
            }
        }
    };
}
pub(super) use problems;

/// Responses by their status.
pub(super) type Responses = BTreeMap<String, RefOr<Response>>;

/// Describes the answers of these codes. Codes of one status share one answer.
pub(super) fn responses(codes: &[Code]) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.row().status).or_default().push(*code);
    }
    let response = |codes: &[Code]| RefOr::T(response(codes));
    by_status.iter().map(|(status, codes)| (status.to_string(), response(codes))).collect()
}

fn response(codes: &[Code]) -> Response {
    let words = codes.iter().map(|code| format!("`{}`: {}", code.row().name, meaning(*code)));
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    for code in codes {
        let row = code.row();
        let problem = problem::Problem::new(*code, sample(*code));
        let body = serde_json::to_value(problem.details()).expect("strings are JSON");
        let example = ExampleBuilder::new().summary(row.title).value(Some(body)).build();
        content = content.examples_from_iter([(row.name, example)]);
    }
    ResponseBuilder::new()
        .description(words.collect::<Vec<_>>().join(" "))
        .content("application/problem+json", content.build())
        .build()
}

/// Returns the meaning of a code for the sender of a request.
const fn meaning(code: Code) -> &'static str {
    match code {
        Code::Malformed => "the request cannot be read; `detail` names each fault.",
        Code::Unauthorized => "no credential, or a bad one.",
        Code::Forbidden => "not allowed, or a foreign Host or Origin.",
        Code::NotFound => "there is no such thing.",
        Code::MethodNotAllowed => "the address does not take that method.",
        Code::Timeout => "the body did not arrive in time.",
        Code::Replaced => "the id is taken.",
        Code::UriTooLong => "the path and query are longer than 8 KiB.",
        Code::TooLarge => "larger than `--max-message-bytes`.",
        Code::InvalidText => "text that is not UTF-8.",
        Code::Protocol => "against RFC 6455.",
        Code::UpgradeRequired => "this address speaks WebSocket only.",
        Code::SlowDown => "the client does not keep up; its queue is full.",
        Code::Full => "the limit of connections or listeners is reached.",
        Code::Stopping => "the server is stopping.",
        Code::AuthUnavailable => "the server that checks credentials does not answer properly.",
        Code::Unavailable => "the upstream cannot be reached.",
        Code::UpstreamTimeout => "the upstream did not answer in time.",
        Code::Loop => "the upstream is wstap itself.",
        Code::Internal => "a fault of wstap; the log says more.",
    }
}

/// Returns a sample of `detail`.
const fn sample(code: Code) -> &'static str {
    match code {
        Code::Malformed => "last=x: a number of events, such as last=100, is right",
        Code::Forbidden => {
            "this server does not answer to the name \"example.com\"; --host NAME lets it"
        }
        Code::NotFound => "no connection is registered under \"a\"",
        Code::TooLarge => "a message has at most 1048576 bytes",
        Code::Full => "there are 10000 listeners, as many as there may be",
        Code::UpgradeRequired => "this address speaks WebSocket; connect with a WebSocket client",
        Code::Internal => "wstap has failed at this request; its log says more",
        other => meaning(other),
    }
}
