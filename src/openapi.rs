//! `GET /api/openapi.json` and `GET /api/asyncapi.json`: what can be asked here and what is
//! answered, for programs and for `/api/docs`.
//!
//! The HTTP side is derived from what stands beside the handlers, and a test compares it with the
//! routes. The frames of WebSockets and streams are written by hand, and a test holds what a server
//! sends against them. Both share the schemas of events, which stand in `wire`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Info, Paths, RefOr, Required, Schema, Server, Tag};

use crate::code::Code;
use crate::control;
use crate::outlet;
use crate::pages;
use crate::problem::described::{self, Details};
use crate::session;
use crate::wire;

/// Answers `GET /api/openapi.json`.
#[utoipa::path(get, path = "/api/openapi.json", tag = "Server", operation_id = "openapi",
    summary = "This description",
    responses((status = OK, description = "OpenAPI 3.1.", body = Object)))]
pub(crate) async fn http() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(document);
    json(DOCUMENT.clone())
}

/// Answers `GET /api/asyncapi.json`.
#[utoipa::path(get, path = "/api/asyncapi.json", tag = "Server", operation_id = "asyncapi",
    summary = "The frames of WebSockets and of the stream",
    responses((status = OK, description = "AsyncAPI 3.", body = Object)))]
pub(crate) async fn frames() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let written = include_str!("openapi/asyncapi.json");
        let version = format!("\"version\": \"{VERSION}\"");
        let events = wire::SCHEMAS.trim().strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        let events = format!("{},", events.expect("the schemas are an object").trim());
        let whole = written.replacen("\"version\": \"0\"", &version, 1);
        whole.replacen("\"events\": \"wire\",", &events, 1).into()
    });
    json(DOCUMENT.clone())
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn json(document: Bytes) -> Response {
    // It changes with the program only, which may be another one tomorrow.
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], document).into_response()
}

#[derive(OpenApi)]
#[openapi(
    paths(
        outlet::live::events,
        outlet::poll::listen,
        outlet::export::events,
        outlet::export::event,
        control::connections,
        control::connection,
        control::send,
        control::close,
        control::channels::all,
        control::channels::one,
        control::channels::publish,
        control::listeners,
        control::dismiss,
        control::info,
        http,
        frames,
        control::metrics,
        control::alive,
        control::ready,
        session::upgrade,
        pages::index,
        pages::es_client,
        pages::ws_client,
        pages::docs,
        pages::module,
        pages::asset,
    ),
    components(schemas(Details<'static>)),
    tags(
        (name = "Events", description = "What happened: as a live stream, by polling, as a finite answer."),
        (name = "Connections", description = "The WebSockets that are open, and what to do with them."),
        (name = "Channels", description = "Groups of connections: who is in them, and what is published to them."),
        (name = "Listeners", description = "Who reads the stream."),
        (name = "Server", description = "What runs here, and how it is."),
        (name = "WebSocket", description = "Where WebSocket clients connect. What they say is described at `asyncapi.json`."),
        (name = "Pages", description = "For people."),
    ),
)]
struct Derived;

/// Who may ask, in plain words.
const ABOUT: &str = "What wstap answers over HTTP. The frames of WebSockets and of the event \
stream are described at `/api/asyncapi.json`.

**Errors** are problem details (RFC 9457), and their `code` is what to branch on. Every address may answer `forbidden` \
and `internal`, and `full` while the server has no room for another TCP connection. A method that an address does not \
take is `method_not_allowed`, and an unknown query parameter `malformed`, where an address takes any. Where it helps to \
come back later, `Retry-After` says when. HEAD is answered wherever GET is.

**Who may ask.** On loopback everybody on the machine. Only requests to loopback names, the bound addresses and names \
given by `--host` are answered, so that no page can reach a server by a name that it controls (DNS rebinding). Reads \
carry CORS headers for the origins of `--cors-origin`. What changes something (POST, DELETE) is refused to a page of \
another origin, unless that origin is listed. What is hidden by `--redact` is hidden here too.

Addresses are relative: wstap may be mounted below any prefix.";

/// What is served: the parts of `OpenAPI` that are used, with schemas of two sources.
#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: Info,
    servers: Vec<Server>,
    tags: Option<Vec<Tag>>,
    paths: Paths,
    components: Components,
}

#[derive(Serialize)]
struct Components {
    schemas: Schemas,
}

#[derive(Serialize)]
struct Schemas {
    #[serde(flatten)]
    derived: BTreeMap<String, RefOr<Schema>>,
    #[serde(flatten)]
    events: BTreeMap<String, Box<RawValue>>,
}

fn document() -> Bytes {
    let mut derived = Derived::openapi();
    alias(&mut derived.paths, "/es-client");
    alias(&mut derived.paths, "/ws-client");
    for item in derived.paths.paths.values_mut() {
        operations(item).for_each(complete);
    }
    let mut info = Info::new("wstap", VERSION);
    info.description = Some(ABOUT.to_owned());
    let schemas = derived.components.map(|components| components.schemas).unwrap_or_default();
    let mut events: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(wire::SCHEMAS).expect("the schemas are an object");
    if let Some(event) = events.get_mut("Event") {
        let forms = event.get().trim_end().strip_suffix('}').expect("it is an object");
        let told = format!("{forms},\"discriminator\":{}}}", wire::discriminator());
        *event = RawValue::from_string(told).expect("a member was added to an object");
    }
    // What both know is told by the schema that the events' own tests hold.
    let derived_only = schemas.into_iter().filter(|(name, _)| !events.contains_key(&**name));
    let document = Document {
        openapi: "3.1.0",
        info,
        // Beside the document's own folder: /api/openapi.json is below it.
        servers: vec![Server::new("..")],
        tags: derived.tags,
        paths: derived.paths,
        components: Components { schemas: Schemas { derived: derived_only.collect(), events } },
    };
    serde_json::to_vec(&document).expect("it is made of strings and numbers").into()
}

/// Pages are there with `.html` too, as those of the article were.
fn alias(paths: &mut Paths, path: &str) {
    let mut item = paths.paths.get(path).expect("it is among the paths").clone();
    for operation in operations(&mut item) {
        operation.operation_id = operation.operation_id.take().map(|id| id + "Html");
    }
    paths.paths.insert(format!("{path}.html"), item);
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten()
}

/// Adds what stands before all routes: names and origins that are refused, and our own faults.
fn complete(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        // Nothing is a message too, and the derive has no word for that.
        body.required = Some(Required::False);
    }
    for (status, response) in described::responses(&[Code::Forbidden, Code::Internal]) {
        operation.responses.responses.entry(status).or_insert(response);
    }
}
