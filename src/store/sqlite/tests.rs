//! What only a file can do: be locked, foreign, damaged, gone, or old.

mod damage;
mod days;
mod gone;
mod migration;
mod opening;
mod plans;
mod sealing;
mod writing;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::store::Sqlite;

/// A database file of its own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.0.path().join(format!("store.db{suffix}"))
    }

    async fn open(&self) -> Sqlite {
        Sqlite::open(&self.path()).await.unwrap()
    }

    /// Another connection, as of somebody who looks by hand.
    fn sql(&self, sql: &str) {
        Connection::open(self.path())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }

    fn number(&self, sql: &str) -> i64 {
        let connection = Connection::open(self.path()).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The files in which these bytes stand.
    fn files_with(&self, needle: &[u8]) -> Vec<String> {
        let holds = |path: &Path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        };
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| holds(path))
            .map(|path| path.display().to_string())
            .collect()
    }
}
