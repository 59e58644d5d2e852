//! What operators read: short statements on a connection of their own, so that
//! they neither wait for the writer nor stop its checkpoints.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::Connection;

use super::{open, rows};
use crate::clock::time_until;
use crate::id::AccountName;
use crate::store::{Backlog, DeadLetter, StoreError};

/// What waits, and how many are dead, by account.
pub(super) const BACKLOG: &str = "SELECT account, sum(turns), min(since), sum(dead) FROM (
        SELECT account, backlog AS turns, waiting_since AS since, 0 AS dead
        FROM conversations WHERE waiting_since IS NOT NULL
        UNION ALL
        SELECT account, 0, NULL, 1 FROM dead_letters
    ) GROUP BY account ORDER BY account";

/// A read-only connection, opened when it is first needed.
#[derive(Clone)]
pub(super) struct Reader {
    path: PathBuf,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Reader {
    /// Reads this file.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: Arc::default(),
        }
    }

    /// Reads something, where it may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.clone();
        let blocking = tokio::task::spawn_blocking(move || {
            let mut connection = reader.connection();
            let connection = match &mut *connection {
                Some(connection) => connection,
                none => none.insert(open::connect_to_read(&reader.path)?),
            };
            read(connection)
        });
        let stopped = |_| StoreError::Unavailable("reading has failed".to_owned());
        blocking.await.map_err(stopped)?
    }

    /// Lets go of the file.
    pub(super) fn close(&self) {
        drop(self.connection().take());
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits, for every account that has anything waiting or dead.
pub(super) fn backlog(connection: &Connection, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
    let mut statement = connection.prepare_cached(BACKLOG)?;
    let mut found = statement.query([])?;
    let mut backlog = Vec::new();
    while let Some(row) = found.next()? {
        let account = row.get_ref(0)?;
        let account = account.as_str().map_err(rusqlite::Error::from)?;
        let since: Option<i64> = row.get(2)?;
        let since = since.map(rows::time).transpose()?.unwrap_or(now);
        backlog.push(Backlog {
            account: AccountName::new(account),
            turns: row.get::<_, i64>(1)?.try_into().unwrap_or_default(),
            oldest_waiting: time_until(now, since),
            dead_letters: row.get::<_, i64>(3)?.try_into().unwrap_or_default(),
        });
    }
    Ok(backlog)
}

/// The dead letters, oldest first.
pub(super) fn dead_letters(connection: &Connection) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!("{} ORDER BY id", rows::DEAD_LETTER);
    let mut statement = connection.prepare_cached(&sql)?;
    let letters = statement.query_map([], rows::dead_letter)?;
    Ok(letters.collect::<Result<_, _>>()?)
}
