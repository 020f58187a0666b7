//! The README says what is true: its tables are held against the program, its recipes are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wstap::code::Code;
use wstap::config::SETTINGS;

use crate::harness::{LIMIT, Tap, until};

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README")
}

/// Returns the rows of the table whose header begins with `first`, as cells.
fn table(first: &str) -> Vec<Vec<String>> {
    let text = readme();
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("| {first} |")));
    assert!(lines.next().is_some(), "a table that begins with {first}");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let line = line.replace("\\|", "\u{0}");
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    };
    rows.map(cells).collect()
}

#[test]
fn the_table_of_settings_is_that_of_the_program() {
    let rows = table("setting");
    let told: Vec<_> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let real: Vec<_> =
        SETTINGS.iter().map(|s| (code(&format!("--{}", s.name)), code(s.default))).collect();
    let real: Vec<_> =
        real.iter().map(|(name, default)| (name.as_str(), default.as_str())).collect();
    assert_eq!(told, real);
}

#[test]
fn the_table_of_commands_is_that_of_the_program() {
    let told: Vec<_> = table("command").iter().map(|row| row[0].clone()).collect();
    let commands = wstap::cli::command();
    let real = commands.get_subcommands().filter(|command| !command.is_hide_set());
    let mut real: Vec<_> = real.map(|command| format!("`wstap {}`", command.get_name())).collect();
    let mut sorted = told.clone();
    sorted.sort();
    real.sort();
    assert_eq!(sorted, real);
}

#[test]
fn the_table_of_codes_is_that_of_the_program() {
    let told: Vec<_> = table("code")
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
fn every_example_of_a_filter_is_one() {
    for row in table("expression") {
        let source = row[0].trim_matches('`');
        let parsed = wstap::filter::Expression::parse(source);
        assert!(parsed.is_ok(), "{source}: {parsed:?}");
    }
}

#[tokio::test]
async fn every_address_in_the_table_answers() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    let _events = tap.events("").await;
    let mut member = tap.ws("/ws?ack=1").await;
    member.send(r#"{"type":"subscribe","params":{"channels":["a"]}}"#).await;
    member.text().await;
    let event = tap.hub.head().0.expect("an event").to_string();
    for row in table("address") {
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

#[test]
fn every_guarantee_names_tests_that_exist() {
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
    assert!(named(table("guarantee"), 1) > 30);
    assert!(named(table("Channelstream 0.7.1"), 2) > 20);
    assert!(named(comparison(), 7) > 40);
}

/// What one of the older systems lacks, and wstap has, is there by a test.
#[test]
fn every_no_that_is_a_yes_here_names_its_test() {
    let rows = comparison();
    assert_eq!(rows.len(), 50);
    for row in rows {
        let lacking = row[1..6].iter().any(|cell| cell.starts_with("no"));
        let (here, by) = (&row[6], &row[7]);
        assert!(here == "not yet" || !lacking || by.contains('`'), "{row:?}");
    }
}

/// The rows of the comparison with the older systems.
fn comparison() -> Vec<Vec<String>> {
    let text = readme();
    let part = text.split("## Beside the systems").nth(1).expect("the comparison");
    let rows = part.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows = rows.map(|line| line.trim_matches('|').split(" | ").map(|it| it.trim().to_owned()));
    rows.map(Iterator::collect).take_while(|row: &Vec<String>| row.len() == 8).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the texts of all files in which a test may stand.
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

/// Returns the lines of the first shell block after a heading that are commands.
fn recipes() -> Vec<String> {
    let text = readme();
    let block = text.split("## Recipes").nth(1).and_then(|rest| rest.split("```sh\n").nth(1));
    let block = block.and_then(|rest| rest.split("```").next()).expect("a block of recipes");
    let commands = block.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    commands.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_recipe_prints_what_it_promises() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    ws.send(r#"{"price":1.25}"#).await;
    until("the message", || tap.hub.head().1 == 2).await;
    let reader = tokio::spawn(async move { ws.closed().await });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("traffic.har").display().to_string();
    let recipes = recipes();
    assert_eq!(recipes.len(), 12);
    let promises = [
        "{\"price\":1.25}",
        "data: {\"connectionId\":\"a\"}",
        "\"kind\":\"connect\"",
        "\tconnect\ta",
        "a\n",
        "{\"id\":\"",
        "",
        "[",
        "+ a",
        "ws://localhost/ws\t",
        "",
        "1 in (",
    ];
    for (recipe, promise) in recipes.iter().zip(promises) {
        let command = recipe
            .replace("localhost:8080", &tap.addr.to_string())
            .replace("wstap ", concat!(env!("CARGO_BIN_EXE_wstap"), " "))
            .replace("traffic.har", &file)
            // A stream that shows its past ends for this test once it has shown it.
            .replace("kind=message'", "kind=message&last=9'")
            .replace("connection=a'", "connection=a&last=9'")
            .replace("| jq -c", "| jq --unbuffered -c");
        let endless = recipe.contains("-sN") || recipe.contains("watch");
        let printed = tokio::task::spawn_blocking(move || run(&command, promise, endless))
            .await
            .expect("no panic");
        assert!(printed.contains(promise), "{recipe}: {promise:?} in {printed:?}");
    }
    assert_eq!(reader.await.expect("no panic"), 4000, "the recipe that closes has closed");
}

/// Runs a command to its end, or, if it has none, until it has printed `part`.
fn run(command: &str, part: &str, endless: bool) -> String {
    use std::io::Read as _;
    let mut child = Command::new("timeout")
        .args([&LIMIT.as_secs().to_string(), "sh", "-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut out = child.stdout.take().expect("it is piped");
    let (mut printed, mut bytes) = (String::new(), [0; 4096]);
    while !(endless && printed.contains(part)) {
        match out.read(&mut bytes).expect("readable") {
            0 => break,
            read => printed.push_str(&String::from_utf8_lossy(&bytes[..read])),
        }
    }
    // timeout passes it on to all that the shell has started; a command that has ended is gone.
    let _ = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
    let _ = child.wait();
    printed
}
