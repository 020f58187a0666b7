//! What the server says of itself is true: its descriptions are held against its routes, its
//! answers, its events and its frames.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wstap::code::Code;

use crate::harness::{Tap, until};

/// A description that a server gives, ready to hold answers against its schemas.
pub(crate) struct Described {
    pub(crate) document: Value,
}

impl Described {
    pub(crate) async fn of(tap: &Tap, path: &str) -> Self {
        let answer = tap.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        Self { document: answer.json() }
    }

    /// Asserts that a value fits a schema, and has nothing that the schema does not tell of.
    #[track_caller]
    pub(crate) fn fits(&self, schema: &Value, value: &Value) {
        let mut components = self.document["components"].clone();
        close(&mut components);
        let mut whole = schema.clone();
        close(&mut whole);
        let whole = json!({"components": components, "allOf": [whole]});
        let validator = jsonschema::validator_for(&whole).expect("a JSON Schema");
        let faults: Vec<_> = validator
            .iter_errors(value)
            .map(|fault| format!("{fault} at {}", fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{value:#} does not fit {schema}: {faults:#?}");
    }

    /// Asserts that a value fits one of the named schemas.
    #[track_caller]
    pub(crate) fn is(&self, name: &str, value: &Value) {
        assert!(self.document["components"]["schemas"][name].is_object(), "{name} is described");
        self.fits(&json!({"$ref": format!("#/components/schemas/{name}")}), value);
    }

    /// Returns method, path and description of every operation.
    fn operations(&self) -> Vec<(String, String, &Value)> {
        let paths = self.document["paths"].as_object().expect("paths").iter();
        paths
            .flat_map(|(path, item)| {
                let operations = item.as_object().expect("operations").iter();
                operations.map(|(method, it)| (method.to_uppercase(), path.clone(), it))
            })
            .collect()
    }
}

/// Lets an object have only the members that its schema tells of. The published schemas leave room
/// for more to come; what comes today is to be told today.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("type") == Some(&json!("object")) && members.contains_key("properties") {
                members.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Returns the paths that the source of the routes names.
fn routes() -> BTreeSet<String> {
    let source = concat!(
        include_str!("../../src/web.rs"),
        include_str!("../../src/openapi.rs"),
        include_str!("../../src/pages.rs")
    );
    let literals = source.split(".route(").skip(1);
    let paths = literals.map(|rest| rest.trim_start().split('"').nth(1).expect("a path"));
    paths.map(|path| path.replace("{*", "{")).collect()
}

fn filled(path: &str) -> String {
    let id = if path.contains("events") { "0-1" } else { "a" };
    path.replace("{id}", id).replace("{channel}", "news").replace("{file}", "wstap.css")
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else() {
    let tap = Tap::start().await;
    let described = Described::of(&tap, "/api/openapi.json").await;
    let paths = described.document["paths"].as_object().expect("paths");
    assert_eq!(paths.keys().cloned().collect::<BTreeSet<_>>(), routes());
    for (path, item) in paths {
        // A WebSocket is told apart by its handshake, and not by its method.
        if path == "/ws" {
            continue;
        }
        let refused = tap.fetch("TRACE", &filled(path), &[], "").await;
        refused.is_problem(405, "method_not_allowed", "TRACE");
        let allowed: BTreeSet<_> = refused.header("allow").split(',').collect();
        let mut told: BTreeSet<_> = item
            .as_object()
            .expect("operations")
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        if told.contains("GET") {
            told.insert("HEAD".to_owned());
        }
        assert_eq!(allowed, told.iter().map(String::as_str).collect(), "{path}");
    }
}

#[tokio::test]
async fn every_query_parameter_that_is_read_is_described() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    let described = Described::of(&tap, "/api/openapi.json").await;
    let mut compared = 0;
    for (method, path, operation) in described.operations() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let told: BTreeSet<_> = parameters
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().expect("a name"))
            .collect();
        let answer = tap.fetch(&method, &format!("{}?nonsense=1", filled(&path)), &[], "").await;
        // Of a handshake the other parameters are the client's own.
        if path == "/ws" {
            continue;
        }
        if answer.status != 400 {
            assert!(told.is_empty(), "{method} {path} does not read {told:?}");
            continue;
        }
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        let known = detail.split("; there are ").nth(1).expect("what there is").split(", ");
        assert_eq!(told, known.collect(), "{method} {path}");
        compared += 1;
    }
    assert!(compared >= 5, "{compared} read queries");
}

#[tokio::test]
async fn problems_are_those_of_the_table() {
    let tap = Tap::start().await;
    let described = Described::of(&tap, "/api/openapi.json").await;
    let codes =
        &described.document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    assert_eq!(*codes, json!(Code::ALL.map(|code| code.row().name)));
    let mut examples = 0;
    for (method, path, operation) in described.operations() {
        let responses = operation["responses"].as_object().expect("responses");
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let content = &response["content"]["application/problem+json"];
            for (name, example) in content["examples"].as_object().expect("examples") {
                let row = Code::ALL.map(Code::row).into_iter().find(|row| row.name == name);
                let row = row.expect("a code of the table");
                assert_eq!(row.status.to_string(), *status, "{method} {path}");
                described.fits(&content["schema"], &example["value"]);
                examples += 1;
            }
        }
        assert!(responses.contains_key("403"), "{method} {path} may be refused");
    }
    assert!(examples > 50, "{examples} examples");
}

/// Asserts that an answer has a status that is described, and a body that fits.
#[track_caller]
fn fits(described: &Described, method: &str, path: &str, answer: &crate::harness::Answer) {
    let operation = &described.document["paths"][path][method.to_lowercase()];
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{method} {path}: {} is described", answer.status);
    let media_type = answer.header("content-type").split(';').next().expect("a first part");
    if answer.body.is_empty() {
        assert!(response["content"].is_null(), "{method} {path} has a body");
        return;
    }
    let content = &response["content"][media_type];
    assert!(content.is_object(), "{method} {path}: {media_type} is described");
    if media_type.ends_with("/json") || media_type.ends_with("+json") {
        described.fits(&content["schema"], &answer.json());
    }
}

#[tokio::test]
async fn every_answer_fits_its_description() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    ws.send("hello").await;
    ws.send(r#"{"type":"subscribe","params":{"channels":["news"]}}"#).await;
    until("the channel", || tap.hub.head().1 == 3).await;
    let _events = tap.events("?kind=message").await;
    let event = tap.hub.head().0.expect("an event").to_string();
    let described = Described::of(&tap, "/api/openapi.json").await;
    for (method, path, query, body) in [
        ("GET", "/api/info", "", ""),
        ("GET", "/api/connections", "", ""),
        ("GET", "/api/connections/{id}", "", ""),
        ("GET", "/api/channels", "", ""),
        ("GET", "/api/channels/{channel}", "", ""),
        ("POST", "/api/channels/{channel}/messages", "", "hello"),
        ("POST", "/api/channels/{channel}/messages", "?user=", "hello"),
        ("GET", "/api/listeners", "", ""),
        ("GET", "/api/events", "", ""),
        ("GET", "/api/events", "?format=marks&every=1", ""),
        ("GET", "/api/events", "?format=marks&step=1s", ""),
        ("GET", "/api/events", "?format=har", ""),
        ("GET", "/api/events", "?format=ndjson", ""),
        ("GET", "/api/events", "?filter=size+=", ""),
        ("GET", "/api/events/{id}", "", ""),
        ("GET", "/listen", "?wait=0s", ""),
        ("GET", "/listen", "?after=0-1&wait=0s", ""),
        ("POST", "/api/connections/{id}/messages", "", "hello"),
        ("POST", "/api/connections/{id}/messages", "?to=nobody", "hello"),
        ("GET", "/metrics", "", ""),
        ("GET", "/healthz", "", ""),
        ("GET", "/readyz", "", ""),
        ("GET", "/ws", "", ""),
        ("GET", "/", "", ""),
        ("GET", "/es-client", "", ""),
        ("GET", "/ws-client.html", "", ""),
        ("GET", "/api/docs", "", ""),
        ("GET", "/api/openapi.json", "", ""),
        ("GET", "/api/asyncapi.json", "", ""),
        ("DELETE", "/api/listeners/{id}", "", ""),
        ("DELETE", "/api/connections/{id}", "?code=1005", ""),
        ("DELETE", "/api/connections/{id}", "", ""),
    ] {
        let id = match path {
            "/api/events/{id}" => &event,
            "/api/listeners/{id}" => "1",
            _ => "a",
        };
        let full = path.replace("{id}", id).replace("{channel}", "news") + query;
        let answer = tap.fetch(method, &full, &[], body).await;
        assert!(answer.status < 405 || answer.status == 426, "{method} {path}: {answer:?}");
        fits(&described, method, path, &answer);
    }
    for path in
        ["/api/events/{id}", "/api/connections/{id}", "/api/channels/{channel}", "/static/{file}"]
    {
        let nothing = path.replace("{id}", "9-9").replace("{file}", "nothing");
        let nothing = nothing.replace("{channel}", "nothing");
        let answer = tap.get(&nothing).await;
        assert_eq!(answer.status, 404, "{path}");
        fits(&described, "GET", path, &answer);
        let answer = tap.get(&nothing.replace("9-9", "%ff").replace("nothing", "%ff")).await;
        answer.is_problem(400, "malformed", "UTF-8");
        fits(&described, "GET", path, &answer);
    }
}

#[tokio::test]
async fn addresses_are_right_below_any_prefix() {
    let tap = Tap::start().await;
    let described = Described::of(&tap, "/api/openapi.json").await;
    assert_eq!(described.document["servers"], json!([{"url": ".."}]));
    assert_eq!(described.document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let page = tap.get("/api/docs").await.body;
    assert!(!page.contains("=\"/"), "an absolute address in {page}");
    assert!(!page.contains("://"), "another host in {page}");
}
