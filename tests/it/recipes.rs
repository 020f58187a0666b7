//! The shell commands of the documentation, each run or parsed, and its TOML files, each checked.
//!
//! [`COMMANDS`] has an entry for every command; a command without one fails the test.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{LIMIT, Tap, signal, until, within};
use crate::log::Directory;
use crate::pages::{blocks, documents, root, text};

/// How a command is tested.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// It ends with success and has printed this.
    Prints(&'static str),
    /// It runs until it is stopped and prints this.
    Follows(&'static str),
    /// It starts a server: its configuration is valid.
    Serves,
    /// It needs a server at its default address or a terminal: its arguments are valid.
    Parses,
    /// It builds wstap.
    Builds,
}

use Expect::{Builds, Follows, Parses, Prints, Serves};

/// Every command of the documentation, without the comment at its end.
const COMMANDS: &[(&str, Expect)] = &[
    ("curl -N localhost:8080/events", Follows(": wstap")),
    (
        "curl -sN 'localhost:8080/events?format=ndjson&kind=message' | jq -c .message",
        Follows("{\"price\":125.5}"),
    ),
    ("curl -sN 'localhost:8080/events?since=5m'", Follows("data: {\"connectionId\":\"a\"}")),
    ("curl -sN 'localhost:8080/events?format=full&connection=a'", Follows("\"kind\":\"connect\"")),
    ("curl -sN 'localhost:8080/events?channel=news'", Follows("\"channel\":\"news\"")),
    (
        "curl -sNG localhost:8080/events -d since=5m --data-urlencode 'filter=message.price > 1.0'",
        Follows("{\"price\":125.5}"),
    ),
    (
        "curl -sNG localhost:8080/events --data-urlencode \
         'filter=message.price > 100.0 && direction == \"in\"'",
        Follows("{\"price\":125.5}"),
    ),
    (
        "curl -s 'localhost:8080/api/events?order=desc&limit=10' \
         | jq -r '.[] | [.time, .kind, .connectionId] | @tsv'",
        Prints("\tconnect\ta"),
    ),
    ("curl -s localhost:8080/api/connections | jq -r '.[].connectionId'", Prints("a\n")),
    (
        "curl -s -H 'content-type: text/plain' -d 'hello' localhost:8080/api/connections/a/messages",
        Prints("{\"id\":\""),
    ),
    ("curl -s -X DELETE 'localhost:8080/api/connections/a?code=4000&reason=enough'", Prints("")),
    (
        "curl -s -H 'content-type: application/json' -d '{\"n\":1}' \
         localhost:8080/api/channels/news/messages",
        Prints("{\"id\":\""),
    ),
    ("curl -s 'localhost:8080/listen?wait=1s'", Prints("[")),
    (
        "curl -s 'localhost:8080/api/events?format=har' \
         | jq -r '.log.entries[] | [.request.url, (._webSocketMessages | length)] | @tsv'",
        Prints("ws://localhost/ws\t"),
    ),
    ("curl -s localhost:8080/healthz", Prints("ok")),
    ("curl -s localhost:8080/readyz", Prints("ready")),
    (
        "curl -s localhost:8080/metrics | grep -E '^wstap_(connections|listeners) '",
        Prints("wstap_connections 1"),
    ),
    ("wstap watch http://localhost:8080 --last 20", Follows("+ a")),
    ("wstap watch http://localhost:8082 --filter 'transport == \"sse\"'", Parses),
    ("wstap export http://localhost:8080 -o traffic.har", Prints("")),
    ("wstap inspect traffic.har", Prints("1 in (")),
    ("wstap inspect day.ndjson", Prints("1 in (")),
    ("wstap export day.ndjson -o day.har", Prints("")),
    ("wstap check --config wstap.toml", Prints("")),
    ("wstap check --live", Parses),
    ("wstap check --live --listen localhost:8080", Prints("")),
    ("wstap man man", Prints("")),
    ("wstap --print-config", Prints("listen = [\"localhost:8080\"]")),
    ("wstap", Serves),
    ("wstap 9000", Serves),
    ("wstap --upstream ws://localhost:9000", Serves),
    ("wstap --upstream ws://localhost:9000 --redact-defaults --redact message.pin", Serves),
    ("wstap --listen localhost:8080 --tap-listen localhost:8082", Serves),
    (
        "wstap --redact message.password --redact '**.secret' --redact-query sig \
         --redact-pattern 'acct-[0-9]{8}' --redact-defaults",
        Serves,
    ),
    (
        "wstap --listen 0.0.0.0:8080 --no-auth --host tap.example --cors-origin https://app.example",
        Serves,
    ),
    ("wstap token new ann all --token-file wstap.tokens", Prints("wstap_")),
    ("wstap --listen 0.0.0.0:8080 --token-file wstap.tokens --host tap.example", Serves),
    (
        "wstap --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem \
         --token-file wstap.tokens --host tap.example",
        Serves,
    ),
    ("wstap watch https://tap.example:8443 --ca ca.pem", Parses),
    ("wstap --token-file wstap.tokens --host tap.example --trusted-proxy 127.0.0.1", Serves),
    (
        "wstap --listen 127.0.0.1:8443 --tls-cert cert.pem --tls-key key.pem \
         --token-file wstap.tokens --host tap.example --trusted-proxy 127.0.0.1 --proxy-protocol",
        Serves,
    ),
    ("wstap --data-dir /var/lib/wstap", Serves),
    ("wstap record http://localhost:8080 day.db", Parses),
    ("wstap export --data-dir /var/lib/wstap -o day.db", Parses),
    ("wstap serve --open day.ndjson", Serves),
    ("wstap --listen localhost:9090 --history-age 1h", Serves),
    ("WSTAP_LISTEN=localhost:9090 WSTAP_HISTORY_AGE=1h wstap", Serves),
    ("WSTAP_CHANNELSTREAM_SECRET=secret wstap", Serves),
    ("wstap --config wstap.toml", Serves),
    ("wstap watch 'conn:room-* dir:out \"some text\" size>100'", Parses),
    ("wstap export -o traffic.har", Parses),
    ("wstap export --since 5m --connection room-7", Parses),
    ("wstap record http://localhost:8080 day.ndjson", Parses),
    ("wstap replay day.ndjson ws://localhost:9000", Parses),
    ("wstap replay day.ndjson ws://localhost:9000 --speed max --ignore sid", Parses),
    ("wstap replay --serve day.ndjson --listen localhost:9000", Parses),
    ("wstap completions bash > ~/.local/share/bash-completion/completions/wstap", Parses),
    ("cargo run --release", Builds),
    ("cargo build --profile dist --features jemalloc", Builds),
    (
        "cargo test --test it \
         stream_resumes_after_last_event_id_without_hole_or_double_while_events_flow",
        Builds,
    ),
    ("cargo bench --bench fanout", Builds),
    ("cargo bench --bench proxy", Builds),
    ("cargo bench --bench hot", Builds),
    ("cargo bench --bench transport", Builds),
];

/// Returns the commands of a shell block, without comments, with continued lines joined.
fn commands(block: &str) -> Vec<String> {
    let joined = block.split("\\\n").map(str::trim_start).collect::<String>();
    let lines = joined.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn expect(command: &str) -> Expect {
    let found = COMMANDS.iter().find(|(known, _)| *known == command);
    found.unwrap_or_else(|| panic!("this command is not tested: {command}")).1
}

/// Returns the commands of all documents, a list for each block, with the name of the document.
fn recipes() -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for path in documents() {
        for block in blocks(&text(&path), "sh") {
            all.push((path.clone(), commands(&block)));
        }
    }
    all
}

#[test]
fn every_listed_command_is_documented() {
    let documented: Vec<String> = recipes().into_iter().flat_map(|(_, block)| block).collect();
    for (command, _) in COMMANDS {
        assert!(documented.iter().any(|it| it == command), "no document has {command}");
    }
}

/// The commands of a block run one after the other, against a server of their own with one
/// connection `a` that has sent one message.
#[tokio::test]
async fn every_recipe_prints_what_it_promises() {
    let mut run_count = 0;
    for (path, block) in recipes() {
        if !block.iter().any(|it| matches!(expect(it), Prints(_) | Follows(_) | Serves)) {
            continue;
        }
        let tap = Tap::start().await;
        let mut ws = tap.registered("a").await;
        ws.send(r#"{"price":125.5}"#).await;
        until("the message", || tap.hub.head().1 == 2).await;
        let reader = tokio::spawn(ws.stay());
        // Some of them make a log or a recording.
        let folder = Directory::new();
        prepare(folder.path(), &path, &tap).await;
        for command in &block {
            let expect = expect(command);
            let (part, endless) = match expect {
                Prints(part) => (part, false),
                Follows(part) => (part, true),
                Serves => ("listen = ", false),
                Parses | Builds => continue,
            };
            let script = script(command, expect, &tap);
            let folder = folder.path().to_owned();
            let run = move || run(&script, &folder, part, endless);
            let printed = tokio::task::spawn_blocking(run).await.expect("no panic");
            assert!(printed.contains(part), "{path}: {command}: {part:?} in {printed:?}");
            run_count += 1;
        }
        if block.iter().any(|command| command.contains("-X DELETE")) {
            let code = within("the close", reader).await.expect("no panic");
            assert_eq!(code, 4000, "{path}: the recipe has closed it");
        }
    }
    assert!(run_count > 40, "{run_count} commands ran");
}

/// Writes the files that commands of a page read: a recording, and the configuration of the page.
async fn prepare(folder: &Path, page: &str, tap: &Tap) {
    let recording = tap.get("/api/events?format=ndjson").await.body;
    std::fs::write(folder.join("day.ndjson"), recording).expect("a file");
    let configuration = blocks(&text(page), "toml").join("\n");
    std::fs::write(folder.join("wstap.toml"), configuration).expect("a file");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_wstap"), folder.join("wstap")).expect("a link");
}

/// Returns what the shell runs for a command.
fn script(command: &str, expect: Expect, tap: &Tap) -> String {
    if let Serves = expect {
        return format!("{command} --print-config");
    }
    command
        .replace("localhost:8080", &tap.addr.to_string())
        // The past of the stream, so that there is something to print.
        .replace("kind=message'", "kind=message&last=9'")
        .replace("connection=a'", "connection=a&last=9'")
        .replace("channel=news'", "channel=news&last=9'")
        .replace("/events --data", "/events -d last=9 --data")
        .replace("| jq -c", "| jq --unbuffered -c")
}

/// Runs a command to its end, or, if it has none, until it has printed `part`.
fn run(script: &str, folder: &Path, part: &str, endless: bool) -> String {
    use std::io::Read as _;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new("timeout")
        .args([&LIMIT.as_secs().to_string(), "sh", "-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", folder.display()))
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
    if endless {
        // `timeout` passes the signal on to all processes that the shell has started.
        signal("TERM", child.id());
        let _ = child.wait();
    } else {
        let status = child.wait().expect("it ends");
        assert!(status.success(), "{script}: {status}: {printed}");
    }
    printed
}

#[test]
fn every_documented_wstap_command_parses() {
    let mut seen = 0;
    for (path, block) in recipes() {
        for command in block.iter().filter(|command| command.starts_with("wstap")) {
            let command = command.split(" > ").next().unwrap_or_default();
            let printer = "wstap() { printf 'wstap'; [ $# = 0 ] || printf '\\0%s' \"$@\"; }";
            let shell = Command::new("sh").args(["-c", &format!("{printer}; {command}")]).output();
            let arguments = shell.expect("a shell").stdout;
            let arguments = String::from_utf8(arguments).expect("text");
            let parsed = wstap::cli::command().try_get_matches_from(arguments.split('\0'));
            assert!(parsed.is_ok(), "{path}: {command}: {parsed:?}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} commands");
}

#[test]
fn every_documented_benchmark_exists() {
    for (path, block) in recipes() {
        for command in block {
            if let Some((_, rest)) = command.split_once("--bench ") {
                let file = format!("benches/{}.rs", rest.split(' ').next().unwrap_or_default());
                assert!(root().join(&file).is_file(), "{path}: {command}: no {file}");
            }
        }
    }
}

#[test]
fn every_documented_configuration_file_is_valid() {
    let mut seen = 0;
    for path in documents() {
        for block in blocks(&text(&path), "toml") {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("wstap.toml");
            std::fs::write(&file, &block).expect("a file");
            let check = Command::new(env!("CARGO_BIN_EXE_wstap"))
                .args(["check", "--config"])
                .arg(&file)
                .output()
                .expect("it runs");
            assert!(check.status.success(), "{path}: {block}: {check:?}");
            seen += 1;
        }
    }
    assert!(seen > 2, "{seen} files");
}

#[test]
fn commands_are_read_without_comments_and_with_continued_lines() {
    let block = "# a comment\nwstap --a \\\n      --b   # why\n\ncurl 'x' | jq .\n";
    assert_eq!(commands(block), ["wstap --a --b", "curl 'x' | jq ."]);
}
