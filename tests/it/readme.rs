//! The tables of the documentation compared with the program.

use std::collections::BTreeSet;
use std::path::Path;

use wstap::code::Code;
use wstap::config::SETTINGS;

use crate::harness::Tap;
use crate::pages::{root, table, table_of, text};

#[test]
fn settings_are_those_of_the_program() {
    let rows = table("settings", "setting");
    let told: Vec<_> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let real: Vec<_> =
        SETTINGS.iter().map(|s| (code(&format!("--{}", s.name)), code(s.default))).collect();
    let real: Vec<_> =
        real.iter().map(|(name, default)| (name.as_str(), default.as_str())).collect();
    assert_eq!(told, real);
}

#[test]
fn commands_are_those_of_the_program() {
    let told: Vec<_> = table("settings", "command").iter().map(|row| row[0].clone()).collect();
    let commands = wstap::cli::command();
    let real = commands.get_subcommands().filter(|command| !command.is_hide_set());
    let mut real: Vec<_> = real.map(|command| format!("`wstap {}`", command.get_name())).collect();
    let mut sorted = told.clone();
    sorted.sort();
    real.sort();
    assert_eq!(sorted, real);
}

#[test]
fn codes_are_those_of_the_program() {
    let told: Vec<_> = table("http", "code")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
        .collect();
    let real = Code::ALL.map(Code::row);
    let real: Vec<_> = real
        .iter()
        .map(|row| (format!("`{}`", row.name), row.status.to_string(), row.close.to_string()))
        .collect();
    assert_eq!(told, real);
}

#[test]
fn every_example_of_a_filter_parses() {
    for row in table("filters", "expression") {
        let source = row[0].trim_matches('`');
        let parsed = wstap::filter::Expression::parse(source);
        assert!(parsed.is_ok(), "{source}: {parsed:?}");
    }
}

#[tokio::test]
async fn every_documented_endpoint_answers() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    let _events = tap.events("").await;
    let mut member = tap.ws("/ws?ack=1").await;
    member.send(r#"{"type":"subscribe","params":{"channels":["a"]}}"#).await;
    member.text().await;
    let event = tap.hub.head().0.expect("an event").to_string();
    for row in table("http", "address") {
        let (method, path) = row[0].trim_matches('`').split_once(' ').expect("a method and a path");
        let id = if path.contains("events/") {
            event.as_str()
        } else if path.contains("listeners") {
            "1"
        } else {
            "a"
        };
        let path = path.replace("{id}", id).replace("{channel}", "a");
        let path = if path == "/listen" { "/listen?wait=0s".to_owned() } else { path };
        let status = tap.request(method, &path, &[], "").await.status();
        assert!(status.is_success(), "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn every_described_endpoint_is_documented() {
    let tap = Tap::start().await;
    let description = tap.get("/api/openapi.json").await.json();
    let paths = description["paths"].as_object().expect("an object");
    let mut described = BTreeSet::new();
    for (path, operations) in paths {
        let operations = operations.as_object().expect("an object");
        let methods = operations.keys().map(|key| key.to_ascii_uppercase());
        let methods = methods.filter(|it| ["GET", "POST", "DELETE"].contains(&it.as_str()));
        described.extend(methods.map(|method| (method, path.clone())));
    }
    let page = text("docs/http.md");
    for (method, path) in described {
        let documented = page.contains(&format!("| `{method} {path}` |"))
            || (method == "GET" && page.contains(&format!("`{path}`")));
        assert!(documented, "docs/http.md does not document {method} {path}");
    }
}

/// The parameters of the event stream stand in the first column, some of them in one row.
#[tokio::test]
async fn every_described_parameter_of_the_stream_is_documented() {
    let tap = Tap::start().await;
    let description = tap.get("/api/openapi.json").await.json();
    let parameters = description["paths"]["/events"]["get"]["parameters"].as_array();
    let rows = table("events", "query");
    let mut count = 0;
    for parameter in parameters.expect("a list") {
        let name = parameter["name"].as_str().expect("a name");
        let documented = match parameter["in"].as_str() {
            Some("query") => rows.iter().any(|row| row[0].contains(&format!("`{name}="))),
            _ => rows.iter().any(|row| row[0].contains(&format!("`{name}`"))),
        };
        assert!(documented, "docs/events.md does not document {name}");
        count += 1;
    }
    assert!(count > 8, "{count} parameters");
}

#[test]
fn every_named_test_exists() {
    let tests = tests();
    let named = |rows: Vec<Vec<String>>, column: usize| {
        let mut count = 0;
        for row in rows {
            for name in row[column].split('`').skip(1).step_by(2) {
                let rust = tests.contains(&format!("fn {name}("));
                let script =
                    tests.contains(&format!("\"{name}\"")) || tests.contains(&format!("'{name}'"));
                let file = root().join(name).is_file();
                assert!(rust || script || file, "there is no test {name}");
                count += 1;
            }
        }
        count
    };
    assert!(named(table("guarantees", "guarantee"), 1) > 30);
    assert!(named(table_of("SECURITY.md", "who"), 2) > 30);
    assert_eq!(named(table("http", "claim"), 1), 6);
    assert!(named(table("channelstream", "Channelstream 0.7.1"), 2) > 20);
    assert!(named(comparison(), 7) > 40);
}

/// A feature that an older system lacks and wstap has needs a test.
#[test]
fn every_feature_that_others_lack_names_its_test() {
    let rows = comparison();
    assert_eq!(rows.len(), 50);
    for row in rows {
        let lacking = row[1..6].iter().any(|cell| cell.starts_with("no"));
        let (here, by) = (&row[6], &row[7]);
        assert!(here == "not yet" || !lacking || by.contains('`'), "{row:?}");
    }
}

/// Returns the rows of the comparison with the older systems.
fn comparison() -> Vec<Vec<String>> {
    let text = text("docs/comparison.md");
    let part = text.split("| | oak-channels |").nth(1).expect("the comparison");
    let rows = part.lines().filter(|line| line.starts_with("| "));
    let rows = rows.map(|line| line.trim_matches('|').split(" | ").map(|it| it.trim().to_owned()));
    rows.map(Iterator::collect).take_while(|row: &Vec<String>| row.len() == 8).collect()
}

/// Returns the texts of all files that may contain tests.
fn tests() -> String {
    fn walk(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
            if path.is_dir() && !path.ends_with("node_modules") {
                walk(&path, all);
            } else if ["rs", "mjs", "py"].contains(&ending) {
                all.push_str(&std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let mut all = String::new();
    walk(&root().join("src"), &mut all);
    walk(&root().join("tests"), &mut all);
    all
}

#[tokio::test]
async fn metrics_are_those_of_the_server() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    let exported = tap.get("/metrics").await.body;
    let exported = exported.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exported: BTreeSet<String> = exported
        .map(|line| match line.split_once(' ').expect("a name and a type") {
            (name, "counter") => format!("{name}_total"),
            (name, "info") => format!("{name}_info"),
            (name, _) => name.to_owned(),
        })
        .collect();
    let mut documented = BTreeSet::new();
    for row in table("operations", "metric") {
        documented.extend(row[0].split('`').skip(1).step_by(2).map(str::to_owned));
    }
    assert_eq!(documented, exported);
}
