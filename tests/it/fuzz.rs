//! The fuzz targets as property tests: mutations of the seeds, on a stable toolchain.
//!
//! `just fuzz NAME` runs a target under libFuzzer. What it finds becomes a seed, and with that a test.

#[path = "fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use targets::{ALL, Target};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

/// Returns the seeds of a target, by name.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder().join(name)).expect("a folder of seeds");
    let mut seeds: Vec<_> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let bytes = std::fs::read(&path).expect("a seed");
            (path.file_name().expect("a name").to_string_lossy().into_owned(), bytes)
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
    seeds
}

/// A change of some bytes.
#[derive(Debug, Clone)]
enum Mutation {
    /// Replaces a byte.
    Set(Index, u8),
    /// Inserts bytes that mean something to a parser.
    Insert(Index, Vec<u8>),
    /// Removes a piece.
    Remove(Index, usize),
    /// Repeats a piece.
    Repeat(Index, usize, usize),
    /// Cuts the end off.
    Cut(Index),
    /// Puts a piece of another seed in.
    Splice(Index, Index, Index, usize),
}

/// Bytes that mean something to one of the parsers.
const WORDS: [&[u8]; 24] = [
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\r",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"%00",
    b"&",
    b"=",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"99999999999999999999",
    b"-1",
    b"1e999",
    b"null",
];

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let word = prop_oneof![
        prop::sample::select(WORDS.to_vec()).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 1..5),
    ];
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        3 => (at(), word).prop_map(|(at, word)| Mutation::Insert(at, word)),
        2 => (at(), 1_usize..40).prop_map(|(at, length)| Mutation::Remove(at, length)),
        1 => (at(), 1_usize..20, 2_usize..200).prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        1 => at().prop_map(Mutation::Cut),
        2 => (at(), at(), at(), 1_usize..40).prop_map(|(at, seed, from, length)| Mutation::Splice(at, seed, from, length)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation, seeds: &[(String, Vec<u8>)]) {
    let place = |at: &Index, length: usize| at.index(length + 1);
    match mutation {
        Mutation::Set(at, byte) => {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        Mutation::Insert(at, word) => {
            let at = place(at, bytes.len());
            bytes.splice(at..at, word.iter().copied());
        }
        Mutation::Remove(at, length) => {
            let at = place(at, bytes.len());
            bytes.drain(at..bytes.len().min(at + length));
        }
        Mutation::Repeat(at, length, times) => {
            let at = place(at, bytes.len());
            let piece = bytes[at..bytes.len().min(at + length)].repeat(*times);
            bytes.splice(at..at, piece);
        }
        Mutation::Cut(at) => bytes.truncate(place(at, bytes.len())),
        Mutation::Splice(at, seed, from, length) => {
            let (_, other) = &seeds[seed.index(seeds.len())];
            let from = place(from, other.len());
            let piece = &other[from..other.len().min(from + length)];
            let at = place(at, bytes.len());
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}

/// Runs a target at its seeds, and at so many mutations of them.
fn holds((name, target): Target, cases: u32) {
    let seeds = seeds(name);
    for (file, bytes) in &seeds {
        // A failure names the seed.
        let run = std::panic::AssertUnwindSafe(|| target(bytes));
        assert!(std::panic::catch_unwind(run).is_ok(), "seed {name}/{file}");
    }
    let mutated = (any::<Index>(), prop::collection::vec(mutation(), 1..8));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&mutated, |(seed, mutations)| {
        let (_, mut bytes) = seeds[seed.index(seeds.len())].clone();
        for mutation in &mutations {
            mutate(&mut bytes, mutation, &seeds);
        }
        target(&bytes);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{name}: {failure}");
    }
}

fn target(name: &str) -> Target {
    *ALL.iter().find(|(own, _)| *own == name).expect("a target")
}

macro_rules! targets {
    ($($name:ident: $cases:literal)*) => {
        $(
            #[test]
            fn $name() {
                holds(target(stringify!($name)), $cases);
            }
        )*

        #[test]
        fn every_target_is_tested_and_has_a_fuzzer_and_seeds() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(tested, ALL.map(|(name, _)| name));
            let manifest = std::fs::read_to_string(folder().join("../Cargo.toml"));
            let manifest = manifest.expect("the manifest of the fuzzers");
            for name in tested {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
                let file = folder().join(format!("../fuzz_targets/{name}.rs"));
                let text = std::fs::read_to_string(file).expect("a fuzzer");
                assert!(text.contains(&format!("targets::{name}(data)")), "{name}");
            }
            let folders = std::fs::read_dir(folder()).expect("seeds").count();
            assert_eq!(folders, tested.len());
        }
    };
}

// So many that each takes about half a second in a debug build.
targets! {
    archive: 400
    channelstream: 300
    config: 200
    event_stream: 500
    extensions: 500
    filter: 500
    frame: 500
    head: 100
    hub_frame: 500
    jwt: 300
    last_event_id: 300
    query: 100
    recording: 500
    token_file: 300
}
