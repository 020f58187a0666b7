//! A folder for the databases of a test.

use std::path::Path;

use rusqlite::Connection;

/// A folder whose databases are checked at its end.
#[derive(Debug)]
pub(crate) struct CheckedFolder(tempfile::TempDir);

impl CheckedFolder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for CheckedFolder {
    fn drop(&mut self) {
        let database = self.path().join(super::FILE);
        if std::thread::panicking() || !database.exists() {
            return;
        }
        let database = Connection::open(database).expect("a database");
        let check = "PRAGMA integrity_check";
        let words: String = database.query_row(check, (), |row| row.get(0)).expect("it is read");
        assert_eq!(words, "ok");
    }
}
