//! No two files of the crate import each other, directly or through others.
//!
//! An import is an edge from the file that uses a name to the file that defines it. A re-export is
//! followed to the definition and is no edge itself; neither is a `mod` line.

mod modules;
mod names;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use names::{Edges, edges};

use crate::house;

/// Returns the sets of files of which each reaches every other by edges.
fn circles(edges: &Edges) -> Vec<BTreeSet<&str>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().insert(to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = next
        .keys()
        .map(|start| {
            let mut seen = BTreeSet::new();
            let mut open = vec![*start];
            while let Some(file) = open.pop() {
                open.extend(next.get(file).into_iter().flatten().filter(|to| seen.insert(**to)));
            }
            (*start, seen)
        })
        .collect();
    let circle = |file| {
        reached[file]
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)))
            .copied()
            .collect::<BTreeSet<_>>()
    };
    let all: BTreeSet<_> = next.keys().map(circle).collect();
    all.into_iter().filter(|circle| circle.len() > 1).collect()
}

/// Describes circles by their files and the names that connect them.
fn described(edges: &Edges, circles: Vec<BTreeSet<&str>>) -> String {
    let mut text = String::new();
    for circle in circles {
        let _ = writeln!(text, "a circle of {} files", circle.len());
        for ((from, to), names) in edges {
            if circle.contains(from.as_str()) && circle.contains(to.as_str()) {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let _ = writeln!(text, "  {from} -> {to}: {}", names.join(", "));
            }
        }
    }
    text
}

/// Returns the described circles of files that are given by name and code.
fn circles_of(files: &[(&str, &str)]) -> String {
    let files: Vec<_> =
        files.iter().map(|(name, code)| ((*name).to_owned(), (*code).to_owned())).collect();
    let edges = edges(&files);
    described(&edges, circles(&edges))
}

#[test]
fn no_two_files_import_each_other_in_a_circle() {
    let files: Vec<_> = house::files()
        .into_iter()
        .map(|(path, code)| (path.to_string_lossy().replace('\\', "/"), code))
        // The program is a crate of its own, which the library cannot import.
        .filter(|(file, _)| file != "main.rs")
        .collect();
    let edges = edges(&files);
    assert!(edges.len() > 2 * files.len(), "only {} imports are seen", edges.len());
    let found = described(&edges, circles(&edges));
    assert!(found.is_empty(), "{found}");
}

#[test]
fn two_files_that_use_each_other_are_a_circle() {
    let found = circles_of(&[
        ("lib.rs", "mod a;\nmod b;"),
        (
            "a.rs",
            "use std::{fmt,\n    io::{self, Read as _}};\nuse crate::{\n  b::{self, B},\n};\npub struct A(B);",
        ),
        ("b.rs", "pub struct B;\nfn b(a: &super::a::A) {}"),
    ]);
    assert_eq!(found, "a circle of 2 files\n  a.rs -> b.rs: B\n  b.rs -> a.rs: A\n");
}

#[test]
fn three_files_are_a_circle_through_modules_renames_and_inline_paths() {
    let found = circles_of(&[
        ("lib.rs", "mod a;"),
        ("a.rs", "mod x; mod y; mod z;"),
        ("a/x.rs", "use super::y;\nfn x() { y::go(); }"),
        ("a/y.rs", "use super::z::Z as Other;\npub fn go() {}"),
        ("a/z.rs", "pub struct Z;\nfn z() { crate::a::x::x() }"),
        ("a/w.rs", "use super::x::x;"),
    ]);
    let expected = "a circle of 3 files\n  a/x.rs -> a/y.rs: go\n  a/y.rs -> a/z.rs: Z\n  a/z.rs -> a/x.rs: x\n";
    assert_eq!(found, expected);
}

#[test]
fn a_module_that_uses_its_child_and_is_used_by_it_is_a_circle() {
    let child = ("a/child.rs", "use super::A;\npub struct Child(A);");
    let found = circles_of(&[
        ("lib.rs", "mod a;"),
        ("a.rs", "mod child;\npub use child::Child;\npub struct A;\nfn a(child: Child) {}"),
        child,
    ]);
    assert_eq!(
        found,
        "a circle of 2 files\n  a.rs -> a/child.rs: Child\n  a/child.rs -> a.rs: A\n"
    );
}

#[test]
fn a_re_export_is_no_import() {
    let child = ("a/child.rs", "use super::A;\npub struct Child(A);");
    for re_export in ["pub use child::Child", "pub(crate) use self::child::{Child as Other}"] {
        let a = format!("mod child;\n{re_export};\npub struct A;");
        assert_eq!(circles_of(&[("lib.rs", "mod a;"), ("a.rs", &a), child]), "");
    }
}

#[test]
fn a_re_exported_name_leads_to_its_definition() {
    for re_export in ["pub use c::C;", "pub use c::*;", "pub use crate::a::c::C as D;"] {
        let name = if re_export.contains('D') { "D" } else { "C" };
        let user = format!("use crate::{{a::{name}}};\npub struct User;");
        let found = circles_of(&[
            ("lib.rs", "mod a; mod user;"),
            ("a.rs", &format!("pub mod c;\n{re_export}")),
            ("a/c.rs", "pub enum C { One(crate::user::User) }"),
            ("user.rs", &user),
        ]);
        let expected = "a circle of 2 files\n  a/c.rs -> user.rs: User\n  user.rs -> a/c.rs: C\n";
        assert_eq!(found, expected, "{re_export}");
    }
}

#[test]
fn a_glob_imports_the_names_that_the_code_uses() {
    let a = ("a.rs", "mod b;\npub struct A;\nfn a() -> b::B { b::B }");
    let b = |code| circles_of(&[("lib.rs", "mod a;"), a, ("a/b.rs", code)]);
    assert_eq!(b("use super::*;\npub struct B;"), "");
    assert!(b("use super::*;\npub struct B(A);").contains("a/b.rs -> a.rs: A"));
}

#[test]
fn a_name_that_a_macro_makes_belongs_to_the_file_of_its_module() {
    let a = (
        "a.rs",
        "macro_rules! make { ($n:ident) => { pub struct $n; } }\nmake!(Made);\nfn a() { crate::b::b() }",
    );
    let found = circles_of(&[
        ("lib.rs", "mod a; mod b;"),
        a,
        ("b.rs", "use crate::a::Made;\npub fn b() {}"),
    ]);
    assert!(found.contains("b.rs -> a.rs: Made"), "{found}");
}

#[test]
fn every_file_of_a_module_counts_that_a_path_attribute_gives() {
    let found = circles_of(&[
        ("lib.rs", "#[cfg(x)]\nmod a;\n#[cfg(not(x))]\n#[path = \"a/absent.rs\"]\nmod a;\nmod b;"),
        ("a.rs", "pub fn a() {}"),
        ("a/absent.rs", "pub fn a() { super::b::b() }"),
        ("b.rs", "pub fn b() { crate::a::a() }"),
    ]);
    assert_eq!(found, "a circle of 2 files\n  a/absent.rs -> b.rs: b\n  b.rs -> a/absent.rs: a\n");
}

#[test]
fn comments_texts_fields_and_tests_import_nothing() {
    let a = r##"
        //! [`crate::b::B`]
        /* use crate::b::B; /* crate::b::B */ */
        const TEXT: &str = "crate::b::B \" crate::b::B";
        const RAW: (&str, u8, char) = (r#"" crate::b::B"#, b'"', '"');
        pub struct A<'a> { b: &'a str }
        #[cfg(test)]
        use crate::b::B;
        impl A<'_> {
            #[cfg(test)]
            fn b(&self) -> crate::b::B { crate::b::B }
        }
        #[cfg(test)]
        mod tests { use crate::b::B; }
        pub fn b(a: &A) -> &str { a.b }
    "##;
    let b = "use crate::a::A;\npub struct B;";
    assert_eq!(circles_of(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", b)]), "");
}
