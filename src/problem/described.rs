//! Problems in the description of the HTTP side: what their body looks like, and which of them an
//! address may answer. Statuses and names come from the table in `code`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

use crate::code::Code;

/// What went wrong, as problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details<'a> {
    /// Always `about:blank`: the code says more.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// The code in words.
    pub(super) title: &'static str,
    /// The HTTP status again.
    pub(super) status: u16,
    /// What to branch on.
    #[schema(schema_with = codes)]
    pub(super) code: &'static str,
    /// What went wrong and what would be right, for people.
    pub(super) detail: &'a str,
    /// The character of a filter expression that is wrong, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) position: Option<usize>,
}

impl<'a> Details<'a> {
    pub(super) fn new(code: Code, detail: &'a str, position: Option<usize>) -> Self {
        let row = code.row();
        let (kind, title, status) = ("about:blank", row.title, row.status);
        Self { kind, title, status, code: row.name, detail, position }
    }
}

fn codes() -> ObjectBuilder {
    let names = Code::ALL.map(|code| code.row().name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
}

/// Makes a type that stands for the errors of an address in its description:
/// `problems!(SendProblems: Malformed, NotFound)`.
macro_rules! problems {
    ($name:ident: $($code:ident),+) => {
        pub(super) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> $crate::problem::described::Responses {
                $crate::problem::described::responses(&[$($crate::code::Code::$code),+])
            }
        }
    };
}
pub(crate) use problems;

/// Responses by their status.
pub(crate) type Responses = BTreeMap<String, RefOr<Response>>;

/// Describes the answers of these codes; those of one status are one answer.
pub(crate) fn responses(codes: &[Code]) -> Responses {
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
        let body = serde_json::to_value(Details::new(*code, sample(*code), None));
        let body: Value = body.expect("a problem is JSON");
        let row = code.row();
        let example = ExampleBuilder::new().summary(row.title).value(Some(body)).build();
        content = content.examples_from_iter([(row.name, example)]);
    }
    ResponseBuilder::new()
        .description(words.collect::<Vec<_>>().join(" "))
        .content("application/problem+json", content.build())
        .build()
}

/// Returns what a code means to who asked.
const fn meaning(code: Code) -> &'static str {
    match code {
        Code::Malformed => "the request cannot be read; `detail` names each fault.",
        Code::Unauthorized => "no credential, or a bad one.",
        Code::Forbidden => "not allowed, or the Host or Origin is a stranger's.",
        Code::NotFound => "there is no such thing.",
        Code::MethodNotAllowed => "the address does not take that method.",
        Code::Timeout => "the body did not arrive in time.",
        Code::Replaced => "the id is taken.",
        Code::TooLarge => "larger than `--max-message-bytes`.",
        Code::InvalidText => "text that is no UTF-8.",
        Code::Protocol => "against RFC 6455.",
        Code::UpgradeRequired => "this address speaks WebSocket only.",
        Code::SlowDown => "the client does not keep up; its queue is full.",
        Code::Full => "as many connections or listeners as there may be.",
        Code::Stopping => "the server is stopping.",
        Code::Unavailable => "the server behind cannot be reached.",
        Code::UpstreamTimeout => "the server behind did not answer in time.",
        Code::Loop => "the server behind is wstap itself.",
        Code::Internal => "a fault of wstap; its log says more.",
    }
}

/// Returns a detail that such a problem may have.
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
