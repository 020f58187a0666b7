//! A disk that forgets what was not synced, and one that fails: a library that is loaded before the
//! program and stands between it and the files of one directory. `log_disk/disk.c` is its source.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::cli::{Running, wstap};

/// A disk, and the server that writes to it.
pub(crate) struct Disk {
    directory: PathBuf,
    beside: tempfile::TempDir,
}

/// What fails with `EIO`, by its place in the file of faults.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Write,
    Sync,
    Read,
}

/// An entry of the journal.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) file: String,
    /// Where it was written. Of a sync: the number of entries that it covers.
    pub(crate) offset: u64,
    size: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Truncate,
    Sync,
    FailedSync,
    Unlink,
}

impl Disk {
    /// Makes a disk for the files of a directory.
    pub(crate) fn new(directory: &Path) -> Self {
        let beside = tempfile::tempdir().expect("a directory");
        std::fs::write(beside.path().join("faults"), [0; 3]).expect("written");
        Self { directory: directory.to_owned(), beside }
    }

    fn journal(&self) -> PathBuf {
        self.beside.path().join("journal")
    }

    /// Starts a server whose log is on this disk.
    pub(crate) fn server(&self, arguments: &[&str]) -> Running {
        let mut command = wstap();
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(&self.directory);
        command.args(arguments).env("LD_PRELOAD", library());
        command.env("TEST_DISK_DIRECTORY", &self.directory);
        command.env("TEST_DISK_JOURNAL", self.journal());
        command.env("TEST_DISK_FAULTS", self.beside.path().join("faults"));
        let mut server = Running::start(&mut command);
        server.until("Ctrl-C stops.");
        assert!(!self.records().is_empty(), "it is loaded");
        server
    }

    /// Makes an operation fail from now on, or work again.
    pub(crate) fn fail(&self, operation: Operation, fails: bool) {
        let faults = File::options().write(true).open(self.beside.path().join("faults"));
        let place = operation as u64;
        faults.expect("a file").write_all_at(&[u8::from(fails)], place).expect("written");
    }

    /// Reads what has happened since the last power cut.
    pub(crate) fn records(&self) -> Vec<Record> {
        const HEAD: usize = 32;
        let all = std::fs::read(self.journal()).expect("a journal");
        let mut rest = &all[..];
        let mut records = Vec::new();
        while rest.len() >= HEAD {
            let four = |at: usize| {
                u32::from_ne_bytes(rest[at..at + 4].try_into().expect("four bytes")) as usize
            };
            let eight =
                |at: usize| u64::from_ne_bytes(rest[at..at + 8].try_into().expect("eight bytes"));
            let (name, old, new) = (rest[1] as usize, four(4), four(8));
            // The program was killed while it wrote the last one.
            let Some(mut bytes) = rest.get(HEAD..HEAD + name + old + new) else { break };
            let mut take = |length| {
                let (taken, others) = bytes.split_at(length);
                bytes = others;
                taken.to_vec()
            };
            records.push(Record {
                kind: match rest[0] {
                    b'w' => Kind::Write,
                    b't' => Kind::Truncate,
                    b's' => Kind::Sync,
                    b'f' => Kind::FailedSync,
                    b'u' => Kind::Unlink,
                    other => panic!("{other} is no kind of entry"),
                },
                offset: eight(16),
                size: eight(24),
                file: String::from_utf8(take(name)).expect("text"),
                old: take(old),
                new: take(new),
            });
            rest = &rest[HEAD + name + old + new..];
        }
        records
    }

    /// Cuts the power, after the server was killed: of what was not synced, each write is on the disk
    /// if `survives` says so, in part if it says that. Returns how many writes were not synced.
    pub(crate) fn cut_power(&self, mut survives: impl FnMut() -> Survival) -> usize {
        let records = self.records();
        let mut synced = HashMap::<&str, u64>::new();
        for (n, record) in records.iter().enumerate() {
            match record.kind {
                Kind::Unlink => drop(synced.insert(&record.file, n as u64 + 1)),
                Kind::Sync => {
                    let covered = synced.entry(&record.file).or_default();
                    *covered = (*covered).max(record.offset);
                }
                Kind::Write | Kind::Truncate | Kind::FailedSync => {}
            }
        }
        let changes = records.iter().enumerate().filter(|(n, record)| {
            let covered = synced.get(&*record.file).copied().unwrap_or(0);
            matches!(record.kind, Kind::Write | Kind::Truncate) && *n as u64 >= covered
        });
        let lost: Vec<&Record> = changes.map(|(_, record)| record).collect();
        let open = |record: &Record| {
            let path = self.directory.join(&record.file);
            File::options().write(true).open(path).expect("it is there until it is unlinked")
        };
        for record in lost.iter().rev() {
            let file = open(record);
            file.write_all_at(&record.old, record.offset).expect("written");
            file.set_len(record.size).expect("truncated");
        }
        for record in &lost {
            let file = open(record);
            let length = match survives() {
                Survival::No => continue,
                Survival::Whole => record.new.len(),
                // A sector is written as a whole or not at all.
                Survival::Sectors(count) => record.new.len().min(count * 512),
            };
            match record.kind {
                Kind::Truncate => file.set_len(record.offset).expect("truncated"),
                _ => file.write_all_at(&record.new[..length], record.offset).expect("written"),
            }
        }
        std::fs::remove_file(self.journal()).expect("removed");
        self.reboot();
        lost.len()
    }

    /// Lets the log believe that the machine has started again.
    fn reboot(&self) {
        let path = self.directory.join("lock");
        let text = std::fs::read_to_string(&path).expect("text");
        let (noted, state) = text.split_once('\n').expect("two lines");
        let words: Vec<&str> = state.split_whitespace().collect();
        assert_eq!((words.len(), words[0]), (3, "running"), "{text:?}");
        let state = format!("running {} another", words[1]);
        std::fs::write(&path, format!("{noted}\n{state:<63}\n")).expect("written");
    }

    /// Returns the files whose syncs have failed, each as often as that was tried.
    pub(crate) fn failed_syncs(&self) -> Vec<String> {
        let failed = |record: &Record| record.kind == Kind::FailedSync;
        self.records().into_iter().filter(failed).map(|record| record.file).collect()
    }

    /// Returns the files that were synced after an entry of the journal.
    pub(crate) fn synced_after(&self, entries: usize) -> HashSet<String> {
        let synced = |record: &Record| record.kind == Kind::Sync && record.offset >= entries as u64;
        self.records().into_iter().filter(synced).map(|record| record.file).collect()
    }
}

/// What becomes of a write that was not synced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Survival {
    No,
    Whole,
    Sectors(usize),
}

/// Compiles the library, once. SQLite needs a compiler as well.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a directory");
        let (source, library) = (folder.path().join("disk.c"), folder.path().join("disk.so"));
        std::fs::write(&source, include_str!("log_disk/disk.c")).expect("written");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).args([&library, &source]);
        let status = command.args(["-ldl", "-lpthread"]).status().expect("a C compiler");
        assert!(status.success());
        (folder, library)
    });
    library
}
