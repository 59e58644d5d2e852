//! What operators read: short statements on a connection of their own, so that
//! they neither wait for the writer nor stop its checkpoints.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{open, rows};
use crate::clock::time_until;
use crate::id::AccountName;
use crate::store::{Backlog, DeadLetter, StoreError};

/// What waits, and how many are dead, by account. A row whose time is none says
/// nothing about how long the others have waited.
pub(super) const BACKLOG: &str = "SELECT account, sum(turns), min(since) FILTER (WHERE since BETWEEN ?1 AND ?2), sum(dead) FROM (
        SELECT account, backlog AS turns, waiting_since AS since, 0 AS dead
        FROM conversations WHERE waiting_since IS NOT NULL
        UNION ALL
        SELECT account, 0, NULL, 1 FROM dead_letters
    ) GROUP BY account ORDER BY account";

/// How far an account's events were swept.
pub(super) fn swept_until(
    connection: &Connection,
    account: &AccountName,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT swept_until_us FROM sweeps WHERE account = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let until: Option<i64> = statement
        .query_row([account.as_str()], |row| row.get(0))
        .optional()?;
    Ok(until.and_then(|until| Timestamp::from_microsecond(until).ok()))
}

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

    /// How much room the disk has, for whoever is not root.
    pub(super) async fn free_bytes(&self) -> Option<u64> {
        let path = self.path.clone();
        let found = tokio::task::spawn_blocking(move || rustix::fs::statvfs(path));
        let disk = found.await.ok()?.ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
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
    let times = [Timestamp::MIN, Timestamp::MAX].map(Timestamp::as_millisecond);
    let mut found = statement.query(times)?;
    let mut backlog = Vec::new();
    while let Some(row) = found.next()? {
        let account = row.get_ref(0)?;
        let Ok(account) = account.as_str() else {
            continue;
        };
        let since: Option<i64> = row.get(2)?;
        let since = since
            .and_then(|since| rows::time(since).ok())
            .unwrap_or(now);
        backlog.push(Backlog {
            account: AccountName::new(account),
            turns: row.get::<_, i64>(1)?.try_into().unwrap_or_default(),
            oldest_waiting: time_until(now, since),
            dead_letters: row.get::<_, i64>(3)?.try_into().unwrap_or_default(),
        });
    }
    Ok(backlog)
}

/// Tells of each conversation that has waited since a time that is none. It is
/// due all the same, and its next claim stores what its value says.
pub(super) fn tell_of_times(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(
        "SELECT id FROM conversations
         WHERE waiting_since IS NOT NULL AND waiting_since NOT BETWEEN ? AND ?",
    )?;
    let times = [Timestamp::MIN, Timestamp::MAX].map(Timestamp::as_millisecond);
    let mut found = statement.query(times)?;
    while let Some(row) = found.next()? {
        let row: i64 = row.get(0)?;
        tracing::error!(
            row,
            "the time since which this row of `conversations` has waited can't be read"
        );
    }
    Ok(())
}

/// The dead letters, oldest first.
pub(super) fn dead_letters(connection: &Connection) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!("{} ORDER BY id", rows::DEAD_LETTER);
    let mut statement = connection.prepare_cached(&sql)?;
    let letters = statement.query_map([], rows::dead_letter)?;
    Ok(letters.collect::<Result<_, _>>()?)
}
