//! Invariants of the source tree: rows of modules, and texts that stand in some files only.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns all source files with their texts, without files and folders of tests.
pub(crate) fn files() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, all: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("the sources are here") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, all);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let own = path.strip_prefix(root().join("src")).expect("below src");
                let mut parts = own.components().map(std::path::Component::as_os_str);
                if parts.any(|part| part == "tests" || part == "tests.rs") {
                    continue;
                }
                let text = fs::read_to_string(&path).expect("text");
                all.push((own.to_owned(), text));
            }
        }
    }
    let mut all = Vec::new();
    walk(&root().join("src"), &mut all);
    all.sort();
    all
}

/// Returns all source files with their texts, without the tests at their ends.
fn sources() -> Vec<(PathBuf, String)> {
    let code = |text: &str| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    files().into_iter().map(|(path, text)| (path, code(&text))).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the module that a file belongs to: `hub` for `hub.rs` and `hub/batch.rs`.
pub(crate) fn module(path: &Path) -> String {
    let first = path.components().next().expect("a path has a part");
    Path::new(&first).file_stem().expect("a name").to_string_lossy().into_owned()
}

/// Reads the rows off the architecture text of `lib.rs`.
fn rows() -> HashMap<String, usize> {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let table = text.split("//! Rows, each of which").nth(1).expect("the rows are described");
    let table =
        table.split("```text").nth(1).and_then(|rest| rest.split("```").next()).expect("a table");
    let mut rows = HashMap::new();
    for (row, line) in table
        .lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .filter(|l| !l.is_empty())
        .enumerate()
    {
        let columns: Vec<&str> =
            line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        // The last column says what the row is about.
        for name in &columns[..columns.len() - 1] {
            rows.insert((*name).to_owned(), row);
        }
    }
    rows
}

#[test]
fn a_module_imports_only_from_rows_above_its_own() {
    let rows = rows();
    let mut faults = Vec::new();
    for (path, code) in sources() {
        let own = module(&path);
        if own == "lib" || own == "main" {
            continue;
        }
        let own_row = *rows.get(&own).unwrap_or_else(|| panic!("{own} stands in no row of lib.rs"));
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let mut rest = line;
            while let Some(at) = rest.find("crate::") {
                rest = &rest[at + "crate::".len()..];
                let name: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                match rows.get(&name) {
                    Some(row) if name == own || *row < own_row => {}
                    Some(_) => faults.push(format!("{}: {own} imports {name}", path.display())),
                    None => faults
                        .push(format!("{}: {name} stands in no row of lib.rs", path.display())),
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Asserts that a text stands in the files of some modules only.
fn only_in(what: &[&str], where_: &[&str]) {
    let mut faults = Vec::new();
    for (path, code) in sources() {
        let name = path.to_string_lossy().replace('\\', "/");
        if where_.iter().any(|allowed| name.starts_with(allowed)) {
            continue;
        }
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            if let Some(found) = what.iter().find(|what| line.contains(**what)) {
                faults.push(format!("{name}: {found} in {line:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_hub_knows_no_http() {
    let mut seen = 0;
    for (path, code) in sources().iter().filter(|(path, _)| module(path) == "hub") {
        for name in ["axum", "hyper", "http::", "tungstenite", "StatusCode"] {
            assert!(!code.contains(name), "{} names {name}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 3, "the hub is there");
}

#[test]
fn what_is_pure_does_no_io_and_has_no_clock() {
    let mut seen = 0;
    for (path, code) in sources() {
        if ["json", "code", "event", "filter", "wire", "dialect", "frame", "redact", "auth"]
            .contains(&module(&path).as_str())
        {
            for name in [
                "tokio",
                "axum",
                "std::io::Read",
                "std::fs",
                "std::net::Tcp",
                "Instant",
                "SystemTime",
                "now()",
            ] {
                assert!(!code.contains(name), "{} names {name}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 6, "they are there");
}

#[test]
fn an_outlet_never_publishes_and_an_inlet_never_reads_the_stream() {
    for (path, code) in sources() {
        match module(&path).as_str() {
            "outlet" => assert!(
                !code.contains(".publish(") && !code.contains(".connect("),
                "{}",
                path.display()
            ),
            "session" => assert!(
                !code.contains("subscribe(") && !code.contains(".scan("),
                "{}",
                path.display()
            ),
            _ => {}
        }
    }
}

#[test]
fn only_hub_and_server_start_tasks() {
    only_in(&["tokio::spawn", ".spawn(", "spawn_blocking"], &["hub", "server.rs"]);
}

#[test]
fn only_the_table_names_our_error_statuses_and_close_codes() {
    let statuses =
        ["400", "401", "403", "404", "405", "408", "409", "413", "426", "429", "502", "503"];
    let closes = [
        "4400", "4401", "4403", "4404", "4408", "4409", "4429", "1002", "1007", "1009", "1011",
        "1013", "1014",
    ];
    let numbers = statuses.iter().chain(&closes).flat_map(|n| {
        [" ", "(", "= "]
            .map(|before| [";", ",", ")", " "].map(|after| format!("{before}{n}{after}")))
    });
    let numbers: Vec<String> = numbers.flatten().collect();
    let mut what: Vec<&str> = numbers.iter().map(String::as_str).collect();
    what.extend([
        "StatusCode::BAD",
        "StatusCode::NOT_FOUND",
        "StatusCode::FORBIDDEN",
        "StatusCode::SERVICE",
        "StatusCode::CONFLICT",
        "CloseCode::",
    ]);
    // The answer of a server that has no room to run its routes; and what the help says.
    only_in(
        &what,
        &[
            "code.rs",
            "server/overload.rs",
            "config/settings.rs",
            "config/settings/channelstream.rs",
        ],
    );
}

#[test]
fn only_the_configuration_reads_the_environment() {
    only_in(&["std::env::var", "env::vars", "env::var"], &["config/sources.rs"]);
}

#[test]
fn only_wire_dialect_and_json_know_the_json_of_events() {
    only_in(
        &["\\\"kind\\\"", "\"direction\\\"", "\\\"opcode\\\""],
        &["wire/", "dialect.rs", "json.rs", "cli/watch/line.rs"],
    );
}

#[test]
fn no_file_is_longer_than_400_lines() {
    for (path, code) in sources() {
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 400, "{} has {lines} lines", path.display());
    }
}

/// Returns the files below a folder that contain one of some texts.
fn files_with(folder: &str, texts: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in fs::read_dir(root().join(folder)).expect("it is here") {
        let path = file.expect("an entry").path();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if texts.iter().any(|part| text.contains(part)) {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.push((name, text));
        }
    }
    found
}

/// The folders in which tests make logs check the databases when they are dropped.
#[test]
fn every_log_of_a_test_is_checked_at_its_end() {
    let own = ["house.rs", "log.rs"];
    let makes = ["\"--data-dir\"", "--data-dir /", "LogSettings::new(", "\"record\""];
    let mut checked = 0;
    for (name, text) in files_with("tests/it", &makes) {
        if own.contains(&name.as_str()) {
            continue;
        }
        assert!(
            !text.contains("LogSettings::new("),
            "{name}: settings of a log are of a Directory"
        );
        let makes_a_database = makes[..3].iter().any(|part| text.contains(part))
            || text.contains(".db\"")
            || text.contains(".db {");
        // The disk that loses what was not synced is made for a directory of its caller.
        if makes_a_database && name != "log_disk.rs" {
            assert!(text.contains("Directory::new()"), "{name}: a log is in a checked Directory");
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked} files");
    for folder in ["src/database", "src/hub/history/log"] {
        for (name, _) in files_with(folder, &["tempfile::"]) {
            assert_eq!(name, "checked.rs", "{folder}: a log is in a CheckedFolder");
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, code) in sources() {
        assert!(code.starts_with("//!"), "{}", path.display());
    }
}

#[test]
fn features_switch_modules_and_nothing_else() {
    let mut seen = 0;
    for (path, code) in sources() {
        let lines: Vec<&str> = code.lines().collect();
        for (n, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("feature = \""))
        {
            seen += 1;
            // The schemas of answers are derived from the fields that serde writes.
            if *line == "#[cfg_attr(feature = \"openapi\", derive(utoipa::ToSchema))]" {
                continue;
            }
            let is_attribute = |line: &&&str| {
                line.starts_with("#[") || line.starts_with(' ') || line.starts_with(")]")
            };
            let item = lines[n..].iter().find(|line| !is_attribute(line)).expect("an item");
            let item = item.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let allowed = item.starts_with("mod ") || item.starts_with("use ");
            // The allocator is a static of the program.
            let allowed = allowed || path == Path::new("main.rs");
            assert!(allowed, "{}: a feature switches {item:?}", path.display());
        }
    }
    assert!(seen > 10, "{seen} lines name a feature");
}
