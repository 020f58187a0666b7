//! The documentation as text: README.md, CONTRIBUTING.md and the pages of `docs`, their tables, their
//! code blocks and their links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// The names of the pages, without their ending.
pub(crate) const PAGES: [&str; 20] = [
    "proxy",
    "inspector",
    "websocket",
    "events",
    "channels",
    "channelstream",
    "javascript",
    "library",
    "log",
    "filters",
    "redaction",
    "recordings",
    "replay",
    "settings",
    "http",
    "guarantees",
    "comparison",
    "performance",
    "security",
    "operations",
];

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of a file of the repository.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the paths of the README and of all pages.
pub(crate) fn documents() -> Vec<String> {
    let pages = PAGES.iter().map(|page| format!("docs/{page}.md"));
    std::iter::once("README.md".to_owned()).chain(pages).collect()
}

/// Returns the rows of the table in a page whose header begins with `first`, as cells.
pub(crate) fn table(page: &str, first: &str) -> Vec<Vec<String>> {
    table_of(&format!("docs/{page}.md"), first)
}

/// Returns the rows of a table in a file, as cells.
pub(crate) fn table_of(path: &str, first: &str) -> Vec<Vec<String>> {
    let text = text(path);
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("| {first} |")));
    assert!(lines.next().is_some(), "{path} has no table that begins with {first}");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let line = line.replace("\\|", "\u{0}");
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    };
    rows.map(cells).collect()
}

/// Returns the code blocks of a language, in their order.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(found) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if found == language {
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// Returns a text without its code blocks and code spans.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    let mut code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if !code {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// Returns the anchors of the headings of a page, as GitHub and rustdoc make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    prose.map(anchor).collect()
}

/// Returns the definitions of references in a text: label and target.
fn definitions(text: &str) -> BTreeMap<String, String> {
    let definition = |line: &str| {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        Some((label.to_owned(), target.to_owned()))
    };
    text.lines().filter_map(definition).collect()
}

/// Returns the targets of the inline links of a text, images included.
fn inline_links(text: &str) -> Vec<String> {
    let links = text.split("](").skip(1);
    links.filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned())).collect()
}

/// Returns the labels that a text refers to.
fn references(text: &str) -> Vec<String> {
    let labels = text.split("][").skip(1);
    labels.filter_map(|rest| rest.split_once(']').map(|(label, _)| label.to_owned())).collect()
}

/// Asserts that the target of a link in `path` exists.
fn resolves(path: &str, target: &str) {
    if target.starts_with("https://") || target.starts_with("http://") {
        return;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let full = match file {
        "" => root().join(path),
        file => root().join(path).parent().expect("a file is in a folder").join(file),
    };
    assert!(full.is_file(), "{path} links to {target}, which does not exist");
    if !anchor.is_empty() {
        let text = fs::read_to_string(&full).expect("a page is text");
        assert!(anchors(&text).contains(anchor), "{path} links to {target}: no such heading");
    }
}

#[test]
fn pages_are_those_of_the_folder_and_of_the_crate_documentation() {
    let listed: BTreeSet<String> = PAGES.iter().map(|page| (*page).to_owned()).collect();
    let files = fs::read_dir(root().join("docs")).expect("the folder docs");
    let files = files.map(|entry| entry.expect("an entry").path());
    let files: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, listed);
    let source = text("src/docs.rs");
    let modules = source.rsplit("\"\n").next().and_then(|rest| rest.split('}').next());
    let modules = modules.expect("the list of modules").split_whitespace();
    assert_eq!(modules.map(str::to_owned).collect::<BTreeSet<_>>(), listed);
}

#[test]
fn links_between_documents_resolve() {
    let mut seen = 0;
    let others = ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(str::to_owned);
    for path in documents().into_iter().chain(others) {
        let text = text(&path);
        let prose = prose(&text);
        let definitions = definitions(&prose);
        for target in inline_links(&prose).iter().chain(definitions.values()) {
            resolves(&path, target);
            seen += 1;
        }
        for label in references(&prose) {
            assert!(definitions.contains_key(&label), "{path}: [{label}] is not defined");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} links");
}

#[test]
fn readme_links_to_every_page() {
    let links: BTreeSet<String> = inline_links(&prose(&text("README.md"))).into_iter().collect();
    for page in PAGES {
        assert!(links.contains(&format!("docs/{page}.md")), "README.md does not link to {page}");
    }
}

/// rustdoc has its own definitions of the references; a relative link would not work there.
#[test]
fn links_of_pages_are_defined_for_rustdoc_too() {
    let source = text("src/docs.rs").replace("\"[", "[");
    let in_rustdoc = definitions(&source);
    for page in PAGES {
        let path = format!("docs/{page}.md");
        let text = text(&path);
        let prose = prose(&text);
        for target in inline_links(&prose) {
            assert!(target.starts_with("https://"), "{path}: {target} does not work in rustdoc");
        }
        let used: BTreeSet<String> = references(&prose).into_iter().collect();
        let definitions = definitions(&prose);
        let defined: BTreeSet<String> = definitions.keys().cloned().collect();
        assert_eq!(used, defined, "{path}: references beside definitions");
        for (label, target) in definitions {
            let expected = format!("crate::docs::{}", target.replace(".md", ""));
            assert_eq!(in_rustdoc.get(&label), Some(&expected), "{path}: [{label}]");
        }
    }
}

#[test]
fn readme_is_short() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 200, "README.md has {lines} lines; details belong to a page of docs");
}

#[test]
fn every_page_opens_with_a_title_a_task_and_an_example() {
    for page in PAGES {
        let text = text(&format!("docs/{page}.md"));
        let mut lines = text.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with("# ")), "{page}: a title");
        let start = text.split("\n## ").next().expect("a text has a beginning");
        assert!(start.contains("\n```"), "{page}: an example before the first section");
    }
}

#[test]
fn links_are_found_in_prose_only() {
    let text = "# A b, c!\n[x](y.md) `[no](z.md)` [w][v]\n```sh\n[no](z.md)\n```\n[v]: u.md#t\n";
    let prose = prose(text);
    assert_eq!(inline_links(&prose), ["y.md"]);
    assert_eq!(references(&prose), ["v"]);
    assert_eq!(definitions(&prose), BTreeMap::from([("v".to_owned(), "u.md#t".to_owned())]));
    assert_eq!(anchors(text), BTreeSet::from(["a-b-c".to_owned()]));
    assert_eq!(blocks(text, "sh"), ["[no](z.md)"]);
}
