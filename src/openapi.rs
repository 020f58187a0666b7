//! `GET /api/openapi.json` and `GET /api/asyncapi.json`: descriptions of the HTTP side and of the
//! frames, for programs and for `/api/docs`.
//!
//! The schemas of answers are derived from the types that `serde` writes, the operations from
//! `paths`. The frames are described by hand in `asyncapi.json`. Tests compare both with the routes,
//! the answers and the frames of a running server. Both share the schemas of events.

mod names;
mod parameters;
mod paths;
mod problems;
mod schema;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Info, Paths, RefOr, Required, Schema, Server, Tag};

use self::problems::Problem;
use crate::code::Code;

/// Returns the routes of both descriptions.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/api/openapi.json", get(openapi))
        .route("/api/asyncapi.json", get(asyncapi))
}

async fn openapi() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(document);
    json(DOCUMENT.clone())
}

async fn asyncapi() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let written = include_str!("openapi/asyncapi.json");
        let version = format!("\"version\": \"{VERSION}\"");
        let events = schema::schemas().trim().strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        let events = format!("{},", events.expect("the schemas are an object").trim());
        let whole = written.replacen("\"version\": \"0\"", &version, 1);
        whole.replacen("\"events\": \"wire\",", &events, 1).into()
    });
    json(DOCUMENT.clone())
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn json(document: Bytes) -> Response {
    // The document changes only with the program, but that may be updated at any time.
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], document).into_response()
}

#[derive(OpenApi)]
#[openapi(
    paths(
        paths::stream,
        paths::listen,
        paths::events,
        paths::event,
        paths::connections,
        paths::connection,
        paths::send,
        paths::close,
        paths::channels,
        paths::channel,
        paths::publish,
        paths::listeners,
        paths::dismiss,
        paths::info,
        paths::session,
        paths::sign_in,
        paths::sign_out,
        paths::ticket,
        paths::openapi,
        paths::asyncapi,
        paths::metrics,
        paths::alive,
        paths::ready,
        paths::connect,
        paths::overview,
        paths::inspector,
        paths::ws_client,
        paths::docs,
        paths::module,
        paths::module_part,
        paths::asset,
    ),
    components(schemas(Problem)),
    tags(
        (name = "Events", description = "Events as a live stream, by polling, or as a finite answer."),
        (name = "Connections", description = "Open WebSockets: list, send, close."),
        (name = "Channels", description = "Groups of connections: members, history, publishing."),
        (name = "Listeners", description = "Clients that read the stream."),
        (name = "Access", description = "Credentials: who calls, signing in, tickets."),
        (name = "Server", description = "State and health of the server."),
        (name = "WebSocket", description = "The address of WebSocket clients. Their frames are described at `asyncapi.json`."),
        (name = "Pages", description = "Pages for people."),
    ),
)]
struct Derived;

/// The description of the whole.
const ABOUT: &str = "The HTTP side of wstap. The frames of WebSockets and of the event \
stream are described at `/api/asyncapi.json`.

**Errors** are problem details (RFC 9457); branch on their `code`. Every address may answer `forbidden` \
and `internal`, and `full` while the server has no room for another TCP connection. A method that an address does not \
take is `method_not_allowed`; an unknown query parameter is `malformed` at addresses that take any. `Retry-After` is \
set where a retry can help. HEAD is answered wherever GET is.

**Access.** Without credentials configured everybody on the machine has access. With credentials configured \
every request but those for pages, descriptions and health needs a credential: `Authorization: Bearer TOKEN`, the cookie \
of `/api/session`, `?ticket=`, `?access_token=`, or the subprotocol `wstap.bearer.TOKEN`. `unauthorized` is the answer \
without one, `forbidden` to one that does not grant the request. Only requests to loopback names, the bound addresses and \
the names given by `--host` are answered, so that no page can reach a server through a name that it controls (DNS \
rebinding). Reads carry CORS headers for the origins of `--cors-origin`. Requests that change something (POST, DELETE) \
are refused to pages of other origins, unless that origin is listed. `--redact` applies here too.

Addresses are relative: wstap may be mounted below any prefix.";

/// Example answers by the name of their schema.
const EXAMPLES: &str = include_str!("openapi/examples.json");

/// The parts of `OpenAPI` that are used, with schemas of two sources.
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
    let document = Document {
        openapi: "3.1.0",
        info,
        // Relative to the folder of the document: `/api/openapi.json` is below the root.
        servers: vec![Server::new("..")],
        tags: derived.tags,
        paths: derived.paths,
        components: Components { schemas: self::schemas(schemas) },
    };
    serde_json::to_vec(&document).expect("strings and numbers are JSON").into()
}

fn schemas(derived: impl IntoIterator<Item = (String, RefOr<Schema>)>) -> Schemas {
    let mut events: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(schema::schemas()).expect("the schemas are an object");
    if let Some(event) = events.get_mut("Event") {
        let forms = event.get().trim_end().strip_suffix('}').expect("it is an object");
        let told = format!("{forms},\"discriminator\":{}}}", names::discriminator());
        *event = RawValue::from_string(told).expect("a member was added to an object");
    }
    let examples: BTreeMap<String, Value> =
        serde_json::from_str(EXAMPLES).expect("the examples are an object");
    // Where both describe a type, that of events is more exact.
    let mut derived: BTreeMap<_, _> =
        derived.into_iter().filter(|(name, _)| !events.contains_key(name)).collect();
    for (name, schema) in &mut derived {
        if let RefOr::T(Schema::Object(answer)) = schema
            && !["Problem", "Marks"].contains(&name.as_str())
        {
            // `serde` writes every member of an answer: one without a value is `null`.
            answer.required = answer.properties.keys().cloned().collect();
            answer.example = examples.get(name).cloned();
        }
    }
    Schemas { derived, events }
}

/// Pages have a second address that ends in `.html`.
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

/// Adds the errors that every operation may answer: a foreign Host or Origin, and internal faults.
fn complete(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        // An empty body is a message too; the derive cannot express an optional body.
        body.required = Some(Required::False);
    }
    for (status, response) in problems::responses(&[Code::Forbidden, Code::Internal]) {
        operation.responses.responses.entry(status).or_insert(response);
    }
}
